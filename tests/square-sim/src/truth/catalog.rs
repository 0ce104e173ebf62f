//! The rows of the catalog tables. An item's category is its reporting
//! category, else the listed one with the lowest ordinal, else the deprecated
//! field; its description is the plain text, else the old field. A variation
//! without an `item_id` belongs to the item that holds it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Truth;
use super::reader::{Reader, Row, clean};
use crate::account::Account;
use crate::account::catalog::{CATEGORY, ITEM, Life, Object, VARIATION};
use crate::moment;

/// The tables this module fills, and the one that needs to know of them.
pub(super) const TABLES: [&str; 6] = [
    "catalog_categories",
    "catalog_items",
    "catalog_item_categories",
    "catalog_variations",
    "catalog_variation_overrides",
    "catalog_inventory",
];

/// Adds the catalog's tables; gives the ids of the variations that have a row.
pub(super) fn tables(account: &Account, truth: &mut Truth) -> BTreeSet<String> {
    let objects = account.catalog.all();
    let live = |kind: &'static str| {
        objects
            .iter()
            .filter(move |object| object.life == Life::Live && &*object.kind == kind)
    };
    let mut categories = Vec::new();
    for object in live(CATEGORY) {
        keep(
            truth,
            "catalog_categories",
            object,
            category(&object.json()),
            &mut categories,
        );
    }
    let (mut items, mut item_ids, mut listed) = (Vec::new(), BTreeSet::new(), Vec::new());
    for object in live(ITEM) {
        let json = object.json();
        if keep(truth, "catalog_items", object, item(&json), &mut items) {
            item_ids.insert(object.id.to_string());
            listed.extend(item_categories(&object.id, &json));
        }
    }
    let (mut variations, mut variation_ids, mut overrides) =
        (Vec::new(), BTreeSet::new(), Vec::new());
    for object in live(VARIATION) {
        let json = object.json();
        let holder = object.item.map(|place| &*account.catalog.get(place).id);
        let row = variation(&json, holder).and_then(|row| {
            let item_id = row["item_id"].as_str().unwrap_or_default();
            if item_ids.contains(item_id) {
                Ok(row)
            } else {
                Err(format!("its item {item_id:?} is not there"))
            }
        });
        if keep(truth, "catalog_variations", object, row, &mut variations) {
            variation_ids.insert(object.id.to_string());
            overrides.extend(location_overrides(&object.id, &json, truth));
        }
    }
    truth.table("catalog_categories", categories);
    truth.table("catalog_items", items);
    truth.table("catalog_item_categories", listed);
    truth.table("catalog_variations", variations);
    truth.table("catalog_variation_overrides", overrides);
    variation_ids
}

/// Keeps a sound row and sets a broken one aside; true if kept.
fn keep(
    truth: &mut Truth,
    table: &'static str,
    object: &Object,
    row: Result<Row, String>,
    rows: &mut Vec<Row>,
) -> bool {
    match row {
        Ok(row) => {
            rows.push(row);
            true
        }
        Err(reason) => {
            truth.set_aside(table, &object.id, reason);
            false
        }
    }
}

fn common(json: &Value) -> Reader<'_> {
    let mut reader = Reader::new(json);
    reader.key("id", "/id");
    reader.whole("version", "/version");
    reader.time("updated_at", "/updated_at");
    reader
}

fn presence(reader: &mut Reader<'_>, json: &Value) {
    reader.flag("present_at_all_locations", "/present_at_all_locations");
    if json
        .get("present_at_all_locations")
        .is_none_or(Value::is_null)
    {
        reader.set("present_at_all_locations", true);
    }
    reader.texts("present_at_location_ids", "/present_at_location_ids");
    reader.texts("absent_at_location_ids", "/absent_at_location_ids");
}

fn category(json: &Value) -> Result<Row, String> {
    let mut reader = common(json);
    reader.text("name", "/category_data/name");
    reader.text("category_type", "/category_data/category_type");
    reader.text("parent_category_id", "/category_data/parent_category/id");
    reader.flag("is_top_level", "/category_data/is_top_level");
    reader.finish()
}

fn item(json: &Value) -> Result<Row, String> {
    let mut reader = common(json);
    reader.text("name", "/item_data/name");
    let plain = json
        .pointer("/item_data/description_plaintext")
        .is_some_and(|text| !text.is_null());
    let description = if plain {
        "/item_data/description_plaintext"
    } else {
        "/item_data/description"
    };
    reader.text("description", description);
    reader.text("product_type", "/item_data/product_type");
    reader.flag("is_archived", "/item_data/is_archived");
    presence(&mut reader, json);
    let lowest = listed_categories(json)
        .min_by_key(|(_, ordinal)| ordinal.unwrap_or(i64::MAX))
        .map(|(id, _)| id);
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let category = text("/item_data/reporting_category/id")
        .or(lowest)
        .or_else(|| text("/item_data/category_id"));
    reader.set("category_id", category.map_or(Value::Null, clean));
    reader.finish()
}

/// The categories an item lists, with their ordinals, in order.
fn listed_categories(json: &Value) -> impl Iterator<Item = (&str, Option<i64>)> {
    let list = json
        .pointer("/item_data/categories")
        .and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|entry| {
        let ordinal = entry.get("ordinal").and_then(Value::as_i64);
        entry
            .get("id")
            .and_then(Value::as_str)
            .map(|id| (id, ordinal))
    })
}

fn item_categories(item_id: &str, json: &Value) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    listed_categories(json)
        .filter(|(id, _)| seen.insert(*id))
        .map(|(id, ordinal)| {
            let mut row = Row::new();
            row.insert("item_id".to_owned(), item_id.into());
            row.insert("category_id".to_owned(), clean(id));
            row.insert("ordinal".to_owned(), ordinal.into());
            row
        })
        .collect()
}

fn variation(json: &Value, holder: Option<&str>) -> Result<Row, String> {
    let data = |field: &str| format!("/item_variation_data/{field}");
    let mut reader = common(json);
    reader.text("item_id", &data("item_id"));
    if json.pointer(&data("item_id")).is_none_or(Value::is_null) {
        reader.set("item_id", holder.map_or(Value::Null, Value::from));
    }
    for column in ["name", "sku", "upc", "pricing_type", "measurement_unit_id"] {
        reader.text(column, &data(column));
    }
    for column in ["track_inventory", "sellable", "stockable"] {
        reader.flag(column, &data(column));
    }
    reader.whole("ordinal", &data("ordinal"));
    reader.whole("price_amount", &data("price_money/amount"));
    reader.text("price_currency", &data("price_money/currency"));
    presence(&mut reader, json);
    reader.finish()
}

/// Overrides at known locations; others are set aside.
fn location_overrides(variation_id: &str, json: &Value, truth: &mut Truth) -> Vec<Row> {
    let list = json
        .pointer("/item_variation_data/location_overrides")
        .and_then(Value::as_array);
    let mut rows = Vec::new();
    for entry in list.into_iter().flatten() {
        let location = entry
            .get("location_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let id = format!("{variation_id}/{location}");
        if !truth.locations.contains(location) {
            truth.set_aside(
                "catalog_variation_overrides",
                &id,
                "its location is not there",
            );
            continue;
        }
        let mut reader = Reader::new(entry);
        reader.set("variation_id", variation_id);
        reader.key("location_id", "/location_id");
        reader.whole("price_amount", "/price_money/amount");
        reader.text("price_currency", "/price_money/currency");
        reader.text("pricing_type", "/pricing_type");
        reader.flag("track_inventory", "/track_inventory");
        reader.flag("sold_out", "/sold_out");
        reader.text("inventory_alert_type", "/inventory_alert_type");
        reader.whole("inventory_alert_threshold", "/inventory_alert_threshold");
        match reader.finish() {
            Ok(row) => rows.push(row),
            Err(reason) => truth.set_aside("catalog_variation_overrides", &id, reason),
        }
    }
    rows
}

/// What was deleted since the account was seeded; `deleted_at` is null for what
/// vanished without a trace.
pub(super) fn deleted(account: &Account) -> Value {
    let mut deleted = json!({"categories": [], "items": [], "variations": []});
    for object in account.catalog.all() {
        let deleted_at = match object.life {
            Life::Tombstone { lately: true } => Some(object.updated_at),
            Life::Vanished { deleted_at } => deleted_at,
            Life::Live | Life::Tombstone { lately: false } => continue,
        };
        let table = match &*object.kind {
            CATEGORY => "categories",
            ITEM => "items",
            VARIATION => "variations",
            _ => continue,
        };
        if let Value::Array(list) = &mut deleted[table] {
            list.push(json!({"id": object.id, "deleted_at": deleted_at.map(moment::truth)}));
        }
    }
    deleted
}
