//! Times that cannot be true, and times that come late: no till's wrong clock has
//! anything passed over, and what shows up a moment late comes in all the same.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::{World, new_run_id};
use crate::support::{run, tables};

const ORDERS: &str = "/v2/orders/search";

/// Watermarks and windows beyond the database's now.
const AHEAD: &str = "
    select (select count(*) from sync_watermarks where position > now())
        + (select count(*) from sync_order_windows where greatest(place, ends_at) > now())";

fn only_orders() -> Value {
    json!({"only": ["orders"]})
}

/// Two chunks of locations.
async fn world(orders: usize) -> World {
    let account = Account::start(json!({
        "locations": 12, "categories": 2, "items": 10, "variations": 20, "counts": 40,
        "orders": orders, "ragged_pages": false
    }));
    World::new(account, &[("ORDERS_BATCH_SIZE", "20")]).await
}

/// An order as a till with a wrong clock sends it.
async fn order(world: &World, created_at: &str, updated_at: &str) -> Value {
    let location = world.account.truth().await["locations"][0]["id"].clone();
    json!({"id": "AHEAD", "location_id": location, "state": "COMPLETED",
        "created_at": created_at, "updated_at": updated_at})
}

async fn orders(world: &World) -> i64 {
    let known = "select count(*) from orders where id <> 'AHEAD'";
    world.number(known).await
}

#[test]
fn an_order_of_next_year_moves_nothing() {
    run(async {
        for (created_at, updated_at) in [
            ("2066-01-01T00:00:00Z", "2066-01-01T00:00:00Z"),
            ("2026-05-01T00:00:00Z", "2066-01-01T00:00:00Z"),
            ("2066-01-01T00:00:00Z", "2026-05-01T00:00:00Z"),
            ("2026-05-01T00:00:00Z", "2200-12-31T23:59:59.999999999Z"),
        ] {
            let world = world(120).await;
            let order = order(&world, created_at, updated_at).await;
            let raw = json!([{"op": "put_raw", "order": order}]);
            world.account.change(raw).await;
            world.import(json!({})).await;
            assert_eq!(world.number(AHEAD).await, 0, "{created_at} {updated_at}");
            assert_eq!(orders(&world).await, 120, "{created_at} {updated_at}");

            let added = json!([{"op": "add_order", "count": 3}]);
            world.account.change(added.clone()).await;
            let fresh = world.sync(only_orders()).await;
            assert_eq!(fresh.counts("orders").created, 3);
            assert_eq!(world.number(AHEAD).await, 0);

            world.account.change(added).await;
            let second = world.import(json!({})).await;
            assert!(second.counts("orders").created >= 3, "{second:?}");
            assert_eq!(orders(&world).await, 126);
            assert_eq!(world.number(AHEAD).await, 0);
        }
    });
}

#[test]
fn orders_of_an_account_whose_clock_is_ahead_all_come_in() {
    run(async {
        let world = world(60).await;
        world.import(json!({})).await;
        world
            .account
            .clock(json!({"now": "2066-01-01T00:00:00Z"}))
            .await;
        for count in 1..4 {
            let added = json!([{"op": "add_order", "count": 25}, {"op": "edit_order", "count": 5}]);
            world.account.change(added).await;
            let report = world.sync(only_orders()).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
            assert_eq!(report.counts("orders").created, 25, "{count}");
            assert_eq!(world.number(AHEAD).await, 0);
        }
    });
}

#[test]
fn positions_that_an_earlier_release_left_in_the_future_heal() {
    run(async {
        let world = world(200).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        world.sync(only_orders()).await;
        let ahead = "
            update sync_watermarks set position = now() + interval '300 days', settled = true;
            update sync_order_windows set ends_at = now() + interval '300 days',
                place = now() + interval '200 days'
                where ends_at = (select max(ends_at) from sync_order_windows)";
        world.client.batch_execute(ahead).await.unwrap();
        assert!(world.number(AHEAD).await > 10);
        let changes = json!([
            {"op": "add_order", "count": 40}, {"op": "edit_order", "count": 10},
            {"op": "add_item"}, {"op": "edit_item"}, {"op": "delete_variation"}, {"op": "sell"},
        ]);
        world.account.change(changes).await;
        world
            .sync(json!({"only": ["locations", "catalog", "inventory", "orders"]}))
            .await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        let positions = "select count(*) from sync_watermarks where position > now()";
        assert_eq!(world.number(positions).await, 0);

        // So do imports alone.
        world
            .account
            .change(json!([{"op": "add_order", "count": 5}]))
            .await;
        let again = world.import(json!({})).await;
        assert_eq!(again.counts("orders").created, 5);
        assert_eq!(world.number(AHEAD).await, 0);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_copy_from_the_future_does_not_outlast_the_present_one() {
    run(async {
        let world = world(30).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let truth = world.account.truth().await;
        let count = &truth["catalog_inventory"][0];
        let ahead = "2066-01-01T00:00:00Z";
        let object = |kind: &str, id: &str, field: &str, data: Value| {
            json!({"op": "put_raw", "object": {"type": kind, "id": id, "updated_at": ahead,
                "version": 3_029_529_600_000_i64, field: data}})
        };
        world
            .account
            .change(json!([
                object("CATEGORY", "C", "category_data", json!({"name": "c"})),
                object("ITEM", "I", "item_data", json!({"name": "i"})),
                object("ITEM_VARIATION", "V", "item_variation_data", json!({"name": "v", "item_id": "I"})),
                {"op": "put_raw", "count": {"catalog_object_id": count["variation_id"],
                    "location_id": count["location_id"], "state": count["state"],
                    "quantity": "77", "calculated_at": ahead}},
            ]))
            .await;
        let all = json!({"only": ["locations", "catalog", "inventory", "orders"]});
        for request in [all.clone(), json!({"reconcile": true}), all.clone()] {
            world.sync(request).await;
            assert_eq!(world.number(AHEAD).await, 0);
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
        let ahead = "update orders set updated_at = now() + interval '1 year', version = null";
        world.client.batch_execute(ahead).await.unwrap();

        let id = &count["variation_id"];
        world
            .account
            .change(json!([
                {"op": "edit_category", "id": "C", "name": "present"},
                {"op": "edit_item", "id": "I", "name": "present"},
                {"op": "edit_variation", "id": "V", "name": "present"},
                {"op": "recount", "id": id, "location_id": count["location_id"],
                    "state": count["state"], "quantity": "5"},
                {"op": "edit_order", "id": truth["orders"][0]["id"], "set": {"ticket_name": "present"}},
            ]))
            .await;
        world.sync(all).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        let present = "select count(*) from orders where ticket_name = 'present'";
        assert_eq!(world.number(present).await, 1);
        let reconciled = json!({"only": ["orders"], "reconcile": true});
        world.sync(reconciled).await;
        assert_eq!(world.number(AHEAD).await, 0);
    });
}

#[test]
fn a_span_that_ends_in_the_future_is_done_up_to_what_there_was() {
    run(async {
        let world = world(150).await;
        let soon = |hours: i64| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
        let location = world.account.truth().await["locations"][0]["id"].clone();
        let mut created = 0;
        for request in [
            json!({"from": "2018-01-01T00:00:00Z", "to": "2066-01-01T00:00:00Z"}),
            json!({"to": "9999-12-30T00:00:00Z"}),
            json!({"to": soon(3), "location_ids": [location]}),
            json!({"from": "2026-01-01T00:00:00Z", "to": soon(-1)}),
            json!({"to": soon(0)}),
            json!({}),
        ] {
            let added = json!([{"op": "add_order", "count": 4}]);
            world.account.change(added).await;
            let report = world.import(request.clone()).await;
            created += report.counts("orders").created;
            assert_eq!(report.counts("orders").unchanged, 0, "{request}");
            let told = |warning: &String| warning.contains("still to come");
            assert!(!report.warnings.iter().any(told), "{request}");
            assert_eq!(world.number(AHEAD).await, 0, "{request}");
        }
        assert_eq!(created, 150 + 4 * 6);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;

        // What begins in the future holds nothing, and the run says so.
        let windows = "select count(*) from sync_order_windows";
        let before = world.number(windows).await;
        let none = world.import(json!({"from": soon(20)})).await;
        assert_eq!(world.number(windows).await, before);
        let told = |warning: &String| warning.contains("still to come");
        assert!(none.warnings.iter().any(told), "{none:?}");
    });
}

#[test]
fn an_account_without_orders_has_nothing_marked() {
    run(async {
        let world = world(0).await;
        world.import(json!({"to": "2066-01-01T00:00:00Z"})).await;
        assert_eq!(
            world
                .number("select count(*) from sync_order_windows")
                .await,
            0
        );
        world
            .account
            .change(json!([{"op": "add_order", "count": 3}]))
            .await;
        // Its locations count as imported all the same.
        let fresh = world.sync(json!({"trigger": "schedule"})).await;
        assert_eq!(fresh.counts("orders").created, 3);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

/// Whether everything that shows up late, after two syncs, came with the third;
/// nothing if the machine was so slow that the overlap was over by then.
async fn late_ones_come(settle: bool) -> Option<()> {
    let world = world(20).await;
    world.import(json!({})).await;
    let all = json!({"only": ["locations", "catalog", "inventory", "orders"]});
    let (began, now) = (Instant::now(), Timestamp::now());
    let shop = (now - SignedDuration::from_secs(30)).to_string();
    world.account.clock(json!({"now": shop})).await;
    let location = world.account.truth().await["locations"][0]["id"].clone();
    let changes = json!([{"op": "edit_item"}, {"op": "recount"},
        {"op": "add_order", "location_id": location}]);
    world.account.change(changes).await;
    world.sync(all.clone()).await;
    world.sync(all.clone()).await;
    if began.elapsed().as_secs() > 90 {
        return None;
    }
    if settle {
        let rested = "update sync_watermarks set settled = true";
        world.client.batch_execute(rested).await.unwrap();
    }
    let truth = world.account.truth().await;
    let count = &truth["catalog_inventory"][0];
    let late = now - SignedDuration::from_secs(75);
    let (version, late) = (late.as_millisecond(), late.to_string());
    let order = order(&world, &late, &late).await;
    world
        .account
        .change(json!([
            {"op": "put_raw", "object": {"type": "CATEGORY", "id": "LATE", "updated_at": late,
                "version": version, "category_data": {"name": "late"}}},
            {"op": "put_raw", "count": {"catalog_object_id": count["variation_id"],
                "location_id": count["location_id"], "state": "WASTE", "quantity": "3",
                "calculated_at": late}},
            {"op": "put_raw", "order": order},
        ]))
        .await;
    world.sync(all).await;
    let found = "
        select (select count(*) from catalog_categories where id = 'LATE')
            + (select count(*) from catalog_inventory where state = 'WASTE' and quantity = 3)
            + (select count(*) from orders where id = 'AHEAD')";
    let found = world.number(found).await;
    assert_eq!(found, if settle { 0 } else { 3 });
    Some(())
}

#[test]
fn what_shows_up_within_the_overlap_comes_however_soon_syncs_follow_each_other() {
    run(async {
        for settle in [false, true] {
            let mut tries = 0;
            while late_ones_come(settle).await.is_none() {
                tries += 1;
                assert!(tries < 20, "the machine is too slow to tell");
            }
        }
    });
}

#[test]
fn a_second_look_for_the_newest_order_is_only_for_one_of_the_future() {
    run(async {
        let world = world(100).await;
        world.account.clear_counters().await;
        let run_id = new_run_id();
        world
            .open_as("historical_orders", &run_id, json!({}))
            .await
            .unwrap();
        world.plan(&run_id).await.unwrap();
        assert_eq!(world.account.requests_to(ORDERS).await, 2);
        world.stop(&run_id).await;

        let order = order(&world, "2026-05-01T00:00:00Z", "2066-01-01T00:00:00Z").await;
        world
            .account
            .change(json!([{"op": "put_raw", "order": order}]))
            .await;
        world.account.clear_counters().await;
        let run_id = new_run_id();
        world
            .open_as("historical_orders", &run_id, json!({}))
            .await
            .unwrap();
        world.plan(&run_id).await.unwrap();
        assert_eq!(world.account.requests_to(ORDERS).await, 3);
    });
}
