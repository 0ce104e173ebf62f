//! `POST /v2/catalog/search` and its habits.

use serde_json::{Value, json};

use crate::support::{CATALOG, OBJECTS, Sim, elements, ids, small};

fn types() -> Value {
    json!(["ITEM", "ITEM_VARIATION", "CATEGORY"])
}

#[tokio::test]
async fn every_object_comes_once_however_it_is_paged() {
    let sim = Sim::new(small());
    let whole = sim
        .all(CATALOG, json!({"object_types": types(), "limit": 1000}))
        .await;
    assert_eq!(whole.len(), 60 + 130 + 12);
    for limit in [1, 7, 100] {
        let paged = sim
            .all(CATALOG, json!({"object_types": types(), "limit": limit}))
            .await;
        assert_eq!(paged, whole);
    }
}

#[tokio::test]
async fn short_and_empty_pages_come_with_a_cursor() {
    let sim = Sim::new(small());
    let pages = sim
        .pages(CATALOG, json!({"object_types": types(), "limit": 4}))
        .await;
    let sizes: Vec<usize> = pages.iter().map(|page| elements(page).len()).collect();
    let (last, before) = sizes.split_last().unwrap();
    assert!(before.contains(&0) && before.iter().any(|size| (1..4).contains(size)) && *last > 0);
    assert!(
        sizes.windows(2).all(|pair| pair != [0, 0]),
        "no two empty pages in a row"
    );
    let empty = &pages[sizes.iter().position(|size| *size == 0).unwrap()];
    assert!(empty["cursor"].is_string() && empty.get("objects").is_none());

    let tidy = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    let pages = tidy
        .pages(CATALOG, json!({"object_types": types(), "limit": 4}))
        .await;
    let (_, full) = pages.split_last().unwrap();
    assert!(full.iter().all(|page| elements(page).len() == 4));
}

#[tokio::test]
async fn the_limit_is_only_advice_and_100_by_default() {
    let sim = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    for limit in [
        json!({}),
        json!({"limit": 0}),
        json!({"limit": -3}),
        json!({"limit": 1001}),
    ] {
        let mut body = limit;
        body["object_types"] = types();
        assert_eq!(elements(&sim.post(CATALOG, body).await).len(), 100);
    }
    sim.post("/__sim/reset", json!({"page_limit_cap": 9})).await;
    assert_eq!(
        elements(&sim.post(CATALOG, json!({"limit": 50})).await).len(),
        9
    );
}

#[tokio::test]
async fn nested_types_must_be_named() {
    let sim = Sim::new(small());
    let unnamed = sim.all(CATALOG, json!({})).await;
    let of = |kind: &str| {
        unnamed
            .iter()
            .filter(|object| object["type"] == kind)
            .count()
    };
    assert_eq!(
        (
            of("ITEM"),
            of("CATEGORY"),
            of("ITEM_VARIATION"),
            of("IMAGE")
        ),
        (60, 12, 0, 0)
    );
    assert!(of("TAX") > 0, "types that nobody needs come too");
    let images = sim.all(CATALOG, json!({"object_types": ["IMAGE"]})).await;
    assert_eq!(images.len(), 1);
}

#[tokio::test]
async fn an_item_holds_its_variations_which_also_come_alone() {
    let sim = Sim::new(small());
    let items = sim.all(CATALOG, json!({"object_types": ["ITEM"]})).await;
    let mut nested: Vec<Value> = items
        .iter()
        .flat_map(|item| {
            item["item_data"]["variations"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .collect();
    let mut alone = sim
        .all(CATALOG, json!({"object_types": ["ITEM_VARIATION"]}))
        .await;
    let by_id = |a: &Value, b: &Value| a["id"].as_str().cmp(&b["id"].as_str());
    nested.sort_by(by_id);
    alone.sort_by(by_id);
    assert_eq!(nested, alone);
    assert!(
        items
            .iter()
            .any(|item| item["item_data"].get("variations").is_none()),
        "some item has none"
    );
    let many = |item: &Value| {
        item["item_data"]["variations"]
            .as_array()
            .is_some_and(|list| list.len() > 2)
    };
    assert!(items.iter().any(many));
}

#[tokio::test]
async fn begin_time_is_exclusive_and_latest_time_is_the_last_change() {
    let sim = Sim::new(small());
    let edited = sim.change(json!({"op": "edit_item", "count": 2})).await["ids"].clone();
    let first = sim
        .post(CATALOG, json!({"object_types": ["CATEGORY"], "limit": 1}))
        .await;
    let latest = first["latest_time"].as_str().unwrap().to_owned();

    let items = sim.all(CATALOG, json!({"object_types": ["ITEM"]})).await;
    let moment =
        |id: &Value| items.iter().find(|item| item["id"] == *id).unwrap()["updated_at"].clone();
    assert_eq!(moment(&edited[1]), latest);
    let since = sim
        .post(
            CATALOG,
            json!({"object_types": types(), "begin_time": moment(&edited[0])}),
        )
        .await;
    assert_eq!(ids(&elements(&since)), ids(&[json!({"id": edited[1]})]));

    let idle = sim
        .post(
            CATALOG,
            json!({"object_types": types(), "begin_time": latest}),
        )
        .await;
    assert_eq!(
        idle,
        json!({"latest_time": latest}),
        "an idle answer is one page without objects or cursor"
    );
}

#[tokio::test]
async fn a_change_touches_only_what_changed() {
    let sim = Sim::new(small());
    let before = sim.all(CATALOG, json!({"object_types": types()})).await;
    let id = sim
        .change(json!({"op": "edit_variation", "price_amount": 7_777_777_777_i64}))
        .await["ids"][0]
        .clone();
    let after = sim.all(CATALOG, json!({"object_types": types()})).await;
    let mut versions = Vec::new();
    for (old, new) in before.iter().zip(&after) {
        if old["id"] == id {
            assert_eq!(
                new["item_variation_data"]["price_money"]["amount"],
                7_777_777_777_i64
            );
            versions = vec![
                old["version"].as_i64().unwrap(),
                new["version"].as_i64().unwrap(),
            ];
        } else {
            assert_eq!(old["version"], new["version"]);
            assert_eq!(old["updated_at"], new["updated_at"]);
        }
    }
    assert!(versions[0] < versions[1]);
}

#[tokio::test]
async fn tombstones_come_with_begin_time_even_if_not_asked_for() {
    let sim = Sim::new(small());
    let latest = sim.post(CATALOG, json!({"limit": 1})).await["latest_time"].clone();
    let item = sim.all(CATALOG, json!({"object_types": ["ITEM"]})).await;
    let item = item
        .iter()
        .find(|item| {
            item["item_data"]["variations"]
                .as_array()
                .is_some_and(|list| list.len() > 1)
        })
        .unwrap();
    let report = sim
        .change(json!({"op": "delete_item", "id": item["id"]}))
        .await;
    assert_eq!(
        report["variation_ids"].as_array().unwrap().len(),
        item["item_data"]["variations"].as_array().unwrap().len()
    );

    let live = sim.all(CATALOG, json!({"object_types": types()})).await;
    assert!(!ids(&live).contains(item["id"].as_str().unwrap()));
    let body =
        json!({"object_types": types(), "begin_time": latest, "include_deleted_objects": false});
    let delta = sim.all(CATALOG, body).await;
    assert_eq!(
        delta.len(),
        1 + report["variation_ids"].as_array().unwrap().len()
    );
    for tombstone in &delta {
        assert_eq!(tombstone["is_deleted"], true);
        assert!(tombstone["updated_at"].is_string() && tombstone["version"].is_i64());
        for data in ["item_data", "item_variation_data"] {
            assert!(
                tombstone[data]
                    .as_object()
                    .is_none_or(serde_json::Map::is_empty),
                "{tombstone}"
            );
        }
    }
    let with_deleted = sim
        .all(
            CATALOG,
            json!({"object_types": types(), "include_deleted_objects": true}),
        )
        .await;
    assert!(ids(&with_deleted).is_superset(&ids(&delta)));
    assert!(
        with_deleted.len() > live.len() + delta.len(),
        "older tombstones come too"
    );
}

#[tokio::test]
async fn a_deleted_variation_leaves_its_item_and_a_tombstone() {
    let sim = Sim::new(small());
    let latest = sim.post(CATALOG, json!({"limit": 1})).await["latest_time"].clone();
    let id = sim.change(json!({"op": "delete_variation"})).await["ids"][0].clone();
    let delta = sim
        .all(
            CATALOG,
            json!({"object_types": types(), "begin_time": latest}),
        )
        .await;
    let of = |kind: &str| delta.iter().find(|object| object["type"] == kind).unwrap();
    assert_eq!(
        (
            &of("ITEM_VARIATION")["id"],
            &of("ITEM_VARIATION")["is_deleted"]
        ),
        (&id, &json!(true))
    );
    assert!(!of("ITEM").to_string().contains(id.as_str().unwrap()));

    let quiet = sim
        .change(json!({"op": "delete_item", "cascade_tombstones": false}))
        .await;
    let latest = of("ITEM")["updated_at"].clone();
    let delta = sim
        .all(
            CATALOG,
            json!({"object_types": types(), "begin_time": latest}),
        )
        .await;
    assert_eq!(
        ids(&delta),
        ids(&[json!({"id": quiet["ids"][0]})]),
        "only the item left a tombstone"
    );
}

#[tokio::test]
async fn what_is_not_simulated_is_said_and_not_guessed() {
    let sim = Sim::new(small());
    for body in [
        json!({"query": {"exact_query": {"attribute_name": "name", "attribute_value": "x"}}}),
        json!({"include_related_objects": true}),
        json!({"include_category_path_to_root": true}),
    ] {
        let (status, answer) = sim.ask("POST", CATALOG, Some(&body)).await;
        assert_eq!(
            (status, &answer["errors"][0]["code"]),
            (501, &json!("NOT_IMPLEMENTED"))
        );
    }
    for body in [
        json!({"object_ids": ["X"], "include_related_objects": true}),
        json!({"object_ids": ["X"], "include_category_path_to_root": true}),
        json!({"object_ids": ["X"], "catalog_version": 1_700_000_000_000_i64}),
    ] {
        let (status, answer) = sim.ask("POST", OBJECTS, Some(&body)).await;
        assert_eq!(
            (status, &answer["errors"][0]["code"]),
            (501, &json!("NOT_IMPLEMENTED"))
        );
    }
    let both = json!({"include_category_path_to_root": true, "include_deleted_objects": true});
    assert_eq!(
        sim.ask("POST", CATALOG, Some(&both)).await.0,
        500,
        "as the real one does"
    );
}
