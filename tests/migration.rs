//! The migration: from the schema of the release before, and the order tables
//! derived anew from what is stored.

use serde_json::json;
use shared::orders::store::TABLES;
use shared::postgres::{Database, schema};

use crate::support::account::Account;
use crate::support::patience::cut_off_after;
use crate::support::run::{World, env, new_run_id};
use crate::support::{database, run};

/// The version before the newest migration.
const BEFORE: i32 = 7;

/// What a release that reads orders otherwise might have left.
const SCRAMBLE: &str = "
    update orders set total_amount = 1, currency = null, state = 'SCRAMBLED', is_return = not is_return
        where hashtext(id) % 3 = 0;
    update order_line_items set name = 'scrambled', quantity = quantity + 1
        where hashtext(order_id) % 5 = 0;
    delete from order_line_items where hashtext(order_id || uid) % 7 = 0;
    insert into order_line_items
        (order_id, uid, ordinal, first_synced_at, last_changed_at, last_changed_by_run)
        select id, 'extra', 99, now(), now(), 'scramble' from orders where hashtext(id) % 11 = 0;
    update order_return_line_items set source_order_id = null;
    update order_tenders set amount = -amount";

/// A database of the schema before, with the rows of another one.
async fn previous(of: &World) -> World {
    let url = database::empty().await;
    let upgrading = Database::connect(&url.clone().into()).unwrap();
    let mut client = upgrading.client().await.unwrap();
    schema::migrate_up_to(&mut client, BEFORE).await.unwrap();
    let world = World {
        env: env(&of.account.url, &url, &[]),
        client: database::connect(&url).await,
        account: Account::at(&of.account.url),
    };
    let tables = TABLES.map(|table| table.name);
    for table in ["locations"].iter().chain(&tables) {
        database::copy(&of.client, &world.client, table).await;
    }
    world
}

/// A table's data as one number, but for the columns that say who wrote it.
async fn fingerprint(world: &World, table: &str) -> Vec<i64> {
    let row = format!(
        "select count(*), coalesce(sum(hashtext((to_jsonb(t) - array['first_synced_at',
             'last_changed_at', 'last_changed_by_run'])::text)::bigint), 0)::bigint from {table} t"
    );
    let row = world.client.query_one(&row, &[]).await.unwrap();
    vec![row.get(0), row.get(1)]
}

#[test]
fn order_tables_come_out_right_from_what_is_stored_without_a_request_to_square() {
    run(async {
        let orders = 8_000;
        let account = Account::start(json!({
            "locations": 5, "items": 50, "variations": 100, "counts": 1, "orders": orders
        }));
        let source = World::new(account, &[]).await;
        source.import(json!({})).await;
        let world = previous(&source).await;

        let mut expected = Vec::new();
        for table in TABLES {
            expected.push(fingerprint(&source, table.name).await);
        }
        world.client.batch_execute(SCRAMBLE).await.unwrap();
        world.account.clear_counters().await;

        // A sync on the old schema says which command to use.
        let (name, report) = world.fail(json!({})).await;
        assert_eq!(name, "DatabaseSchemaOutdated");
        let message = report.error.unwrap().message;
        assert!(message.contains("migrate-order-line-items"), "{message}");

        let report = world.migrate(&new_run_id()).await;
        assert_eq!(report.error, None, "{report:?}");
        assert_eq!(world.account.requests().await, 0);
        for (table, expected) in TABLES.iter().zip(&expected) {
            let found = fingerprint(&world, table.name).await;
            assert_eq!(&found, expected, "{}", table.name);
        }
        let counts = report.counts("orders");
        assert_eq!(counts.given(), orders);
        // The older schema has no net amounts, and a few orders still have none.
        assert!(
            counts.updated > 2_000 && counts.unchanged > 200,
            "{counts:?}"
        );
        assert!(report.counts("line_items").deleted > 200, "{report:?}");
        let version = "select max(version)::bigint from refinery_schema_history";
        assert_eq!(world.number(version).await, schema::wanted());

        // Once more: nothing differs, so nothing is written.
        let again = world.migrate(&new_run_id()).await;
        let totals = again.totals.unwrap();
        assert_eq!((totals.created, totals.updated, totals.deleted), (0, 0, 0));
        let touched = format!(
            "select count(*) from orders where last_changed_by_run = '{}'",
            again.run_id
        );
        assert_eq!(world.number(&touched).await, 0);
    });
}

#[test]
fn deriving_goes_on_where_it_was_cut_off() {
    run(async {
        let account = Account::start(json!({
            "locations": 3, "items": 5, "variations": 5, "counts": 1, "orders": 5_000
        }));
        let world = World::new(account, &[]).await;
        world.import(json!({})).await;
        let mut expected = Vec::new();
        for table in TABLES {
            expected.push(fingerprint(&world, table.name).await);
        }
        world.client.batch_execute(SCRAMBLE).await.unwrap();
        let run_id = new_run_id();
        world
            .open_as("migration", &run_id, json!({}))
            .await
            .unwrap();
        world.migration_call(&run_id, "schema").await.unwrap();
        for waits in [4, 8, 16, 32, 64] {
            let call = world.migration_call(&run_id, "rederive");
            let _cut_off = cut_off_after(waits, call).await;
        }
        let (one, other) = tokio::join!(
            world.migration_call(&run_id, "rederive"),
            world.migration_call(&run_id, "rederive")
        );
        one.unwrap();
        other.unwrap();
        let report = world.finished(&run_id, "migration").await;
        assert_eq!(report.counts("orders").given(), 5_000);
        for (table, expected) in TABLES.iter().zip(&expected) {
            let found = fingerprint(&world, table.name).await;
            assert_eq!(&found, expected, "{}", table.name);
        }
    });
}

#[test]
fn a_migration_that_fails_leaves_the_version_before_it_and_names_the_statement() {
    run(async {
        let url = database::empty().await;
        let upgrading = Database::connect(&url.clone().into()).unwrap();
        let mut client = upgrading.client().await.unwrap();
        schema::migrate_up_to(&mut client, BEFORE).await.unwrap();
        drop(client);
        let account = Account::small();
        let world = World {
            env: env(&account.url, &url, &[]),
            client: database::connect(&url).await,
            account,
        };
        let obstacle = "create table sync_order_windows (is_in_the_way boolean)";
        world.client.batch_execute(obstacle).await.unwrap();
        let report = world.migrate(&new_run_id()).await;
        let error = report.error.unwrap();
        assert_eq!(
            (&*error.name, &*error.step),
            ("DatabaseRejected", "migrate")
        );
        assert!(
            error.message.contains("create table sync_order_windows"),
            "{error:?}"
        );
        let version = "select max(version)::bigint from refinery_schema_history";
        assert_eq!(world.number(version).await, i64::from(BEFORE));

        world
            .client
            .batch_execute("drop table sync_order_windows")
            .await
            .unwrap();
        let report = world.migrate(&new_run_id()).await;
        assert_eq!(report.error, None, "{report:?}");
        assert_eq!(world.number(version).await, schema::wanted());
        world.sync(json!({})).await;
    });
}

#[test]
fn a_release_older_than_the_schema_does_nothing_at_all() {
    run(async {
        let world = World::small().await;
        let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
            select version + 1, 'newer', applied_on, checksum from refinery_schema_history
            order by version desc limit 1";
        world.client.batch_execute(newer).await.unwrap();
        for report in [
            world.run(json!({})).await,
            world.import_named(&new_run_id(), json!({})).await,
            world.migrate(&new_run_id()).await,
        ] {
            let error = report.error.unwrap();
            assert_eq!(
                (&*error.name, &*error.step),
                ("DatabaseSchemaOutdated", "preflight")
            );
            assert!(error.message.contains("newer release"), "{error:?}");
        }
    });
}

#[test]
fn a_migration_waits_for_syncs_and_syncs_wait_for_it() {
    run(async {
        let world = World::small().await;
        world.open("busy", json!({})).await.unwrap();
        let report = world.migrate(&new_run_id()).await;
        assert_eq!(report.error.unwrap().name, "RunInProgress");
        world.run_named("busy", json!({})).await;

        world
            .open_as("migration", "upgrade", json!({}))
            .await
            .unwrap();
        for report in [
            world.run(json!({})).await,
            world.import_named(&new_run_id(), json!({})).await,
        ] {
            let error = report.error.unwrap();
            assert_eq!(error.name, "RunInProgress");
            assert!(error.message.contains("upgrade"), "{error:?}");
        }
    });
}
