//! Statistics that add up.

use serde_json::json;
use shared::account;
use shared::staging::table::Table;

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

/// What Square lists of each data type, and the query that counts it: also what is
/// inactive, but nothing deleted.
fn rows() -> Vec<(&'static str, String)> {
    let count = |table: &&Table| {
        let name = table.name;
        let sql = format!(
            "select count(*) from {name} t where {}",
            table.is_there("t")
        );
        (table.data_type, sql)
    };
    account::objects().iter().map(count).collect()
}

#[test]
fn created_updated_and_unchanged_are_what_square_gave() {
    run(async {
        let world = World::new(Account::start(json!({"orders": 0})), &[]).await;
        let first = world.sync(json!({})).await;
        for (data_type, sql) in rows() {
            let counts = first.counts(data_type);
            assert_eq!(counts.created, world.number(&sql).await, "{data_type}");
            assert_eq!(counts.given(), counts.created, "{data_type}");
        }
        world
            .account
            .change(json!([{"op": "edit_item", "count": 7}, {"op": "sell", "times": 3}]))
            .await;
        let second = world.sync(json!({"reconcile": true})).await;
        for (data_type, sql) in rows() {
            let counts = second.counts(data_type);
            assert_eq!(counts.given(), world.number(&sql).await, "{data_type}");
            assert_eq!(counts.created, 0, "{data_type}");
        }
        assert_eq!(second.counts("items").updated, 7);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn rows_changed_carry_their_run_and_others_keep_theirs() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "edit_item", "count": 4}]))
            .await;
        let report = world.sync(json!({})).await;
        let changed = world
            .client
            .query_one(
                "select count(*) from catalog_items where last_changed_by_run = $1
                     and last_changed_at > first_synced_at",
                &[&report.run_id],
            )
            .await
            .unwrap();
        assert_eq!(changed.get::<_, i64>(0), report.counts("items").updated);
    });
}

#[test]
fn exact_page_sizes_lose_nothing() {
    run(async {
        for counts in [499, 500, 501, 1000, 1001] {
            let account = Account::start(json!({
                "locations": 3, "items": 300, "variations": 600, "counts": counts, "orders": 0
            }));
            let world = World::new(account, &[]).await;
            let report = world.sync(json!({})).await;
            assert_eq!(report.counts("inventory").created, counts);
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}
