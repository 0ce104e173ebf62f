//! Orders that came without their ids: they wait under a name made of their content,
//! until the same order comes with its id.

use std::collections::HashMap;

use deadpool_postgres::Object;
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::SyncError;
use crate::square::{Broken, Order};
use crate::times::Now;

/// Remembered at most, in one call.
const NAMELESS_MAX: i64 = 10_000;

/// The waiting orders without an id, by where and when they were made.
#[derive(Debug, Default)]
pub(super) struct NamelessOrders(HashMap<(String, Timestamp), Vec<Nameless>>);

/// One of them.
#[derive(Debug)]
struct Nameless {
    /// Its name in quarantine.
    name: String,
    /// None where it is still to come: that is no evidence.
    updated_at: Option<Timestamp>,
    /// The names of its lines; none if it has none, or none that can be read.
    line_uids: Vec<String>,
}

impl NamelessOrders {
    /// Reads what waits.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn load(client: &Object, now: Now) -> Result<Self, SyncError> {
        let mut orders = Self::default();
        for row in client.query(NAMELESS, &[&NAMELESS_MAX]).await? {
            orders.add(row.get(0), row.get(1), now);
        }
        Ok(orders)
    }

    /// Without its place and time nothing tells which order it is. What PostgreSQL holds
    /// as text only may name its id all the same.
    fn add(&mut self, name: String, payload: String, now: Now) {
        let broken = Broken {
            problem: String::new(),
            payload,
        };
        if broken.text("id").is_some_and(|id| !id.is_empty()) {
            return;
        }
        let Some(place) = broken.text("location_id").zip(broken.read("created_at")) else {
            return;
        };
        let lines: Vec<Line> = broken.read("line_items").unwrap_or_default();
        self.0.entry(place).or_default().push(Nameless {
            name,
            updated_at: now.known(broken.read("updated_at")),
            line_uids: lines.into_iter().filter_map(|line| line.uid).collect(),
        });
    }

    /// The names of the copies that this order stands for: of the same location and
    /// moment, with a line in common if both have any, and no newer.
    pub(super) fn copies_of(&self, order: &Order) -> impl Iterator<Item = &str> {
        let place = order.location_id.clone().zip(order.created_at);
        let copies = place.and_then(|place| self.0.get(&place));
        let same = copies.into_iter().flatten().filter(|copy| {
            let lines = order.line_items.iter().flatten();
            let mut uids = lines.filter_map(|line| line.uid.as_ref()).peekable();
            let is_same = copy.line_uids.is_empty()
                || uids.peek().is_none()
                || uids.any(|uid| copy.line_uids.contains(uid));
            is_same && copy.updated_at <= order.updated_at
        });
        same.map(|copy| copy.name.as_str())
    }
}

/// A line, as far as it can be told.
#[derive(Debug, Deserialize)]
struct Line {
    uid: Option<String>,
}

/// Parameter: how many.
const NAMELESS: &str = "
    select object_id, coalesce(payload #>> '{}', 'null') from sync_quarantine
    where data_type = 'orders' and resolved_at is null
        and (jsonb_typeof(payload -> 'id') is distinct from 'string' or payload ->> 'id' = '')
    order by id limit $1";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 1] = [NAMELESS];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_order_stands_for_its_older_copies_only() {
        let order = |more: Value| {
            let mut order = json!({"location_id": "L", "created_at": "2026-01-01T00:00:00Z",
                "updated_at": "2026-01-02T00:00:00Z", "line_items": [{"uid": "A", "quantity": "1"}]});
            order
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            order
        };
        let now = Now::at("2026-02-01T00:00:00Z".parse().unwrap());
        for (change, is_same) in [
            (json!({}), true),
            (
                json!({"id": 7, "created_at": "2026-01-01T01:00:00.000+01:00"}),
                true,
            ),
            (json!({"updated_at": "2026-01-01T00:00:00Z"}), true),
            (json!({"updated_at": "2066-01-01T00:00:00Z"}), true),
            (json!({"id": ""}), true),
            (json!({"id": "A"}), false),
            (json!({"updated_at": null, "line_items": null}), true),
            (json!({"line_items": [{"uid": 7}, {}]}), true),
            (json!({"line_items": [{"uid": "B"}, {"uid": "A"}]}), true),
            (json!({"line_items": [{"uid": "B"}]}), false),
            (json!({"updated_at": "2026-01-02T00:00:00.001Z"}), false),
            (json!({"created_at": "2026-01-01T00:00:00.001Z"}), false),
            (json!({"created_at": "soon"}), false),
            (json!({"location_id": "M"}), false),
            (json!({"location_id": null}), false),
        ] {
            let mut waiting = NamelessOrders::default();
            waiting.add("N".to_owned(), order(change.clone()).to_string(), now);
            let named = serde_json::from_value(order(json!({"id": "O"}))).unwrap();
            let copies: Vec<&str> = waiting.copies_of(&named).collect();
            assert_eq!(copies == ["N"], is_same, "{change}");
        }
    }
}
