//! Deletion needs a reason: a tombstone, a direct question, or an absence that
//! nothing in the same listing contradicts.

use serde_json::{Value, json};
use shared::account;

use crate::support::account::Account;
use crate::support::run::{Report, World};
use crate::support::{run, tables};

const LOCATIONS: &str = "/v2/locations";
const CATALOG: &str = "/v2/catalog/search";
const AGAIN: &str = "/v2/catalog/batch-retrieve";
const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";

async fn small() -> World {
    let settings = [("CATALOG_BATCH_SIZE", "10"), ("INVENTORY_BATCH_SIZE", "20")];
    let world = World::new(Account::small(), &settings).await;
    world.sync(json!({})).await;
    world
}

/// The first live object of a table, by its id.
async fn first(world: &World, table: &str) -> String {
    let sql = format!("select id from {table} where not is_deleted order by id limit 1");
    world.client.query_one(&sql, &[]).await.unwrap().get(0)
}

/// Rows that live, of all tables.
async fn live(world: &World) -> Vec<i64> {
    let mut live = Vec::new();
    for table in account::objects() {
        let (name, lives) = (table.name, table.lives("t"));
        let sql = format!("select count(*) from {name} t where {lives}");
        live.push(world.number(&sql).await);
    }
    live
}

fn deleted(report: &Report) -> i64 {
    account::objects()
        .iter()
        .map(|table| report.counts(table.data_type).deleted)
        .sum()
}

#[test]
fn an_object_that_slips_between_two_pages_lives_on() {
    run(async {
        for (table, request) in [
            ("catalog_categories", json!({"reconcile": true})),
            ("catalog_items", json!({"reconcile": true})),
            ("catalog_variations", json!({"reconcile": true})),
            ("catalog_items", json!({"full_refresh": true})),
            ("catalog_variations", json!({"full_refresh": true})),
            ("catalog_items", json!({"reconcile": true, "dry_run": true})),
        ] {
            let world = small().await;
            let before = live(&world).await;
            let id = first(&world, table).await;
            world
                .account
                .faults(json!([{"endpoint": CATALOG, "kind": "skip", "id": id}]))
                .await;
            world.account.clear_counters().await;
            let report = world.sync(request.clone()).await;
            assert_eq!(live(&world).await, before, "{table} {request}");
            if request["full_refresh"].is_null() {
                assert_eq!(deleted(&report), 0, "{table} {request}: {report:?}");
            }
            // Variations come inside of their items as well.
            let asked = world.account.requests_to(AGAIN).await;
            assert_eq!(
                asked,
                u64::from(table != "catalog_variations"),
                "{table} {request}"
            );
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_count_that_slips_between_two_pages_lives_on() {
    run(async {
        for request in [json!({"reconcile": true}), json!({"full_refresh": true})] {
            let world = small().await;
            let before = live(&world).await;
            let sql = "select variation_id, location_id from catalog_inventory
                where not is_deleted order by 1, 2 limit 1";
            let row = world.client.query_one(sql, &[]).await.unwrap();
            let (id, location): (String, String) = (row.get(0), row.get(1));
            world
                .account
                .faults(json!([{"endpoint": COUNTS, "kind": "skip", "id": id,
                    "location_id": location, "request": 1, "times": 11}]))
                .await;
            world.sync(request.clone()).await;
            assert_eq!(live(&world).await, before, "{request}");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn what_square_no_longer_knows_is_marked() {
    run(async {
        for kind in ["CATEGORY", "ITEM", "ITEM_VARIATION"] {
            let world = small().await;
            world
                .account
                .change(json!([{"op": "delete_silently", "type": kind, "count": 1}]))
                .await;
            world.account.clear_counters().await;
            let report = world.sync(json!({"reconcile": true})).await;
            assert!(deleted(&report) > 0, "{kind}: {report:?}");
            assert!(world.account.requests_to(AGAIN).await > 0, "{kind}");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_question_that_square_refuses_leaves_the_listing_to_decide() {
    run(async {
        let world = small().await;
        let change = json!([{"op": "delete_silently", "type": "ITEM", "count": 1}]);
        world.account.change(change).await;
        let fault = json!([{"endpoint": AGAIN, "kind": "status", "status": 404}]);
        world.account.faults(fault).await;
        let report = world.sync(json!({"reconcile": true})).await;
        assert_eq!(report.counts("items").deleted, 1, "{report:?}");
        tables::assert_equal_truth(&world.client, &world.account).await;

        // Nor does it decide against what the listing itself shows.
        let id = first(&world, "catalog_items").await;
        world
            .account
            .faults(json!([{"endpoint": CATALOG, "kind": "skip", "id": id}]))
            .await;
        let before = live(&world).await;
        world.sync(json!({"reconcile": true})).await;
        assert_eq!(live(&world).await, before);
    });
}

/// A dozen locations and some forty items.
async fn forty() -> World {
    let account = Account::start(json!({"locations": 12, "categories": 8, "items": 40,
        "variations": 40, "counts": 45, "orders": 0}));
    let world = World::new(account, &[]).await;
    world.sync(json!({})).await;
    world
}

#[test]
fn an_account_that_suddenly_looks_empty_is_not_believed() {
    run(async {
        let world = forty().await;
        let before = live(&world).await;
        for (endpoint, name, step) in [
            ("*", "SquareMalformed", "locations"),
            (LOCATIONS, "SquareMalformed", "locations"),
            (CATALOG, "DeletionGuard", "catalog"),
            (COUNTS, "DeletionGuard", "inventory"),
        ] {
            for request in [json!({"reconcile": true}), json!({"full_refresh": true})] {
                let endpoints = if endpoint == "*" {
                    vec![LOCATIONS, CATALOG, COUNTS]
                } else {
                    vec![endpoint]
                };
                let faults: Vec<Value> = endpoints
                    .iter()
                    .map(|endpoint| json!({"endpoint": endpoint, "kind": "nothing"}))
                    .collect();
                world.account.faults(json!(faults)).await;
                let (found, report) = world.fail(request.clone()).await;
                assert_eq!(found, name, "{endpoint} {request}");
                let error = report.error.unwrap();
                let refused_late = name == "DeletionGuard" && request["full_refresh"] == true;
                let step = if refused_late { "publish" } else { step };
                assert_eq!(error.step, step, "{endpoint} {request}: {error:?}");
                assert_eq!(live(&world).await, before, "{endpoint} {request}");
                world.account.clear_faults().await;
            }
        }
        world.sync(json!({"reconcile": true})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_tiny_table_may_lose_its_last_rows() {
    run(async {
        let account = Account::start(json!({"locations": 2, "categories": 2, "items": 3,
            "variations": 3, "counts": 3, "orders": 0}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let change = json!([{"op": "delete_silently", "type": "ITEM", "count": 3}]);
        world.account.change(change).await;
        world.sync(json!({"reconcile": true})).await;
        assert_eq!(
            world
                .number("select count(*) from catalog_items where not is_deleted")
                .await,
            0
        );

        // And by tombstones a larger one, too.
        let world = forty().await;
        let rows = world
            .client
            .query("select id from catalog_items where not is_deleted", &[]);
        let deletions: Vec<Value> = rows
            .await
            .unwrap()
            .iter()
            .map(|row| json!({"op": "delete_item", "id": row.get::<_, String>(0)}))
            .collect();
        world.account.change(json!(deletions)).await;
        world.sync(json!({"reconcile": true})).await;
        assert_eq!(
            world
                .number("select count(*) from catalog_items where not is_deleted")
                .await,
            0
        );
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn what_comes_without_its_id_leaves_open_what_is_gone() {
    run(async {
        for (endpoint, find) in [
            (LOCATIONS, "locations"),
            (CATALOG, "catalog_items"),
            (CATALOG, "catalog_variations"),
        ] {
            let world = small().await;
            let sql = format!("select id from {find} order by id limit 1");
            let id: String = world.client.query_one(&sql, &[]).await.unwrap().get(0);
            let before = live(&world).await;
            world
                .account
                .rewrite(json!([{"endpoint": endpoint, "find": format!("\"id\":\"{id}\""), "with": "\"id\":7"}]))
                .await;
            // Something else is gone for good, but that cannot be told now.
            if find != "locations" {
                let change = json!([{"op": "delete_silently", "type": "CATEGORY", "count": 1}]);
                world.account.change(change).await;
            }
            let fault = json!([{"endpoint": AGAIN, "kind": "status", "status": 404}]);
            world.account.faults(fault).await;
            let report = world.sync(json!({"reconcile": true})).await;
            assert_eq!(live(&world).await, before, "{find}: {report:?}");
            let told = report
                .warnings
                .iter()
                .any(|text| text.contains("without an id"));
            assert!(told, "{find}: {report:?}");
            world.account.clear_rewrites().await;
            world.sync(json!({"reconcile": true})).await;
            let waiting = "select count(*) from sync_quarantine where resolved_at is null";
            assert_eq!(world.number(waiting).await, 0, "{find}");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn an_outdated_copy_of_an_item_has_no_effect() {
    run(async {
        let world = small().await;
        let item = first(&world, "catalog_items").await;
        let add = json!([{"op": "add_variation", "item_id": item, "quantity": "5"}]);
        world.account.change(add).await;
        let edit = json!([{"op": "edit_item", "id": item, "name": "Newer"}]);
        world.account.change(edit).await;
        world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        let before = live(&world).await;
        let stale = json!([{"op": "serve_stale", "id": item}]);
        world.account.change(stale).await;
        // Once more from before the change, as a lagging replica would.
        world
            .client
            .batch_execute(
                "update sync_watermarks set position = position - interval '1 hour'
                 where list = 'catalog'",
            )
            .await
            .unwrap();
        let report = world.sync(json!({})).await;
        assert_eq!(deleted(&report), 0, "{report:?}");
        assert_eq!(live(&world).await, before);
        let newer =
            format!("select count(*) from catalog_items where id = '{item}' and name = 'Newer'");
        assert_eq!(world.number(&newer).await, 1);
    });
}

#[test]
fn the_newest_word_counts_whichever_object_it_stands_in() {
    run(async {
        for request in [json!({"reconcile": true}), json!({"full_refresh": true})] {
            // At pages of the three lists that are read side by side, and after them.
            for page in [1, 4, 7, 10, 12] {
                let world = small().await;
                let sql = "select item_id, min(id) from catalog_variations where not is_deleted
                    group by 1 having count(*) > 1 order by 1 limit 1";
                let row = world.client.query_one(sql, &[]).await.unwrap();
                let (item, variation): (String, String) = (row.get(0), row.get(1));
                // It leaves its item, without a tombstone of its own.
                world
                    .account
                    .change_later(
                        json!({"when": {"endpoint": CATALOG, "request": page}, "changes": [
                            {"op": "delete_silently", "type": "ITEM_VARIATION", "id": variation},
                            {"op": "edit_item", "id": item, "name": "With one less"}
                        ]}),
                    )
                    .await;
                world.sync(request.clone()).await;
                world.sync(json!({})).await;
                tables::assert_equal_truth(&world.client, &world.account).await;
            }
        }
    });
}

#[test]
fn a_variation_that_came_back_outweighs_an_older_item() {
    run(async {
        for page in [1, 5, 9, 12] {
            let world = small().await;
            let item = first(&world, "catalog_items").await;
            world
                .account
                .change_later(
                    json!({"when": {"endpoint": CATALOG, "request": page}, "changes": [
                        {"op": "add_variation", "item_id": item, "quantity": "1"},
                        {"op": "edit_variation", "name": "Later"}
                    ]}),
                )
                .await;
            world.sync(json!({"reconcile": true})).await;
            world.sync(json!({})).await;
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn counts_of_items_are_passed_over() {
    run(async {
        let world = small().await;
        let row = world.client.query_one("select min(id) from locations", &[]);
        let location: String = row.await.unwrap().get(0);
        let item = first(&world, "catalog_items").await;
        world
            .account
            .change(json!([{"op": "put_raw", "inventory_count": {
                "catalog_object_id": item, "catalog_object_type": "ITEM", "location_id": location,
                "state": "IN_STOCK", "quantity": "3"}}]))
            .await;
        for request in [json!({}), json!({"reconcile": true})] {
            let report = world.sync(request).await;
            assert_eq!(report.counts("inventory").quarantined, 0, "{report:?}");
        }
        let waiting = "select count(*) from sync_quarantine where resolved_at is null";
        assert_eq!(world.number(waiting).await, 0);
    });
}
