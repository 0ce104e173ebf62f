//! Rows without a parent and objects that cannot be read: set aside, named,
//! tried again, and never a reason to fail.

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

async fn waiting(world: &World) -> Vec<(String, String)> {
    let rows = world
        .client
        .query(
            "select data_type, object_id from sync_quarantine where resolved_at is null
             order by 1, 2",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn a_count_waits_for_its_variation_and_arrives_with_it() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let location = world
            .client
            .query_one("select id from locations order by id limit 1", &[])
            .await
            .unwrap();
        let location: String = location.get(0);
        world
            .account
            .change(json!([{"op": "put_raw", "inventory_count": {
                "catalog_object_id": "LATER", "catalog_object_type": "ITEM_VARIATION",
                "state": "IN_STOCK", "location_id": location, "quantity": "5",
                "calculated_at": "2026-07-01T01:00:00.12Z"
            }}]))
            .await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("inventory").quarantined, 1);
        assert!(report.warnings[0].contains("sync_quarantine"), "{report:?}");
        let waits = format!("LATER:{location}:IN_STOCK");
        assert_eq!(
            waiting(&world).await,
            [("inventory".to_owned(), waits.clone())]
        );

        // Nothing new, and it goes on waiting.
        world.sync(json!({})).await;
        assert_eq!(waiting(&world).await.len(), 1);

        world
            .account
            .change(json!([{"op": "add_variation", "id": "LATER"}]))
            .await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("variations").created, 1);
        assert_eq!(report.counts("inventory").created, 1);
        assert_eq!(waiting(&world).await, []);
        let arrived = "select count(*) from catalog_inventory where variation_id = 'LATER'";
        assert_eq!(world.number(arrived).await, 1);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_variation_waits_for_its_item_with_its_overrides() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let location = world
            .client
            .query_one("select id from locations order by id limit 1", &[])
            .await
            .unwrap();
        let location: String = location.get(0);
        world
            .account
            .change(json!([{"op": "put_raw", "object": {
                "type": "ITEM_VARIATION", "id": "ORPHAN", "version": 7,
                "item_variation_data": {"item_id": "MISSING", "name": "Large",
                    "location_overrides": [
                        {"location_id": location, "sold_out": true},
                        {"location_id": "NOWHERE"}]}
            }}]))
            .await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("variations").quarantined, 1);
        assert_eq!(
            waiting(&world).await,
            [("variations".to_owned(), "ORPHAN".to_owned())]
        );

        world
            .account
            .change(json!([{"op": "add_item", "id": "MISSING", "variations": 1}]))
            .await;
        world.sync(json!({})).await;
        let overrides = "select count(*) from catalog_variation_overrides where variation_id = 'ORPHAN' and sold_out";
        assert_eq!(world.number(overrides).await, 1);
        assert_eq!(
            waiting(&world).await,
            [(
                "variation_overrides".to_owned(),
                "ORPHAN:NOWHERE".to_owned()
            )]
        );
    });
}

#[test]
fn an_object_that_cannot_be_read_is_set_aside_alone_and_its_row_stays() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let item: String = world
            .client
            .query_one(
                "select id from catalog_items where not is_deleted order by id limit 1",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        world
            .account
            .change(json!([
                {"op": "put_raw", "object": {"type": "ITEM", "id": item, "version": "soon",
                    "item_data": {"name": "Broken"}}},
                {"op": "edit_item", "name": "Beside it", "count": 3}
            ]))
            .await;
        let report = world.sync(json!({"reconcile": true})).await;
        assert_eq!(report.counts("items").quarantined, 1, "{report:?}");
        let live = world
            .client
            .query_one(
                "select not is_deleted from catalog_items where id = $1",
                &[&item],
            )
            .await
            .unwrap();
        assert!(
            live.get::<_, bool>(0),
            "the row of a broken object was deleted"
        );
    });
}

#[test]
fn an_answer_that_is_spoilt_on_its_way_heals_once_it_is_whole() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let rewrite = json!([{"endpoint": "/v2/catalog/search", "find": "\"@1@\"", "with": "17"}]);
        world.account.rewrite(rewrite).await;
        let change = json!([{"op": "edit_item", "name": "@1@"}]);
        world.account.change(change).await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("items").quarantined, 1, "{report:?}");
        world.account.clear_rewrites().await;
        world.sync(json!({"reconcile": true})).await;
        assert_eq!(waiting(&world).await, []);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn u0000_is_removed_with_a_note() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "edit_item", "name": "zero\u{0}byte"}]))
            .await;
        let report = world.sync(json!({})).await;
        assert!(
            report.notes.iter().any(|text| text.contains("U+0000")),
            "{report:?}"
        );
        assert_eq!(report.warnings, Vec::<String>::new(), "{report:?}");
        let cleaned = "select count(*) from catalog_items where name = 'zerobyte'";
        assert_eq!(world.number(cleaned).await, 1);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_count_from_the_future_hides_none_of_the_present() {
    run(async {
        let sizes = json!({"locations": 2, "items": 3, "variations": 4, "counts": 6, "orders": 0,
            "now": jiff::Timestamp::now().to_string()});
        let world = World::new(Account::start(sizes), &[]).await;
        world.sync(json!({})).await;
        let row = "select variation_id, location_id, state from catalog_inventory limit 1";
        let row = world.client.query_one(row, &[]).await.unwrap();
        let [variation, location, state]: [String; 3] = [0, 1, 2].map(|at| row.get(at));
        let count = json!({"catalog_object_id": variation, "catalog_object_type": "ITEM_VARIATION",
            "location_id": location, "state": state, "quantity": "7",
            "calculated_at": "2100-01-01T00:00:00Z"});
        let change = json!([{"op": "put_raw", "count": count}]);
        world.account.change(change).await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "sell", "count": 2}]))
            .await;
        let report = world.sync(json!({})).await;
        assert!(report.counts("inventory").updated >= 1, "{report:?}");
        tables::assert_equal_truth(&world.client, &world.account).await;
        let ahead = "select count(*) from sync_watermarks where position > now()";
        assert_eq!(world.number(ahead).await, 0);
    });
}

#[test]
fn a_sku_of_any_length_is_stored_whole_and_found() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        // Letters that no compression makes short.
        let noise = |salt: u64, length: usize| {
            let mut state = 88_172_645_463_325_252_u64 ^ salt;
            let letters = (0..length).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                char::from(b'a' + u8::try_from(state % 26).unwrap())
            });
            letters.collect::<String>()
        };
        let skus = [2_000, 4_000, 10_000, 300_000]
            .map(|length| noise(length, usize::try_from(length).unwrap()));
        let variations: Vec<Value> = world
            .client
            .query("select id from catalog_variations order by id limit 4", &[])
            .await
            .unwrap()
            .iter()
            .map(|row| json!(row.get::<_, String>(0)))
            .collect();
        let edits = variations.iter().zip(&skus);
        let edits: Vec<Value> = edits
            .map(|(id, sku)| json!({"op": "edit_variation", "id": id, "sku": sku}))
            .collect();
        world.account.change(json!(edits)).await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("variations").quarantined, 0, "{report:?}");
        for (id, sku) in variations.iter().zip(&skus) {
            let found = "select id from catalog_variations where sku = $1";
            let row = world.client.query_one(found, &[sku]).await.unwrap();
            assert_eq!(json!(row.get::<_, String>(0)), *id);
        }
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

/// Sets an object aside as a release did that could not read it.
async fn set_aside(world: &World, data_type: &str, object_id: &str, payload: &Value) {
    world
        .client
        .execute(
            "insert into sync_quarantine
                 (data_type, object_id, reason, payload, replayable, run_id)
             values ($1, $2, 'Cannot be read: a new field.', $3, false, 'earlier')",
            &[&data_type, &object_id, payload],
        )
        .await
        .unwrap();
}

#[test]
fn what_an_earlier_release_could_not_read_is_tried_by_every_run() {
    run(async {
        let account = Account::start(json!({"locations": 2, "categories": 2, "items": 4,
            "variations": 6, "counts": 6, "orders": 40}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let take = |table: &'static str| {
            let client = &world.client;
            async move {
                let sql = format!("delete from {table} returning id, raw");
                let rows = client.query(&sql, &[]).await.unwrap();
                rows.iter()
                    .map(|row| (row.get(0), row.get(1)))
                    .collect::<Vec<(String, Value)>>()
            }
        };
        // By fresh orders, by an import and by a migration; and a thousand that never
        // fit hide none.
        for number in 0..1_001 {
            let never = json!({"id": 7, "number": number});
            set_aside(&world, "orders", &format!("never-{number}"), &never).await;
        }
        for way in ["fresh", "import", "migration"] {
            for (id, order) in take("orders").await {
                set_aside(&world, "orders", &id, &order).await;
            }
            match way {
                "fresh" => {
                    world.sync(json!({"only": ["orders"]})).await;
                }
                "import" => {
                    world.import(json!({})).await;
                }
                _ => {
                    let report = world.migrate("migration-of-what-waits").await;
                    assert_eq!(report.error, None, "{report:?}");
                }
            }
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
            let waiting = "select count(*) from sync_quarantine where resolved_at is null";
            assert_eq!(world.number(waiting).await, 1_001, "{way}");
        }
    });
}

#[test]
fn catalog_objects_and_counts_that_become_readable_come_with_the_next_delta() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let sql = "select id from locations order by id limit 1";
        let location: String = world.client.query_one(sql, &[]).await.unwrap().get(0);
        for (data_type, id, payload) in [
            (
                "categories",
                "C-LATE",
                json!({"type": "CATEGORY", "id": "C-LATE", "version": 1,
                "category_data": {"name": "Late"}}),
            ),
            (
                "items",
                "I-LATE",
                json!({"type": "ITEM", "id": "I-LATE", "version": 1,
                "item_data": {"name": "Late", "variations": [{"type": "ITEM_VARIATION",
                    "id": "V-LATE", "version": 1, "item_variation_data": {"sku": "late"}}]}}),
            ),
            (
                "inventory",
                "V-LATE:L:IN_STOCK",
                json!({"catalog_object_id": "V-LATE",
                "location_id": location, "state": "IN_STOCK", "quantity": "2"}),
            ),
        ] {
            set_aside(&world, data_type, id, &payload).await;
        }
        let report = world.sync(json!({})).await;
        for data_type in ["categories", "items", "variations", "inventory"] {
            assert_eq!(
                report.counts(data_type).created,
                1,
                "{data_type}: {report:?}"
            );
        }
        let late = "select count(*) from catalog_inventory c
            join catalog_variations v on v.id = c.variation_id
            join catalog_items i on i.id = v.item_id
            where i.id = 'I-LATE' and v.sku = 'late' and c.quantity = 2";
        assert_eq!(world.number(late).await, 1);
    });
}

#[test]
fn orders_of_a_location_that_cannot_be_read_are_asked_for_and_wait_for_it() {
    run(async {
        let account = Account::start(json!({"locations": 2, "categories": 1, "items": 2,
            "variations": 2, "counts": 2, "orders": 30}));
        let world = World::new(account, &[]).await;
        let listed = world.account.square("/v2/locations", Value::Null).await;
        let name = listed["locations"][0]["name"].to_string();
        let spoil = json!([{"endpoint": "/v2/locations", "find": format!("\"name\":{name}"),
            "with": "\"name\":7"}]);
        world.account.rewrite(spoil).await;
        let report = world.import(json!({})).await;
        assert!(report.counts("orders").quarantined > 0, "{report:?}");
        let told = report
            .warnings
            .iter()
            .any(|text| text.contains("sync_quarantine"));
        assert!(told, "{report:?}");
        let reason = "select count(*) from sync_quarantine where data_type = 'locations'
            and reason like 'Cannot be read: name%' and resolved_at is null";
        assert_eq!(world.number(reason).await, 1);

        world.account.clear_rewrites().await;
        world.sync(json!({"only": ["locations", "orders"]})).await;
        assert_eq!(waiting(&world).await, []);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

/// An order that came without its id waits until it comes with it, and no longer; its
/// older copy does not stand for it.
#[test]
fn an_order_without_its_id_waits_for_the_one_that_has_it() {
    run(async {
        for spoil in [r#""id":7"#, r#""id":"""#, r#""no_id":0"#] {
            for is_new in [true, false] {
                let account = Account::start(json!({"locations": 2, "categories": 1, "items": 2,
                    "variations": 2, "counts": 2, "orders": 40}));
                let world = World::new(account, &[("ORDERS_BATCH_SIZE", "10")]).await;
                let fresh = json!({"only": ["locations", "orders"]});
                let change = |change: Value| world.account.change(json!([change]));
                let id = if is_new {
                    world.import(json!({})).await;
                    change(json!({"op": "add_order"})).await;
                    let added = "select id from orders order by created_at desc limit 1";
                    let other = World::beside(&world).await;
                    other.import(json!({})).await;
                    other.client.query_one(added, &[]).await.unwrap().get(0)
                } else {
                    world.import(json!({})).await;
                    let one = "select id from orders order by id limit 1";
                    let id: String = world.client.query_one(one, &[]).await.unwrap().get(0);
                    change(json!({"op": "edit_order", "id": id, "set": {"note": "Later"}})).await;
                    id
                };
                let find = format!("\"id\":\"{id}\"");
                let spoilt =
                    json!([{"endpoint": "/v2/orders/search", "find": find, "with": spoil}]);
                world.account.rewrite(spoilt).await;
                let report = world.sync(fresh.clone()).await;
                assert_eq!(
                    report.counts("orders").quarantined,
                    1,
                    "{spoil}: {report:?}"
                );
                // Again, and beside orders that came whole.
                world.sync(fresh.clone()).await;
                change(json!({"op": "add_order", "count": 3})).await;
                world.sync(fresh.clone()).await;
                assert_eq!(waiting(&world).await.len(), 1, "{spoil} {is_new}");

                world.account.clear_rewrites().await;
                world
                    .sync(json!({"only": ["locations", "orders"], "reconcile": true}))
                    .await;
                assert_eq!(waiting(&world).await, [], "{spoil} {is_new}");
                tables::assert_orders_equal_truth(&world.client, &world.account).await;
            }
        }
    });
}

async fn put_order(world: &World, order: &Value, updated_at: &str, quantity: Value) {
    let mut order = order.clone();
    order["updated_at"] = json!(updated_at);
    order["line_items"] = json!([{"uid": "L", "quantity": quantity}]);
    world
        .account
        .change(json!([{"op": "put_raw", "order": order}]))
        .await;
}

/// Lagging replicas of Square's give older copies, which the table has outgrown.
#[test]
fn an_older_copy_closes_no_newer_order_that_waits() {
    run(async {
        let account = Account::start(json!({"locations": 1, "categories": 1, "items": 2,
            "variations": 2, "counts": 2, "orders": 20}));
        let world = World::new(account, &[]).await;
        world.import(json!({})).await;
        let truth = world.account.truth().await;
        let location = &truth["locations"][0]["id"];
        let order = json!({"id": "O", "location_id": location, "state": "OPEN",
            "created_at": "2026-06-01T00:00:00Z"});
        let (oldest, older, newest) = (
            "2026-06-01T00:00:00Z",
            "2026-06-01T01:00:00Z",
            "2026-06-01T02:00:00Z",
        );
        let all = json!({"only": ["locations", "orders"], "reconcile": true});
        // As if each had just been changed: so it is asked for.
        let sync = async || {
            let back = "update sync_watermarks set position = '2026-05-30', settled = false
                where list like 'orders:%'";
            world.client.batch_execute(back).await.unwrap();
            world.sync(all.clone()).await
        };
        put_order(&world, &order, older, json!("1")).await;
        sync().await;
        put_order(&world, &order, newest, json!(7)).await;
        sync().await;
        assert_eq!(waiting(&world).await.len(), 1);
        put_order(&world, &order, oldest, json!("1")).await;
        sync().await;
        assert_eq!(waiting(&world).await.len(), 1);
        put_order(&world, &order, newest, json!("2")).await;
        let report = sync().await;
        assert_eq!(waiting(&world).await, [], "{report:?}");
    });
}

#[test]
fn an_older_count_closes_no_newer_one_that_waits() {
    run(async {
        for request in [json!({}), json!({"reconcile": true})] {
            let world = World::small().await;
            world.sync(json!({})).await;
            let sql = "select variation_id, location_id from catalog_inventory
                where not is_deleted and state = 'IN_STOCK' order by 1, 2 limit 1";
            let row = world.client.query_one(sql, &[]).await.unwrap();
            let (id, location): (String, String) = (row.get(0), row.get(1));
            let put = async |calculated_at: &str, quantity: Value| {
                let change = json!([{"op": "put_raw", "inventory_count": {
                    "catalog_object_id": id, "catalog_object_type": "ITEM_VARIATION",
                    "state": "IN_STOCK", "location_id": location, "quantity": quantity,
                    "calculated_at": calculated_at}}]);
                world.account.change(change).await;
                let back = "update sync_watermarks set position = '2026-01-01'
                    where list = 'inventory'";
                world.client.batch_execute(back).await.unwrap();
                world.sync(request.clone()).await;
                waiting(&world).await.len()
            };
            assert_eq!(
                put("2026-11-01T10:00:00Z", json!("3")).await,
                0,
                "{request}"
            );
            assert_eq!(
                put("2026-11-01T12:00:00.5Z", json!(5)).await,
                1,
                "{request}"
            );
            assert_eq!(
                put("2026-11-01T12:00:00.49Z", json!("4")).await,
                1,
                "{request}"
            );
            assert_eq!(
                put("2026-11-01T12:00:00.50Z", json!("5")).await,
                0,
                "{request}"
            );
        }
    });
}

/// What PostgreSQL refuses waits on: it was given once.
#[test]
fn an_order_that_waits_is_counted_by_the_run_that_it_came_in() {
    run(async {
        let account = Account::start(json!({"locations": 1, "categories": 1, "items": 2,
            "variations": 2, "counts": 2, "orders": 10}));
        let world = World::new(account, &[]).await;
        let truth = world.account.truth().await;
        let location = &truth["locations"][0]["id"];
        let order = json!({"id": "O", "location_id": location, "state": "OPEN", "new": "@N@",
            "created_at": "2026-06-01T00:00:00Z"});
        world
            .account
            .rewrite(json!([{"endpoint": "/v2/orders/search", "find": "\"@N@\"",
                "with": "1e400000"}]))
            .await;
        put_order(&world, &order, "2026-06-01T00:00:00Z", json!("1")).await;
        let report = world.import(json!({})).await;
        assert_eq!(report.counts("orders").quarantined, 1, "{report:?}");
        let import = world.import(json!({})).await;
        assert_eq!(import.counts("orders").given(), 0, "{import:?}");

        // It has its id, though PostgreSQL keeps it as text: no other stands for it.
        let other = json!({"id": "P", "location_id": location, "state": "OPEN",
            "created_at": "2026-06-01T00:00:00Z", "updated_at": "2026-06-01T00:00:00Z"});
        world
            .account
            .change(json!([{"op": "put_raw", "order": other}]))
            .await;
        let back = "delete from sync_order_windows; update sync_watermarks
            set position = '2026-05-30' where list like 'orders:%'";
        world.client.batch_execute(back).await.unwrap();
        world.import(json!({})).await;
        assert_eq!(
            waiting(&world).await,
            [("orders".to_owned(), "O".to_owned())]
        );
    });
}
