//! A step that is stopped, has lost its lease or has used its time up leaves nothing
//! behind in the database: its statement ends, and with it every lock.

use std::time::Duration;

use serde_json::json;
use shared::env::Env;
use shared::error::SyncError;
use shared::postgres::{Database, schema};

use crate::support::account::Account;
use crate::support::patience::{cut_off_after, patiently};
use crate::support::run::{World, new_run_id};
use crate::support::{database, run, tables};

/// Has a table's writes take a day. Before, a write of the same session lifts the
/// session's own limit on statements: what ends them is nothing but a cancel.
const FOR_EVER: &str = "
    create function for_ever() returns trigger language plpgsql as $$ begin
        if current_setting('test.unlimited', true) is distinct from 'yes' then
            perform set_config('test.unlimited', 'yes', false);
            perform set_config('statement_timeout', '0', false);
        elsif tg_argv[0] = 'sleep' then
            perform pg_sleep(86400);
        end if;
        return null;
    end $$";

/// What a session writes first of all.
const FIRST: [&str; 6] = [
    "staging.locations",
    "staging.catalog_categories",
    "staging.catalog_items",
    "staging.catalog_variations",
    "staging.catalog_inventory",
    "orders",
];

/// Lets writes of this table take a day, but for a session's first.
async fn hold(world: &World, table: &str) {
    world.client.batch_execute(FOR_EVER).await.unwrap();
    let first = FIRST.into_iter().filter(|first| *first != table);
    for (table, argument) in first.map(|first| (first, "lift")).chain([(table, "sleep")]) {
        let trigger = format!(
            "create trigger for_ever before insert or update or delete on {table}
             for each statement execute function for_ever('{argument}')"
        );
        world.client.batch_execute(&trigger).await.unwrap();
    }
}

/// That takes a lock which nobody gets beside a writer.
async fn let_go(world: &World) {
    let drop = "drop function for_ever cascade";
    world.client.batch_execute(drop).await.unwrap();
}

/// How many sessions of a run there are, in that state.
async fn sessions(world: &World, run_id: &str, wanted: &str) -> i64 {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = current_database()
             and application_name = 'square-sync {run_id}' and {wanted}"
    );
    world.number(&sql).await
}

/// Waits until the run is in the middle of a statement that takes a day.
async fn is_held(world: &World, run_id: &str) {
    let held = patiently(async || {
        (sessions(world, run_id, "wait_event = 'PgSleep'").await > 0).then_some(())
    });
    assert!(held.await.is_some(), "{run_id} is not held");
}

/// Waits until the run is at nothing any more.
async fn is_gone(world: &World, run_id: &str) {
    let gone = patiently(async || (sessions(world, run_id, "true").await == 0).then_some(()));
    assert!(gone.await.is_some(), "{run_id} is still there");
}

/// How a step is ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Stop,
    /// Its lease goes to another run, which ends no session of its.
    LostLease,
}

impl End {
    async fn come(self, world: &World, run_id: &str) {
        match self {
            Self::Stop => world.stop(run_id).await,
            Self::LostLease => {
                let moved = "update sync_leases set token = nextval('sync_lease_tokens'),
                    holder = 'another', expires_at = now() where holder = $1";
                world.client.execute(moved, &[&run_id]).await.unwrap();
            }
        }
    }
}

/// Ends the work in the middle of a statement; nothing of it may be left.
async fn end<T>(
    world: &World,
    run_id: &str,
    by: End,
    work: impl Future<Output = Result<T, SyncError>>,
) {
    let (ended, ()) = tokio::join!(work, async {
        is_held(world, run_id).await;
        by.come(world, run_id).await;
    });
    let Err(error) = ended else {
        panic!("{run_id} got through");
    };
    // Where it had the lease's row locked, it was ended before it could lose it.
    let names = ["LeaseLost", "DatabaseUnavailable"];
    let names = if run_id == LOCKING {
        &names[..]
    } else {
        &names[..1]
    };
    assert!(names.contains(&error.name()), "{by:?}: {error}");
    is_gone(world, run_id).await;
    let_go(world).await;
}

/// A world of small pages, as there must be several.
async fn small_pages(settings: &[(&str, &str)]) -> World {
    let pages = [
        ("CATALOG_BATCH_SIZE", "10"),
        ("INVENTORY_BATCH_SIZE", "10"),
        ("ORDERS_BATCH_SIZE", "20"),
    ];
    let account = Account::start(json!({
        "locations": 2, "items": 30, "variations": 40, "counts": 40, "orders": 100
    }));
    World::new(account, &[settings, &pages].concat()).await
}

/// A run at the beginning of that step.
async fn at_step(world: &World, step: &str) -> String {
    let run_id = new_run_id();
    world.open(&run_id, json!({})).await.unwrap();
    for earlier in ["locations", "catalog", "inventory"] {
        if earlier == step {
            break;
        }
        world.step(&run_id, earlier).await.unwrap();
    }
    run_id
}

#[test]
fn a_step_that_ends_early_leaves_no_statement_behind() {
    run(async {
        // While it reads a list, and while it applies one.
        for (step, table) in [
            ("catalog", "staging.catalog_items"),
            ("catalog", "catalog_variations"),
            ("inventory", "staging.catalog_inventory"),
            ("inventory", "catalog_inventory"),
            ("locations", "locations"),
        ] {
            for by in [End::Stop, End::LostLease] {
                let world = small_pages(&[]).await;
                let run_id = at_step(&world, step).await;
                hold(&world, table).await;
                Box::pin(end(&world, &run_id, by, world.step(&run_id, step))).await;
                world.client.batch_execute(FREE).await.unwrap();
                world.sync(json!({})).await;
                tables::assert_equal_truth(&world.client, &world.account).await;
            }
        }
    });
}

/// The leases as nobody holds them.
const FREE: &str = "update sync_leases set holder = null, expires_at = '-infinity'";

#[test]
fn a_refresh_and_a_restore_that_end_early_leave_no_statement_behind() {
    run(async {
        for by in [End::Stop, End::LostLease] {
            let world = small_pages(&[]).await;
            world.sync(json!({})).await;
            let run_id = new_run_id();
            let refresh = json!({"full_refresh": true});
            world.open(&run_id, refresh.clone()).await.unwrap();
            for step in ["locations", "catalog", "inventory"] {
                world.step(&run_id, step).await.unwrap();
            }
            hold(&world, "catalog_items").await;
            let lift = "create trigger lift before delete on catalog_inventory
                for each statement execute function for_ever('lift')";
            world.client.batch_execute(lift).await.unwrap();
            Box::pin(end(&world, &run_id, by, world.step(&run_id, "publish"))).await;
            world.client.batch_execute(FREE).await.unwrap();
            let backup = world.sync(refresh).await.run_id;

            let run_id = new_run_id();
            let request = json!({"backup_id": backup});
            world.open_as("restore", &run_id, request).await.unwrap();
            hold(&world, "catalog_items").await;
            world.client.batch_execute(lift).await.unwrap();
            end(&world, &run_id, by, world.publish_call(&run_id, "restore")).await;
            world.client.batch_execute(FREE).await.unwrap();
            world.sync(json!({})).await;
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn orders_that_end_early_leave_no_statement_behind() {
    run(async {
        for by in [End::Stop, End::LostLease] {
            let world = small_pages(&[]).await;
            let run_id = new_run_id();
            let kind = "historical_orders";
            world.open_as(kind, &run_id, json!({})).await.unwrap();
            let plan = world.plan(&run_id).await.unwrap();
            let window = plan["windows"][0]["window_id"].as_i64().unwrap();
            hold(&world, "order_line_items").await;
            end(&world, &run_id, by, world.window(&run_id, window)).await;
            world.client.batch_execute(FREE).await.unwrap();
            world.import(json!({})).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}

/// A run whose transactions begin with their leases.
const LOCKING: &str = "locking";

/// A batch holds its leases' rows from its beginning: who stops the run cannot wait.
#[test]
fn a_migration_that_ends_early_leaves_no_statement_behind() {
    run(async {
        let world = World::new(
            Account::start(json!({
                "locations": 1, "items": 5, "variations": 5, "counts": 1, "orders": 1_200
            })),
            &[],
        )
        .await;
        world.import(json!({})).await;
        let scramble = "update orders set total_amount = -1";
        world.client.batch_execute(scramble).await.unwrap();
        let run_id = LOCKING.to_owned();
        world
            .open_as("migration", &run_id, json!({}))
            .await
            .unwrap();
        world.migration_call(&run_id, "schema").await.unwrap();
        hold(&world, "orders").await;
        let work = world.migration_call(&run_id, "rederive");
        Box::pin(end(&world, &run_id, End::Stop, work)).await;
        assert_eq!(world.migrate(&new_run_id()).await.error, None);
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_step_whose_time_is_up_leaves_no_statement_behind_and_can_be_tried_again() {
    run(async {
        for table in ["staging.catalog_items", "catalog_variations"] {
            let mut world = small_pages(&[("CATALOG_SYNC_TIMEOUT", "3")]).await;
            let run_id = at_step(&world, "catalog").await;
            hold(&world, table).await;
            let error = world.step(&run_id, "catalog").await.unwrap_err();
            assert_eq!(error.name(), "StepTimeout", "{error}");
            let message = error.to_string();
            for word in ["catalog", " 3 s", "CATALOG_SYNC_TIMEOUT"] {
                assert!(message.contains(word), "{message}");
            }
            is_gone(&world, &run_id).await;
            let_go(&world).await;
            let step = "select error_name from sync_steps where step = 'catalog'";
            let row = world.client.query_one(step, &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), "StepTimeout");
            // The same run still holds its lease, and its next attempt all locks.
            let mut settings = world.env.settings.clone();
            settings.catalog_sync_timeout = Duration::from_secs(900);
            world.env = Env::new(settings).unwrap();
            world.step(&run_id, "catalog").await.unwrap();
        }
    });
}

/// Operators see it, and so does who stops the run.
#[test]
fn a_step_works_under_its_runs_name_and_leaves_no_session() {
    run(async {
        let world = small_pages(&[]).await;
        let run_id = at_step(&world, "catalog").await;
        let endpoint = "/v2/catalog/search";
        world.account.hold(endpoint, 0).await;
        let (step, ()) = tokio::join!(world.step(&run_id, "catalog"), async {
            world.account.held(endpoint, 0).await;
            assert!(sessions(&world, &run_id, "true").await > 0);
            world.account.clear_faults().await;
        });
        step.unwrap();
        is_gone(&world, &run_id).await;
        for (setting, value) in [
            ("client_connection_check_interval", "5s"),
            ("search_path", "public"),
            ("tcp_keepalives_idle", "10"),
        ] {
            let client = world.env.database.client().await.unwrap();
            let shown = client
                .query_one("select current_setting($1)", &[&setting])
                .await
                .unwrap();
            assert_eq!(shown.get::<_, &str>(0), value, "{setting}");
        }
    });
}

/// A connection costs more than most calls do on it.
#[test]
fn a_step_that_is_done_leaves_its_session_to_the_next_one() {
    run(async {
        let world = small_pages(&[]).await;
        let run_id = at_step(&world, "catalog").await;
        let working = format!(
            "select pid::bigint from pg_stat_activity where datname = current_database()
                 and application_name = 'square-sync {run_id}' order by pid limit 1"
        );
        let mut seen = Vec::new();
        for (step, endpoint) in [
            ("catalog", "/v2/catalog/search"),
            ("inventory", "/v2/inventory/counts/batch-retrieve"),
        ] {
            world.account.hold(endpoint, 0).await;
            let (step, ()) = tokio::join!(world.step(&run_id, step), async {
                world.account.held(endpoint, 0).await;
                seen.push(world.number(&working).await);
                world.account.clear_faults().await;
            });
            step.unwrap();
            is_gone(&world, &run_id).await;
        }
        assert_eq!(seen[0], seen[1]);
    });
}

#[test]
fn a_migration_that_is_cut_off_keeps_no_lock() {
    run(async {
        let url = database::empty().await;
        let database = Database::connect(&url.clone().into()).unwrap();
        let client = database::connect(&url).await;
        let mut waits = 1;
        while cut_off_after(waits, schema::upgrade(&database))
            .await
            .is_none()
        {
            let locks = "select count(*) from pg_locks
                where locktype = 'advisory'
                    and database = (select oid from pg_database where datname = current_database())";
            let free = patiently(async || {
                let row = client.query_one(locks, &[]).await.unwrap();
                (row.get::<_, i64>(0) == 0).then_some(())
            });
            assert!(free.await.is_some(), "after {waits} waits");
            waits += 1;
        }
        assert!(waits > 3, "{waits}");
    });
}

#[test]
fn tables_of_the_same_names_in_the_roles_own_schema_are_not_ours() {
    run(async {
        let world = small_pages(&[]).await;
        let own = "create schema authorization current_user";
        world.client.batch_execute(own).await.unwrap();
        for table in [
            "locations",
            "catalog_items",
            "orders",
            "sync_runs",
            "sync_watermarks",
        ] {
            let shadow = format!("create table {table} (other text)");
            // In the role's schema, which its search path has first.
            world.client.batch_execute(&shadow).await.unwrap();
        }
        let request = json!({"full_refresh": true});
        let report = world.run(request).await;
        assert_eq!((&*report.status, report.error), ("succeeded", None));
        world.import(json!({})).await;
        world
            .client
            .batch_execute("set search_path = public")
            .await
            .unwrap();
        tables::assert_equal_truth(&world.client, &world.account).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
