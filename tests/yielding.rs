//! A run that yields makes way for any run that does not, at once and wherever it is,
//! and ends as skipped: that is no failure.

use serde_json::{Value, json};
use shared::error::SyncError;
use shared::run::request::{Kind, Request, Trigger};
use shared::run::start::{self, Queued};
use shared::run::step::StepInput;
use shared::{catalog, finish};

use crate::support::patience::patiently;
use crate::support::run::{World, deadline, new_run_id};
use crate::support::{run, tables};

const CATALOG: &str = "/v2/catalog/search";

/// Marks a run as one that yields.
async fn mark(world: &World, run_id: &str) {
    let mark = "update sync_runs set yields = true where run_id = $1";
    assert_eq!(world.client.execute(mark, &[&run_id]).await.unwrap(), 1);
}

/// A run that yields and holds its lease.
async fn yielding(world: &World) -> String {
    let run_id = new_run_id();
    world.open(&run_id, json!({})).await.unwrap();
    mark(world, &run_id).await;
    run_id
}

/// What an admin or a script starts, up to its execution.
async fn queue(world: &World, trigger: Trigger) -> Result<String, SyncError> {
    let request = Request {
        kind: Kind::CompleteSync,
        trigger,
        ..Request::default()
    };
    let mut client = world.env.database.client().await.unwrap();
    match start::queue(&mut client, &request).await? {
        Queued::New { run_id } => Ok(run_id),
        known => panic!("{known:?}"),
    }
}

/// How the state machine closes a run after an error of a step's.
async fn close(world: &World, run_id: &str, step: &str, error: &SyncError) -> finish::Output {
    let cause = json!({"errorType": error.name(), "errorMessage": error.to_string()});
    let failure = json!({"step": step, "error": error.name(), "cause": cause.to_string()});
    let input = json!({"kind": "complete_sync", "run_id": run_id, "failure": failure});
    let input = serde_json::from_value(input).unwrap();
    finish::close(&world.env.database, None, input, deadline())
        .await
        .unwrap()
}

/// The run's record says that it made way, for whom, and nothing of a failure.
async fn assert_made_way(world: &World, run_id: &str, by: &str) {
    let row = world
        .client
        .query_one(
            "select status, warnings ->> 0, error_name, finished_at is not null,
                 (select array_agg(step || ' ' || status order by ordinal) from sync_steps s
                  where s.run_id = r.run_id and status not in ('succeeded', 'skipped'))
             from sync_runs r where run_id = $1",
            &[&run_id],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "skipped");
    let note: Option<&str> = row.get(1);
    assert!(
        note.is_some_and(|note| note.contains(by)),
        "{note:?} without {by}"
    );
    assert_eq!(row.get::<_, Option<&str>>(2), None);
    assert!(row.get::<_, bool>(3));
    assert_eq!(row.get::<_, Option<Vec<String>>>(4), None);
}

#[test]
fn a_run_that_yields_makes_way_in_the_middle_of_a_statement() {
    run(async {
        for trigger in [Trigger::Admin, Trigger::Api, Trigger::Schedule] {
            let world = World::small().await;
            let run_id = yielding(&world).await;
            world.step(&run_id, "locations").await.unwrap();
            world
                .client
                .batch_execute(
                    "create function for_ever() returns trigger language plpgsql as
                         $$ begin perform pg_sleep(86400); return null; end $$;
                     create trigger for_ever before insert on catalog_items
                         for each statement execute function for_ever()",
                )
                .await
                .unwrap();
            let (late, by) = tokio::join!(world.step(&run_id, "catalog"), async {
                let asleep = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event = 'PgSleep'";
                let asleep = patiently(async || (world.number(asleep).await > 0).then_some(()));
                assert!(asleep.await.is_some());
                queue(&world, trigger).await.unwrap()
            });
            let error = late.unwrap_err();
            assert_eq!(error.name(), "LeaseLost", "{error}");
            let let_go = "drop function for_ever cascade";
            world.client.batch_execute(let_go).await.unwrap();
            assert_made_way(&world, &run_id, &by).await;
            let closed = close(&world, &run_id, "catalog", &error).await;
            assert_eq!((&*closed.status, closed.error), ("skipped", None));
            assert_made_way(&world, &run_id, &by).await;
            // Its execution may be a moment behind.
            let late = world.step(&run_id, "inventory").await.unwrap_err();
            assert_eq!(late.name(), "Cancelled");
            let closed = close(&world, &run_id, "inventory", &late).await;
            assert_eq!(closed.status, "skipped");

            let report = world.run_named(&by, json!({})).await;
            assert_eq!(report.error, None, "{report:?}");
            tables::assert_equal_truth(&world.client, &world.account).await;
            let failed = "select count(*) from sync_runs where status = 'failed'";
            assert_eq!(world.number(failed).await, 0);
        }
    });
}

#[test]
fn what_a_run_that_made_way_writes_late_is_refused() {
    run(async {
        let world = World::small().await;
        let run_id = yielding(&world).await;
        world.step(&run_id, "locations").await.unwrap();
        // It has read all there is, and is about to apply it.
        world.account.hold(CATALOG, 0).await;
        let input = StepInput {
            run_id: run_id.clone(),
            redrive_count: 0,
        };
        let late = catalog::sync(&world.env, input, deadline());
        let (late, by) = tokio::join!(late, async {
            world.account.held(CATALOG, 0).await;
            let by = queue(&world, Trigger::Admin).await.unwrap();
            world.account.clear_faults().await;
            by
        });
        assert_eq!(late.unwrap_err().name(), "LeaseLost");
        assert_eq!(world.number("select count(*) from catalog_items").await, 0);
        assert_made_way(&world, &run_id, &by).await;
    });
}

#[test]
fn a_run_that_yields_makes_way_between_its_steps_and_before_its_first() {
    run(async {
        for request in [
            json!({"trigger": "schedule"}),
            json!({}),
            json!({"full_refresh": true}),
        ] {
            let world = World::small().await;
            world.sync(json!({})).await;
            let run_id = yielding(&world).await;
            world.step(&run_id, "locations").await.unwrap();
            let by = world.sync(request).await.run_id;
            assert_made_way(&world, &run_id, &by).await;
            let late = world.step(&run_id, "catalog").await.unwrap_err();
            assert_eq!(late.name(), "Cancelled");
            let closed = close(&world, &run_id, "catalog", &late).await;
            assert_eq!(closed.status, "skipped");

            let queued = queue(&world, Trigger::Admin).await.unwrap();
            mark(&world, &queued).await;
            let by = world.sync(json!({})).await.run_id;
            assert_made_way(&world, &queued, &by).await;
            let opened = world.open(&queued, json!({})).await.unwrap();
            assert_eq!(opened.status, "skipped");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

/// Also when it has come to its end.
#[test]
fn a_run_that_made_way_cannot_be_finished() {
    run(async {
        let world = World::small().await;
        let run_id = yielding(&world).await;
        for step in ["locations", "catalog", "inventory"] {
            world.step(&run_id, step).await.unwrap();
        }
        let by = queue(&world, Trigger::Api).await.unwrap();
        let input: Value = json!({"kind": "complete_sync", "run_id": run_id});
        let input = serde_json::from_value(input).unwrap();
        let finished = finish::close(&world.env.database, None, input, deadline()).await;
        let error = finished.unwrap_err();
        assert_eq!(error.name(), "Cancelled");
        let closed = close(&world, &run_id, "finish", &error).await;
        assert_eq!(closed.status, "skipped");
        assert_made_way(&world, &run_id, &by).await;
    });
}

/// An import takes the orders from it, and what it held besides is free as well.
#[test]
fn one_lease_that_is_taken_frees_the_others() {
    run(async {
        let world = World::small().await;
        let run_id = new_run_id();
        let all = json!({"only": ["locations", "catalog", "inventory", "orders"]});
        world.open(&run_id, all).await.unwrap();
        mark(&world, &run_id).await;
        let by = new_run_id();
        world
            .open_as("historical_orders", &by, json!({}))
            .await
            .unwrap();
        assert_made_way(&world, &run_id, &by).await;
        let free = "select count(*) from sync_leases where name = 'catalog' and holder is null";
        assert_eq!(world.number(free).await, 1);
    });
}

#[test]
fn a_run_that_yields_takes_nothing_from_anybody() {
    run(async {
        let world = World::small().await;
        let newcomer = async || {
            let run_id = new_run_id();
            world
                .client
                .execute(
                    "insert into sync_runs (run_id, kind, mode, trigger, requested_by, status,
                         request, yields)
                     values ($1, 'complete_sync', 'incremental', 'api', 'test', 'queued', '{}', true)",
                    &[&run_id],
                )
                .await
                .unwrap();
            world
                .open(&run_id, json!({"trigger": "api"}))
                .await
                .unwrap()
        };
        for holder_yields in [true, false] {
            let holder = new_run_id();
            world.open(&holder, json!({})).await.unwrap();
            if holder_yields {
                mark(&world, &holder).await;
            }
            let opened = newcomer().await;
            assert_eq!(opened.status, "skipped");
            let reason = opened.warning.unwrap();
            assert!(reason.contains(&holder), "{reason}");
            world.step(&holder, "locations").await.unwrap();
            world.stop(&holder).await;
        }
        // One that is free it gets.
        assert_eq!(newcomer().await.status, "running");
    });
}

/// A run that was silent for a while gets its lease back from one that yields, unless
/// that has written.
#[test]
fn a_late_step_takes_its_lease_back_from_a_run_that_yields() {
    run(async {
        let world = World::small().await;
        let run_id = new_run_id();
        world.open(&run_id, json!({})).await.unwrap();
        let expire = "update sync_leases set expires_at = now() - interval '1 second'";
        world.client.batch_execute(expire).await.unwrap();
        let other = yielding(&world).await;
        // Taking over closed the silent run's record; a redrive opens it again.
        world.redriven_step(&run_id, "locations", 1).await.unwrap();
        assert_made_way(&world, &other, &run_id).await;
    });
}
