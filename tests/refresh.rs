//! Full refresh, preview, backups and restore: what is replaced is replaced at
//! once, and can be put back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::account;
use shared::env::Env;
use shared::publish;
use shared::staging::table::Table;

use crate::support::account::Account;
use crate::support::patience::{cut_off_after, waits_for_a_lock};
use crate::support::run::{World, deadline, env, new_run_id};
use crate::support::{database, run, tables};

const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";

fn refresh() -> Value {
    json!({"full_refresh": true})
}

/// Changes of every kind, vanished rows included.
pub(crate) fn changes() -> Value {
    json!([
        {"op": "delete_item"}, {"op": "delete_variation"}, {"op": "delete_category"},
        {"op": "delete_silently"}, {"op": "edit_item", "count": 4}, {"op": "move_item"},
        {"op": "add_item", "count": 3, "variations": 2, "quantity": "4"},
        {"op": "add_location", "name": "New"}, {"op": "restock", "times": 3}, {"op": "sell"},
    ])
}

#[test]
fn a_refresh_replaces_the_account_and_leaves_no_marked_row() {
    run(async {
        let world = World::small().await;
        let first = world.sync(refresh()).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        assert_eq!(first.counts("locations").deleted, 0);
        let none = "select count(*) from sync_backups";
        assert_eq!(world.number(none).await, 0);

        world.account.change(changes()).await;
        world.sync(json!({})).await;
        let marked = "select count(*) from catalog_items where is_deleted";
        assert!(world.number(marked).await > 0);
        let history = "select count(*) from catalog_inventory_history";
        let kept = world.number(history).await;
        let mut before = BTreeMap::new();
        for Table {
            data_type,
            name: table,
            ..
        } in account::objects()
        {
            let rows = world.number(&format!("select count(*) from {table}")).await;
            before.insert(data_type, rows);
        }
        world.account.change(changes()).await;
        let report = world.sync(refresh()).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        assert_eq!(world.number(marked).await, 0);
        assert!(world.number(history).await >= kept);
        for Table {
            data_type,
            name: table,
            ..
        } in account::objects()
        {
            let counts = report.counts(data_type);
            let rows = world.number(&format!("select count(*) from {table}")).await;
            assert_eq!(counts.created, rows, "{data_type}");
            assert_eq!(counts.deleted, before[data_type], "{data_type}");
            assert_eq!((counts.updated, counts.unchanged), (0, 0), "{data_type}");
        }
        // The watermarks are the refresh's own: nothing comes twice.
        world.sync(json!({})).await;
        let idle = world.sync(json!({})).await;
        let totals = idle.totals.unwrap();
        assert_eq!((totals.created, totals.updated, totals.deleted), (0, 0, 0));
    });
}

#[test]
fn a_refresh_that_fails_anywhere_leaves_the_old_account() {
    run(async {
        let settings = [("CATALOG_BATCH_SIZE", "20"), ("INVENTORY_BATCH_SIZE", "20")];
        let world = World::new(Account::small(), &settings).await;
        world.sync(json!({})).await;
        world.account.change(changes()).await;
        let old = tables::fingerprint(&world.client).await;
        for request in [1, 4, 8] {
            let fault = json!({"endpoint": COUNTS, "request": request, "times": 1000,
                "kind": "status", "status": 400});
            world.account.faults(json!([fault])).await;
            let (name, _) = world.fail(refresh()).await;
            assert_eq!(name, "SquareRejected");
            assert_eq!(tables::fingerprint(&world.client).await, old);
            world.account.clear_faults().await;
        }
        // Staging is lost between the steps and the publishing.
        let run_id = new_run_id();
        world.open(&run_id, refresh()).await.unwrap();
        for step in ["locations", "catalog", "inventory"] {
            world.step(&run_id, step).await.unwrap();
        }
        world
            .client
            .batch_execute("truncate staging.catalog_items")
            .await
            .unwrap();
        let lost = world.step(&run_id, "publish").await.unwrap_err();
        assert_eq!(lost.name(), "DatabaseUnavailable");
        assert_eq!(tables::fingerprint(&world.client).await, old);
        world.stop(&run_id).await;
        world.sync(refresh()).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn publishing_cut_off_anywhere_leaves_one_account_or_the_other_whole() {
    run(async {
        let account = Account::start(json!({
            "locations": 3, "items": 400, "variations": 900, "counts": 4_000, "orders": 0
        }));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let mut waits = 1;
        let mut is_whole = false;
        while !is_whole {
            world.account.change(changes()).await;
            let old = tables::fingerprint(&world.client).await;
            let run_id = new_run_id();
            world.open(&run_id, refresh()).await.unwrap();
            for step in ["locations", "catalog", "inventory"] {
                world.step(&run_id, step).await.unwrap();
            }
            let call = world.publish_call(&run_id, "publish");
            is_whole = cut_off_after(waits, call).await.is_some();
            waits *= 2;
            if !is_whole {
                let now = tables::fingerprint(&world.client).await;
                if now != old {
                    tables::assert_equal_truth(&world.client, &world.account).await;
                }
            }
            // Retried, as the state machine does.
            world.publish_call(&run_id, "publish").await.unwrap();
            world.finished(&run_id, "complete_sync").await;
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_restore_puts_back_what_was_and_the_next_sync_reconciles() {
    run(async {
        let world = World::new(Account::small(), &[("BACKUPS_KEPT", "2")]).await;
        world.sync(json!({})).await;
        let old = tables::fingerprint(&world.client).await;
        world.account.change(changes()).await;
        let refreshed = world.sync(refresh()).await;
        let new = tables::fingerprint(&world.client).await;
        assert_ne!(old, new);
        let backups = "select count(*) from sync_backups";
        assert_eq!(world.number(backups).await, 1);

        let restored = world.restore(&refreshed.run_id).await;
        assert_eq!(restored.error, None, "{restored:?}");
        assert_eq!(tables::fingerprint(&world.client).await, old);
        // What it replaced can be put back as well.
        let again = world.restore(&restored.run_id).await;
        assert_eq!(again.error, None, "{again:?}");
        assert_eq!(tables::fingerprint(&world.client).await, new);
        assert_eq!(world.number(backups).await, 2);
        let schemas = "select count(*) from pg_namespace where nspname like 'backup%'";
        assert_eq!(world.number(schemas).await, 2);

        world.restore(&restored.run_id).await;
        let sync = world.sync(json!({})).await;
        assert_eq!(sync.steps["catalog"].scope, "reconcile");
        tables::assert_equal_truth(&world.client, &world.account).await;

        let unknown = world.restore("nothing").await.error.unwrap();
        assert_eq!(
            (&*unknown.name, &*unknown.step),
            ("InputInvalid", "restore")
        );
        let other = "update sync_backups set schema_version = 1";
        world.client.batch_execute(other).await.unwrap();
        let id: String = world
            .client
            .query_one("select max(backup_id) from sync_backups", &[])
            .await
            .unwrap()
            .get(0);
        let outdated = world.restore(&id).await.error.unwrap();
        assert_eq!(outdated.name, "DatabaseSchemaOutdated");
        assert!(outdated.message.contains("full refresh"), "{outdated:?}");
    });
}

#[test]
fn orders_keep_their_locations_through_a_refresh_and_a_restore() {
    run(async {
        let account = Account::start(json!({
            "locations": 4, "items": 5, "variations": 5, "counts": 5, "orders": 200
        }));
        let world = World::new(account, &[("DELETION_GUARD_PERCENT", "100")]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let orders = world.number("select count(*) from orders").await;
        let location: String = world
            .client
            .query_one("select location_id from orders limit 1", &[])
            .await
            .unwrap()
            .get(0);
        let gone = json!([{"op": "remove_location", "id": location, "drop_counts": true}]);
        world.account.change(gone).await;
        let refreshed = world.sync(refresh()).await;
        let inactive = format!(
            "select count(*) from locations where id = '{location}' and status = 'INACTIVE'"
        );
        assert_eq!(world.number(&inactive).await, 1);
        assert_eq!(world.number("select count(*) from orders").await, orders);
        let report = world.restore(&refreshed.run_id).await;
        assert_eq!(report.error, None, "{report:?}");
        assert_eq!(world.number(&inactive).await, 0);
        assert_eq!(world.number("select count(*) from orders").await, orders);
    });
}

#[test]
fn a_refresh_that_would_lose_much_is_stopped_but_not_its_preview() {
    run(async {
        let account = Account::start(json!({
            "locations": 2, "items": 100, "variations": 150, "counts": 200, "orders": 0
        }));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let old = tables::fingerprint(&world.client).await;
        let gone = json!([{"op": "delete_silently", "count": 50}]);
        world.account.change(gone).await;
        let (name, report) = world.fail(refresh()).await;
        assert_eq!(name, "DeletionGuard");
        let error = report.error.unwrap();
        assert_eq!(error.step, "publish");
        assert!(error.message.contains("50 of 100"), "{error:?}");
        assert_eq!(tables::fingerprint(&world.client).await, old);
        let preview = json!({"full_refresh": true, "dry_run": true});
        world.sync(preview).await;
        assert_eq!(tables::fingerprint(&world.client).await, old);
        let allowed = json!({"full_refresh": true, "allow_mass_deletion": true});
        world.sync(allowed).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn postgresql_restarting_while_it_publishes_leaves_the_old_account() {
    run(async {
        let server = database::own().await;
        let account = Account::small();
        let world = World {
            env: env(&account.url, server.url(), &[]),
            client: database::connect(server.url()).await,
            account,
        };
        world.sync(json!({})).await;
        world.account.change(changes()).await;
        let old = tables::fingerprint(&world.client).await;
        let run_id = new_run_id();
        world.open(&run_id, refresh()).await.unwrap();
        for step in ["locations", "catalog", "inventory"] {
            world.step(&run_id, step).await.unwrap();
        }
        // Held up half-way, and then one of its processes is killed, for which
        // PostgreSQL ends all the others and starts anew.
        let lock = "begin; lock table catalog_items in share row exclusive mode";
        world.client.batch_execute(lock).await.unwrap();
        let (published, ()) = tokio::join!(world.publish_call(&run_id, "publish"), async {
            let pid = waits_for_a_lock(&world.client).await;
            let killed = std::process::Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status();
            assert!(killed.unwrap().success());
        });
        assert_eq!(published.unwrap_err().name(), "DatabaseUnavailable");
        let world = World {
            client: database::once_ready(server.url(), &world.client).await,
            ..world
        };
        assert_eq!(tables::fingerprint(&world.client).await, old);
        // What was staged is gone with the restart: the run cannot go on.
        let again = world.publish_call(&run_id, "publish").await;
        assert_eq!(again.unwrap_err().name(), "DatabaseUnavailable");
        assert_eq!(tables::fingerprint(&world.client).await, old);
        world.stop(&run_id).await;
        world.sync(refresh()).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_refresh_that_finds_no_room_does_not_start() {
    run(async {
        let url = database::migrated().await;
        let account = Account::small();
        let world = World {
            env: env(&account.url, &url, &[]),
            client: database::connect(&url).await,
            account,
        };
        world.sync(json!({})).await;
        let used = world
            .number("select pg_database_size(current_database())")
            .await;
        let synced = world
            .number(
                "select sum(pg_total_relation_size(oid))::bigint from pg_class
                 where relnamespace = 'public'::regnamespace and relkind = 'r'
                     and relname like any (array['locations', 'catalog%'])",
            )
            .await;
        let limit = (used + 2 * synced).to_string();
        let tight = World {
            env: env(
                &world.account.url,
                &url,
                &[("DATABASE_STORAGE_LIMIT_BYTES", &limit)],
            ),
            ..world
        };
        tight.sync(json!({})).await;
        let (name, report) = tight.fail(refresh()).await;
        assert_eq!(name, "DatabaseRejected");
        let error = report.error.unwrap();
        assert_eq!(error.step, "preflight");
        assert!(
            error.message.contains("DATABASE_STORAGE_LIMIT_BYTES"),
            "{error:?}"
        );
    });
}

#[test]
fn a_refresh_that_waits_for_a_snapshot_keeps_its_leases() {
    run(async {
        let world = World::small().await;
        world.open("waiting", refresh()).await.unwrap();
        let old = "update sync_leases set expires_at = now() + interval '1 second'
            where holder is not null returning expires_at";
        let old: jiff::Timestamp = world.client.query(old, &[]).await.unwrap()[0].get(0);
        let event = json!({"run_id": "waiting", "work": "hold"});
        let input = serde_json::from_value(event).unwrap();
        let held = publish::handle(&world.env, input, deadline())
            .await
            .unwrap();
        assert_eq!(json!(held), json!({"run_id": "waiting"}));
        let kept = "select count(*) from sync_leases
            where holder = 'waiting' and expires_at > $1::timestamptz + interval '1 minute'";
        let kept = world.client.query_one(kept, &[&old]).await.unwrap();
        assert_eq!(kept.get::<_, i64>(0), 2);
        let report = world.run_named("waiting", refresh()).await;
        assert_eq!(report.status, "succeeded");
    });
}

/// As a dump of the whole database reads it, or somebody who compares.
#[test]
fn a_refresh_and_a_restore_do_not_wait_for_who_reads_an_old_backup() {
    run(async {
        let (account, url) = (Account::small(), database::migrated().await);
        let world = World {
            env: env(&account.url, &url, &[("BACKUPS_KEPT", "1")]),
            client: database::connect(&url).await,
            account,
        };
        world.sync(json!({})).await;
        let first = world.sync(refresh()).await.run_id;
        let read = format!("begin; select from \"backup_{first}\".locations");
        let reader = database::connect(&url).await;
        reader.batch_execute(&read).await.unwrap();
        let schema = format!("select count(*) from pg_namespace where nspname = 'backup_{first}'");

        world.account.change(changes()).await;
        let second = world.sync(refresh()).await;
        let warns = |warnings: &[String]| {
            let about = warnings.iter().filter(|warning| warning.contains(&first));
            about.count()
        };
        assert_eq!(warns(&second.warnings), 1, "{:?}", second.warnings);
        tables::assert_equal_truth(&world.client, &world.account).await;
        let restored = world.restore(&second.run_id).await;
        assert_eq!(restored.error, None, "{restored:?}");
        assert_eq!(warns(&restored.warnings), 1, "{:?}", restored.warnings);
        assert_eq!(world.number(&schema).await, 1);

        // It goes with the next run, whatever that is.
        reader.batch_execute("commit").await.unwrap();
        let next = world.sync(json!({})).await;
        assert_eq!(warns(&next.warnings), 0, "{:?}", next.warnings);
        assert_eq!(world.number(&schema).await, 0);
        let kept = "select count(*) from sync_backups";
        assert_eq!(world.number(kept).await, 1);
    });
}

#[test]
fn fewer_backups_are_kept_from_the_next_run_on() {
    run(async {
        let mut world = World::small().await;
        for _ in 0..3 {
            world.sync(refresh()).await;
        }
        let kept = "select count(*) from sync_backups";
        // The first refresh found an empty account.
        assert_eq!(world.number(kept).await, 2);
        let mut settings = world.env.settings.clone();
        settings.backups_kept = 0;
        world.env = Env::new(settings).unwrap();
        world.sync(json!({})).await;
        assert_eq!(world.number(kept).await, 0);
        let schemas = "select count(*) from pg_namespace where nspname like 'backup%'";
        assert_eq!(world.number(schemas).await, 0);
    });
}
