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
        // Newer, but not of a time that is still to come.
        let newer = "update orders set updated_at = now(),
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
        // Where the newest order is: elsewhere three days may not be late at all.
        let newest =
            "select to_char(updated_at - interval '3 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
            location_id from orders order by updated_at desc limit 1";
        let newest = world.client.query_one(newest, &[]).await.unwrap();
        let (late, location_id): (String, String) = (newest.get(0), newest.get(1));
        let set = json!({"created_at": late, "updated_at": late, "closed_at": late,
            "location_id": location_id});
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

/// A location that nobody has read yet, with orders of five years.
async fn new_location(world: &World, name: &str, orders: usize) -> String {
    let added = json!([{"op": "add_location", "name": name}]);
    let added = world.account.change(added).await;
    let id = added["done"][0]["ids"][0].as_str().unwrap().to_owned();
    let changes: Vec<Value> = (0..orders)
        .map(|n| {
            let time = format!("20{}-01-01T00:00:{:02}Z", 20 + n % 5, n / 5);
            json!({"op": "add_order", "location_id": id,
                "set": {"created_at": time, "updated_at": time}})
        })
        .collect();
    world.account.change(json!(changes)).await;
    id
}

#[test]
fn a_location_that_is_new_is_read_to_its_end_however_many_calls_that_takes() {
    run(async {
        // So many locations, that a chunk of them is full, or is not.
        for locations in [3, 10, 12] {
            let account = Account::start(json!({
                "locations": locations, "items": 4, "variations": 4, "counts": 4, "orders": 40,
                "ragged_pages": false
            }));
            let world = World::new(account, &[("ORDERS_BATCH_SIZE", "2")]).await;
            world.import(json!({})).await;
            world.sync(only_orders()).await;
            new_location(&world, "New", 11).await;
            let chunks = if locations > 10 { 2 } else { 1 };
            // After the chunks that were known, and one page of the new one.
            let fault = json!({"endpoint": ORDERS, "request": chunks + 3, "times": 1,
                "kind": "status", "status": 400});
            let run_id = new_run_id();
            let request = json!({"only": ["locations", "orders"]});
            world.open(&run_id, request).await.unwrap();
            world.step(&run_id, "locations").await.unwrap();
            world.account.clear_counters().await;
            world.account.faults(json!([fault])).await;
            let event = json!({"run_id": run_id, "work": "fresh"});
            let failed = world.orders(event.clone()).await.unwrap_err();
            assert_eq!(failed.name(), "SquareRejected");
            let read = "select count(*) from orders where created_at < '2025-01-01'
                and location_id in (select id from locations where name = 'New')";
            let first = world.number(read).await;
            assert!((1..11).contains(&first), "{locations}: {first}");
            world.account.clear_faults().await;

            // Meanwhile there are more of them, and others are due.
            new_location(&world, "Newer", 3).await;
            let due = "update sync_watermarks set reconciled_at = null, settled = false";
            world.client.batch_execute(due).await.unwrap();
            let output = world.step(&run_id, "orders").await.unwrap();
            assert_eq!(world.number(read).await, 11, "{locations}");
            assert_eq!(output.stats["orders"].created, 11, "{locations}");
            world.finished(&run_id, "complete_sync").await;
            world.sync(json!({"only": ["locations", "orders"]})).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_step_that_an_older_release_began_reads_everything_all_the_same() {
    run(async {
        let world = imported(60).await;
        world
            .account
            .change(json!([{"op": "add_order", "count": 90}]))
            .await;
        let run_id = new_run_id();
        world.open(&run_id, only_orders()).await.unwrap();
        let event = json!({"run_id": run_id, "work": "fresh"});
        let _cut_off = cut_off_after(30, world.orders(event)).await;
        let older = "update sync_steps set result = jsonb_build_object('chunks', 1,
                'place', now(), 'place_ids', '[]'::jsonb, 'moved', true, 'cleaned', 0)
            where run_id = $1 and step = 'orders' and status <> 'succeeded'";
        world.client.execute(older, &[&run_id]).await.unwrap();
        world.step(&run_id, "orders").await.unwrap();
        world.finished(&run_id, "complete_sync").await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

/// The locations of an account, in the truth's order.
async fn locations(world: &World) -> Vec<String> {
    let truth = world.account.truth().await;
    let locations = truth["locations"].as_array().unwrap().iter();
    locations
        .map(|location| location["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn at(world: &World, location: &str) -> i64 {
    let orders = format!("select count(*) from orders where location_id = '{location}'");
    world.number(&orders).await
}

#[test]
fn a_schedule_keeps_fresh_what_was_imported_and_what_is_newer() {
    run(async {
        let account = Account::start(json!({
            "locations": 5, "items": 4, "variations": 4, "counts": 4, "orders": 100,
            "ragged_pages": false
        }));
        let world = World::new(account, &[]).await;
        let scheduled = json!({"trigger": "schedule"});
        let ids = locations(&world).await;
        let (one, other) = (&ids[1], &ids[2]);
        let add = |id: &str| json!([{"op": "add_order", "location_id": id}]);
        world.import(json!({"location_ids": [one]})).await;
        let before = at(&world, one).await;

        // The others' past is not read, nor is what is new there.
        world.account.change(add(one)).await;
        world.account.change(add(other)).await;
        let new = new_location(&world, "New", 6).await;
        world.account.clear_counters().await;
        let report = world.sync(scheduled.clone()).await;
        assert_eq!(at(&world, one).await, before + 1);
        assert_eq!(at(&world, &new).await, 6);
        assert_eq!(report.counts("orders").created, 7);
        assert_eq!(
            world
                .number("select count(distinct location_id) from orders")
                .await,
            2
        );
        assert!(world.account.requests_to(ORDERS).await <= 3);

        // A refresh changes nothing of that.
        world.sync(json!({"full_refresh": true})).await;
        world.account.change(add(&new)).await;
        assert_eq!(
            world.sync(scheduled.clone()).await.counts("orders").created,
            1
        );
        assert_eq!(at(&world, other).await, 0);

        // A second import takes its locations in, and whoever asks for all gets all.
        world
            .import(json!({"location_ids": [other], "from": "2026-01-01T00:00:00Z"}))
            .await;
        let before = at(&world, other).await;
        world.account.change(add(other)).await;
        world.sync(scheduled.clone()).await;
        assert_eq!(at(&world, other).await, before + 1);
        let rest = world.sync(only_orders()).await;
        assert!(rest.counts("orders").created > 0);
        world.account.change(add(&ids[0])).await;
        let before = at(&world, &ids[0]).await;
        world.sync(scheduled).await;
        assert_eq!(at(&world, &ids[0]).await, before + 1);
    });
}

#[test]
fn a_window_that_always_fails_keeps_no_new_order_out() {
    run(async {
        let account = Account::start(json!({
            "locations": 2, "items": 4, "variations": 4, "counts": 4, "orders": 200
        }));
        let world = World::new(account, &[]).await;
        let fault = json!({"endpoint": ORDERS, "request": 2, "times": 1, "kind": "status",
            "status": 400});
        world.account.faults(json!([fault])).await;
        let failed = world.import_named(&new_run_id(), json!({})).await;
        assert!(failed.error.is_some(), "{failed:?}");
        world.account.clear_faults().await;
        world
            .account
            .change(json!([{"op": "add_order", "count": 2}]))
            .await;
        let report = world.sync(json!({"trigger": "schedule"})).await;
        assert!(report.counts("orders").created >= 2, "{report:?}");

        // The same of an import that was stopped after its plan.
        let run_id = new_run_id();
        world
            .open_as("historical_orders", &run_id, json!({}))
            .await
            .unwrap();
        world.plan(&run_id).await.unwrap();
        world.stop(&run_id).await;
        world
            .account
            .change(json!([{"op": "add_order", "count": 2}]))
            .await;
        let report = world.sync(json!({"trigger": "schedule"})).await;
        assert!(report.counts("orders").created >= 2, "{report:?}");
        world.import(json!({})).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
