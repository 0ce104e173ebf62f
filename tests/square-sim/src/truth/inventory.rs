//! The rows of `catalog_inventory`: counts of variations that have a row, at
//! known locations, with quantities written the shortest way. Seeded counts are
//! many and plain, so their rows are written straight to text.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::Truth;
use super::reader::{Reader, Row};
use crate::account::Account;
use crate::account::counts::{Count, Symbol, decimals_needed, quantity_text, quantity_units};
use crate::moment;

pub(super) fn table(account: &Account, variations: &BTreeSet<String>, truth: &mut Truth) {
    let counts = &account.counts;
    let symbols = |ids: &BTreeSet<String>| -> HashSet<Symbol> {
        ids.iter().filter_map(|id| counts.known(id)).collect()
    };
    let (variations, locations) = (symbols(variations), symbols(&truth.locations));
    let mut out = Vec::with_capacity(counts.len() * 160);
    for (_, count) in counts.newest_first(None) {
        let row = if !variations.contains(&count.object) {
            Err("its variation is not there".to_owned())
        } else if !locations.contains(&count.location) {
            Err("its location is not there".to_owned())
        } else {
            match &count.raw {
                Some(raw) => raw_row(raw).map(|row| Value::Object(row).to_string()),
                None => Ok(row(account, count)),
            }
        };
        match row {
            Ok(row) => {
                if !out.is_empty() {
                    out.push(b',');
                }
                out.extend_from_slice(row.as_bytes());
            }
            Err(reason) => {
                let id = [count.object, count.location, count.state]
                    .map(|symbol| counts.name(symbol))
                    .join("/");
                truth.set_aside("catalog_inventory", &id, reason);
            }
        }
    }
    truth.tables.push(("catalog_inventory", out));
}

/// A row as text; ids and states are plain, so nothing needs escaping.
fn row(account: &Account, count: &Count) -> String {
    let name = |symbol| account.counts.name(symbol);
    format!(
        r#"{{"variation_id":"{}","location_id":"{}","state":"{}","quantity":"{}","calculated_at":"{}"}}"#,
        name(count.object),
        name(count.location),
        name(count.state),
        quantity_text(count.units, decimals_needed(count.units)),
        moment::truth(count.calculated_at),
    )
}

fn raw_row(json: &Value) -> Result<Row, String> {
    let mut reader = Reader::new(json);
    reader.key("variation_id", "/catalog_object_id");
    reader.key("location_id", "/location_id");
    reader.key("state", "/state");
    reader.key("calculated_at", "/calculated_at");
    reader.time("calculated_at", "/calculated_at");
    let quantity = json
        .get("quantity")
        .and_then(Value::as_str)
        .and_then(quantity_units);
    let units = quantity.ok_or("quantity is not a decimal number")?;
    reader.set("quantity", quantity_text(units, decimals_needed(units)));
    reader.finish()
}
