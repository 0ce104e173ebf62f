//! The rough tools: JSON served exactly as given, and things that vanish
//! without the trace Square would leave.

use serde_json::{Value, json};

use super::apply::{bury, report, vanish as vanish_object};
use super::change::{PutRaw, Vanish};
use super::orders;
use super::picks::{self, Refused};
use crate::account::Account;
use crate::account::catalog::{ITEM, Life, VARIATION};
use crate::account::counts::{Count, quantity_units, raw_moment};
use crate::moment;

/// Puts raw JSON. Its place in time is its own timestamp, or now if it has none.
pub(super) fn put(account: &mut Account, change: PutRaw) -> Result<Value, Refused> {
    let at = account.tick();
    let PutRaw {
        object,
        inventory_count,
        location,
        order,
    } = change;
    match (object, inventory_count, location, order) {
        (Some(object), None, None, None) => {
            let own = object.get("updated_at").and_then(Value::as_str);
            let at = own.and_then(moment::parse).unwrap_or(at);
            Ok(put_object(account, object, at))
        }
        (None, Some(count), None, None) => {
            put_count(account, count, at);
            Ok(json!({"op": "put_raw", "at": moment::truth(account.now)}))
        }
        (None, None, Some(location), None) => {
            let id = location.get("id").cloned();
            account.locations.put(location);
            Ok(json!({"op": "put_raw", "ids": [id], "at": moment::truth(account.now)}))
        }
        (None, None, None, Some(order)) => Ok(orders::put_raw(account, order)),
        _ => Err(
            "put_raw takes exactly one of object, inventory_count, location and order".to_owned(),
        ),
    }
}

/// Puts a catalog object. Variations that an item no longer lists are deleted;
/// ones that waited for this item become its own.
fn put_object(account: &mut Account, object: Value, at: i64) -> Value {
    let lists = object
        .pointer("/item_data/variations")
        .is_some_and(Value::is_array);
    let known = object
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| account.catalog.place(id));
    let before = known
        .filter(|_| lists)
        .map(|place| account.catalog.get(place).variations.clone());
    let deleted = object.get("is_deleted") == Some(&json!(true));
    let place = account.catalog.put(object.clone(), at);
    for variation in before.unwrap_or_default() {
        if !account.catalog.get(place).variations.contains(&variation) {
            bury(account, variation, at);
        }
    }
    if &*account.catalog.get(place).kind == ITEM {
        account.catalog.adopt_orphans(place);
    }
    if deleted {
        let id = account.catalog.get(place).id.clone();
        account.catalog.bury(place, object, at, true);
        account.counts.remove_object(&id);
    }
    report(account, "put_raw", &[place])
}

fn put_count(account: &mut Account, json: Value, at: i64) {
    let text = |field: &str| {
        json.get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let quantity = quantity_units(&text("quantity")).unwrap_or_default();
    let counts = &mut account.counts;
    let count = Count {
        object: counts.symbol(&text("catalog_object_id")),
        location: counts.symbol(&text("location_id")),
        state: counts.symbol(&text("state")),
        units: quantity,
        decimals: 5,
        calculated_at: raw_moment(&json, at),
        raw: Some(Box::new(json)),
    };
    counts.put(count);
}

/// Makes catalog objects, or one count, vanish.
pub(super) fn vanish(account: &mut Account, change: &Vanish) -> Result<Value, Refused> {
    if let Some(location) = &change.location_id {
        let id = change
            .id
            .as_deref()
            .ok_or("a count needs an id beside its location_id")?;
        let state = change.state.as_deref().unwrap_or("IN_STOCK");
        if !account.counts.remove(id, location, state) {
            return Err(format!(
                "there is no count of {id} at {location} in state {state}"
            ));
        }
        return Ok(json!({"op": "delete_silently", "ids": [id], "at": moment::truth(account.now)}));
    }
    let kind = match change.id.as_deref().map(|id| account.catalog.find(id)) {
        Some(Some(object)) if object.life == Life::Live => object.kind.to_string(),
        Some(_) => {
            return Err(format!(
                "there is no live object {}",
                change.id.as_deref().unwrap_or_default()
            ));
        }
        None => change.kind.clone().unwrap_or_else(|| ITEM.to_owned()),
    };
    let places = picks::objects(account, &kind, change.id.as_deref(), change.count)?;
    let mut variations = Vec::new();
    for &place in &places {
        if kind != VARIATION {
            variations.extend(account.catalog.get(place).variations.clone());
        }
        vanish_object(account, place, None);
    }
    for &variation in &variations {
        vanish_object(account, variation, None);
    }
    let mut answer = report(account, "delete_silently", &places);
    answer["variation_ids"] = report(account, "", &variations)["ids"].take();
    Ok(answer)
}
