//! `POST /v2/inventory/counts/batch-retrieve` and its habits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{COUNTS, Sim, elements, rows, small};

fn at(count: &Value) -> jiff::Timestamp {
    count["calculated_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn counts_come_newest_first_and_each_once() {
    let sim = Sim::new(small());
    let whole = sim.all(COUNTS, json!({"limit": 1000})).await;
    assert_eq!(whole.len(), 400);
    assert!(whole.windows(2).all(|pair| at(&pair[0]) >= at(&pair[1])));
    for limit in [1, 9, 100] {
        assert_eq!(sim.all(COUNTS, json!({"limit": limit})).await, whole);
    }
    let by_default = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    assert_eq!(
        elements(&by_default.post(COUNTS, json!({})).await).len(),
        100
    );
}

#[tokio::test]
async fn updated_after_is_exclusive() {
    let sim = Sim::new(small());
    let whole = sim.all(COUNTS, json!({"limit": 1000})).await;
    let newer = sim
        .all(COUNTS, json!({"updated_after": whole[30]["calculated_at"]}))
        .await;
    assert!(newer.iter().all(|count| at(count) > at(&whole[30])));
    let expected: Vec<&Value> = whole
        .iter()
        .filter(|count| at(count) > at(&whole[30]))
        .collect();
    assert_eq!(newer.iter().collect::<Vec<_>>(), expected);
    assert_eq!(
        sim.post(COUNTS, json!({"updated_after": whole[0]["calculated_at"]}))
            .await,
        json!({})
    );
}

#[tokio::test]
async fn filters_narrow_together() {
    let sim = Sim::new(small());
    let whole = sim.all(COUNTS, json!({"limit": 1000})).await;
    let location = &whole[3]["location_id"];
    let ids: Vec<&Value> = whole
        .iter()
        .take(60)
        .map(|count| &count["catalog_object_id"])
        .collect();
    let body = json!({
        "location_ids": [location, "UNKNOWN"], "catalog_object_ids": ids, "limit": 5,
        "states": ["IN_STOCK", "SOLD"], "updated_after": whole[200]["calculated_at"],
    });
    let wanted = |count: &&Value| {
        &count["location_id"] == location
            && ids.contains(&&count["catalog_object_id"])
            && count["state"] == "IN_STOCK"
            && at(count) > at(&whole[200])
    };
    let expected: Vec<Value> = whole.iter().filter(wanted).cloned().collect();
    assert!(expected.len() > 5, "there is more than one page");
    assert_eq!(sim.all(COUNTS, body).await, expected);
    assert_eq!(
        sim.post(COUNTS, json!({"location_ids": ["UNKNOWN"]})).await,
        json!({})
    );
    let uncounted = sim
        .all(COUNTS, json!({"states": ["SOLD", "NONE"], "limit": 1000}))
        .await;
    assert_eq!(
        uncounted.len(),
        400,
        "states that are never counted do not narrow"
    );
    assert_eq!(
        sim.all(COUNTS, json!({"catalog_object_ids": null, "states": null}))
            .await
            .len(),
        400
    );
}

#[tokio::test]
async fn a_place_can_have_several_states() {
    let sim = Sim::new(small());
    let mut states: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for count in sim.all(COUNTS, json!({"limit": 1000})).await {
        let text = |field: &str| count[field].as_str().unwrap().to_owned();
        states
            .entry((text("catalog_object_id"), text("location_id")))
            .or_default()
            .push(text("state"));
    }
    assert!(
        states
            .values()
            .any(|states| states.len() > 1 && states.contains(&"IN_STOCK".to_owned()))
    );
}

#[tokio::test]
async fn few_counts_fall_into_the_last_five_minutes() {
    for seed in 1..4 {
        let config = square_sim::Config {
            seed,
            items: 3_000,
            variations: 8_000,
            counts: 60_000,
            orders: 0,
            ragged_pages: false,
            ..small()
        };
        let sim = Sim::new(config);
        let newest = at(&elements(&sim.post(COUNTS, json!({"limit": 1})).await)[0]);
        let overlap = newest - jiff::SignedDuration::from_mins(5);
        let page = sim
            .post(COUNTS, json!({"updated_after": overlap.to_string()}))
            .await;
        assert!(page.get("cursor").is_none() && (1..100).contains(&elements(&page).len()));
    }
}

#[tokio::test]
async fn sales_recounts_and_deliveries_move_one_count() {
    let sim = Sim::new(small());
    let truth = sim.truth().await;
    let (variation, location) = {
        let stock = rows(&truth, "catalog_inventory");
        let row = stock
            .iter()
            .find(|row| row["state"] == "IN_STOCK")
            .unwrap()
            .clone();
        (row["variation_id"].clone(), row["location_id"].clone())
    };
    let place = |op: &str, quantity: &str| json!({"op": op, "variation_id": variation, "location_id": location, "quantity": quantity});
    sim.change(place("recount", "5.25")).await;
    sim.change(place("sell", "7")).await;
    let moved = sim.change(place("restock", "0.25")).await;
    assert_eq!(moved["counts"][0]["quantity"], "-1.5");
    let newest = &elements(
        &sim.post(
            COUNTS,
            json!({"limit": 1000, "updated_after": "2026-07-01T00:00:00Z"}),
        )
        .await,
    );
    assert_eq!(newest.len(), 1, "one count moved three times is one count");
    assert_eq!(
        (&newest[0]["catalog_object_id"], &newest[0]["quantity"]),
        (&variation, &json!("-1.5"))
    );
}

#[tokio::test]
async fn raw_counts_may_be_anything_and_are_found_by_what_they_name() {
    let sim = Sim::new(small());
    let whole = sim.all(COUNTS, json!({"limit": 1000})).await;
    let (id, location) = (&whole[9]["catalog_object_id"], &whole[9]["location_id"]);
    let named = [
        json!({"catalog_object_id": id, "location_id": location, "state": "A", "quantity": 7}),
        json!({"catalog_object_id": id, "location_id": location, "state": "B", "calculated_at": "soon"}),
        json!({"catalog_object_id": id, "location_id": location, "state": ["C"]}),
        json!({"catalog_object_id": id, "location_id": location}),
    ];
    let nameless = [
        json!({}),
        json!({"catalog_object_id": 7}),
        json!({"location_id": location, "state": "IN_STOCK", "quantity": {"a": [null]}}),
        json!("count"),
        json!([1, 2.5]),
        json!(null),
        json!(null),
    ];
    for count in named.iter().chain(&nameless) {
        sim.change(json!({"op": "put_raw", "inventory_count": count}))
            .await;
    }
    let newest_first = |counts: &[Value]| -> Vec<Value> { counts.iter().rev().cloned().collect() };
    let all = sim.all(COUNTS, json!({"limit": 2})).await;
    let expected = [newest_first(&nameless), newest_first(&named), whole.clone()].concat();
    assert_eq!(all, expected);

    let body =
        json!({"catalog_object_ids": [id, "UNKNOWN"], "location_ids": [location], "limit": 1});
    let pages = sim.pages(COUNTS, body).await;
    assert!(pages.iter().all(|page| elements(page).len() <= 1));
    let found: Vec<Value> = pages.iter().flat_map(elements).collect();
    let own = whole
        .iter()
        .filter(|count| &count["catalog_object_id"] == id && &count["location_id"] == location);
    let expected: Vec<Value> = newest_first(&named)
        .into_iter()
        .chain(own.cloned())
        .collect();
    assert_eq!(found, expected);

    let quarantined = sim.truth().await["quarantined"].clone();
    let of_counts = |row: &&Value| row["table"] == "catalog_inventory";
    let set_aside = quarantined.as_array().unwrap().iter().filter(of_counts);
    assert!(set_aside.count() >= named.len() + nameless.len());

    let again = json!({"op": "put_raw", "count": {"catalog_object_id": id, "location_id": location, "state": "A", "quantity": "1"}});
    sim.change(again).await;
    let states = json!({"catalog_object_ids": [id], "limit": 1000});
    assert_eq!(
        sim.all(COUNTS, states)
            .await
            .iter()
            .filter(|count| count["state"] == "A")
            .count(),
        1,
        "one with all three replaces its like"
    );
}

#[tokio::test]
async fn counts_of_deleted_variations_are_gone() {
    let sim = Sim::new(small());
    let id = sim.truth().await["catalog_inventory"][0]["variation_id"].clone();
    sim.change(json!({"op": "delete_variation", "id": id}))
        .await;
    let left = sim.all(COUNTS, json!({"catalog_object_ids": [id]})).await;
    assert!(left.is_empty());
    let truth = sim.truth().await;
    assert!(
        rows(&truth, "catalog_inventory")
            .iter()
            .all(|row| row["variation_id"] != id)
    );
}
