//! The seeded account: its sizes, that it is the same every time, and that it
//! has what trips strict clients.

use serde_json::{Value, json};
use square_sim::Config;

use crate::support::{CATALOG, COUNTS, Sim, ids, rows, small};

#[tokio::test]
async fn the_default_account_has_its_sizes_and_is_sound() {
    let sim = Sim::new(Config::default());
    let truth = sim.truth().await;
    for (table, size) in [
        ("locations", 4),
        ("catalog_categories", 12),
        ("catalog_items", 320),
        ("catalog_variations", 680),
        ("catalog_inventory", 2_000),
        ("orders", 2_000),
    ] {
        assert_eq!(rows(&truth, table).len(), size, "{table}");
    }
    assert_eq!(
        truth["quarantined"],
        json!([]),
        "nothing is orphaned or broken"
    );
    assert_eq!(
        truth["deleted"],
        json!({"categories": [], "items": [], "locations": [], "variations": []})
    );
    assert!(
        rows(&truth, "locations")
            .iter()
            .any(|row| row["status"] == "INACTIVE")
    );

    let items = ids(&rows(&truth, "catalog_items"));
    let categories = ids(&rows(&truth, "catalog_categories"));
    assert!(
        rows(&truth, "catalog_variations")
            .iter()
            .all(|row| items.contains(row["item_id"].as_str().unwrap()))
    );
    assert!(
        rows(&truth, "catalog_item_categories")
            .iter()
            .all(|row| categories.contains(row["category_id"].as_str().unwrap()))
    );
}

#[tokio::test]
async fn the_same_seed_gives_the_same_account() {
    let (one, two) = (Sim::new(small()), Sim::new(small()));
    let truth = one.truth().await;
    assert_eq!(truth, two.truth().await);
    assert_ne!(truth, Sim::new(Config { seed: 2, ..small() }).truth().await);
    let changes = json!([{"op": "add_item", "count": 3}, {"op": "sell", "times": 9}, {"op": "delete_variation", "count": 2}]);
    assert_eq!(
        one.post("/__sim/change", changes.clone()).await,
        two.post("/__sim/change", changes).await
    );
    let changed = one.truth().await;
    assert_eq!(changed, two.truth().await);
    assert_ne!(changed, truth);
    one.post("/__sim/reset", json!({})).await;
    assert_eq!(one.truth().await, truth);
}

/// Enough catalog objects to have some of every kind.
async fn many() -> Vec<Value> {
    let sim = Sim::new(Config {
        items: 900,
        variations: 2_000,
        ..small()
    });
    let types = json!(["ITEM", "ITEM_VARIATION", "CATEGORY"]);
    sim.all(CATALOG, json!({"object_types": types, "limit": 1000}))
        .await
}

/// Asserts that some object is such.
fn assert_some(objects: &[Value], what: &str, wanted: &dyn Fn(&Value) -> bool) {
    assert!(objects.iter().any(wanted), "nothing {what}");
}

#[tokio::test]
async fn seeded_variations_trip_strict_clients() {
    let objects = many().await;
    let some = |what: &str, wanted: &dyn Fn(&Value) -> bool| assert_some(&objects, what, wanted);
    let variation = |object: &Value| object["type"] == "ITEM_VARIATION";
    let data = |object: &Value, field: &str| object["item_variation_data"].get(field).cloned();
    some("without name", &|object| {
        variation(object) && data(object, "name").is_none()
    });
    some("without price", &|object| {
        variation(object) && data(object, "price_money").is_none()
    });
    some("without item_id", &|object| {
        variation(object) && data(object, "item_id").is_none()
    });
    some("with a price without amount", &|object| {
        data(object, "price_money").is_some_and(|price| price.get("amount").is_none())
    });
    some("beyond 32 bits", &|object| {
        object["item_variation_data"]["price_money"]["amount"].as_i64() > Some(i64::from(i32::MAX))
    });
    some("with overrides", &|object| {
        object["item_variation_data"]["location_overrides"][0]["location_id"].is_string()
    });
    some("without presence", &|object| {
        object.get("present_at_all_locations").is_none()
    });
    some("present somewhere", &|object| {
        object["present_at_all_locations"] == false
    });
    some("of an unknown pricing type", &|object| {
        object["item_variation_data"]["pricing_type"] == "AUCTION_PRICING"
    });
}

#[tokio::test]
async fn seeded_items_and_moments_do_too() {
    let objects = many().await;
    let some = |what: &str, wanted: &dyn Fn(&Value) -> bool| assert_some(&objects, what, wanted);
    some("with a null name", &|object| {
        object["item_data"].get("name") == Some(&Value::Null)
    });
    some("of an unknown product type", &|object| {
        object["item_data"]["product_type"] == "TELEPORTATION"
    });
    some("with unknown fields", &|object| {
        object["item_data"].get("teleport_details").is_some()
    });
    some("with U+0000", &|object| {
        object["item_data"]["description"]
            .as_str()
            .is_some_and(|text| text.contains('\0'))
    });
    some("with wide characters", &|object| {
        object["item_data"]["name"]
            .as_str()
            .is_some_and(|text| text.contains("抹茶"))
    });
    let digits = |object: &Value| {
        object["updated_at"]
            .as_str()
            .unwrap()
            .split_once('.')
            .map_or(0, |(_, rest)| rest.len() - 1)
    };
    for wanted in [0, 2, 3, 6, 9] {
        some(&format!("with {wanted} fraction digits"), &|object| {
            digits(object) == wanted
        });
    }
}

#[tokio::test]
async fn seeded_counts_do_too() {
    let sim = Sim::new(Config {
        counts: 520,
        ..small()
    });
    let counts = sim.all(COUNTS, json!({"limit": 1000})).await;
    let some = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        assert!(counts.iter().any(wanted), "no count {what}");
    };
    some("oversold and padded", &|count| {
        count["quantity"] == "-1.50000"
    });
    some("in an unknown state", &|count| count["state"] == "ON_LOAN");
    some("with an unknown field", &|count| {
        count.get("confidence").is_some()
    });
    some("without a type", &|count| {
        count.get("catalog_object_type").is_none()
    });
    assert!(
        counts
            .windows(2)
            .any(|pair| pair[0]["calculated_at"] == pair[1]["calculated_at"])
    );
}

#[tokio::test]
async fn variations_may_come_before_their_items() {
    let sim = Sim::new(small());
    let objects = sim
        .all(CATALOG, json!({"object_types": ["ITEM", "ITEM_VARIATION"]}))
        .await;
    let place = |id: &Value| objects.iter().position(|object| &object["id"] == id);
    let early = objects.iter().enumerate().filter(|(at, object)| {
        let item = &object["item_variation_data"]["item_id"];
        item.is_string() && place(item) > Some(*at)
    });
    assert!(early.count() > 10);
}

#[tokio::test]
async fn without_drift_nothing_is_unknown() {
    let sim = Sim::new(Config {
        drift: false,
        ..Config::default()
    });
    let locations = sim.locations().await;
    let answers = [
        sim.get("/v2/locations").await.to_string(),
        json!(
            sim.all(
                CATALOG,
                json!({"object_types": ["ITEM", "ITEM_VARIATION", "CATEGORY"]})
            )
            .await
        )
        .to_string(),
        json!(sim.all(COUNTS, json!({"limit": 1000})).await).to_string(),
        json!(
            sim.all("/v2/orders/search", json!({"location_ids": locations}))
                .await
        )
        .to_string(),
    ];
    for news in [
        "VENDING_MACHINE",
        "TELEPORT",
        "AUCTION",
        "HOLOGRAM",
        "ON_LOAN",
        "confidence",
        "BARTER",
        "PARKED",
        "sustainability",
        "custom_receipt_text",
    ] {
        assert!(
            answers.iter().all(|answer| !answer.contains(news)),
            "{news}"
        );
    }
}

#[tokio::test]
async fn any_sizes_can_be_had() {
    for config in [
        Config {
            locations: 0,
            categories: 0,
            items: 0,
            variations: 0,
            counts: 0,
            orders: 0,
            ..Config::default()
        },
        Config {
            locations: 1,
            categories: 0,
            items: 1,
            variations: 250,
            counts: 1_500,
            orders: 1,
            ..Config::default()
        },
        Config {
            locations: 25,
            categories: 1,
            items: 3,
            variations: 0,
            counts: 0,
            orders: 40,
            ..Config::default()
        },
    ] {
        let sim = Sim::new(config.clone());
        let truth = sim.truth().await;
        assert_eq!(rows(&truth, "locations").len(), config.locations);
        assert_eq!(rows(&truth, "catalog_items").len(), config.items);
        assert_eq!(rows(&truth, "catalog_variations").len(), config.variations);
        assert_eq!(rows(&truth, "catalog_inventory").len(), config.counts);
        assert_eq!(rows(&truth, "orders").len(), config.orders);
    }
}

#[tokio::test]
async fn nothing_is_an_empty_object() {
    let empty = Sim::new(Config {
        locations: 0,
        categories: 0,
        items: 0,
        variations: 0,
        counts: 0,
        orders: 0,
        ..Config::default()
    });
    for (method, path) in [
        ("GET", "/v2/locations"),
        ("POST", CATALOG),
        ("POST", COUNTS),
    ] {
        assert_eq!(
            empty.ask(method, path, None).await,
            (200, json!({})),
            "{path}"
        );
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for wrong in [
        Config {
            items: 1,
            variations: 251,
            ..Config::default()
        },
        Config {
            variations: 10,
            locations: 1,
            counts: 61,
            ..Config::default()
        },
        Config {
            locations: 0,
            counts: 0,
            ..Config::default()
        },
        Config {
            page_limit_cap: Some(0),
            ..Config::default()
        },
    ] {
        assert!(square_sim::start(wrong, "127.0.0.1:0").is_err());
    }
}

#[tokio::test]
async fn a_large_account_takes_no_more_requests_than_it_must() {
    let config = Config {
        items: 2_000,
        variations: 5_000,
        counts: 20_000,
        orders: 5_000,
        ragged_pages: false,
        ..Config::default()
    };
    let sim = Sim::new(config);
    assert_eq!(sim.pages(COUNTS, json!({"limit": 1000})).await.len(), 20);
    let types = json!(["ITEM", "ITEM_VARIATION", "CATEGORY"]);
    assert_eq!(
        sim.pages(CATALOG, json!({"object_types": types, "limit": 1000}))
            .await
            .len(),
        8
    );
    let locations = sim.locations().await;
    assert_eq!(
        sim.pages(
            "/v2/orders/search",
            json!({"location_ids": locations, "limit": 1000})
        )
        .await
        .len(),
        5
    );
}
