//! Drift: rows that are not as Square has them although no change is outstanding. A whole
//! listing and a look-back find them, tell of them and heal them, and a delta's own work
//! is never taken for it.

use serde_json::{Value, json};
use shared::run::stats::Drift;

use crate::support::account::Account;
use crate::support::run::{Report, World};
use crate::support::{run, tables};

fn drift(created: i64, updated: i64, deleted: i64) -> Option<Drift> {
    Some(Drift {
        created,
        updated,
        deleted,
    })
}

/// The types of data of which a run says that they have drifted, with its warnings.
fn drifted(report: &Report) -> Vec<(String, Drift)> {
    let steps = report.steps.values();
    let stats = steps.flat_map(|step| step.stats.clone());
    let drifted = stats.filter_map(|(data_type, counts)| Some((data_type, counts.drift?)));
    drifted.filter(|(_, drift)| drift.total() > 0).collect()
}

/// Changes rows by hand, none of which was changed lately; returns their ids.
async fn scramble(world: &World, sql: &str) -> Vec<String> {
    let rows = world.client.query(sql, &[]).await.unwrap();
    assert!(!rows.is_empty(), "{sql}");
    rows.iter().map(|row| row.get(0)).collect()
}

/// A world of which everything was listed once.
async fn world() -> World {
    let world = World::small().await;
    world.sync(json!({})).await;
    world
}

#[test]
fn a_row_changed_by_hand_is_found_told_and_healed() {
    run(async {
        for (data_type, expected, sql) in [
            (
                "categories",
                drift(0, 1, 0),
                "update catalog_categories set name = 'by hand' where id = (
                     select id from catalog_categories where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "categories",
                drift(1, 0, 0),
                "delete from catalog_categories where id = (
                     select id from catalog_categories where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "items",
                drift(0, 1, 0),
                "update catalog_items set is_deleted = true, deleted_at = now() where id = (
                     select id from catalog_items where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "items",
                drift(0, 1, 0),
                "delete from catalog_item_categories where item_id = (
                     select i.id from catalog_items i join catalog_item_categories c
                     on c.item_id = i.id where not is_deleted order by updated_at limit 1)
                 returning item_id",
            ),
            (
                "variations",
                drift(0, 1, 0),
                "update catalog_variations set price_amount = 123, sku = 'by hand' where id = (
                     select id from catalog_variations where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "variations",
                drift(0, 1, 0),
                "insert into catalog_variation_overrides (variation_id, location_id, sold_out,
                     first_synced_at, last_changed_at, last_changed_by_run)
                 select v.id, l.id, true, now(), now(), 'hand' from catalog_variations v, locations l
                 where not v.is_deleted and not exists (
                     select from catalog_variation_overrides o where o.variation_id = v.id)
                 order by v.updated_at limit 1 returning variation_id",
            ),
            (
                "inventory",
                drift(0, 1, 0),
                "update catalog_inventory set quantity = -7 where ctid = (
                     select ctid from catalog_inventory where not is_deleted
                     order by calculated_at limit 1)
                 returning variation_id || ':' || location_id || ':' || state",
            ),
            (
                "inventory",
                drift(1, 0, 0),
                "delete from catalog_inventory where ctid = (
                     select ctid from catalog_inventory where not is_deleted
                     order by calculated_at limit 1)
                 returning variation_id || ':' || location_id || ':' || state",
            ),
        ] {
            let world = world().await;
            let ids = scramble(&world, sql).await;
            // A delta sees nothing of it.
            let delta = world.sync(json!({})).await;
            assert!(delta.counts(data_type).drift.is_none());

            let preview = json!({"reconcile": true, "dry_run": true});
            let preview = world.sync(preview).await;
            assert_eq!(preview.counts(data_type).drift, expected, "{sql}");
            let report = world.sync(json!({"reconcile": true})).await;
            assert_eq!(report.counts(data_type).drift, expected, "{sql}");
            assert!(preview.warnings.starts_with(&report.warnings), "{preview:?}");
            let warning = report.warnings.iter().find(|text| text.contains(&ids[0]));
            assert!(warning.is_some_and(|text| text.contains(data_type)), "{report:?}");
            tables::assert_equal_truth(&world.client, &world.account).await;

            let again = world.sync(json!({"reconcile": true})).await;
            assert_eq!(drifted(&again), []);
            assert_eq!(again.counts(data_type).drift, drift(0, 0, 0));
            assert_eq!(again.warnings, Vec::<String>::new());
        }
    });
}

#[test]
fn a_tombstone_that_no_delta_has_brought_is_drift() {
    run(async {
        let world = world().await;
        world
            .account
            .change(json!([{"op": "delete_category"}]))
            .await;
        // The delta that should bring it passes over it.
        let pass = "update sync_watermarks set position = '2026-07-02Z',
            settled = true where list = 'catalog'";
        world.client.batch_execute(pass).await.unwrap();
        let delta = world.sync(json!({})).await;
        assert_eq!(delta.counts("categories").deleted, 0);
        let report = world.sync(json!({"reconcile": true})).await;
        assert_eq!(report.counts("categories").drift, drift(0, 0, 1));
        assert_eq!(report.counts("categories").deleted, 1);
        let told = report
            .warnings
            .iter()
            .any(|text| text.contains("(deleted)"));
        assert!(told, "{report:?}");
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn changes_of_any_kind_are_no_drift_however_long_no_delta_ran() {
    run(async {
        let world = world().await;
        for change in [
            json!({"op": "add_item", "variations": 3, "quantity": "5"}),
            json!({"op": "edit_item", "name": "Renamed"}),
            json!({"op": "delete_item"}),
            json!({"op": "move_item"}),
            json!({"op": "edit_variation", "price_amount": 1, "bump_item": false}),
            json!({"op": "delete_variation"}),
            json!({"op": "delete_category"}),
            json!({"op": "add_location"}),
            json!({"op": "sell", "quantity": "2.5"}),
            json!({"op": "restock"}),
        ] {
            world.account.change(json!([change])).await;
            let report = world.sync(json!({"reconcile": true})).await;
            assert_eq!(drifted(&report), [], "{change}");
            assert_eq!(report.warnings, Vec::<String>::new(), "{change}");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn what_a_refresh_a_restore_and_a_migration_leave_is_no_drift() {
    run(async {
        let scrambled = "update catalog_items set name = 'by hand' where not is_deleted;
            update catalog_inventory set quantity = -7 where not is_deleted";
        for event in ["first listing", "refresh", "migration", "restore"] {
            let world = world().await;
            match event {
                "refresh" => drop(world.sync(json!({"full_refresh": true})).await),
                "migration" => drop(world.migrate("migration").await),
                "restore" => {
                    world.sync(json!({"full_refresh": true})).await;
                    let client = &world.client;
                    let sql = "select backup_id from sync_backups order by 1 desc limit 1";
                    let backup: String = client.query_one(sql, &[]).await.unwrap().get(0);
                    world.restore(&backup).await;
                }
                _ => {
                    let forget = "update sync_watermarks set counts_drift = false";
                    world.client.batch_execute(forget).await.unwrap();
                }
            }
            world.client.batch_execute(scrambled).await.unwrap();
            let report = world.sync(json!({"reconcile": true})).await;
            assert_eq!(drifted(&report), [], "{event}");
            tables::assert_equal_truth(&world.client, &world.account).await;
            // From then on it counts.
            world.client.batch_execute(scrambled).await.unwrap();
            let report = world.sync(json!({"reconcile": true})).await;
            assert_eq!(drifted(&report).len(), 2, "{event}");
        }
    });
}

fn only_orders() -> Value {
    json!({"only": ["orders"]})
}

fn look_back() -> Value {
    json!({"only": ["orders"], "reconcile": true})
}

/// An account whose orders are all younger than a look-back reaches.
async fn with_orders() -> World {
    let account = Account::start(json!({
        "locations": 3, "categories": 2, "items": 10, "variations": 20, "counts": 40,
        "orders": 60, "first_order_at": "2026-06-29T00:00:00Z"
    }));
    let world = World::new(account, &[("ORDERS_BATCH_SIZE", "20")]).await;
    world.import(json!({})).await;
    world.sync(only_orders()).await;
    world
}

#[test]
fn a_look_back_finds_tells_and_heals_orders_that_were_changed_by_hand() {
    run(async {
        let old = "(select id from orders where raw -> 'line_items' -> 0 is not null
            and raw -> 'tenders' -> 0 is not null order by updated_at limit 1)";
        for (orders, lines, sql) in [
            (
                drift(0, 1, 0),
                drift(0, 0, 0),
                format!("update orders set total_amount = 7 where id = {old} returning id"),
            ),
            (
                drift(0, 0, 0),
                drift(0, 1, 0),
                format!(
                    "update order_line_items set quantity = 77 where ctid = (
                         select ctid from order_line_items where order_id = {old} limit 1)
                     returning order_id"
                ),
            ),
            (
                drift(0, 0, 0),
                drift(1, 0, 0),
                format!(
                    "delete from order_line_items where ctid = (
                         select ctid from order_line_items where order_id = {old} limit 1)
                     returning order_id"
                ),
            ),
            (
                drift(0, 1, 0),
                drift(0, 0, 0),
                format!("delete from order_tenders where order_id = {old} returning order_id"),
            ),
        ] {
            let world = with_orders().await;
            let ids = scramble(&world, &sql).await;
            let delta = world.sync(only_orders()).await;
            assert!(delta.counts("orders").drift.is_none());

            let report = world.sync(look_back()).await;
            assert_eq!(report.counts("orders").drift, orders, "{sql}");
            assert_eq!(report.counts("line_items").drift, lines, "{sql}");
            let told = report.warnings.iter().any(|text| text.contains(&ids[0]));
            assert!(told, "{report:?}");
            tables::assert_orders_equal_truth(&world.client, &world.account).await;

            let again = world.sync(look_back()).await;
            assert_eq!(again.counts("orders").drift, drift(0, 0, 0));
            assert_eq!(again.warnings, Vec::<String>::new());
        }
    });
}

#[test]
fn what_no_import_has_read_is_no_drift_when_a_look_back_comes_upon_it() {
    run(async {
        let account = Account::start(json!({
            "locations": 2, "categories": 1, "items": 4, "variations": 8, "counts": 8,
            "orders": 400
        }));
        let world = World::new(account, &[]).await;
        let truth = world.account.truth().await;
        let location = |place: usize| truth["locations"][place]["id"].clone();
        // Of the first, one day of all; of the second, everything.
        let one_day = json!({"location_ids": [location(0)],
            "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"});
        world.import(one_day).await;
        world.import(json!({"location_ids": [location(1)]})).await;
        world.sync(look_back()).await;
        // A look-back of both begins four days before the earlier of their positions.
        let earlier = format!(
            "update sync_watermarks set position = position - interval '90 days'
             where list = 'orders:{}'",
            location(1).as_str().unwrap()
        );
        world.client.batch_execute(&earlier).await.unwrap();
        let report = world.sync(look_back()).await;
        assert!(report.counts("orders").created > 0, "{report:?}");
        assert_eq!(report.counts("orders").drift, drift(0, 0, 0), "{report:?}");
        assert_eq!(report.warnings, Vec::<String>::new());
    });
}

#[test]
fn a_missing_order_is_drift_and_a_changed_one_is_not() {
    run(async {
        let world = with_orders().await;
        let gone = scramble(
            &world,
            "delete from orders where id = (
                 select id from orders where raw -> 'line_items' -> 0 is not null
                 order by updated_at limit 1) returning id",
        )
        .await;
        let changes = json!([
            {"op": "add_order", "count": 3},
            {"op": "edit_order", "count": 5},
            {"op": "add_order", "kind": "return"},
        ]);
        world.account.change(changes).await;
        let report = world.sync(look_back()).await;
        assert_eq!(report.counts("orders").drift, drift(1, 0, 0));
        assert!(report.counts("line_items").drift.unwrap().created >= 1);
        let missing = format!("{} (missing)", gone[0]);
        assert!(
            report.warnings.iter().any(|text| text.contains(&missing)),
            "{report:?}"
        );
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
