//! A first sync, an idle one, and changes of every kind: after each the tables
//! hold what the account holds.

use serde_json::{Value, json};
use shared::account;

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

/// Where each row version of the data tables lies, and what wrote it.
async fn versions(world: &World) -> Vec<String> {
    let mut versions = Vec::new();
    let tables = account::all_tables().into_iter().map(|table| table.name);
    for table in tables.chain(["catalog_inventory_history"]) {
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
        assert_eq!(first.warnings, Vec::<String>::new(), "{first:?}");

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

/// A database without rows, and an account whose counts fill more pages than the one
/// list may have.
async fn unknown() -> World {
    let account = Account::start(json!({
        "locations": 5, "items": 40, "variations": 80, "counts": 300, "orders": 0
    }));
    World::new(account, &[("INVENTORY_BATCH_SIZE", "10")]).await
}

#[test]
fn a_whole_list_of_counts_is_whole_whatever_a_run_is_limited_to() {
    run(async {
        let inventory = json!({"only": ["inventory"]});
        let without_locations = json!({"only": ["catalog", "inventory"]});
        let counts = "select count(*) from catalog_inventory where not is_deleted";
        for (first, then) in [
            (without_locations.clone(), None),
            (inventory.clone(), Some(json!({}))),
            (json!({"only": ["catalog"]}), Some(inventory.clone())),
            (
                json!({"only": ["locations"]}),
                Some(without_locations.clone()),
            ),
            (json!({"only": ["locations", "inventory"]}), Some(json!({}))),
        ] {
            let world = unknown().await;
            world.sync(first.clone()).await;
            if let Some(then) = &then {
                world.sync(then.clone()).await;
            }
            assert_eq!(world.number(counts).await, 300, "{first}");

            // A location that is new to us, and counts of it.
            world
                .account
                .change(json!([{"op": "add_location", "id": "NEW"}]))
                .await;
            let truth = world.account.truth().await;
            let variations = truth["catalog_variations"].as_array().unwrap();
            let recounts: Vec<Value> = variations
                .iter()
                .take(15)
                .map(|variation| {
                    json!({"op": "recount", "id": variation["id"],
                    "location_id": "NEW", "quantity": "4"})
                })
                .collect();
            world.account.change(json!(recounts)).await;
            let before = world.number(counts).await;
            let request = json!({"only": ["inventory"], "reconcile": true});
            let report = world.sync(request).await;
            assert_eq!(report.counts("inventory").quarantined, 0, "{first}");
            assert_eq!(world.number(counts).await, before + 15, "{first}");
            world.sync(json!({})).await;
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_preview_of_counts_alone_shows_what_the_run_does_and_writes_no_row() {
    run(async {
        let world = unknown().await;
        for only in [json!(["catalog", "inventory"]), json!(["inventory"])] {
            let locations = "select count(*) from locations";
            let before = world.number(locations).await;
            let preview = json!({"only": only, "reconcile": true, "dry_run": true});
            let preview = world.sync(preview).await;
            assert_eq!(world.number(locations).await, before, "{only}");
            let report = world.sync(json!({"only": only, "reconcile": true})).await;
            let (shown, found) = (preview.counts("inventory"), report.counts("inventory"));
            assert_eq!(shown, found, "{only}");
            assert!(
                found.created > 0 && found.quarantined == 0,
                "{only}: {found:?}"
            );
            let variation = &world.account.truth().await["catalog_variations"][0]["id"];
            let changes = json!([{"op": "add_location", "id": "NEW"},
                {"op": "recount", "id": variation, "location_id": "NEW", "quantity": "2"}]);
            if before == 0 {
                world.account.change(changes).await;
            }
        }
    });
}

#[test]
fn a_location_that_cannot_be_read_does_not_hide_its_counts() {
    run(async {
        let world = unknown().await;
        world.sync(json!({})).await;
        let location = world.account.truth().await["locations"][1]["id"].clone();
        let broken = json!({"id": location, "name": 5});
        world
            .account
            .change(json!([{"op": "put_raw", "location": broken}]))
            .await;
        let report = world.sync(json!({"reconcile": true})).await;
        assert_eq!(report.counts("inventory").deleted, 0);
        assert_eq!(report.counts("inventory").unchanged, 300);
    });
}
