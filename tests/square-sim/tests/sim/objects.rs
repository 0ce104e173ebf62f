//! `POST /v2/catalog/batch-retrieve` and its habits.

use serde_json::{Value, json};

use crate::support::{CATALOG, OBJECTS, Sim, elements, ids, small};

/// The objects of these ids, and no field beside them.
async fn retrieved(sim: &Sim, body: Value) -> Vec<Value> {
    let answer = sim.post(OBJECTS, body).await;
    let fields = answer.as_object().unwrap();
    assert!(fields.keys().all(|name| name == "objects"), "{answer}");
    assert_ne!(
        answer.get("objects"),
        Some(&json!([])),
        "empty arrays are left out"
    );
    elements(&answer)
}

fn by_id(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    objects
}

#[tokio::test]
async fn objects_of_every_type_are_as_a_search_gives_them() {
    let sim = Sim::new(small());
    let types = json!(["ITEM", "ITEM_VARIATION", "CATEGORY", "TAX", "IMAGE"]);
    let found = sim.all(CATALOG, json!({"object_types": types})).await;
    let mut asked: Vec<Value> = found.iter().map(|object| object["id"].clone()).collect();
    asked.extend([asked[0].clone(), json!("UNKNOWN"), json!("")]);
    let objects = retrieved(&sim, json!({"object_ids": asked})).await;
    assert_eq!(by_id(objects), by_id(found), "each known one, once");
    let none = sim.post(OBJECTS, json!({"object_ids": ["UNKNOWN"]})).await;
    assert_eq!(none, json!({}));
}

#[tokio::test]
async fn what_is_gone_comes_as_a_tombstone_if_asked_for_or_not_at_all() {
    let sim = Sim::new(small());
    let item = sim.change(json!({"op": "delete_item"})).await;
    let silent = sim.change(json!({"op": "delete_silently"})).await;
    let quiet = json!({"op": "delete_item", "cascade_tombstones": false});
    let quiet = sim.change(quiet).await;
    let list = |report: &Value, field: &str| report[field].as_array().unwrap().clone();
    let buried = [
        list(&item, "ids"),
        list(&item, "variation_ids"),
        list(&quiet, "ids"),
    ]
    .concat();
    let vanished = [
        list(&silent, "ids"),
        list(&silent, "variation_ids"),
        list(&quiet, "variation_ids"),
    ]
    .concat();
    let all = [buried.clone(), vanished].concat();
    for body in [
        json!({"object_ids": all}),
        json!({"object_ids": all, "include_deleted_objects": null}),
    ] {
        assert!(retrieved(&sim, body).await.is_empty());
    }
    let body = json!({"object_ids": all, "include_deleted_objects": true});
    let tombstones = retrieved(&sim, body).await;
    let buried: Vec<Value> = buried.into_iter().map(|id| json!({"id": id})).collect();
    assert_eq!(ids(&tombstones), ids(&buried));
    assert!(tombstones.iter().all(|object| object["is_deleted"] == true));
}

#[tokio::test]
async fn faults_counters_and_waiting_changes_know_it() {
    let sim = Sim::new(small());
    let id = sim.all(CATALOG, json!({"object_types": ["ITEM"]})).await[0]["id"].clone();
    let body = json!({"object_ids": [id]});
    let hook = json!({"when": {"endpoint": OBJECTS, "request": 3}, "changes": [{"op": "edit_item", "id": id, "name": "Later"}]});
    sim.post("/__sim/change-later", hook).await;
    let fault = json!([{"endpoint": OBJECTS, "request": 2, "kind": "status", "status": 429}]);
    sim.post("/__sim/faults", fault).await;
    let before = sim.post(OBJECTS, body.clone()).await;
    assert_eq!(sim.ask("POST", OBJECTS, Some(&body)).await.0, 429);
    let after = sim.post(OBJECTS, body).await;
    assert_ne!(before, after);
    assert_eq!(after["objects"][0]["item_data"]["name"], "Later");
    let counters = sim.get("/__sim/counters").await;
    assert_eq!(counters["requests"][OBJECTS], 3);
    assert_eq!(counters["statuses"][OBJECTS], json!({"200": 2, "429": 1}));
}
