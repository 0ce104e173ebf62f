//! Orders after their history is in: what was made, changed, returned or came
//! late, read by the time of its change.

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::patience::cut_off_after;
use crate::support::run::{World, new_run_id};
use crate::support::{run, tables};

const ORDERS: &str = "/v2/orders/search";
const ONLY: &str = r#"{"only": ["orders"]}"#;

fn only_orders() -> Value {
    serde_json::from_str(ONLY).unwrap()
}

/// An account of two chunks whose history is in.
async fn imported(orders: usize) -> World {
    let account = Account::start(json!({
        "locations": 12, "categories": 2, "items": 10, "variations": 20, "counts": 40,
        "orders": orders
    }));
    let world = World::new(account, &[("ORDERS_BATCH_SIZE", "20")]).await;
    world.import(json!({})).await;
    // The first one looks back.
    world.sync(only_orders()).await;
    world
}

#[test]
fn orders_made_changed_returned_and_exchanged_come_in_and_an_idle_sync_writes_nothing() {
    run(async {
        let world = imported(600).await;
        let truth = world.account.truth().await;
        let sold = &truth["order_line_items"][0];
        let fewer = json!([{"uid": "only", "quantity": "2", "name": "One line left"}]);
        let changes = json!([
            {"op": "add_order", "count": 30},
            {"op": "add_order", "kind": "return", "count": 3},
            {"op": "add_order", "kind": "exchange", "count": 3},
            {"op": "add_order", "kind": "empty", "state": "OPEN", "count": 2},
            {"op": "add_order", "state": "DRAFT"},
            {"op": "edit_order", "count": 25},
            {"op": "edit_order", "id": sold["order_id"], "set": {"line_items": fewer}},
            {"op": "edit_order", "state": "CANCELED", "count": 2},
        ]);
        world.account.change(changes).await;
        let report = world.sync(only_orders()).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        let orders = report.counts("orders");
        assert_eq!(orders.created, 39, "{orders:?}");
        assert!(orders.updated >= 20, "{orders:?}");
        assert!(report.counts("line_items").deleted >= 1);

        // The overlap is read again once, and nothing in it has changed.
        world.sync(only_orders()).await;
        world.account.clear_counters().await;
        let idle = world.sync(only_orders()).await;
        assert_eq!(world.account.requests_to(ORDERS).await, 2);
        let totals = idle.totals.unwrap();
        assert_eq!((totals.created, totals.updated, totals.deleted), (0, 0, 0));
        let written = format!(
            "select count(*) from orders where last_changed_by_run = '{}'",
            idle.run_id
        );
        assert_eq!(world.number(&written).await, 0);
    });
}

#[test]
fn without_a_history_everything_is_read_by_the_time_of_its_change() {
    run(async {
        let account = Account::start(json!({
            "locations": 12, "items": 4, "variations": 4, "counts": 4, "orders": 700
        }));
        let world = World::new(account, &[("ORDERS_BATCH_SIZE", "50")]).await;
        let report = world.sync(only_orders()).await;
        assert_eq!(report.counts("orders").created, 700);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn an_older_copy_never_overwrites_a_newer_row() {
    run(async {
        let world = imported(100).await;
        let newer = "update orders set updated_at = updated_at + interval '20 years',
            ticket_name = 'newer', version = 7";
        world.client.batch_execute(newer).await.unwrap();
        world
            .client
            .batch_execute("delete from order_line_items")
            .await
            .unwrap();
        world
            .account
            .change(json!([{"op": "edit_order", "count": 30}]))
            .await;
        let report = world.sync(only_orders()).await;
        assert_eq!(report.counts("orders").updated, 0);
        let kept = "select count(*) from orders where ticket_name = 'newer'";
        assert_eq!(world.number(kept).await, 100);
        // The lines are the older copy's as well.
        assert_eq!(
            world.number("select count(*) from order_line_items").await,
            0
        );

        // Of two copies of one moment the higher version is the newer one.
        world.account.change(json!([{"op": "add_order"}])).await;
        world.sync(only_orders()).await;
        let higher = "update orders set version = 900, ticket_name = 'higher'
            where version is not null and ticket_name is distinct from 'newer'";
        world.client.batch_execute(higher).await.unwrap();
        let expected = "select count(*) from orders where ticket_name = 'higher'";
        let before = world.number(expected).await;
        world
            .sync(json!({"only": ["orders"], "reconcile": true}))
            .await;
        assert_eq!(world.number(expected).await, before);
    });
}

#[test]
fn late_orders_are_found_by_the_daily_look_back() {
    run(async {
        let world = imported(300).await;
        world.sync(only_orders()).await;
        let newest =
            "select to_char(max(updated_at) - interval '3 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
            from orders";
        let late: String = world.client.query_one(newest, &[]).await.unwrap().get(0);
        let set = json!({"created_at": late, "updated_at": late, "closed_at": late});
        let change = json!([{"op": "add_order", "count": 4, "set": set}]);
        world.account.change(change).await;
        let blind = world.sync(only_orders()).await;
        assert_eq!(blind.counts("orders").created, 0);
        let yesterday = "update sync_watermarks set reconciled_at = now() - interval '25 hours'";
        world.client.batch_execute(yesterday).await.unwrap();
        let report = world.sync(only_orders()).await;
        assert_eq!(report.counts("orders").created, 4);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_failure_between_two_chunks_loses_nothing_of_either() {
    run(async {
        let world = imported(600).await;
        let change = json!([{"op": "add_order", "count": 150}, {"op": "edit_order", "count": 100}]);
        for request in [1, 2, 4, 7, 9] {
            world.account.change(change.clone()).await;
            let fault = json!({"endpoint": ORDERS, "request": request, "times": 1000,
                "kind": "status", "status": 400});
            world.account.faults(json!([fault])).await;
            let (name, report) = world.fail(only_orders()).await;
            assert_eq!(name, "SquareRejected");
            assert_eq!(report.error.unwrap().step, "orders");
            world.account.clear_faults().await;
            world.sync(only_orders()).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_step_that_is_cut_off_or_called_twice_counts_each_order_once() {
    run(async {
        let world = imported(300).await;
        for n in 0..12 {
            world
                .account
                .change(json!([{"op": "add_order", "count": 45}]))
                .await;
            let run_id = new_run_id();
            world.open(&run_id, only_orders()).await.unwrap();
            let event = json!({"run_id": run_id, "work": "fresh"});
            let call = world.orders(event.clone());
            let _cut_off = cut_off_after(1 + 8 * n, call).await;
            let (one, other) =
                tokio::join!(world.orders(event.clone()), world.orders(event.clone()));
            one.unwrap();
            other.unwrap();
            let output = world.step(&run_id, "orders").await.unwrap();
            assert_eq!(output.stats["orders"].created, 45, "{n}");
            let again = world.step(&run_id, "orders").await.unwrap();
            assert_eq!(again.stats, output.stats);
            world.finished(&run_id, "complete_sync").await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_schedule_syncs_orders_once_their_history_is_in_and_no_import_is_at_work() {
    run(async {
        let account = Account::start(json!({
            "locations": 3, "items": 4, "variations": 4, "counts": 4, "orders": 60
        }));
        let world = World::new(account, &[]).await;
        let scheduled =
            |hour: u32| json!({"trigger": "schedule", "scheduled_time": format!("{hour}")});
        let look_back = |hour: u32| {
            json!({"trigger": "schedule", "scheduled_time": format!("{hour}"),
            "only": ["orders"], "reconcile": true})
        };
        let before = world.sync(scheduled(1)).await;
        assert!(!before.steps.contains_key("orders"));
        assert_eq!(world.run(look_back(1)).await.status, "skipped");
        assert_eq!(world.number("select count(*) from orders").await, 0);
        world.import(json!({})).await;
        world.account.change(json!([{"op": "add_order"}])).await;
        let after = world.sync(scheduled(2)).await;
        assert_eq!(after.counts("orders").created, 1);
        tables::assert_equal_truth(&world.client, &world.account).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;

        // The day's look-back of the same moment is another run, and comes once.
        let looked = world.sync(look_back(2)).await;
        assert_eq!(looked.steps.len(), 1, "{:?}", looked.steps.keys());
        assert!(looked.counts("orders").unchanged > 0);
        assert_eq!(world.run(look_back(2)).await.status, "skipped");

        // An import at work does not hold up the rest.
        world
            .open_as("historical_orders", "busy", json!({}))
            .await
            .unwrap();
        let meanwhile = world.sync(scheduled(3)).await;
        assert!(!meanwhile.steps.contains_key("orders"));
        let (name, _) = world.fail(only_orders()).await;
        assert_eq!(name, "RunInProgress");
    });
}

#[test]
fn a_new_location_is_read_from_its_beginning() {
    run(async {
        let world = imported(200).await;
        let added = world
            .account
            .change(json!([{"op": "add_location", "name": "New"}]))
            .await;
        let id = &added["done"][0]["ids"][0];
        let set =
            json!({"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z"});
        let change = json!([{"op": "add_order", "location_id": id, "count": 5, "set": set}]);
        world.account.change(change).await;
        let report = world.sync(json!({"only": ["locations", "orders"]})).await;
        assert_eq!(report.counts("orders").created, 5);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
