//! The scrub: what lies beyond every look-back is read again from Square, a part of it each
//! night, and healed where it differs.

use serde_json::{Value, json};
use shared::run::request::{Kind, Request};
use shared::run::start;
use shared::run::stats::Drift;

use crate::support::account::Account;
use crate::support::patience::cut_off_after;
use crate::support::run::{Report, World, new_run_id};
use crate::support::{run, tables};

const ORDERS: &str = "/v2/orders/search";

/// What the schedule starts every night.
fn night() -> Value {
    json!({"trigger": "schedule", "only": ["orders"], "reconcile": true})
}

/// A world whose history is in and was looked back on once.
async fn imported(days: &str, orders: usize) -> World {
    let account = Account::start(json!({
        "locations": 12, "categories": 2, "items": 10, "variations": 20, "counts": 40,
        "orders": orders
    }));
    let settings = [("SCRUB_DAYS", days), ("ORDERS_BATCH_SIZE", "20")];
    let world = World::new(account, &settings).await;
    world.import(json!({})).await;
    world
        .sync(json!({"only": ["orders"], "reconcile": true}))
        .await;
    world
}

fn drift(report: &Report) -> Drift {
    report.counts("orders").drift.unwrap()
}

/// Orders that no look-back reaches, the oldest and the newest.
async fn old_orders(world: &World) -> Vec<String> {
    let sql = "(select id from orders where updated_at < '2026-06-01' order by created_at limit 1)
        union all
        (select id from orders where updated_at < '2026-06-01' and created_at < '2026-06-01'
         order by created_at desc limit 1)";
    let rows = world.client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Locations' time that was verified since, and all of it.
async fn verified(world: &World) -> (i64, i64) {
    let sql = "select (sum(length) filter (where verified_at is not null))::bigint,
            sum(length)::bigint
        from (select verified_at, cardinality(location_ids)
                  * extract(epoch from ends_at - begins_at) as length
              from sync_order_windows) windows";
    let row = world.client.query_one(sql, &[]).await.unwrap();
    (row.get::<_, Option<i64>>(0).unwrap_or(0), row.get(1))
}

#[test]
fn a_changed_row_and_a_missed_change_of_the_past_are_healed_within_one_round() {
    run(async {
        for days in ["1", "4"] {
            let world = imported(days, 600).await;
            let old = old_orders(&world).await;
            let by_hand = "update orders set total_amount = -7, state = 'CANCELED' where id = $1";
            world.client.execute(by_hand, &[&old[0]]).await.unwrap();
            // A change that no delta has brought: the list was passed over it.
            let edit = json!([{"op": "edit_order", "id": old[1], "state": "CANCELED"}]);
            world.account.change(edit).await;
            let pass = "update sync_watermarks set position = '2026-07-20Z', settled = true
                where list like 'orders:%'";
            world.client.batch_execute(pass).await.unwrap();

            let (mut updated, mut told) = (0, String::new());
            let (_, whole) = verified(&world).await;
            for number in 1..=days.parse::<i64>().unwrap() {
                let report = world.run(night()).await;
                assert_eq!(report.status, "succeeded", "{report:?}");
                updated += drift(&report).updated;
                told.extend(report.warnings);
                // Each night reads its share, and what joins the history comes on top.
                let (read, _) = verified(&world).await;
                let share = whole * number / days.parse::<i64>().unwrap();
                assert!(read >= share - share / 50, "{read} of {share}");
            }
            assert_eq!(updated, 2, "{told}");
            for id in &old {
                assert!(told.contains(id), "{told}");
            }
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
            let windows = "select count(*) from sync_order_windows
                where verified_at is null and ends_at < '2026-07-01'";
            assert_eq!(world.number(windows).await, 0);
            // The next round finds nothing, and no window lies upon another.
            let again = world.run(night()).await;
            assert_eq!(drift(&again), Drift::default());
            assert_eq!(again.warnings, Vec::<String>::new());
            let twice = "select count(*) from sync_order_windows a join sync_order_windows b
                on a.window_id < b.window_id and a.location_ids && b.location_ids
                and a.begins_at < b.ends_at and b.begins_at < a.ends_at";
            assert_eq!(world.number(twice).await, 0);
        }
    });
}

#[test]
fn an_order_that_is_missing_in_the_past_comes_back() {
    run(async {
        let world = imported("1", 200).await;
        let old = old_orders(&world).await;
        let delete = "delete from orders where id = any ($1)";
        world.client.execute(delete, &[&old]).await.unwrap();
        let report = world.run(night()).await;
        assert_eq!(drift(&report).created, 2, "{report:?}");
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn it_is_the_schedules_alone_and_can_be_switched_off() {
    run(async {
        for (days, request) in [
            ("0", night()),
            ("1", json!({"only": ["orders"], "reconcile": true})),
            ("1", json!({"trigger": "schedule", "reconcile": true})),
        ] {
            let world = imported(days, 200).await;
            let report = world.run(request).await;
            assert_eq!(report.status, "succeeded");
            assert_eq!(verified(&world).await.0, 0);
            let yields = "select count(*) from sync_runs where yields";
            assert_eq!(world.number(yields).await, 0);
        }
    });
}

#[test]
fn it_makes_way_for_every_other_run_and_the_next_night_goes_on() {
    run(async {
        let world = imported("1", 400).await;
        let old = old_orders(&world).await;
        let by_hand = "update orders set total_amount = -7 where id = any ($1)";
        world.client.execute(by_hand, &[&old]).await.unwrap();
        let run_id = new_run_id();
        world.open(&run_id, night()).await.unwrap();
        // The look-back's two lists come first.
        world.account.hold(ORDERS, 3).await;
        let (late, by) = tokio::join!(world.step(&run_id, "orders"), async {
            world.account.held(ORDERS, 3).await;
            let request = Request::parse(Kind::CompleteSync, json!({"only": ["orders"]}));
            let mut client = world.env.database.client().await.unwrap();
            start::queue(&mut client, &request.unwrap()).await.unwrap()
        });
        assert_eq!(late.unwrap_err().name(), "LeaseLost");
        world.account.clear_faults().await;
        let skipped =
            "select count(*) from sync_runs where status = 'skipped' and error_name is null";
        assert_eq!(world.number(skipped).await, 1);
        let start::Queued::New { run_id } = by else {
            panic!("{by:?}")
        };
        let report = world.run_named(&run_id, json!({"only": ["orders"]})).await;
        assert_eq!(report.status, "succeeded", "{report:?}");

        world.run(night()).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        let (read, whole) = verified(&world).await;
        assert_eq!(read, whole);
    });
}

#[test]
fn a_call_that_is_cut_off_anywhere_or_comes_twice_counts_and_verifies_once() {
    run(async {
        let world = imported("1", 300).await;
        let old = old_orders(&world).await;
        let by_hand = "update orders set total_amount = -7 where id = any ($1)";
        world.client.execute(by_hand, &[&old]).await.unwrap();
        let run_id = new_run_id();
        world.open(&run_id, night()).await.unwrap();
        for waits in [40, 120, 200, 280, 360] {
            let _ = cut_off_after(waits, world.step(&run_id, "orders")).await;
        }
        let (first, second) =
            tokio::join!(world.step(&run_id, "orders"), world.step(&run_id, "orders"));
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        world.step(&run_id, "orders").await.unwrap();
        let report = world.finished(&run_id, "complete_sync").await;
        assert_eq!(drift(&report).updated, 2);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        let (read, whole) = verified(&world).await;
        assert_eq!(read, whole);
    });
}

#[test]
fn a_location_that_square_refuses_waits_and_the_others_come_round() {
    run(async {
        let world = imported("1", 300).await;
        let sql = "select window_id from sync_order_windows
            where cardinality(location_ids) = 2 order by begins_at limit 1";
        let two = world.client.query_one(sql, &[]).await.unwrap();
        let two: i64 = two.get(0);
        // The third list of the night is refused: the look-back has two.
        let fault = json!([{"endpoint": ORDERS, "kind": "status", "status": 400, "request": 3}]);
        world.account.clear_counters().await;
        world.account.faults(fault).await;
        let report = world.run(night()).await;
        assert_eq!(report.status, "succeeded", "{report:?}");
        world.account.clear_faults().await;
        let left = "select count(*) from sync_order_windows where verified_at is null";
        assert_eq!(world.number(left).await, 1, "{two}");
        world.run(night()).await;
        assert_eq!(world.number(left).await, 0);
    });
}
