//! The account's truth: the rows that a faultless copy of the account holds at
//! this moment, table by table and column by column. It is worked out from the
//! account alone, by rules of its own, so that it can judge a copy: what it
//! says and what the copier does share no code.

mod catalog;
mod inventory;
mod locations;
mod order_parts;
mod orders;
mod reader;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::Account;
use crate::moment;
use crate::sim::Sim;
use reader::Row;

/// Which part of the truth is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Tables, with commas between; all if left out.
    tables: Option<String>,
    /// As a copy that starts now would have it: a location that was taken off
    /// the list is unknown, and so is what hangs on it.
    fresh: bool,
}

impl Wanted {
    fn includes(&self, table: &str) -> bool {
        self.tables
            .as_deref()
            .is_none_or(|tables| tables.split(',').any(|name| name == table))
    }
}

/// A row that a copy must set aside, and why.
#[derive(Debug)]
struct SetAside {
    table: &'static str,
    id: String,
    reason: String,
}

/// The tables while they are worked out.
#[derive(Debug, Default)]
struct Truth {
    tables: Vec<(&'static str, Vec<u8>)>,
    set_aside: Vec<SetAside>,
    /// Locations that rows may refer to.
    locations: BTreeSet<String>,
}

impl Truth {
    fn table(&mut self, name: &'static str, rows: impl IntoIterator<Item = Row>) {
        let mut out = Vec::new();
        for row in rows {
            push(&mut out, &row);
        }
        self.tables.push((name, out));
    }

    fn set_aside(&mut self, table: &'static str, id: &str, reason: impl Into<String>) {
        self.set_aside.push(SetAside {
            table,
            id: id.to_owned(),
            reason: reason.into(),
        });
    }
}

/// Adds a row to a table's text.
fn push(table: &mut Vec<u8>, row: &Row) {
    if !table.is_empty() {
        table.push(b',');
    }
    let written = serde_json::to_writer(table, row);
    debug_assert!(written.is_ok(), "a row is plain data");
}

/// The answer to `GET /__sim/truth`.
pub(crate) fn respond(sim: Arc<Sim>, wanted: Wanted) -> Response {
    let body = Body::from_stream(futures::stream::once(async move {
        tokio::task::spawn_blocking(move || write(&sim.account(), &wanted)).await
    }));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn write(account: &Account, wanted: &Wanted) -> Vec<u8> {
    let mut truth = Truth::default();
    locations::tables(account, wanted, &mut truth);
    let variations = if catalog::TABLES.iter().any(|table| wanted.includes(table)) {
        catalog::tables(account, &mut truth)
    } else {
        BTreeSet::new()
    };
    if wanted.includes("catalog_inventory") {
        inventory::table(account, &variations, &mut truth);
    }
    orders::tables(account, wanted, &mut truth);
    let mut out = format!("{{\"now\":{}", Value::from(moment::truth(account.now))).into_bytes();
    for (name, rows) in truth
        .tables
        .iter()
        .filter(|(name, _)| wanted.includes(name))
    {
        out.extend_from_slice(format!(",\n\"{name}\":[").as_bytes());
        out.extend_from_slice(rows);
        out.push(b']');
    }
    let quarantined: Vec<Value> = truth
        .set_aside
        .iter()
        .map(|row| json!({"table": row.table, "id": row.id, "reason": row.reason}))
        .collect();
    let mut deleted = catalog::deleted(account);
    deleted["locations"] = account
        .locations
        .removed()
        .map(|id| json!({"id": id}))
        .collect();
    let tail = format!(
        ",\n\"deleted\":{deleted},\n\"quarantined\":{}}}",
        Value::from(quarantined)
    );
    out.extend_from_slice(tail.as_bytes());
    out
}
