//! Orders: the import of their history, window by window, and what becomes of it
//! when Square fails, a call is cut short, or two calls meet.

use std::time::Duration;

use serde_json::{Value, json};
use shared::run::start;
use tokio::time::Instant;

use crate::support::account::Account;
use crate::support::patience::{PATIENCE, cut_off_after, waits_for_a_lock};
use crate::support::run::{Report, World, new_run_id};
use crate::support::{database, run, tables};

const ORDERS: &str = "/v2/orders/search";

/// Twelve locations, so that there are two chunks, and small pages.
async fn world(orders: usize) -> World {
    let account = Account::start(json!({
        "locations": 12, "categories": 2, "items": 10, "variations": 20, "counts": 40,
        "orders": orders
    }));
    World::new(account, &[("ORDERS_BATCH_SIZE", "20")]).await
}

/// An import that was opened and planned; returns its name and windows.
async fn planned(world: &World, request: Value) -> (String, Vec<i64>) {
    let run_id = new_run_id();
    world
        .open_as("historical_orders", &run_id, request)
        .await
        .unwrap();
    let plan = world.plan(&run_id).await.unwrap();
    let windows = plan["windows"].as_array().unwrap();
    let ids = windows
        .iter()
        .map(|window| window["window_id"].as_i64().unwrap())
        .collect();
    (run_id, ids)
}

fn event(run_id: &str, window_id: i64) -> Value {
    json!({"run_id": run_id, "work": "window", "window_id": window_id})
}

/// All orders of the account were counted once, as new.
async fn assert_counted_once(world: &World, reports: &[&Report]) {
    let created = |data_type| -> i64 {
        let counts = reports.iter().map(|report| report.counts(data_type));
        counts.map(|counts| counts.created).sum()
    };
    let orders = world.number("select count(*) from orders").await;
    assert_eq!(created("orders"), orders);
    let lines = world.number("select count(*) from order_line_items").await;
    assert_eq!(created("line_items"), lines);
}

#[test]
fn the_history_comes_in_once_and_a_second_import_asks_for_nothing_finished() {
    run(async {
        let world = world(1_500).await;
        let first = world.import(json!({})).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_counted_once(&world, &[&first]).await;
        assert_eq!(first.counts("orders").given(), 1_500);
        // In orders to the end, as on the way, whatever lines they have.
        let read = "select progress_done from sync_steps where step = 'orders'";
        assert_eq!(world.number(read).await, 1_500);
        let whole = "select progress_total from sync_steps where step = 'orders'";
        assert_eq!(world.number(whole).await, 1_500);
        let totals = first.totals.unwrap();
        assert_eq!(totals.unchanged + totals.updated + totals.deleted, 0);

        world.account.clear_counters().await;
        let second = world.import(json!({})).await;
        assert_eq!(second.counts("orders").given(), 0);
        assert_eq!(second.calls, 0);
        // One question a chunk after the newest change, and no window.
        assert_eq!(world.account.requests_to(ORDERS).await, 2);

        // What was ordered since is all that a third one asks for.
        let added = json!([{"op": "add_order", "count": 3}]);
        world.account.change(added).await;
        let third = world.import(json!({})).await;
        assert_eq!(third.counts("orders").created, 3);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn spans_and_locations_are_imported_as_asked_and_the_rest_later() {
    run(async {
        let world = world(800).await;
        let truth = world.account.truth().await;
        let location = truth["orders"][0]["location_id"].as_str().unwrap();
        let request = json!({"from": "2020-01-01T00:00:00Z", "to": "2022-01-01T00:00:00Z",
            "location_ids": [location]});
        let part = world.import(request).await;
        let wanted = truth["orders"].as_array().unwrap().iter().filter(|order| {
            let created_at = order["created_at"].as_str().unwrap();
            order["location_id"] == location && ("2020-01-01".."2022-01-01").contains(&created_at)
        });
        let wanted = i64::try_from(wanted.count()).unwrap();
        assert!(wanted > 0);
        assert_eq!(world.number("select count(*) from orders").await, wanted);

        let rest = world.import(json!({})).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_counted_once(&world, &[&part, &rest]).await;
        assert_eq!(rest.counts("orders").unchanged, 0, "{rest:?}");

        let unknown = json!({"location_ids": ["NOWHERE"]});
        let report = world.import_named(&new_run_id(), unknown).await;
        let error = report.error.unwrap();
        assert_eq!((&*error.name, &*error.step), ("InputInvalid", "plan"));
        assert!(error.message.contains("NOWHERE"), "{error:?}");
    });
}

#[test]
fn a_window_that_fails_does_not_stop_the_others_and_the_next_import_reads_only_it() {
    run(async {
        let world = world(1_500).await;
        // The fifth and sixth request are the first windows' after the plan's own.
        let fault = json!({"endpoint": ORDERS, "request": 5, "times": 1, "kind": "status",
            "status": 400});
        world.account.faults(json!([fault])).await;
        let failed = world.import_named(&new_run_id(), json!({})).await;
        let error = failed.error.clone().unwrap();
        assert_eq!((&*error.name, &*error.step), ("SquareRejected", "orders"));
        let undone = "select count(*) from sync_order_windows where done_at is null";
        assert_eq!(world.number(undone).await, 1);
        let noted = "select count(*) from sync_order_windows where error_name = 'SquareRejected'";
        assert_eq!(world.number(noted).await, 1);

        world.account.clear_faults().await;
        world.account.clear_counters().await;
        let healed = world.import(json!({})).await;
        assert_eq!(healed.calls, 1);
        assert!(world.account.requests_to(ORDERS).await <= 2 + 4);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn what_passes_by_itself_does_not_fail_a_window() {
    run(async {
        for kind in [
            json!({"kind": "status", "status": 429, "retry_after": "0", "times": 2}),
            json!({"kind": "cut_body", "times": 1}),
            json!({"kind": "html", "times": 1}),
            json!({"kind": "malformed_json", "times": 1}),
            json!({"kind": "cursor_expired", "times": 1}),
            json!({"kind": "empty_page", "times": 2}),
        ] {
            let world = world(300).await;
            let mut fault = kind.clone();
            fault["endpoint"] = json!(ORDERS);
            fault["request"] = json!(4);
            world.account.faults(json!([fault])).await;
            // One window, of several pages.
            let (run_id, windows) = planned(&world, json!({"from": "2026-04-05T00:00:00Z"})).await;
            for window in windows {
                world.window(&run_id, window).await.unwrap();
            }
            let first = world.finished(&run_id, "historical_orders").await;
            let rest = world.import(json!({})).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
            assert_counted_once(&world, &[&first, &rest]).await;
            assert_eq!(first.counts("orders").unchanged, 0, "{kind}");
        }
    });
}

/// A call that has read some orders when it hands over: its window does not end before.
async fn handed_over(world: &World, event: Value) {
    world.account.hold(ORDERS, 3).await;
    // Lambda keeps five seconds; of the others, half is for reading. A machine on
    // which they are over before there is a page gets more of them.
    let mut time = Duration::from_secs(10);
    let call = loop {
        let end = Instant::now() + time;
        match world.orders_until(event.clone(), end).await {
            Ok(call) => break call,
            Err(error) => assert!(time < PATIENCE, "{error}"),
        }
        world.account.hold(ORDERS, 3).await;
        time *= 2;
    };
    assert_eq!(call["done"], false, "{call}");
    assert!(call["orders"].as_i64().unwrap() > 0, "{call}");
    world.account.clear_faults().await;
}

#[test]
fn a_call_goes_on_after_orders_that_were_all_set_aside() {
    run(async {
        for location in [r#""ELSEWHERE""#, "7"] {
            let account = Account::start(json!({
                "locations": 1, "items": 2, "variations": 2, "counts": 2, "orders": 800
            }));
            let world = World::new(account, &[("ORDERS_BATCH_SIZE", "4")]).await;
            let (run_id, windows) = planned(&world, json!({})).await;
            let id = world.account.truth().await["locations"][0]["id"].clone();
            let (find, with) = ("\"location_id\":", location);
            let aside = json!([{"endpoint": ORDERS, "find": format!("{find}{id}"),
                "with": format!("{find}{with}")}]);
            world.account.rewrite(aside).await;
            handed_over(&world, event(&run_id, windows[0])).await;
            let moved = "select count(*) from sync_order_windows
                where place > begins_at and cardinality(place_ids) > 0";
            assert_eq!(world.number(moved).await, 1, "{location}");
            for window in windows {
                world.window(&run_id, window).await.unwrap();
            }
            let report = world.finished(&run_id, "historical_orders").await;
            assert_eq!(world.number("select count(*) from orders").await, 0);
            let waiting = "select count(*) from sync_quarantine where data_type = 'orders'";
            let quarantined = report.counts("orders").quarantined;
            assert_eq!(world.number(waiting).await, quarantined, "{location}");
        }
    });
}

#[test]
fn a_call_hands_over_ahead_of_its_end_and_nothing_is_counted_twice() {
    run(async {
        let account = Account::start(json!({
            "locations": 2, "items": 2, "variations": 2, "counts": 2, "orders": 1_500
        }));
        let world = World::new(account, &[("ORDERS_BATCH_SIZE", "4")]).await;
        let (run_id, windows) = planned(&world, json!({})).await;
        handed_over(&world, event(&run_id, windows[0])).await;
        for window in windows {
            world.window(&run_id, window).await.unwrap();
        }
        let report = world.finished(&run_id, "historical_orders").await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_counted_once(&world, &[&report]).await;
        assert_eq!(report.counts("orders").unchanged, 0);
    });
}

#[test]
fn a_call_that_is_cut_off_anywhere_has_counted_what_it_wrote() {
    run(async {
        let world = world(1_500).await;
        let (run_id, windows) = planned(&world, json!({})).await;
        let mut cut_off = 0;
        for (n, window) in windows.iter().enumerate().take(24) {
            let call = world.orders(event(&run_id, *window));
            cut_off += u32::from(cut_off_after(1 + 3 * n, call).await.is_none());
        }
        assert!(cut_off > 0);
        for window in windows {
            world.window(&run_id, window).await.unwrap();
        }
        let report = world.finished(&run_id, "historical_orders").await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_counted_once(&world, &[&report]).await;
        assert_eq!(report.counts("orders").unchanged, 0);
    });
}

#[test]
fn two_calls_for_one_window_count_its_orders_once() {
    run(async {
        let world = world(1_500).await;
        let (run_id, windows) = planned(&world, json!({})).await;
        for window in windows {
            let (one, other) =
                tokio::join!(world.window(&run_id, window), world.window(&run_id, window));
            one.unwrap();
            other.unwrap();
        }
        let report = world.finished(&run_id, "historical_orders").await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_counted_once(&world, &[&report]).await;
    });
}

/// An order that somebody else brings between a call's look at the table and its own
/// writing is compared with what came, like any that was there before.
#[test]
fn an_order_that_comes_from_elsewhere_meanwhile_is_brought_up_to_date() {
    run(async {
        let source = world(30).await;
        source.import(json!({})).await;
        let world = World::beside(&source).await;
        for table in ["locations", "orders"] {
            database::copy(&source.client, &world.client, table).await;
        }
        let (run_id, windows) = planned(&world, json!({})).await;
        let (first, rest) = windows.split_first().unwrap();
        for script in [
            "create temporary table kept as table orders; delete from orders",
            "begin; insert into orders select * from kept; update orders set total_amount = -1",
        ] {
            world.client.batch_execute(script).await.unwrap();
        }
        let (window, ()) = tokio::join!(world.window(&run_id, *first), async {
            let watcher = world.env.database.client().await.unwrap();
            waits_for_a_lock(&watcher).await;
            world.client.batch_execute("commit").await.unwrap();
        });
        window.unwrap();
        for window in rest {
            world.window(&run_id, *window).await.unwrap();
        }
        let report = world.finished(&run_id, "historical_orders").await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        let orders = report.counts("orders");
        let stored = world.number("select count(*) from orders").await;
        assert_eq!((orders.created, orders.updated), (0, stored));
    });
}

#[test]
fn a_stopped_import_writes_no_more_and_the_next_one_goes_on() {
    run(async {
        let world = world(1_500).await;
        let (run_id, windows) = planned(&world, json!({})).await;
        world.window(&run_id, windows[0]).await.unwrap();
        world.account.hold(ORDERS, 0).await;
        let call = event(&run_id, windows[1]);
        let (call, ()) = tokio::join!(world.orders(call), async {
            world.account.held(ORDERS, 0).await;
            let mut client = world.env.database.client().await.unwrap();
            assert!(start::stop(&mut client, &run_id).await.unwrap());
            world.account.clear_faults().await;
        });
        assert_eq!(call.unwrap_err().name(), "LeaseLost");
        let late = world.orders(event(&run_id, windows[2])).await;
        assert_eq!(late.unwrap_err().name(), "Cancelled");

        let before = world.number("select count(*) from orders").await;
        assert!(before > 0);
        let next = world.import(json!({})).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_eq!(next.counts("orders").created, 1_500 - before);
    });
}

#[test]
fn orders_of_one_moment_are_all_read_wherever_a_page_ends() {
    run(async {
        let world = world(0).await;
        let moment = "2026-06-15T12:00:00.123456789Z";
        let set = json!({"created_at": moment, "updated_at": moment});
        let one = json!([{"op": "add_order", "count": 65, "set": set}]);
        world.account.change(one).await;
        let (run_id, windows) = planned(&world, json!({})).await;
        let fault = json!({"endpoint": ORDERS, "request": 3, "times": 1, "kind": "status",
            "status": 400});
        world.account.faults(json!([fault])).await;
        // Newest first: the window that holds them.
        let failed = world.orders(event(&run_id, windows[0])).await;
        assert_eq!(failed.unwrap_err().name(), "SquareRejected");
        let read = world.number("select count(*) from orders").await;
        assert!((1..65).contains(&read), "{read}");
        for window in windows {
            world.window(&run_id, window).await.unwrap();
        }
        let report = world.finished(&run_id, "historical_orders").await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_counted_once(&world, &[&report]).await;
        assert_eq!(report.counts("orders").given(), 65);
    });
}

#[test]
fn pages_that_are_just_full_lose_nothing() {
    run(async {
        for count in [19, 20, 21, 40, 41] {
            let account = Account::start(json!({
                "locations": 1, "items": 2, "variations": 2, "counts": 1, "orders": count,
                "ragged_pages": false, "first_order_at": "2026-06-01T00:00:00Z",
            }));
            let world = World::new(account, &[("ORDERS_BATCH_SIZE", "20")]).await;
            let from = json!({"from": "2026-05-01T00:00:00Z"});
            let report = world.import(from).await;
            assert_eq!(report.counts("orders").created, count);
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn an_order_that_cannot_be_read_waits_and_the_others_go_on() {
    run(async {
        let world = world(200).await;
        let broken = |quantity: &str| {
            json!([{"op": "put_raw", "order": {
                "id": "BROKEN", "location_id": "L", "state": "COMPLETED",
                "created_at": "2026-06-01T00:00:00Z", "updated_at": "2026-06-01T00:00:00Z",
                "line_items": [{"uid": "a", "quantity": quantity}]}}])
        };
        let truth = world.account.truth().await;
        let location = truth["locations"][0]["id"].clone();
        let mut changes = broken("many");
        changes[0]["order"]["location_id"] = location.clone();
        world.account.change(changes).await;
        let report = world.import(json!({})).await;
        assert_eq!(report.counts("orders").quarantined, 1);
        assert_eq!(report.counts("orders").given(), 201);
        let waiting = "select count(*) from sync_quarantine
            where data_type = 'orders' and object_id = 'BROKEN' and resolved_at is null
                and reason like 'Cannot be read: line_items[0].quantity%'";
        assert_eq!(world.number(waiting).await, 1);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;

        let mut changes = broken("1.50000");
        changes[0]["order"]["location_id"] = location;
        changes[0]["order"]["updated_at"] = json!("2026-07-01T00:00:00Z");
        world.account.change(changes).await;
        let fresh = world.sync(json!({"only": ["orders"]})).await;
        assert_eq!(fresh.counts("orders").created, 1);
        assert_eq!(world.number(waiting).await, 0);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
