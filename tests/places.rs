//! Where reading goes on from after an interruption, whatever orders say of their
//! times: nothing is passed over on the word of one.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::{World, new_run_id};
use crate::support::{run, tables};

const ORDERS: &str = "/v2/orders/search";

async fn world(orders: usize, page: &str) -> World {
    let account = Account::start(json!({"locations": 1, "items": 2, "variations": 2,
        "counts": 2, "orders": orders}));
    World::new(account, &[("ORDERS_BATCH_SIZE", page)]).await
}

/// An import whose second request is refused, and then its windows once more.
async fn interrupted_import(world: &World) {
    let run_id = new_run_id();
    world
        .open_as("historical_orders", &run_id, json!({}))
        .await
        .unwrap();
    let plan = world.plan(&run_id).await.unwrap();
    let windows = plan["windows"].as_array().unwrap();
    let ids: Vec<i64> = windows
        .iter()
        .filter_map(|window| window["window_id"].as_i64())
        .collect();
    refuse_second(world).await;
    let mut failed = 0;
    for id in &ids {
        failed += u32::from(world.window(&run_id, *id).await.is_err());
    }
    assert_eq!(failed, 1);
    for id in ids {
        world.window(&run_id, id).await.unwrap();
    }
    world.finished(&run_id, "historical_orders").await;
}

async fn refuse_second(world: &World) {
    let fault = json!({"endpoint": ORDERS, "request": 2, "times": 1, "kind": "status",
        "status": 400});
    world.account.faults(json!([fault])).await;
}

#[test]
fn no_order_moves_the_place_by_what_it_alone_says() {
    run(async {
        let soon: Timestamp = Timestamp::now() - SignedDuration::from_mins(1);
        let soon = format!("\"{soon}\"");
        for kind in ["import", "fresh"] {
            for (which, spoilt) in [
                // One that cannot be read, of the last minutes.
                (12, "\"2026-11-01T10:58:30Z\",\"version\":\"soon\""),
                // Others that can.
                (12, "\"2026-11-01T10:58:30Z\""),
                (14, "\"2026-11-01T10:58:30Z\""),
                (13, "\"2026-11-20T10:00:00Z\""),
                (14, "\"9999-12-31T00:00:00Z\""),
                (10, "\"2019-01-01T00:00:00Z\""),
                (14, "null"),
                // Changed while it was listed.
                (14, &*soon),
            ] {
                let world = world(0, "5").await;
                world.sync(json!({})).await;
                if kind == "fresh" {
                    world.account.change(json!([{"op": "add_order"}])).await;
                    world.import(json!({})).await;
                }
                let orders: Vec<Value> = (10..60)
                    .map(|minute| {
                        let time = format!("2026-11-01T10:{minute}:00Z");
                        let set = json!({"created_at": time, "updated_at": time});
                        json!({"op": "add_order", "set": set})
                    })
                    .collect();
                world.account.change(json!(orders)).await;
                let clock = json!({"advance_seconds": 600});
                world.account.clock(clock).await;
                let before = i64::from(kind == "fresh");
                if kind == "fresh" {
                    let back = "update sync_watermarks set position = '2026-11-01T10:00:00Z'
                        where list like 'orders:%'";
                    world.client.batch_execute(back).await.unwrap();
                }
                let find = format!("\"2026-11-01T10:{which}:00Z\"");
                let rewrite = json!([{"endpoint": ORDERS, "find": find, "with": spoilt}]);
                world.account.rewrite(rewrite).await;
                if kind == "import" {
                    interrupted_import(&world).await;
                } else {
                    refuse_second(&world).await;
                    world.fail(json!({"only": ["orders"]})).await;
                    world.sync(json!({"only": ["orders"]})).await;
                }
                let all = "select count(*) from (select id from orders
                    union select object_id from sync_quarantine where resolved_at is null)";
                let all = world.number(all).await - before;
                assert_eq!(all, 50, "{kind}, {which}: {spoilt}");
            }
        }
    });
}

/// A till whose clock is ahead, long before the import: no window is as late as its
/// orders.
#[test]
fn orders_of_times_still_to_come_are_imported_whenever_they_were_changed() {
    run(async {
        let world = world(40, "5").await;
        world.sync(json!({"only": ["locations", "catalog"]})).await;
        let ahead: Vec<Value> = (0..7)
            .map(|n| {
                let set = json!({"created_at": format!("{}-05-01T00:00:00Z", 2027 + 9 * n),
                    "updated_at": "2026-02-01T00:00:00Z"});
                json!({"op": "add_order", "set": set})
            })
            .collect();
        world.account.change(json!(ahead)).await;
        world.account.change(json!([{"op": "add_order"}])).await;
        let past = json!({"to": "2024-01-01T00:00:00Z"});
        world.import(past).await;
        let to_come = "select count(*) from orders where created_at > now()";
        assert_eq!(world.number(to_come).await, 0);

        interrupted_import(&world).await;
        assert_eq!(world.number(to_come).await, 7);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        // They say nothing of how far the import has come.
        let beyond = "select count(*) from sync_order_windows
            where greatest(place, ends_at) > (
                select max(updated_at) + interval '1 microsecond' from orders
                where updated_at <= now())";
        assert_eq!(world.number(beyond).await, 0);
        let third = world.import(json!({})).await;
        assert_eq!((third.calls, third.counts("orders").given()), (0, 0));

        // As an earlier release left it, with nothing else to be read since.
        let earlier = "update sync_order_windows set is_open = false;
            delete from orders where created_at > now()";
        world.client.batch_execute(earlier).await.unwrap();
        world.import(json!({})).await;
        assert_eq!(world.number(to_come).await, 7);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        assert_eq!(world.import(json!({})).await.calls, 0);
    });
}

/// Square gives an order in its window, whatever the order says of its time.
#[test]
fn an_order_is_stored_whatever_it_says_of_its_time() {
    run(async {
        let world = world(30, "500").await;
        let truth = world.account.truth().await;
        let asked = json!({"location_ids": [truth["locations"][0]["id"]]});
        let found = world.account.square(ORDERS, asked).await;
        let at = found["orders"][7]["created_at"].as_str().unwrap();
        let rewrite = json!([{"endpoint": ORDERS, "find": format!("\"created_at\":\"{at}\""),
            "with": "\"created_at\":\"9998-12-31T00:00:00Z\""}]);
        world.account.rewrite(rewrite).await;
        world.import(json!({})).await;
        assert_eq!(world.number("select count(*) from orders").await, 30);
        let odd = "select count(*) from orders where created_at > '9998-01-01'";
        assert_eq!(world.number(odd).await, 1);
    });
}
