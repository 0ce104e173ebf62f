//! Every statement that works on sets, under statistics that lie: four times the
//! rows may touch at most five times as much. What is counted is rows and pages,
//! so a busy machine changes nothing; and every statement that a run sends is
//! counted, so a new one is here as soon as a run sends it.

use futures::future::join_all;
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};

use crate::support::account::Account;
use crate::support::belief::Belief;
use crate::support::explain::{Explaining, Touched};
use crate::support::patience::patiently;
use crate::support::run::{World, env, new_run_id};
use crate::support::{database, run, source};

/// A whole history of an account, of which every statement is explained.
struct History {
    world: World,
    explaining: Explaining,
    belief: Belief,
    touched: Touched,
}

/// How many objects of each kind there are, times `size`: enough to fill a dozen
/// pages of each table, for reading fewer is another plan's business.
fn account(size: usize) -> Account {
    Account::start(json!({
        "locations": 4, "categories": 600 * size, "items": 300 * size, "variations": 600 * size,
        "counts": 2_000 * size, "orders": 250 * size
    }))
}

impl History {
    async fn new(size: usize, belief: Belief) -> Self {
        let account = account(size);
        override_everywhere(&account, size).await;
        let direct = database::migrated().await;
        let client = database::connect(&direct).await;
        belief.hold(&client).await;
        let explaining = Explaining::start(&direct).await;
        let settings = [
            ("CATALOG_BATCH_SIZE", "250"),
            ("INVENTORY_BATCH_SIZE", "180"),
            ("ORDERS_BATCH_SIZE", "50"),
            ("BACKUPS_KEPT", "1"),
            ("SCRUB_DAYS", "2"),
            ("DATABASE_STORAGE_LIMIT_BYTES", "1000000000000"),
        ];
        let world = World {
            env: env(&account.url, &explaining.url, &settings),
            client,
            account,
        };
        Self {
            world,
            explaining,
            belief,
            touched: Touched::new(),
        }
    }

    async fn mislead(&self) {
        self.belief.mislead(&self.world.client).await;
    }

    async fn sync(&mut self, request: Value) -> String {
        self.mislead().await;
        let report = self.world.sync(request).await;
        self.count();
        report.run_id
    }

    /// All that was touched. The tables' own statistics tell of what no plan shows:
    /// the checks of foreign keys.
    async fn end(self) -> Touched {
        let (mut touched, client) = (self.touched, self.world.client);
        drop(self.world.env);
        // A session hands in its figures when it ends, at the latest.
        let others = "select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        let alone = patiently(async || {
            let others: i64 = client.query_one(others, &[]).await.unwrap().get(0);
            (others == 0).then_some(())
        });
        assert!(alone.await.is_some(), "a session goes on");
        let read = "select schemaname || '.' || relname, (seq_tup_read + coalesce(idx_tup_fetch, 0))::float8
            from pg_stat_user_tables where schemaname in ('public', 'staging')";
        for row in client.query(read, &[]).await.unwrap() {
            let table: String = row.get(0);
            touched.insert(format!("{READS}{table}"), row.get(1));
        }
        touched
    }

    fn count(&mut self) {
        for (statement, touched) in self.explaining.take() {
            *self.touched.entry(statement).or_default() += touched;
        }
    }
}

/// Every variation has as many overrides, so that these grow as all else does.
async fn override_everywhere(account: &Account, size: usize) {
    let truth = account.truth().await;
    let overrides: Vec<Value> = truth["locations"]
        .as_array()
        .unwrap()
        .iter()
        .take(2)
        .map(|location| json!({"location_id": location["id"], "track_inventory": true}))
        .collect();
    let set = json!({"item_variation_data": {"location_overrides": overrides}});
    let changes = json!([{"op": "edit_variation", "count": 600 * size, "set": set}]);
    account.change(changes).await;
}

/// Everything that can happen to an account, from its first sync on.
async fn whole_history(size: usize, belief: Belief) -> Touched {
    let mut history = History::new(size, belief).await;
    let location = history.world.account.truth().await["locations"][0]["id"].clone();
    let misfits = json!([
        {"op": "put_raw", "object": {"type": "ITEM", "id": "BROKEN", "version": "none"}},
        {"op": "put_raw", "order": {
            "id": "BROKEN", "location_id": location, "state": "COMPLETED",
            "created_at": "2026-06-01T00:00:00Z", "updated_at": "2026-06-01T00:00:00Z",
            "line_items": [{"uid": "a", "quantity": "many"}]}},
    ]);
    history.world.account.change(misfits).await;
    fail(&mut history).await;
    history.sync(json!({"idempotency_key": "first"})).await;
    let everything = json!([
        {"op": "edit_category", "count": 600 * size},
        {"op": "edit_item", "count": 300 * size},
        {"op": "edit_variation", "count": 600 * size},
        {"op": "move_item", "count": 150 * size},
        {"op": "recount", "count": 2_000 * size},
    ]);
    history.world.account.change(everything.clone()).await;
    history.sync(json!({})).await;
    history.sync(json!({})).await;
    history.world.account.change(everything).await;
    history.sync(json!({"reconcile": true})).await;

    import(&mut history).await;
    history
        .world
        .account
        .change(json!([{"op": "edit_order", "count": 250 * size}]))
        .await;
    let newer =
        "update orders set updated_at = updated_at + interval '1 hour' where hashtext(id) % 2 = 0";
    history.world.client.batch_execute(newer).await.unwrap();
    history.sync(json!({"trigger": "schedule"})).await;
    // All of that is older than what look-backs expect to find.
    let world = &history.world;
    world
        .account
        .clock(json!({"advance_seconds": 86_400}))
        .await;
    world.account.change(json!([{"op": "add_order"}])).await;
    history.sync(json!({"trigger": "schedule"})).await;
    let lost = "delete from orders
        where id = any (array(select id from orders order by id limit 40))";
    history.world.client.batch_execute(lost).await.unwrap();
    for _ in 0..3 {
        let night = json!({"trigger": "schedule", "only": ["orders"], "reconcile": true});
        history.sync(night).await;
    }
    migrate(&mut history).await;

    // What a refresh has to keep, because it cannot be read.
    let spoilt = json!([{"op": "put_raw",
        "object": {"type": "CATEGORY", "id": "SPOILT", "version": "none"}}]);
    history.world.account.change(spoilt).await;
    history
        .sync(json!({"dry_run": true, "full_refresh": true}))
        .await;
    let refresh = history.sync(json!({"full_refresh": true})).await;
    history
        .world
        .account
        .change(json!([{"op": "delete_item"}]))
        .await;
    history.sync(json!({})).await;
    let gone = json!([
        {"op": "delete_variation", "count": 120 * size},
        {"op": "delete_item", "count": 120 * size},
        {"op": "delete_category", "count": 300 * size},
        {"op": "delete_silently", "type": "ITEM", "count": 60 * size},
    ]);
    history.world.account.change(gone).await;
    history.sync(json!({"allow_mass_deletion": true})).await;
    history
        .sync(json!({"reconcile": true, "allow_mass_deletion": true}))
        .await;
    history.mislead().await;
    history.world.restore(&refresh).await;
    history.count();
    check(&mut history).await;
    read(&mut history, size).await;
    history.end().await
}

/// A spot check that finds something of each kind, and so asks twice.
async fn check(history: &mut History) {
    let scramble = "update catalog_items set name = 'x'; update orders set state = 'x';
        delete from order_tenders";
    history.world.client.batch_execute(scramble).await.unwrap();
    history.mislead().await;
    let report = history.world.spot_check(json!({})).await;
    assert_eq!(report.error, None, "{report:?}");
    history.count();
}

/// Counts of variations that nobody knows, until the catalog comes.
async fn all_quarantined(size: usize, belief: Belief) -> Touched {
    let mut history = History::new(size, belief).await;
    history
        .sync(json!({"only": ["locations", "inventory"]}))
        .await;
    history
        .sync(json!({"only": ["locations", "inventory"]}))
        .await;
    history
        .sync(json!({"only": ["locations", "inventory"], "reconcile": true}))
        .await;
    history.sync(json!({"only": ["catalog"]})).await;
    history.sync(json!({"only": ["inventory"]})).await;
    let waiting = "select count(*) from sync_quarantine where resolved_at is null and data_type = 'inventory'";
    assert_eq!(history.world.number(waiting).await, 0);
    history.end().await
}

/// The account is gone.
async fn all_deleted(size: usize, belief: Belief) -> Touched {
    let mut history = History::new(size, belief).await;
    history.sync(json!({})).await;
    let gone = json!([
        {"op": "delete_item", "count": 300 * size},
        {"op": "delete_category", "count": 600 * size},
    ]);
    history.world.account.change(gone).await;
    history.sync(json!({"allow_mass_deletion": true})).await;
    history
        .sync(json!({"allow_mass_deletion": true, "reconcile": true}))
        .await;
    let live = "select count(*) from catalog_variations where not is_deleted";
    assert_eq!(history.world.number(live).await, 0);
    history.end().await
}

/// One run fails, one is stopped, and one falls silent.
async fn fail(history: &mut History) {
    let fault = json!([{"endpoint": "/v2/catalog/search", "kind": "status", "status": 400}]);
    history.world.account.faults(fault).await;
    history.world.fail(json!({})).await;
    history.world.account.clear_faults().await;
    for _ in 0..2 {
        let run_id = new_run_id();
        history.world.open(&run_id, json!({})).await.unwrap();
        let step = history.world.step(&run_id, "locations").await;
        step.unwrap();
        history.world.stop(&run_id).await;
    }
    let run_id = new_run_id();
    history.world.open(&run_id, json!({})).await.unwrap();
    let silent = "update sync_leases set expires_at = '-infinity'";
    history.world.client.batch_execute(silent).await.unwrap();
    history.count();
}

async fn import(history: &mut History) {
    history.mislead().await;
    // Two dozen windows touch as much as a hundred with fewer orders each.
    let recent = json!({"from": "2025-01-01T00:00:00Z"});
    history.world.import(recent).await;
    history.count();
}

async fn migrate(history: &mut History) {
    history
        .world
        .client
        .batch_execute(
            "update orders set total_amount = -1; update order_line_items set name = 'x'",
        )
        .await
        .unwrap();
    history.mislead().await;
    let report = history.world.migrate(&new_run_id()).await;
    assert_eq!(report.error, None, "{report:?}");
    history.count();
}

/// What the page and the mails read, of a long history of runs.
async fn read(history: &mut History, size: usize) {
    let client = &history.world.client;
    client
        .execute(
            "insert into sync_runs (run_id, kind, mode, trigger, requested_by, status, request,
                 error_name, error_step, queued_at, started_at, finished_at)
             select 'old-' || n, 'complete_sync', 'incremental', 'schedule', 'test',
                 (array['succeeded', 'failed', 'failed'])[n % 3 + 1], '{}', 'Internal', 'catalog',
                 at, at, at
             from generate_series(1, 1000 * $1::int) n, lateral (select now() - n * interval '1 minute' as at) t",
            &[&i32::try_from(size).unwrap()],
        )
        .await
        .unwrap();
    client
        .batch_execute(
            "insert into sync_steps (run_id, step, ordinal, status, stats, result)
             select run_id, step, 1, status, '{\"items\": {\"created\": 1, \"updated\": 2, \"deleted\": 3}}', '{}'
             from sync_runs, unnest(array['locations', 'catalog', 'inventory']) as step
             where run_id like 'old-%'",
        )
        .await
        .unwrap();
    history.sync(json!({"allow_mass_deletion": true})).await;
    let newest = "select run_id from sync_runs order by queued_at desc limit 1";
    let run_id: String = history
        .world
        .client
        .query_one(newest, &[])
        .await
        .unwrap()
        .get(0);
    // What is dead is read over until autovacuum comes, whenever that is.
    history.world.client.batch_execute("vacuum").await.unwrap();
    history.mislead().await;
    let client = history.world.env.database.client().await.unwrap();
    shared::run::summary::read(&client, &run_id).await.unwrap();
    for (name, sql) in api::statements() {
        if sql.starts_with("update") || sql.starts_with("insert") {
            continue;
        }
        let statement = client.prepare(sql).await.unwrap();
        let given: Vec<Box<dyn ToSql + Sync>> = statement
            .params()
            .iter()
            .map(|kind| parameter(name, kind, &run_id))
            .collect();
        let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|value| &**value as _).collect();
        client.query(&statement, &given).await.unwrap();
    }
    history.count();
}

/// A value of that type for a statement of the page's.
fn parameter(statement: &str, kind: &Type, run_id: &str) -> Box<dyn ToSql + Sync> {
    match *kind {
        Type::INT8 => Box::new(20_i64),
        // Days.
        Type::INT4 => Box::new(30_i32),
        Type::TIMESTAMPTZ => Box::new(None::<jiff::Timestamp>),
        Type::TEXT_ARRAY => Box::new(vec![run_id.to_owned()]),
        // The filters of the list of runs; none is set.
        Type::TEXT if statement == "runs" => Box::new(None::<String>),
        Type::TEXT => Box::new(run_id.to_owned()),
        _ => panic!("{statement}: no value of type {kind}"),
    }
}

/// What four times the rows may touch, at most.
const GROWTH: f64 = 5.0;

/// The same for all reads of a table together: a join with nothing leaves out the
/// other side, or not, which is once more or less.
const READS_GROWTH: f64 = 8.0;
const READS: &str = "all reads of ";

/// What may come on top: an index that has become a level deeper.
const SLACK: f64 = 1_000.0;

/// What happens to an account.
#[derive(Debug, Clone, Copy)]
enum Story {
    Whole,
    AllQuarantined,
    AllDeleted,
}

impl Story {
    async fn tell(self, size: usize, belief: Belief) -> Touched {
        match self {
            Self::Whole => whole_history(size, belief).await,
            Self::AllQuarantined => all_quarantined(size, belief).await,
            Self::AllDeleted => all_deleted(size, belief).await,
        }
    }

    /// The most that each statement touches, whatever is believed.
    async fn worst(self, size: usize) -> Touched {
        let told = Belief::ALL.map(|belief| self.tell(size, belief));
        let mut worst = Touched::new();
        for (statement, touched) in join_all(told).await.into_iter().flatten() {
            let most: &mut f64 = worst.entry(statement).or_default();
            *most = most.max(touched);
        }
        worst
    }
}

/// Fails with every statement of the story that grows faster than its rows; returns
/// all that there were.
#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever runs it alone"
)]
async fn assert_linear(story: Story) -> Touched {
    let (small, large) = (story.worst(1).await, story.worst(4).await);
    let (before, after): (f64, f64) = (small.values().sum(), large.values().sum());
    println!(
        "{story:?}: {} statements touched {before:.0}, and {after:.0} of four times the rows ({:.2} times)",
        large.len(),
        after / before
    );
    let grown: Vec<String> = large
        .iter()
        .filter_map(|(statement, after)| {
            let before = small.get(statement).copied().unwrap_or_default();
            let growth = if statement.starts_with(READS) {
                READS_GROWTH
            } else {
                GROWTH
            };
            let has_grown = *after > growth * before + SLACK;
            has_grown.then(|| format!("{before:.0} → {after:.0}: {statement}"))
        })
        .collect();
    assert!(grown.is_empty(), "{story:?}:\n{}", grown.join("\n"));
    large
}

/// Statements of a single row, found by its key, that no story has; and of the sign-ins
/// that were ended within a day, which are a handful.
const SINGLE: [&str; 16] = [
    "insert into locations ( … , first_synced_at, last_changed_at, last_changed_by_run) values",
    "update sync_leases set expires_at",
    "select run_id, kind, request from sync_runs where idempotency_key",
    "select step from sync_steps",
    "select holder",
    "update sync_runs set execution_arn",
    "update sync_runs set idempotency_key = null",
    "update sync_order_windows set error_name",
    "insert into sync_order_windows (run_id, location_ids, begins_at, ends_at, done_at) values",
    "insert into audit_log",
    "insert into sync_ended_sign_ins",
    "select exists (select from sync_ended_sign_ins",
    "delete from sync_ended_sign_ins",
    "select error_name,",
    "select warnings ->> 0 from sync_runs where run_id",
    // As many as the history's one page names.
    "select run_id from sync_runs where run_id = any",
];

#[test]
fn four_times_the_rows_touch_at_most_five_times_as_much() {
    run(async {
        let mut seen = assert_linear(Story::AllQuarantined).await;
        seen.extend(assert_linear(Story::AllDeleted).await);
        seen.extend(assert_linear(Story::Whole).await);
        let missing: Vec<String> = source::statements(&["shared/src", "functions/api/src"])
            .iter()
            .filter(|written| !seen.keys().any(|statement| written.makes(statement)))
            .map(|written| (written.begins(), &written.file))
            .filter(|(begins, _)| !SINGLE.iter().any(|single| begins.starts_with(single)))
            .map(|(begins, file)| format!("{file}: {begins}"))
            .collect();
        assert!(
            missing.is_empty(),
            "no story has these:\n{}",
            missing.join("\n")
        );
    });
}
