//! Runs that are stopped or go silent: whose their leases are then, and what their late
//! steps may still do.

use serde_json::json;
use shared::finish;
use shared::run::lease;
use shared::run::request::{CATALOG_LEASE, Request};
use shared::run::start::{self, Queued};

use crate::support::patience::waits_for_a_lock;
use crate::support::run::{World, deadline, new_run_id};
use crate::support::{run, tables};

const CATALOG: &str = "/v2/catalog/search";

/// The lease as a run leaves it when its process dies.
pub(crate) const EXPIRE: &str = "update sync_leases set expires_at = now() - interval '1 second'";

pub(crate) async fn stop(world: &World, run_id: &str) -> bool {
    let mut client = world.env.database.client().await.unwrap();
    start::stop(&mut client, run_id).await.unwrap()
}

#[test]
fn a_stopped_runs_step_cannot_write() {
    run(async {
        let world = World::small().await;
        world.open("stopped", json!({})).await.unwrap();
        world.account.hold(CATALOG, 0).await;
        let (late, stopped) = tokio::join!(world.step("stopped", "catalog"), async {
            world.account.held(CATALOG, 0).await;
            let stopped = stop(&world, "stopped").await;
            world.account.clear_faults().await;
            stopped
        });
        assert!(stopped);
        assert_eq!(late.unwrap_err().name(), "LeaseLost");
        assert_eq!(world.number("select count(*) from catalog_items").await, 0);

        let later = world.step("stopped", "inventory").await.unwrap_err();
        assert_eq!(later.name(), "Cancelled");
        // The lease is free at once.
        world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_silent_runs_lease_goes_to_the_next_and_its_record_is_closed() {
    run(async {
        let world = World::small().await;
        world.open("silent", json!({})).await.unwrap();
        world.step("silent", "locations").await.unwrap();
        world.client.batch_execute(EXPIRE).await.unwrap();
        world.sync(json!({})).await;
        let row = world
            .client
            .query_one(
                "select status, error_name, error_step from sync_runs where run_id = 'silent'",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), "failed");
        assert_eq!(row.get::<_, String>(1), "LeaseLost");
        assert_eq!(row.get::<_, String>(2), "catalog");
        let late = world
            .redriven_step("silent", "catalog", 1)
            .await
            .unwrap_err();
        assert_eq!(late.name(), "LeaseLost");
    });
}

/// Not only the lease that the next run takes.
#[test]
fn a_silent_run_holds_nothing_once_it_is_closed() {
    run(async {
        let world = World::small().await;
        let refresh = json!({"full_refresh": true});
        let queued = world.open("silent", refresh).await;
        queued.unwrap();
        let held = "select count(*) from sync_leases where holder = 'silent'";
        assert_eq!(world.number(held).await, 2);
        world.client.batch_execute(EXPIRE).await.unwrap();
        world.open("next", json!({})).await.unwrap();
        assert_eq!(world.number(held).await, 0);
        let closed = "select count(*) from sync_runs where run_id = 'silent' and status = 'failed'";
        assert_eq!(world.number(closed).await, 1);
    });
}

/// All its steps were done but the last one's word.
#[test]
fn a_silent_run_whose_steps_are_done_ended_at_the_last_of_them() {
    run(async {
        let world = World::small().await;
        world.open("silent", json!({})).await.unwrap();
        let all_done = "update sync_steps set status = 'succeeded', started_at = now(),
            finished_at = now(), result = '{}' where run_id = 'silent'";
        world.client.batch_execute(all_done).await.unwrap();
        world.client.batch_execute(EXPIRE).await.unwrap();
        world.open("next", json!({})).await.unwrap();
        let row = world
            .client
            .query_one(
                "select error_step, (select step from sync_steps where run_id = 'silent'
                     order by ordinal desc limit 1)
                 from sync_runs where run_id = 'silent'",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), row.get::<_, String>(1));
    });
}

#[test]
fn a_run_whose_steps_are_not_done_is_not_closed_as_succeeded() {
    run(async {
        let world = World::small().await;
        world.open("early", json!({})).await.unwrap();
        world.step("early", "locations").await.unwrap();
        let input = json!({"kind": "complete_sync", "run_id": "early"});
        let input = serde_json::from_value(input).unwrap();
        let closed = finish::close(&world.env.database, None, input, deadline()).await;
        let error = closed.unwrap_err();
        assert!(error.to_string().contains("catalog is not done"), "{error}");
        let open = "select count(*) from sync_runs where run_id = 'early' and status = 'running'";
        assert_eq!(world.number(open).await, 1);
    });
}

#[test]
fn a_step_that_comes_just_after_a_stop_does_not_take_the_lease_up_again() {
    run(async {
        let world = World::small().await;
        world.open("stopped", json!({})).await.unwrap();
        let token = world
            .number("select lease_token from sync_runs where run_id = 'stopped'")
            .await;
        assert!(stop(&world, "stopped").await);
        let client = world.env.database.client().await.unwrap();
        let late = lease::take_up(&client, &[CATALOG_LEASE], "stopped", token).await;
        assert_eq!(late.unwrap_err().name(), "LeaseLost");
        // Preflight takes both of the pool's.
        drop(client);
        world.sync(json!({})).await;
    });
}

/// It holds the lease as soon as its first step commits, and nobody would free it then.
#[test]
fn a_stop_frees_the_lease_that_the_run_is_just_taking() {
    run(async {
        let world = World::small().await;
        world.open("taking", json!({})).await.unwrap();
        let free = "update sync_leases set holder = null, expires_at = '-infinity'";
        world.client.batch_execute(free).await.unwrap();
        let taking = "begin;
            update sync_leases set holder = 'taking', token = nextval('sync_lease_tokens'),
                expires_at = now() + interval '5 minutes' where name = 'catalog';
            update sync_runs set lease_token = 1 where run_id = 'taking'";
        world.client.batch_execute(taking).await.unwrap();
        let (stopped, ()) = tokio::join!(stop(&world, "taking"), async {
            waits_for_a_lock(&world.client).await;
            world.client.batch_execute("commit").await.unwrap();
        });
        assert!(stopped);
        let held = "select count(*) from sync_leases where holder is not null";
        assert_eq!(world.number(held).await, 0);
    });
}

/// Stops a run while `work` waits for the row of its lease, so between what it has
/// read of the run and what it writes.
async fn stop_under<T>(world: &World, run_id: &str, work: impl Future<Output = T>) -> T {
    let lock = "begin; select from sync_leases for update";
    world.client.batch_execute(lock).await.unwrap();
    let (result, ()) = tokio::join!(work, async {
        waits_for_a_lock(&world.client).await;
        world
            .client
            .batch_execute(&format!(
                "update sync_leases set holder = null, expires_at = '-infinity',
                     token = nextval('sync_lease_tokens') where holder = '{run_id}';
                 update sync_runs set status = 'stopped', finished_at = now()
                     where run_id = '{run_id}';
                 commit"
            ))
            .await
            .unwrap();
    });
    let status =
        format!("select count(*) from sync_runs where status = 'stopped' and run_id = '{run_id}'");
    assert_eq!(world.number(&status).await, 1);
    let held = "select count(*) from sync_leases where holder is not null";
    assert_eq!(world.number(held).await, 0);
    result
}

#[test]
fn a_stop_between_the_parts_of_a_step_is_not_undone() {
    run(async {
        let world = World::small().await;
        let mut client = world.env.database.client().await.unwrap();
        let queued = start::queue(&mut client, &Request::default())
            .await
            .unwrap();
        drop(client);
        let Queued::New { run_id } = queued else {
            panic!("{queued:?}");
        };
        let opened = stop_under(&world, &run_id, world.open(&run_id, json!({}))).await;
        assert_eq!(opened.unwrap_err().name(), "Cancelled");

        world.open("finishing", json!({})).await.unwrap();
        for step in ["locations", "catalog", "inventory"] {
            world.step("finishing", step).await.unwrap();
        }
        let input = json!({"kind": "complete_sync", "run_id": "finishing"});
        let input = serde_json::from_value(input).unwrap();
        let finish = finish::close(&world.env.database, None, input, deadline());
        let finished = Box::pin(stop_under(&world, "finishing", finish)).await;
        assert_eq!(finished.unwrap_err().name(), "Cancelled");

        world.open("redriven", json!({})).await.unwrap();
        let step = stop_under(&world, "redriven", world.step("redriven", "locations")).await;
        assert_eq!(step.unwrap_err().name(), "LeaseLost");
        world.sync(json!({})).await;
    });
}

/// A step that has seen its run under way may come to its lease a moment after the end.
#[test]
fn a_step_does_not_take_up_the_lease_of_a_run_that_was_just_closed() {
    run(async {
        let world = World::small().await;
        let failure = json!({"step": "catalog", "error": "SquareRejected",
            "cause": json!({"errorType": "SquareRejected", "errorMessage": "no"}).to_string()});
        for failure in [json!(null), failure] {
            let run_id = new_run_id();
            world.open(&run_id, json!({})).await.unwrap();
            let token = world
                .number("select lease_token from sync_runs order by started_at desc limit 1")
                .await;
            let mut input = json!({"kind": "complete_sync", "run_id": run_id});
            if failure.is_null() {
                for step in ["locations", "catalog", "inventory"] {
                    world.step(&run_id, step).await.unwrap();
                }
            } else {
                input["failure"] = failure.clone();
            }
            let input = serde_json::from_value(input).unwrap();
            finish::close(&world.env.database, None, input, deadline())
                .await
                .unwrap();
            let client = world.env.database.client().await.unwrap();
            let late = lease::take_up(&client, &[CATALOG_LEASE], &run_id, token).await;
            assert_eq!(late.unwrap_err().name(), "LeaseLost", "{failure}");
            let held = "select count(*) from sync_leases where holder is not null";
            assert_eq!(world.number(held).await, 0, "{failure}");
        }
    });
}
