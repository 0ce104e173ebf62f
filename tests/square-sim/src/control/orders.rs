//! Changes of orders: new ones of any kind, and edits of any there are.

use serde_json::{Value, json};

use super::change::{AddOrder, EditOrder};
use super::picks::{self, Refused};
use crate::account::Account;
use crate::seed::orders::{self, Brief, Kind};
use crate::{moment, random};

fn report(account: &Account, op: &str, ids: &[Value]) -> Value {
    json!({"op": op, "ids": ids, "at": moment::truth(account.now)})
}

pub(super) fn add(account: &mut Account, change: &AddOrder) -> Result<Value, Refused> {
    let kind = match change.kind.as_deref().unwrap_or("sale") {
        "sale" => Kind::Sale,
        "return" => Kind::Return,
        "exchange" => Kind::Exchange,
        "empty" => Kind::Empty,
        other => {
            return Err(format!(
                "an order is a sale, return, exchange or empty, not {other}"
            ));
        }
    };
    let state = match change.state.as_deref().unwrap_or("COMPLETED") {
        "COMPLETED" => "COMPLETED",
        "OPEN" => "OPEN",
        "CANCELED" => "CANCELED",
        "DRAFT" => "DRAFT",
        other => return Err(format!("{other} is no state of an order")),
    };
    let mut ids = Vec::new();
    for _ in 0..change.count.unwrap_or(1) {
        let location_id = picks::location(account, change.location_id.as_deref())?;
        let at = account.tick();
        let closed_at = matches!(state, "COMPLETED" | "CANCELED").then_some(at);
        let location = account.orders.location(&location_id).unwrap_or(usize::MAX);
        let brief = Brief {
            kind,
            state,
            location,
            created_at: at,
            updated_at: at,
            closed_at,
        };
        let number = account.orders.len();
        let plan = account.orders.plan();
        let currency = account.locations.currency(&location_id);
        let currency = currency.unwrap_or(orders::currency(plan, location));
        let mut order = orders::assembled(plan, &brief, &mut account.rng, number);
        order.id = format!("{}{number:08}", random::id(&mut account.rng, 18));
        order.relocate(&location_id);
        let mut text = Vec::new();
        let written = orders::in_currency(&order, currency, &mut text);
        let read = written.and_then(|()| serde_json::from_slice(&text));
        let mut order: Value = read.map_err(|error| error.to_string())?;
        picks::merge(&mut order, &change.set);
        ids.push(order["id"].clone());
        account.orders.put(order);
    }
    Ok(report(account, "add_order", &ids))
}

pub(super) fn edit(account: &mut Account, change: &EditOrder) -> Result<Value, Refused> {
    let mut ids = Vec::new();
    for _ in 0..change.count.unwrap_or(1) {
        let number = match &change.id {
            Some(id) => account
                .orders
                .find(id)
                .ok_or_else(|| format!("there is no order {id}"))?,
            None if account.orders.len() == 0 => return Err("there is no order".to_owned()),
            None => account.rng.usize(..account.orders.len()),
        };
        let at = account.tick();
        let mut order = account.orders.json(number);
        if let Some(state) = &change.state {
            order["state"] = json!(state);
            if matches!(state.as_str(), "COMPLETED" | "CANCELED") && order["closed_at"].is_null() {
                order["closed_at"] = json!(moment::square(at));
            }
        }
        if change.state.is_none() && change.set.is_empty() {
            order["ticket_name"] = json!(format!("Ticket {}", moment::version(at)));
        }
        if let Some(version) = order["version"].as_i64() {
            order["version"] = json!(version + 1);
        }
        order["updated_at"] = json!(moment::square(at));
        picks::merge(&mut order, &change.set);
        ids.push(order["id"].clone());
        account.orders.put(order);
    }
    Ok(report(account, "edit_order", &ids))
}

/// Puts raw JSON. It is found by the times it has; one without `updated_at` is
/// found by none that sorts by it.
pub(super) fn put_raw(account: &mut Account, order: Value) -> Value {
    let id = order["id"].clone();
    account.orders.put(order);
    report(account, "put_raw", &[id])
}
