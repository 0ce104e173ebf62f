//! Objects served as they were before their last change.

use serde_json::{Value, json};

use crate::support::{CATALOG, OBJECTS, Sim, elements, ids, small};

/// The object as it is served by its id, if it is; a tombstone counts.
async fn served(sim: &Sim, id: &Value) -> Value {
    let body = json!({"object_ids": [id], "include_deleted_objects": true});
    elements(&sim.post(OBJECTS, body).await)
        .pop()
        .unwrap_or_default()
}

/// An item with several variations.
async fn wide_item(sim: &Sim) -> Value {
    let items = sim.all(CATALOG, json!({"object_types": ["ITEM"]})).await;
    let wide = |item: &Value| {
        let variations = item["item_data"]["variations"].as_array();
        variations.is_some_and(|list| list.len() > 1)
    };
    items.into_iter().find(wide).unwrap()
}

#[tokio::test]
async fn the_old_object_comes_where_the_new_one_would() {
    let sim = Sim::new(small());
    for (kind, op) in [
        ("ITEM", "edit_item"),
        ("CATEGORY", "edit_category"),
        ("ITEM_VARIATION", "edit_variation"),
    ] {
        let latest = sim.post(CATALOG, json!({"limit": 1})).await["latest_time"].clone();
        let old = sim.all(CATALOG, json!({"object_types": [kind]})).await[0].clone();
        let id = &old["id"];
        sim.change(json!({"op": op, "id": id})).await;
        let (new, truth) = (served(&sim, id).await, sim.truth().await);
        assert_ne!((&old, &old["version"]), (&new, &new["version"]), "{op}");

        let report = sim.change(json!({"op": "serve_stale", "id": id})).await;
        assert_eq!(report["ids"], json!([id]));
        let since = json!({"object_types": [kind], "begin_time": latest});
        let changed = sim.all(CATALOG, since.clone()).await;
        assert_eq!(changed, std::slice::from_ref(&old), "{op}");
        assert_eq!(served(&sim, id).await, old, "{op}");
        assert_eq!(sim.truth().await, truth, "the truth is what it is");

        sim.change(json!({"op": op, "id": id})).await;
        assert_eq!(served(&sim, id).await, new, "always one behind");
        sim.change(json!({"op": "serve_stale", "id": id, "stale": false}))
            .await;
        let newest = served(&sim, id).await;
        assert!(newest["version"].as_i64() > new["version"].as_i64());
        assert_eq!(sim.all(CATALOG, since).await, [newest], "{op}");
    }
}

#[tokio::test]
async fn a_stale_item_holds_the_variations_it_had() {
    let sim = Sim::new(small());
    for change in [
        json!({"op": "add_variation"}),
        json!({"op": "delete_variation"}),
        json!({"op": "delete_variation", "bump_item": false}),
        json!({"op": "delete_item"}),
        json!({"op": "delete_item", "cascade_tombstones": false}),
        json!({"op": "delete_silently"}),
        json!({"op": "put_raw"}),
    ] {
        let mut change = change;
        let old = wide_item(&sim).await;
        let id = &old["id"];
        match change["op"].as_str().unwrap() {
            "add_variation" => change["item_id"] = id.clone(),
            "delete_variation" => {
                change["id"] = old["item_data"]["variations"][1]["id"].clone();
            }
            "put_raw" => {
                change["object"] = json!({"type": "ITEM", "id": id, "item_data": {"variations": [
                    {"type": "ITEM_VARIATION", "id": "ANOTHER", "version": 1, "item_variation_data": {"item_id": id}}
                ]}});
            }
            _ => change["id"] = id.clone(),
        }
        sim.change(change.clone()).await;
        assert_ne!(served(&sim, id).await, old, "{change}");
        sim.change(json!({"op": "serve_stale", "id": id})).await;
        assert_eq!(served(&sim, id).await, old, "{change}");
        let items = sim.all(CATALOG, json!({"object_types": ["ITEM"]})).await;
        assert!(items.contains(&old), "{change}: it is as alive as it was");
        let end = json!({"op": "serve_stale", "id": id, "stale": false});
        sim.change(end).await;
    }
}

#[tokio::test]
async fn a_deleted_object_can_seem_alive_and_a_variation_old_within_its_item() {
    let sim = Sim::new(small());
    let item = wide_item(&sim).await;
    let variation = &item["item_data"]["variations"][0];
    let id = &variation["id"];
    sim.change(json!({"op": "edit_variation", "id": id, "bump_item": true}))
        .await;
    sim.change(json!({"op": "serve_stale", "id": id})).await;
    let holder = served(&sim, &item["id"]).await;
    assert_ne!(holder["version"], item["version"]);
    assert_eq!(&holder["item_data"]["variations"][0], variation);

    sim.change(json!({"op": "serve_stale", "id": id, "stale": false}))
        .await;
    let edited = served(&sim, id).await;
    sim.change(json!({"op": "delete_variation", "id": id}))
        .await;
    assert_eq!(served(&sim, id).await["is_deleted"], true);
    sim.change(json!({"op": "serve_stale", "id": id})).await;
    assert_eq!(served(&sim, id).await, edited);
    let alive = sim
        .all(CATALOG, json!({"object_types": ["ITEM_VARIATION"]}))
        .await;
    assert!(ids(&alive).contains(id.as_str().unwrap()));
}

#[tokio::test]
async fn what_has_not_changed_has_nothing_stale() {
    let sim = Sim::new(small());
    let seeded = wide_item(&sim).await["id"].clone();
    sim.change(json!({"op": "add_item", "id": "NEW", "variations": 2}))
        .await;
    for wrong in [
        json!({"op": "serve_stale"}),
        json!({"op": "serve_stale", "id": "NOBODY"}),
        json!({"op": "serve_stale", "id": seeded}),
        json!({"op": "serve_stale", "id": "NEW"}),
    ] {
        let changes = json!([wrong]);
        let (status, answer) = sim.ask("POST", "/__sim/change", Some(&changes)).await;
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
    let old = served(&sim, &seeded).await;
    sim.change(json!({"op": "edit_item", "id": seeded})).await;
    assert_ne!(
        served(&sim, &seeded).await,
        old,
        "a refused one does not wait"
    );
}
