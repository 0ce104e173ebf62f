//! Changes of the account, of every kind that the simulator knows.

use fastrand::Rng;
use serde_json::{Value, json};

/// A change at random, left to the account to aim. Whether a delta can bring it is
/// for `is_told` to say.
pub(crate) fn any(rng: &mut Rng) -> Value {
    let count = rng.usize(1..=2);
    match rng.u8(..28) {
        0 => json!({"op": "add_item", "variations": count, "quantity": "5"}),
        1 => json!({"op": "edit_item", "count": count}),
        2 => json!({"op": "edit_item", "is_archived": rng.bool()}),
        3 => json!({"op": "delete_item"}),
        4 => json!({"op": "delete_item", "cascade_tombstones": false}),
        5 => json!({"op": "move_item"}),
        6 => json!({"op": "add_variation", "count": count}),
        7 => json!({"op": "edit_variation", "count": count, "bump_item": rng.bool()}),
        8 => json!({"op": "delete_variation", "bump_item": rng.bool()}),
        9 => json!({"op": "add_category"}),
        10 => json!({"op": "edit_category"}),
        11 => json!({"op": "delete_category"}),
        12 => json!({"op": "add_location"}),
        13 => json!({"op": "edit_location"}),
        14 => json!({"op": "deactivate_location"}),
        15 => json!({"op": "activate_location"}),
        16 => json!({"op": "remove_location", "drop_counts": rng.bool()}),
        17 => {
            json!({"op": "delete_silently", "type": if rng.bool() { "ITEM" } else { "CATEGORY" }})
        }
        18 => json!({"op": "sell", "times": count, "quantity": "2.5"}),
        19 => json!({"op": "recount", "quantity": "-1.50000"}),
        20 => json!({"op": "restock", "times": count}),
        21 => json!({"op": "recount", "state": "WASTE", "quantity": "3"}),
        22..25 => {
            let kinds = ["sale", "sale", "return", "exchange", "empty"];
            let states = ["COMPLETED", "COMPLETED", "OPEN", "CANCELED", "DRAFT"];
            let (kind, state) = (kinds[rng.usize(..5)], states[rng.usize(..5)]);
            json!({"op": "add_order", "count": count, "kind": kind, "state": state})
        }
        _ => json!({"op": "edit_order", "count": count}),
    }
}

/// Whether Square's lists of changes tell of it; else only a whole listing shows it.
pub(crate) fn is_told(change: &Value) -> bool {
    match change["op"].as_str() {
        Some("delete_silently" | "remove_location") => false,
        Some("delete_item") => change["cascade_tombstones"] != false,
        _ => true,
    }
}

/// Values that no sound object has, by the field that gets them.
pub(crate) fn hostile(rng: &mut Rng, value: usize) -> (Value, Value) {
    let values = [
        json!(7),
        json!(["a"]),
        json!({"a": "b"}),
        json!(true),
        json!("\u{0}\u{1f4a9}\u{202e}"),
        json!("x".repeat(3_000)),
        json!(-1.5e300),
        json!(""),
    ];
    let value = &values[value % values.len()];
    // What makes it hostile, and what heals it.
    match rng.u8(..5) {
        0 => (
            json!({"op": "edit_item", "set": {"item_data": {"name": value}}}),
            json!({"op": "edit_item", "set": {"item_data": {"name": "healed"}}}),
        ),
        1 => (
            json!({"op": "edit_variation", "set": {"item_variation_data": {"sku": value}}}),
            json!({"op": "edit_variation", "set": {"item_variation_data": {"sku": "healed"}}}),
        ),
        2 => (
            json!({"op": "edit_category", "set": {"category_data": {"name": value}}}),
            json!({"op": "edit_category", "set": {"category_data": {"name": "healed"}}}),
        ),
        3 => (
            json!({"op": "edit_location", "set": {"name": value}}),
            json!({"op": "edit_location", "set": {"name": "healed"}}),
        ),
        _ => (
            json!({"op": "edit_order", "set": {"ticket_name": value}}),
            json!({"op": "edit_order", "set": {"ticket_name": "healed"}}),
        ),
    }
}
