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

/// Fields that may become hostile: the change that does it, where the field stands, and a
/// sound value, as JSON.
const FIELDS: [(&str, &[&str], &str); 24] = [
    ("edit_item", &["item_data", "name"], r#""healed""#),
    ("edit_item", &["item_data", "description"], r#""healed""#),
    ("edit_item", &["item_data", "is_archived"], "false"),
    ("edit_item", &["item_data", "categories"], "[]"),
    ("edit_item", &["present_at_location_ids"], "[]"),
    (
        "edit_variation",
        &["item_variation_data", "sku"],
        r#""healed""#,
    ),
    ("edit_variation", &["item_variation_data", "ordinal"], "1"),
    (
        "edit_variation",
        &["item_variation_data", "price_money"],
        r#"{"amount": 5, "currency": "USD"}"#,
    ),
    (
        "edit_variation",
        &["item_variation_data", "location_overrides"],
        "[]",
    ),
    ("edit_category", &["category_data", "name"], r#""healed""#),
    ("edit_location", &["name"], r#""healed""#),
    ("edit_location", &["business_name"], r#""healed""#),
    (
        "edit_location",
        &["coordinates"],
        r#"{"latitude": 1.5, "longitude": 2.5}"#,
    ),
    ("edit_order", &["ticket_name"], r#""healed""#),
    ("edit_order", &["customer_id"], r#""healed""#),
    ("edit_order", &["line_items"], "[]"),
    ("edit_order", &["returns"], "[]"),
    ("edit_order", &["tenders"], "[]"),
    ("edit_order", &["taxes"], "[]"),
    ("edit_order", &["service_charges"], "[]"),
    ("edit_order", &["fulfillments"], "[]"),
    ("edit_order", &["rewards"], "[]"),
    ("edit_order", &["refunds"], "[]"),
    (
        "edit_order",
        &["total_money"],
        r#"{"amount": 500, "currency": "USD"}"#,
    ),
];

/// A change after which an object has what no sound one has, and one that heals it.
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
        json!(null),
        json!([]),
        json!({}),
        json!(u64::MAX),
        json!([null]),
        json!([{}]),
        json!({"amount": "5", "currency": 7}),
        json!("2026-02-30T00:00:00Z"),
    ];
    let value = values[value % values.len()].clone();
    let (op, path, sound) = FIELDS[rng.usize(..FIELDS.len())];
    let edit = |value: Value| {
        let set = path
            .iter()
            .rev()
            .fold(value, |inner, field| json!({ *field: inner }));
        json!({"op": op, "set": set})
    };
    (edit(value), edit(serde_json::from_str(sound).unwrap()))
}
