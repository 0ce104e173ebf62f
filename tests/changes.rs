//! A first sync, an idle one, and changes of every kind: after each the tables
//! hold what the account holds.

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

/// Where each row version of the data tables lies, and what wrote it.
async fn versions(world: &World) -> Vec<String> {
    let mut versions = Vec::new();
    for table in [
        "locations",
        "catalog_categories",
        "catalog_items",
        "catalog_item_categories",
        "catalog_variations",
        "catalog_variation_overrides",
        "catalog_inventory",
        "catalog_inventory_history",
    ] {
        // A row lock alone would show in xmax.
        let sql = format!(
            "select md5(string_agg(concat(ctid, ':', xmin, ':', xmax), ',' order by ctid)) from {table}"
        );
        versions.push(world.client.query_one(&sql, &[]).await.unwrap().get(0));
    }
    versions
}

#[test]
fn a_first_sync_brings_the_account_and_an_idle_one_nothing() {
    run(async {
        let world = World::new(Account::start(json!({"orders": 0})), &[]).await;
        let first = world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        assert_eq!(first.steps["catalog"].scope, "reconcile");
        let expected = |text: &String| text.contains("U+0000");
        assert!(first.warnings.iter().all(expected), "{first:?}");

        let before = versions(&world).await;
        world.account.clear_counters().await;
        let idle = world.sync(json!({})).await;
        assert_eq!(world.account.requests().await, 4);
        let totals = idle.totals.unwrap();
        assert_eq!((totals.created, totals.updated, totals.deleted), (0, 0, 0));
        assert_eq!(versions(&world).await, before);
    });
}

#[test]
fn every_kind_of_change_arrives_by_delta() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        for change in [
            json!({"op": "add_item", "variations": 3, "quantity": "5"}),
            json!({"op": "edit_item", "name": "Renamed ☕"}),
            json!({"op": "delete_item"}),
            json!({"op": "delete_item", "cascade_tombstones": false}),
            json!({"op": "move_item"}),
            json!({"op": "add_variation", "price_amount": 9_000_000_000_i64}),
            json!({"op": "edit_variation", "price_amount": 1, "bump_item": false}),
            json!({"op": "delete_variation"}),
            json!({"op": "delete_variation", "bump_item": false}),
            json!({"op": "add_category"}),
            json!({"op": "edit_category", "name": "Seasonal"}),
            json!({"op": "delete_category"}),
            json!({"op": "add_location"}),
            json!({"op": "edit_location", "name": "Corner shop"}),
            json!({"op": "deactivate_location"}),
            json!({"op": "sell", "quantity": "2.5"}),
            json!({"op": "recount", "quantity": "-1.50000"}),
            json!({"op": "restock"}),
        ] {
            world.account.change(json!([change])).await;
            let report = world.sync(json!({})).await;
            assert_eq!(report.steps["catalog"].scope, "delta", "{change}");
            let totals = report.totals.unwrap();
            let changed = totals.created + totals.updated + totals.deleted;
            assert!(changed > 0, "{change} changed nothing: {report:?}");
            assert_eq!(report.warnings, Vec::<String>::new(), "{change}");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn many_changes_at_once_arrive_by_delta() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([
                {"op": "add_category", "count": 2},
                {"op": "add_item", "count": 5, "variations": 2, "quantity": "1"},
                {"op": "edit_item", "count": 4, "description": "x"},
                {"op": "delete_item", "count": 3},
                {"op": "edit_variation", "count": 6, "sku": "S-1"},
                {"op": "sell", "times": 20},
                {"op": "recount", "times": 5, "quantity": "7.00001"}
            ]))
            .await;
        world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn what_vanished_without_a_tombstone_is_marked_by_a_reconcile() {
    run(async {
        // Large enough for the counts to be listed location by location.
        let sizes = json!({"locations": 8, "items": 30, "variations": 60, "orders": 0});
        let world = World::new(Account::start(sizes), &[("INVENTORY_BATCH_SIZE", "100")]).await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([
                {"op": "delete_silently", "type": "ITEM"},
                {"op": "delete_silently", "type": "CATEGORY"},
                {"op": "remove_location", "drop_counts": true}
            ]))
            .await;
        let report = world.sync(json!({"reconcile": true})).await;
        assert_eq!(report.steps["catalog"].scope, "reconcile");
        assert_eq!(report.counts("items").deleted, 1);
        assert_eq!(report.counts("categories").deleted, 1);
        assert_eq!(report.counts("locations").deleted, 1);
        tables::assert_equal_truth(&world.client, &world.account).await;

        let again = world.sync(json!({"reconcile": true})).await.totals.unwrap();
        assert_eq!((again.created, again.updated, again.deleted), (0, 0, 0));
    });
}

#[test]
fn a_large_account_is_listed_location_by_location_at_once() {
    run(async {
        const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";
        let account = Account::start(json!({
            "locations": 4, "items": 40, "variations": 80, "counts": 300, "orders": 0
        }));
        let world = World::new(account, &[("INVENTORY_BATCH_SIZE", "10")]).await;
        let requests = async |request: Value| {
            world.account.clear_counters().await;
            let report = world.sync(request).await;
            tables::assert_equal_truth(&world.client, &world.account).await;
            assert_eq!(report.steps["inventory"].scope, "reconcile");
            world.account.requests_to(COUNTS).await
        };
        let first = requests(json!({})).await;
        // The ten pages of the one list are not asked for again; nor in a refresh.
        let again = requests(json!({"reconcile": true})).await;
        assert!(again <= first - 10, "{again} requests, after {first}");
        world
            .account
            .change_later(json!({
                "when": {"endpoint": COUNTS, "request": again / 2},
                "changes": [{"op": "recount", "times": 20}]
            }))
            .await;
        let changing = requests(json!({"reconcile": true})).await;
        assert!(changing <= again + 5, "{changing} requests, after {again}");
    });
}

#[test]
fn only_syncs_what_it_names() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "edit_item", "name": "later"}, {"op": "sell"}]))
            .await;
        let report = world.sync(json!({"only": ["inventory"]})).await;
        assert_eq!(report.steps.keys().collect::<Vec<_>>(), ["inventory"]);
        assert_eq!(
            world
                .number("select count(*) from catalog_items where name = 'later'")
                .await,
            0
        );
        world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn changes_while_pages_are_read_are_neither_lost_nor_doubled() {
    run(async {
        let account = Account::start(json!({
            "locations": 3, "items": 40, "variations": 80, "counts": 240, "orders": 0
        }));
        let world = World::new(
            account,
            &[("CATALOG_BATCH_SIZE", "10"), ("INVENTORY_BATCH_SIZE", "10")],
        )
        .await;
        for (endpoint, request) in [
            ("/v2/catalog/search", 3),
            ("/v2/catalog/search", 6),
            ("/v2/inventory/counts/batch-retrieve", 4),
            ("/v2/inventory/counts/batch-retrieve", 14),
        ] {
            world
                .account
                .change_later(json!({
                    "when": {"endpoint": endpoint, "request": request},
                    "changes": [
                        {"op": "edit_item", "count": 5, "name": "while reading"},
                        {"op": "delete_variation", "count": 2},
                        {"op": "sell", "times": 10}
                    ]
                }))
                .await;
        }
        world.sync(json!({})).await;
        world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn every_quantity_seen_is_in_the_history() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let first = world
            .number("select count(*) from catalog_inventory_history")
            .await;
        assert_eq!(
            first,
            world.number("select count(*) from catalog_inventory").await
        );
        for quantity in ["4", "3", "3.5"] {
            let change = json!([{"op": "recount", "quantity": quantity}]);
            world.account.change(change).await;
            world.sync(json!({"only": ["inventory"]})).await;
        }
        let now = world
            .number("select count(*) from catalog_inventory_history")
            .await;
        assert_eq!(now, first + 3);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}
