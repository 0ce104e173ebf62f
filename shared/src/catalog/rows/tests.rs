use serde_json::{Value, json};

use super::*;

fn rows(objects: Vec<Value>) -> CatalogRows {
    let (mut rows, mut arrivals) = (CatalogRows::default(), Arrivals::given());
    for object in objects {
        match read_object(&object.to_string()) {
            Ok(object) => rows.add(object, &mut arrivals),
            Err(broken) => rows.add_broken(broken, &mut arrivals),
        }
    }
    rows
}

#[test]
fn an_item_brings_its_variations_and_categories() {
    let rows = rows(vec![json!({
        "type": "ITEM", "id": "I", "version": 5,
        "item_data": {
            "name": "Tea", "description": "old", "description_plaintext": "new",
            "categories": [{"id": "C2", "ordinal": 9}, {"id": "C1", "ordinal": -1}],
            "variations": [
                {"type": "ITEM_VARIATION", "id": "V1", "item_variation_data": {
                    "price_money": {"amount": 5_000_000_000_i64, "currency": "JPY"},
                    "location_overrides": [{"location_id": "L1", "sold_out": true}, {}]}},
                {"type": "ITEM_VARIATION", "id": "V2", "version": "not a number"}
            ]
        }
    })]);
    let item = &rows.items[0];
    assert_eq!(item.category_id.as_deref(), Some("C1"));
    assert_eq!(item.description.as_deref(), Some("new"));
    assert_eq!(item.categories.0.len(), 2);
    assert!(item.presence.at_all_locations);
    assert_eq!(
        item.variation_ids,
        Some(vec!["V1".to_owned(), "V2".to_owned()])
    );
    let variation = &rows.variations[0];
    assert_eq!(variation.item_id.as_deref(), Some("I"));
    assert_eq!(variation.item_seq, Some(item.seq));
    assert_eq!(variation.price.amount, Some(5_000_000_000));
    assert_eq!(variation.overrides.0.len(), 1);
    assert_eq!(rows.broken.len(), 1);
    assert_eq!(rows.broken[0].0, Some("variations"));
}

#[test]
fn the_reporting_category_goes_before_all_others_and_the_deprecated_one_last() {
    let item = |data: Value| {
        let rows = rows(vec![json!({"type": "ITEM", "id": "I", "item_data": data})]);
        rows.items[0].category_id.clone()
    };
    let listed = json!([{"id": "B", "ordinal": 2}]);
    assert_eq!(
        item(json!({"reporting_category": {"id": "A"}, "categories": listed, "category_id": "C"}))
            .as_deref(),
        Some("A")
    );
    assert_eq!(
        item(json!({"categories": listed, "category_id": "C"})).as_deref(),
        Some("B")
    );
    assert_eq!(
        item(json!({"categories": [], "category_id": "C"})).as_deref(),
        Some("C")
    );
    assert_eq!(item(json!({})), None);
}

#[test]
fn a_tombstone_is_a_mark_without_data() {
    let rows = rows(vec![json!({
        "type": "ITEM", "id": "I", "is_deleted": true, "updated_at": "2026-01-01T00:00:00.12345Z"
    })]);
    assert!(rows.items[0].is_deleted);
    assert_eq!(rows.items[0].variation_ids, None);
}

#[test]
fn an_unknown_type_is_passed_over() {
    let rows = rows(vec![json!({"type": "HOLOGRAM", "id": "X"})]);
    assert!(rows.items.is_empty() && rows.broken.is_empty());
}

#[test]
fn a_tombstone_is_one_whatever_else_it_holds() {
    for object in [
        json!({"type": "ITEM", "id": "I", "is_deleted": true, "version": "soon"}),
        json!({"type": 7, "id": "I", "is_deleted": true, "item_data": 7}),
    ] {
        let rows = rows(vec![object.clone()]);
        assert!(rows.broken.is_empty(), "{object}");
        assert!(
            rows.items[0].is_deleted && rows.items[0].id == "I",
            "{object}"
        );
    }
    let rows = rows(vec![json!({"type": "ITEM", "id": 7, "is_deleted": true})]);
    assert_eq!((rows.items.len(), rows.broken.len()), (0, 1));
}

#[test]
fn a_held_variation_without_an_id_leaves_open_which_there_are() {
    let rows = rows(vec![
        json!({"type": "ITEM", "id": "I", "item_data": {"variations": [
        {"type": "ITEM_VARIATION", "id": "V"}, {"type": "ITEM_VARIATION", "id": 7}]}}),
    ]);
    assert_eq!(rows.items[0].variation_ids, None);
    assert_eq!((rows.variations.len(), rows.broken.len()), (1, 1));
}

#[test]
fn what_cannot_be_read_shows_its_type_by_its_data() {
    let data_type = |object: Value| {
        let rows = rows(vec![object]);
        rows.broken.first().map(|(data_type, _)| *data_type)
    };
    for (object, expected) in [
        (json!({"type": "ITEM", "id": 1}), Some(Some("items"))),
        (
            json!({"type": 1, "id": "C", "category_data": {}}),
            Some(Some("categories")),
        ),
        (
            json!({"id": "V", "item_variation_data": 7}),
            Some(Some("variations")),
        ),
        (json!({"id": "X"}), Some(None)),
        (json!({"type": "TAX", "id": 1}), None),
        // No text at all is a type to come, and what has our data is ours.
        (json!({"type": "", "id": "X"}), Some(None)),
        (json!({"type": "ITEM\u{fffd}", "id": "X"}), Some(None)),
        (
            json!({"type": "CATEGORY\u{fffd}", "id": "X", "category_data": {}}),
            Some(Some("categories")),
        ),
        (
            json!({"type": "PRODUCT", "id": "X", "item_data": {}}),
            Some(Some("items")),
        ),
    ] {
        assert_eq!(data_type(object.clone()), expected, "{object}");
    }
}
