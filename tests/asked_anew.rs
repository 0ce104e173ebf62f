//! Orders that were spoilt on their way to us: they change no more at Square, so they
//! come again only because they are asked for.

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

const SEARCH: &str = "/v2/orders/search";
const AGAIN: &str = "/v2/orders/batch-retrieve";
const WAITING: &str = "select count(*) from sync_quarantine
    where data_type = 'orders' and resolved_at is null";

/// An account whose orders have been imported, three of them spoilt: one without its
/// id, one without its time, one with a text for its version. A fourth is broken at
/// Square.
async fn world() -> World {
    let account = Account::start(json!({"locations": 2, "items": 2, "variations": 2,
        "counts": 2, "orders": 30}));
    let world = World::new(account, &[]).await;
    world.sync(json!({"only": ["locations", "catalog"]})).await;
    let truth = world.account.truth().await;
    let location_id = truth["locations"][0]["id"].clone();
    let broken = json!({"id": "BROKEN", "location_id": location_id, "state": "OPEN",
        "created_at": "2026-03-01T00:00:00Z", "updated_at": "2026-03-01T00:00:00Z",
        "line_items": [{"uid": "a", "quantity": "many"}]});
    world
        .account
        .change(json!([{"op": "put_raw", "order": broken}]))
        .await;
    let locations: Vec<Value> = truth["locations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|location| location["id"].clone())
        .collect();
    let found = world
        .account
        .square(SEARCH, json!({"location_ids": locations}))
        .await;
    let own: Vec<&Value> = found["orders"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|order| order["id"] != "BROKEN" && order["version"].is_i64())
        .collect();
    let spoil = |field: &str, number: usize, with: &str| {
        let find = format!("\"{field}\":{}", own[number][field]);
        json!({"endpoint": SEARCH, "find": find, "with": with})
    };
    let rewrites = json!([
        spoil("id", 3, "\"id\":7"),
        spoil("created_at", 5, "\"created_at\":\"soon\""),
        spoil("updated_at", 7, "\"updated_at\":[]"),
    ]);
    world.account.rewrite(rewrites).await;
    world.import(json!({})).await;
    assert_eq!(world.number(WAITING).await, 4);
    assert_eq!(world.number("select count(*) from orders").await, 27);
    world.account.clear_rewrites().await;
    world
}

#[test]
fn what_was_spoilt_on_its_way_is_asked_for_again() {
    run(async {
        for kind in ["import", "look-back"] {
            let world = world().await;
            let report = if kind == "import" {
                world.import(json!({})).await
            } else {
                let orders = json!({"only": ["orders"]});
                world.account.clear_counters().await;
                world.sync(orders.clone()).await;
                assert_eq!(world.number(WAITING).await, 1, "the first look-back is due");
                let report = world
                    .sync(json!({"only": ["orders"], "reconcile": true}))
                    .await;
                assert_eq!(report.counts("orders").quarantined, 0);
                assert_eq!(world.account.requests_to(AGAIN).await, 2);
                world.sync(orders).await;
                assert_eq!(
                    world.account.requests_to(AGAIN).await,
                    2,
                    "none without a look-back"
                );
                report
            };
            assert_eq!(world.number(WAITING).await, 1, "{kind}");
            assert_eq!(report.counts("orders").quarantined, 0, "{kind}");
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

/// A question that Square refuses, or an answer that brings nothing, costs no run and no
/// order.
#[test]
fn what_square_does_not_give_again_waits_on() {
    run(async {
        let world = world().await;
        for fault in [
            json!({"endpoint": AGAIN, "kind": "status", "status": 404}),
            json!({"endpoint": AGAIN, "kind": "nothing"}),
        ] {
            world.account.faults(json!([fault])).await;
            let report = world
                .sync(json!({"only": ["orders"], "reconcile": true}))
                .await;
            assert_eq!(report.counts("orders").quarantined, 0);
            // The one without its id is searched for.
            assert_eq!(world.number(WAITING).await, 3);
            world.account.clear_faults().await;
        }
        world
            .sync(json!({"only": ["orders"], "reconcile": true}))
            .await;
        assert_eq!(world.number(WAITING).await, 1);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

/// Whatever Square says to this question, the orders' lists are read.
#[test]
fn an_error_of_the_question_fails_no_run() {
    run(async {
        let world = world().await;
        for fault in [
            json!({"endpoint": AGAIN, "kind": "status", "status": 503}),
            json!({"endpoint": AGAIN, "kind": "status", "status": 403}),
            json!({"endpoint": AGAIN, "kind": "malformed_json"}),
            json!({"endpoint": AGAIN, "kind": "drop"}),
        ] {
            world.account.faults(json!([fault])).await;
            world.account.change(json!([{"op": "add_order"}])).await;
            let report = world
                .sync(json!({"only": ["orders"], "reconcile": true}))
                .await;
            assert!(report.counts("orders").created >= 1, "{fault}");
            world.account.clear_faults().await;
        }
        world
            .sync(json!({"only": ["orders"], "reconcile": true}))
            .await;
        assert_eq!(world.number(WAITING).await, 1);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

/// One id that Square refuses keeps none of the others waiting.
#[test]
fn a_refused_id_is_found_by_halves() {
    run(async {
        let world = world().await;
        let fault = json!({"endpoint": AGAIN, "kind": "status", "status": 400, "body": "BROKEN"});
        world.account.faults(json!([fault])).await;
        world
            .sync(json!({"only": ["orders"], "reconcile": true}))
            .await;
        assert_eq!(world.number(WAITING).await, 1);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
