//! A location that Square lists, and of which it refuses to give anything: that is no
//! reason to keep the others out.

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

const ORDERS: &str = "/v2/orders/search";
const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";

async fn world(settings: &[(&str, &str)]) -> World {
    let account = Account::start(json!({"locations": 13, "categories": 1, "items": 5,
        "variations": 10, "counts": 60, "orders": 90}));
    World::new(account, settings).await
}

/// The locations' ids, sorted as they are asked for.
async fn ids(world: &World) -> Vec<String> {
    let listed = world.account.square("/v2/locations", Value::Null).await;
    let listed = listed["locations"].as_array().unwrap().iter();
    let mut ids: Vec<String> = listed
        .map(|location| location["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

async fn refuse(world: &World, endpoint: &str, id: &str) {
    let fault = json!([{"endpoint": endpoint, "kind": "status", "status": 400, "body": id}]);
    world.account.faults(fault).await;
}

/// How many orders Square has, those of this location left out.
async fn orders_but_of(world: &World, id: &str) -> i64 {
    let truth = world.account.truth().await;
    let orders = truth["orders"].as_array().unwrap().iter();
    let others = orders.filter(|order| order["location_id"] != id).count();
    i64::try_from(others).unwrap()
}

#[test]
fn an_import_brings_all_other_orders_and_says_which_it_could_not_bring() {
    run(async {
        for place in [0, 4, 12] {
            let world = world(&[]).await;
            let id = ids(&world).await.swap_remove(place);
            refuse(&world, ORDERS, &id).await;
            let report = world.import(json!({})).await;
            let warned = report.warnings.iter().any(|text| text.contains(&id));
            assert!(warned, "{report:?}");
            let expected = orders_but_of(&world, &id).await;
            assert_eq!(world.number("select count(*) from orders").await, expected);

            world.account.clear_faults().await;
            world.import(json!({})).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn an_import_of_nothing_but_refused_locations_fails_with_the_refusal() {
    run(async {
        let world = world(&[]).await;
        let id = ids(&world).await.swap_remove(3);
        refuse(&world, ORDERS, &id).await;
        let import = json!({"location_ids": [id]});
        let report = world.import_named("refused", import).await;
        assert_eq!(report.error.unwrap().name, "SquareRejected");
    });
}

#[test]
fn fresh_orders_of_all_others_come_in_those_of_its_own_chunk_too() {
    run(async {
        for place in [0, 5, 12] {
            let world = world(&[]).await;
            world.import(json!({})).await;
            let locations = ids(&world).await;
            let added: Vec<Value> = locations
                .iter()
                .map(|id| json!({"op": "add_order", "location_id": id}))
                .collect();
            world.account.change(json!(added)).await;
            refuse(&world, ORDERS, &locations[place]).await;
            let before = world.number("select count(*) from orders").await;
            let (name, _) = world.fail(json!({"only": ["orders"]})).await;
            assert_eq!(name, "SquareRejected");
            let after = world.number("select count(*) from orders").await;
            assert_eq!(after, before + 12, "{place}");

            world.account.clear_faults().await;
            world.sync(json!({"only": ["orders"]})).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn all_counts_are_listed_though_one_location_is_refused() {
    run(async {
        // More than ten pages: location by location.
        let world = world(&[("INVENTORY_BATCH_SIZE", "2")]).await;
        world.sync(json!({})).await;
        let id = ids(&world).await.swap_remove(6);
        refuse(&world, COUNTS, &id).await;
        world
            .account
            .change(json!([{"op": "recount", "count": 5}]))
            .await;
        world.sync(json!({"reconcile": true})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}
