//! The truth's fine print, one rule at a time, with objects put for the purpose.

use serde_json::{Value, json};

use crate::support::{Sim, row, rows, small};

async fn put(sim: &Sim, object: Value) {
    sim.change(json!({"op": "put_raw", "object": object})).await;
}

fn item(id: &str, data: Value) -> Value {
    json!({"type": "ITEM", "id": id, "version": 7, "updated_at": "2026-07-02T00:00:00.1234567Z", "item_data": data})
}

fn variation(id: &str, data: Value) -> Value {
    json!({"type": "ITEM_VARIATION", "id": id, "version": 8, "updated_at": "2026-07-02T00:00:00Z", "item_variation_data": data})
}

#[tokio::test]
async fn an_items_category_and_description() {
    let sim = Sim::new(small());
    for (id, data, category, description) in [
        (
            "A",
            json!({"reporting_category": {"id": "R"}, "categories": [{"id": "C", "ordinal": -9}], "category_id": "D", "description": "old", "description_plaintext": "plain"}),
            json!("R"),
            json!("plain"),
        ),
        (
            "B",
            json!({"categories": [{"id": "C", "ordinal": 3}, {"id": "E", "ordinal": -3}, {"id": "F"}], "category_id": "D", "description": "old"}),
            json!("E"),
            json!("old"),
        ),
        (
            "C",
            json!({"category_id": "D", "description": "old", "description_plaintext": ""}),
            json!("D"),
            json!(""),
        ),
        (
            "D",
            json!({"description": null, "categories": []}),
            Value::Null,
            Value::Null,
        ),
        (
            "E",
            json!({"description": "a\u{0}b"}),
            Value::Null,
            json!("ab"),
        ),
    ] {
        put(&sim, item(id, data)).await;
        let row = row(&sim.truth().await, "catalog_items", id).unwrap();
        assert_eq!(
            (&row["category_id"], &row["description"]),
            (&category, &description),
            "{id}"
        );
        assert_eq!(
            (&row["updated_at"], &row["version"]),
            (&json!("2026-07-02T00:00:00.123456Z"), &json!(7))
        );
        assert_eq!(
            row["present_at_all_locations"], true,
            "absent means everywhere"
        );
        assert_eq!(row["is_archived"], Value::Null);
    }
    let truth = sim.truth().await;
    let listed: Vec<Value> = rows(&truth, "catalog_item_categories")
        .into_iter()
        .filter(|row| row["item_id"] == "B")
        .collect();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        listed[2],
        json!({"item_id": "B", "category_id": "F", "ordinal": null})
    );
}

#[tokio::test]
async fn variations_belong_to_the_item_that_holds_them() {
    let sim = Sim::new(small());
    put(&sim, item("I", json!({"variations": [variation("V", json!({"name": "nested"})), variation("W", json!({"item_id": "I"}))]}))).await;
    let truth = sim.truth().await;
    assert_eq!(
        row(&truth, "catalog_variations", "V").unwrap()["item_id"],
        "I"
    );
    assert_eq!(
        row(&truth, "catalog_variations", "W").unwrap()["price_amount"],
        Value::Null
    );

    put(
        &sim,
        item(
            "I",
            json!({"variations": [variation("W", json!({"item_id": "I"}))]}),
        ),
    )
    .await;
    let truth = sim.truth().await;
    assert!(
        row(&truth, "catalog_variations", "V").is_none(),
        "no longer listed is deleted"
    );
    assert_eq!(truth["deleted"]["variations"][0]["id"], "V");
}

#[tokio::test]
async fn orphans_wait_for_their_parents() {
    let sim = Sim::new(small());
    let location = sim.locations().await[0].clone();
    put(&sim, variation("V", json!({"item_id": "LATER", "location_overrides": [{"location_id": location, "sold_out": true}, {"location_id": "NOWHERE"}]}))).await;
    let count = |variation: &str, location: &str| json!({"op": "put_raw", "count": {"catalog_object_id": variation, "location_id": location, "state": "IN_STOCK", "quantity": "1.50000", "calculated_at": "2026-07-02T00:00:00.5Z"}});
    sim.change(count("V", &location)).await;
    sim.change(count("V", "NOWHERE")).await;
    let truth = sim.truth().await;
    assert!(row(&truth, "catalog_variations", "V").is_none());
    let waiting: Vec<&Value> = truth["quarantined"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["table"])
        .collect();
    assert_eq!(
        waiting,
        [
            "catalog_variations",
            "catalog_inventory",
            "catalog_inventory"
        ]
    );

    put(&sim, item("LATER", json!({"name": "here"}))).await;
    let truth = sim.truth().await;
    assert_eq!(
        row(&truth, "catalog_variations", "V").unwrap()["item_id"],
        "LATER"
    );
    let overrides: Vec<Value> = rows(&truth, "catalog_variation_overrides")
        .into_iter()
        .filter(|row| row["variation_id"] == "V")
        .collect();
    assert_eq!(
        (overrides.len(), &overrides[0]["sold_out"]),
        (1, &json!(true))
    );
    let counted: Vec<Value> = rows(&truth, "catalog_inventory")
        .into_iter()
        .filter(|row| row["variation_id"] == "V")
        .collect();
    assert_eq!(
        counted,
        [
            json!({"variation_id": "V", "location_id": location, "state": "IN_STOCK", "quantity": "1.5", "calculated_at": "2026-07-02T00:00:00.500000Z"})
        ]
    );
    assert_eq!(
        truth["quarantined"].as_array().unwrap().len(),
        2,
        "what refers to NOWHERE still waits"
    );
}

#[tokio::test]
async fn broken_objects_are_set_aside_alone() {
    let sim = Sim::new(small());
    for broken in [
        json!({"object": item("X", json!({"name": 5}))}),
        json!({"object": {"type": "CATEGORY", "id": "Y", "version": "seven", "category_data": {}}}),
        json!({"object": {"type": "CATEGORY", "category_data": {"name": "no id"}}}),
        json!({"object": item("Z", json!({"variations": [variation("ZV", json!({"price_money": {"amount": 1.5}}))]}))}),
        json!({"count": {"catalog_object_id": "ZZ", "location_id": "L", "state": "IN_STOCK", "quantity": "1"}}),
        json!({"location": {"id": "LL", "name": ["not", "a", "name"]}}),
        json!({"object": item("ODD", json!({"variations": "none"}))}),
    ] {
        let mut change = broken;
        change["op"] = json!("put_raw");
        sim.change(change).await;
    }
    let truth = sim.truth().await;
    let mut aside: Vec<(&str, &str)> = truth["quarantined"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["table"].as_str().unwrap(), row["id"].as_str().unwrap()))
        .collect();
    aside.sort_unstable();
    let expected = [
        ("catalog_categories", ""),
        ("catalog_categories", "Y"),
        ("catalog_inventory", "ZZ/L/IN_STOCK"),
        ("catalog_items", "X"),
        ("catalog_variations", "ZV"),
        ("locations", "LL"),
    ];
    assert_eq!(aside, expected);
    assert!(
        row(&truth, "catalog_items", "Z").is_some()
            && row(&truth, "catalog_items", "ODD").is_some()
    );
    let served = sim
        .all("/v2/catalog/search", json!({"object_types": ["ITEM"]}))
        .await;
    assert!(
        served.contains(&item("ODD", json!({"variations": "none"}))),
        "raw JSON is served as it is"
    );
}

#[tokio::test]
async fn quantities_are_written_the_shortest_way() {
    let sim = Sim::new(small());
    let truth = sim.truth().await;
    let (variation, location) = (
        &truth["catalog_variations"][0]["id"],
        &truth["locations"][0]["id"],
    );
    for (given, written) in [
        ("-0", "0"),
        ("0.00000", "0"),
        ("-1.50000", "-1.5"),
        ("12.00001", "12.00001"),
        ("007", "7"),
    ] {
        let count = json!({"catalog_object_id": variation, "location_id": location, "state": "CUSTOM", "quantity": given, "calculated_at": "2026-07-02T00:00:00Z"});
        sim.change(json!({"op": "put_raw", "inventory_count": count}))
            .await;
        let truth = sim.truth().await;
        let counted = rows(&truth, "catalog_inventory")
            .into_iter()
            .find(|row| row["state"] == "CUSTOM")
            .unwrap();
        assert_eq!(counted["quantity"], written);
    }
}

#[tokio::test]
async fn deletions_are_told_with_their_moment() {
    let sim = Sim::new(small());
    let deleted = sim.change(json!({"op": "delete_item"})).await;
    let silent = sim
        .change(json!({"op": "delete_silently", "type": "CATEGORY"}))
        .await;
    let truth = sim.truth().await;
    assert_eq!(
        truth["deleted"]["items"],
        json!([{"id": deleted["ids"][0], "deleted_at": deleted["at"]}])
    );
    assert_eq!(
        truth["deleted"]["categories"],
        json!([{"id": silent["ids"][0], "deleted_at": null}])
    );
    let variations = truth["deleted"]["variations"].as_array().unwrap();
    assert!(
        variations
            .iter()
            .all(|row| row["deleted_at"] == deleted["at"])
    );
}

#[tokio::test]
async fn a_removed_location_is_known_to_old_copies_only() {
    let sim = Sim::new(small());
    let id = sim.change(json!({"op": "remove_location"})).await["ids"][0].clone();
    let at = |truth: &Value, table: &str| {
        rows(truth, table)
            .iter()
            .filter(|row| row["location_id"] == id)
            .count()
    };
    let old = sim.truth().await;
    let fresh = sim.get("/__sim/truth?fresh=true").await;
    assert_eq!(
        (
            rows(&old, "locations").len(),
            rows(&fresh, "locations").len()
        ),
        (3, 3)
    );
    assert_eq!(old["deleted"]["locations"], json!([{"id": id}]));
    assert!(at(&old, "catalog_inventory") > 0 && at(&old, "orders") > 0);
    assert_eq!(
        (at(&fresh, "catalog_inventory"), at(&fresh, "orders")),
        (0, 0)
    );
    assert!(!fresh["quarantined"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn order_rows() {
    let sim = Sim::new(small());
    let location = sim.locations().await[0].clone();
    let money = |amount: i64| json!({"amount": amount, "currency": "USD"});
    let line = |uid: Value, gross: &str| json!({"uid": uid, "name": "a\u{0}b", "quantity": "2.50000", gross: money(500), "total_money": money(540), "base_price_money": money(200), "catalog_version": 3});
    let order = json!({
        "id": "O", "location_id": location, "state": "COMPLETED", "created_at": "2026-07-02T00:00:00Z", "updated_at": "2026-07-02T00:00:01.123456789Z",
        "source": {"name": "till"}, "total_money": money(540), "net_amounts": {"total_money": money(-540)},
        "line_items": [line(json!("L"), "gross_sales_money"), line(Value::Null, "gross_sales_money")],
        "returns": [
            {"source_order_id": "S", "return_line_items": [line(Value::Null, "gross_return_money")]},
            {"return_line_items": [line(Value::Null, "gross_return_money")]},
        ],
        "tenders": [{"id": "T", "type": "CASH", "amount_money": money(540), "created_at": "2026-07-02T00:00:00Z"}],
    });
    sim.change(json!({"op": "put_raw", "order": order})).await;
    let truth = sim
        .get("/__sim/truth?tables=orders,order_line_items,order_return_line_items,order_tenders")
        .await;
    assert!(
        truth.get("locations").is_none(),
        "only the tables asked for"
    );
    let found = row(&truth, "orders", "O").unwrap();
    for (column, value) in [
        ("is_return", json!(false)),
        ("source_name", json!("till")),
        ("currency", json!("USD")),
        ("total_amount", json!(540)),
        ("net_total_amount", json!(-540)),
        ("total_tax_amount", Value::Null),
        ("closed_at", Value::Null),
        ("version", Value::Null),
        ("updated_at", json!("2026-07-02T00:00:01.123456Z")),
    ] {
        assert_eq!(found[column], value, "{column}");
    }
    assert_eq!(found["raw"]["line_items"][0]["name"], "ab");
    let of = |table: &str| {
        rows(&truth, table)
            .into_iter()
            .filter(|row| row["order_id"] == "O")
            .collect::<Vec<_>>()
    };
    let uids = |table: &str| {
        of(table)
            .iter()
            .map(|row| row["uid"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(uids("order_line_items"), ["L", "#1"]);
    assert_eq!(uids("order_return_line_items"), ["#0", "#1"]);
    let returned = &of("order_return_line_items")[0];
    assert_eq!(
        (
            &returned["source_order_id"],
            &returned["gross_sales_amount"],
            &returned["quantity"]
        ),
        (&json!("S"), &json!(500), &json!("2.5"))
    );
    assert_eq!(of("order_tenders")[0]["tip_amount"], Value::Null);
}

#[tokio::test]
async fn currencies_and_net_amounts_of_orders() {
    let sim = Sim::new(small());
    let money = |amount: i64, currency: &str| json!({"amount": amount, "currency": currency});
    let shop = json!({"id": "SHOP", "name": "Shop", "currency": "CHF"});
    sim.change(json!({"op": "put_raw", "location": shop})).await;
    for (id, fields, currency, tax) in [
        (
            "A",
            json!({"total_money": money(1, "AAA"), "net_amounts": {"tax_money": money(-3, "BBB")}}),
            "AAA",
            json!(-3),
        ),
        (
            "B",
            json!({"total_money": {"amount": 1}, "total_tax_money": money(5, ""),
                "refunds": [{"amount_money": money(1, "BBB")}], "metadata": {"currency": "no"},
                "return_amounts": {"tax_money": {"amount": 2}}}),
            "BBB",
            json!(3),
        ),
        (
            "C",
            json!({"line_items": [{"quantity": "1", "total_tax_money": money(1, "CCC")}],
                "tenders": [{"tip_money": money(1, "DDD")}],
                "returns": [{"return_taxes": [{"applied_money": {"amount": 2}}, {"applied_money": {"amount": 5}}]}]}),
            "DDD",
            json!(-7),
        ),
        (
            "D",
            json!({"line_items": [{"quantity": "1"}]}),
            "CHF",
            Value::Null,
        ),
    ] {
        let mut order = json!({"id": id, "location_id": "SHOP", "state": "COMPLETED",
            "created_at": "2026-07-02T00:00:00Z", "updated_at": "2026-07-02T00:00:01Z"});
        for (name, value) in fields.as_object().unwrap() {
            order[name] = value.clone();
        }
        sim.change(json!({"op": "put_raw", "order": order})).await;
        let truth = sim.truth().await;
        let row = row(&truth, "orders", id).unwrap();
        assert_eq!(
            (&row["currency"], &row["net_tax_amount"]),
            (&json!(currency), &tax),
            "{id}"
        );
        let lines = rows(&truth, "order_line_items");
        for line in lines.iter().filter(|line| line["order_id"] == id) {
            let own = if id == "C" { "CCC" } else { currency };
            assert_eq!(line["currency"], own, "{id}");
        }
    }
}
