//! Single catalog objects as Square gives them, for the seed and for the
//! control interface alike. What the caller leaves open is drawn, and the draw
//! includes what trips strict clients: missing names and prices, explicit
//! nulls, amounts beyond 32 bits, values newer than the published schemas.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{CURRENCY, words};
use crate::account::catalog::{self, CATEGORY, ITEM, VARIATION};
use crate::moment::Nanos;
use crate::random::{self, one_in, pick};

/// What an object must have; the seed decides the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) price_amount: Option<i64>,
    /// Of an item: its categories, the reporting one first.
    pub(crate) category_ids: Vec<String>,
    /// Of a variation: its item.
    pub(crate) item_id: String,
    /// Of a variation: its place within the item.
    pub(crate) ordinal: usize,
    /// Of a category: its parent.
    pub(crate) parent_id: Option<String>,
}

/// A category.
pub(crate) fn category(rng: &mut Rng, wanted: &Wanted, drift: bool) -> Value {
    let mut data = json!({
        "name": wanted.name.clone().unwrap_or_else(|| words::item(rng)),
        "category_type": "REGULAR_CATEGORY",
        "is_top_level": wanted.parent_id.is_none(),
        "online_visibility": true,
    });
    match &wanted.parent_id {
        Some(parent) => data["parent_category"] = json!({"id": parent, "ordinal": ordinal(rng)}),
        None if one_in(rng, 2) => data["parent_category"] = json!({"ordinal": ordinal(rng)}),
        None => {}
    }
    if one_in(rng, 5) {
        data["category_type"] = json!(pick(rng, &["MENU_CATEGORY", "KITCHEN_CATEGORY"]));
    }
    if drift && one_in(rng, 8) {
        data["category_type"] = json!("HOLOGRAM_CATEGORY");
    }
    let mut object = object(rng, CATEGORY, wanted, data);
    if drift && one_in(rng, 3) {
        object["created_at"] = json!("2017-03-04T05:06:07.891Z");
    }
    object
}

/// An item without its variations.
pub(crate) fn item(rng: &mut Rng, wanted: &Wanted, drift: bool) -> Value {
    let mut data = json!({
        "name": wanted.name.clone().unwrap_or_else(|| words::item(rng)),
        "is_taxable": true,
        "product_type": "REGULAR",
        "skip_modifier_screen": false,
        "is_archived": one_in(rng, 25),
    });
    let description = words::description(rng);
    match rng.u8(0..10) {
        0..6 => {
            data["description"] = json!(format!("{description} (old)"));
            data["description_html"] = json!(format!("<p>{description}</p>"));
            data["description_plaintext"] = json!(description);
        }
        6..8 => data["description"] = json!(description),
        8 => data["description"] = Value::Null,
        _ => {}
    }
    let categories = &wanted.category_ids;
    if let Some(first) = categories.first() {
        let listed: Value = categories
            .iter()
            .map(|id| json!({"id": id, "ordinal": ordinal(rng)}))
            .collect();
        match rng.u8(0..10) {
            0..7 => {
                data["categories"] = listed;
                data["reporting_category"] = json!({"id": first, "ordinal": ordinal(rng)});
            }
            7..9 => data["categories"] = listed,
            _ => data["category_id"] = json!(first),
        }
    }
    if one_in(rng, 10) {
        data["product_type"] = json!(pick(
            rng,
            &[
                "GIFT_CARD",
                "APPOINTMENTS_SERVICE",
                "FOOD_AND_BEV",
                "EVENT",
                "DIGITAL"
            ]
        ));
    }
    if one_in(rng, 40) && wanted.name.is_none() {
        data["name"] = Value::Null;
    }
    if drift && one_in(rng, 20) {
        data["product_type"] = json!("TELEPORTATION");
        data["teleport_details"] = json!({"range_km": 12.5, "pads": ["north", {"id": 7}]});
    }
    object(rng, ITEM, wanted, data)
}

/// A variation.
pub(crate) fn variation(rng: &mut Rng, wanted: &Wanted, drift: bool) -> Value {
    let mut data = json!({
        "item_id": wanted.item_id,
        "name": wanted.name.clone().unwrap_or_else(|| words::variation(rng).to_owned()),
        "sku": format!("SKU-{:08}", rng.u32(0..100_000_000)),
        "ordinal": wanted.ordinal,
        "pricing_type": "FIXED_PRICING",
        "price_money": {"amount": wanted.price_amount.unwrap_or_else(|| amount(rng)), "currency": CURRENCY},
        "track_inventory": true,
        "sellable": true,
        "stockable": true,
    });
    let free = wanted.price_amount.is_none();
    match rng.u8(0..20) {
        0 if free => {
            data["pricing_type"] = json!("VARIABLE_PRICING");
            remove(&mut data, "price_money");
        }
        1 if free => remove(&mut data, "price_money"),
        2 if free => data["price_money"] = json!({"currency": CURRENCY}),
        3 => remove(&mut data, "sku"),
        4 => data["sku"] = Value::Null,
        5 if wanted.name.is_none() => remove(&mut data, "name"),
        6 => remove(&mut data, "track_inventory"),
        7 => remove(&mut data, "sellable"),
        8 => data["stockable"] = json!(false),
        9 => data["sku"] = json!(""),
        _ => {}
    }
    if one_in(rng, 3) {
        data["upc"] = json!(format!("{:012}", rng.u64(0..1_000_000_000_000)));
    }
    if one_in(rng, 100) {
        remove(&mut data, "item_id");
    }
    if drift && one_in(rng, 40) {
        data["pricing_type"] = json!("AUCTION_PRICING");
    }
    object(rng, VARIATION, wanted, data)
}

/// What differs at one location.
pub(super) fn location_override(rng: &mut Rng, location_id: &str) -> Value {
    let mut entry = json!({"location_id": location_id});
    if one_in(rng, 2) {
        entry["price_money"] = json!({"amount": amount(rng), "currency": CURRENCY});
        entry["pricing_type"] = json!("FIXED_PRICING");
    }
    if one_in(rng, 2) {
        entry["track_inventory"] = json!(one_in(rng, 2));
        entry["inventory_alert_type"] = json!("LOW_QUANTITY");
        entry["inventory_alert_threshold"] = json!(rng.i64(0..50));
    }
    if one_in(rng, 4) {
        entry["sold_out"] = json!(true);
    }
    entry
}

/// An object of any type around its data.
pub(super) fn object(rng: &mut Rng, kind: &str, wanted: &Wanted, data: Value) -> Value {
    let id = wanted.id.clone().unwrap_or_else(|| random::id(rng, 24));
    let mut object =
        json!({"type": kind, "id": id, "is_deleted": false, "present_at_all_locations": true});
    object[catalog::data_key(kind)] = data;
    object
}

/// What Square leaves of a deleted object: sometimes nothing but the mark,
/// sometimes an emptied data object.
pub(crate) fn tombstone(rng: &mut Rng, kind: &str, id: &str, at: Nanos) -> Value {
    let mut object = json!({"type": kind, "id": id, "is_deleted": true});
    if one_in(rng, 2) {
        object["present_at_all_locations"] = json!(true);
    }
    if one_in(rng, 3) {
        object[catalog::data_key(kind)] = json!({});
    }
    catalog::stamp(&mut object, at);
    object
}

/// A price: small, sometimes nothing, now and then beyond 32 bits.
fn amount(rng: &mut Rng) -> i64 {
    match rng.u16(0..500) {
        0 => rng.i64(2_147_483_648..900_000_000_000),
        1..6 => 0,
        _ => rng.i64(50..20_000),
    }
}

/// Square's place numbers go far below zero.
fn ordinal(rng: &mut Rng) -> i64 {
    if one_in(rng, 3) {
        rng.i64(-2_251_799_813_685_248..0)
    } else {
        rng.i64(0..100)
    }
}

pub(super) fn remove(object: &mut Value, field: &str) {
    if let Value::Object(fields) = object {
        fields.remove(field);
    }
}
