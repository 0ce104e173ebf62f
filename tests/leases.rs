//! One writer at a time, steps that may run twice, and late ones that may not.

use serde_json::{Value, json};
use shared::run::lease;
use shared::run::request::{CATALOG_LEASE, Kind, Request};
use shared::run::start::{self, Queued};

use crate::stops::{EXPIRE, stop};
use crate::support::account::Account;
use crate::support::run::{World, new_run_id};
use crate::support::{run, tables};

const CATALOG: &str = "/v2/catalog/search";

#[test]
fn a_second_run_is_told_of_the_first_and_a_schedule_is_skipped() {
    run(async {
        let world = World::small().await;
        world.open("first", json!({})).await.unwrap();
        let (name, report) = world.fail(json!({})).await;
        assert_eq!(name, "RunInProgress");
        assert!(report.error.unwrap().message.contains("first"));

        let skipped = world.run(json!({"trigger": "schedule"})).await;
        assert_eq!(skipped.status, "skipped");
        let rows =
            "select count(*) from sync_runs where status = 'skipped' and finished_at is not null";
        assert_eq!(world.number(rows).await, 1);
    });
}

#[test]
fn a_schedules_second_delivery_starts_nothing() {
    run(async {
        let world = World::small().await;
        let request = json!({"trigger": "schedule", "scheduled_time": "2026-11-22T18:00:00Z"});
        world.sync(request.clone()).await;
        assert_eq!(world.run(request).await.status, "skipped");
    });
}

/// An execution's first step may come twice like any other.
#[test]
fn a_skipped_runs_first_step_says_why_each_time() {
    run(async {
        let world = World::small().await;
        world.open("first", json!({})).await.unwrap();
        let request = json!({"trigger": "schedule"});
        let skipped = world.open("second", request.clone()).await.unwrap();
        assert!(
            skipped
                .warning
                .as_ref()
                .is_some_and(|why| why.contains("first"))
        );
        assert_eq!(world.open("second", request).await.unwrap(), skipped);
    });
}

/// What a request gets that is asked for through the API.
async fn queued(world: &World, kind: Kind, request: Value) -> Queued {
    let request = Request::parse(kind, request).unwrap();
    let mut client = world.env.database.client().await.unwrap();
    start::queue(&mut client, &request).await.unwrap()
}

#[test]
fn a_key_answers_the_same_request_alone() {
    run(async {
        let world = World::small().await;
        let keyed = json!({"idempotency_key": "k", "requested_by": "ada", "trigger": "api"});
        let sync = async |request| queued(&world, Kind::CompleteSync, request).await;
        let Queued::New { run_id } = sync(keyed.clone()).await else {
            panic!("no new run");
        };
        world.run_named(&run_id, keyed).await;
        for same in [
            json!({"idempotency_key": "k"}),
            json!({"idempotency_key": "k", "requested_by": "bob", "trigger": "admin"}),
            json!({"idempotency_key": "k", "only": ["inventory", "catalog", "locations"]}),
        ] {
            let run_id = run_id.clone();
            assert_eq!(sync(same).await, Queued::Repeated { run_id });
        }
        for (kind, other) in [
            (
                Kind::CompleteSync,
                json!({"idempotency_key": "k", "reconcile": true}),
            ),
            (
                Kind::CompleteSync,
                json!({"idempotency_key": "k", "only": ["catalog"]}),
            ),
            (
                Kind::CompleteSync,
                json!({"idempotency_key": "k", "dry_run": true}),
            ),
            (Kind::HistoricalOrders, json!({"idempotency_key": "k"})),
            (Kind::Migration, json!({"idempotency_key": "k"})),
            (
                Kind::Restore,
                json!({"idempotency_key": "k", "backup_id": "b"}),
            ),
        ] {
            let run_id = run_id.clone();
            assert_eq!(
                queued(&world, kind, other).await,
                Queued::Conflict { run_id }
            );
        }
        // In the console it is the run itself that says so.
        let (name, report) = world
            .fail(json!({"idempotency_key": "k", "dry_run": true}))
            .await;
        assert_eq!(name, "InputInvalid");
        assert!(report.error.unwrap().message.contains(&run_id));
        assert_eq!(world.number("select count(*) from sync_runs").await, 2);
    });
}

#[test]
fn nobody_takes_a_schedules_key_before_it_comes() {
    run(async {
        let world = World::small().await;
        let time = "2026-11-22T18:00:00Z";
        let guess = json!({"idempotency_key": format!("schedule {time}")});
        world.sync(guess).await;
        let hourly = json!({"trigger": "schedule", "scheduled_time": time});
        assert_eq!(world.sync(hourly.clone()).await.status, "succeeded");
        assert_eq!(world.run(hourly).await.status, "skipped");
    });
}

#[test]
fn every_step_twice_is_as_good_as_once() {
    run(async {
        let world = World::small().await;
        let first = world.open("twice", json!({})).await.unwrap();
        assert_eq!(world.open("twice", json!({})).await.unwrap(), first);
        for step in ["locations", "catalog", "inventory"] {
            let once = world.step("twice", step).await.unwrap();
            world.account.clear_counters().await;
            let again = world.step("twice", step).await.unwrap();
            assert_eq!(again.stats, once.stats, "{step}");
            assert_eq!(again.duration_ms, once.duration_ms, "{step}");
            assert_eq!(world.account.requests().await, 0, "{step}");
        }
        let report = world.run_named("twice", json!({})).await;
        assert_eq!(report.status, "succeeded");
        assert_eq!(world.run_named("twice", json!({})).await.status, "failed");
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn two_invocations_at_once_leave_one_result() {
    run(async {
        let world = World::small().await;
        world.open("twins", json!({})).await.unwrap();
        world.step("twins", "locations").await.unwrap();
        let (a, b) = tokio::join!(
            world.step("twins", "catalog"),
            world.step("twins", "catalog")
        );
        // One may lose its rows to the other; it then says so and applies nothing.
        for twin in [&a, &b] {
            match twin {
                Ok(output) => assert_eq!(output.stats["items"].created, 30, "{output:?}"),
                Err(error) => assert_eq!(error.name(), "DatabaseUnavailable", "{error}"),
            }
        }
        assert!(a.is_ok() || b.is_ok());
        let deleted = "select count(*) from catalog_items where is_deleted";
        assert_eq!(world.number(deleted).await, 0);
        world.step("twins", "inventory").await.unwrap();
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_redriven_step_takes_the_lease_up_again() {
    run(async {
        let world = World::small().await;
        world
            .account
            .faults(json!([{"endpoint": CATALOG, "kind": "status", "status": 400}]))
            .await;
        let report = world.run_named("redriven", json!({})).await;
        assert_eq!(report.error.unwrap().name, "SquareRejected");
        world.account.clear_faults().await;
        let late = world.step("redriven", "catalog").await.unwrap_err();
        assert_eq!(late.name(), "Cancelled");
        world.redriven_step("redriven", "catalog", 1).await.unwrap();
        world
            .redriven_step("redriven", "inventory", 1)
            .await
            .unwrap();
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

/// The heartbeat runs beside its step, and may come after the step's last write.
#[test]
fn a_heartbeat_that_comes_late_shortens_no_lease() {
    run(async {
        let world = World::small().await;
        world.open("late", json!({})).await.unwrap();
        let token = world
            .number("select lease_token from sync_runs where run_id = 'late'")
            .await;
        let client = world.env.database.client().await.unwrap();
        let names = &[CATALOG_LEASE];
        let lease = lease::take_up(&client, names, "late", token).await.unwrap();
        lease::fence(&client, &lease).await.unwrap();
        lease::renew(&client, &lease).await.unwrap();
        let minutes = "select floor(extract(epoch from
                max(expires_at) - clock_timestamp()) / 60)::bigint
            from sync_leases where holder = 'late'";
        assert_eq!(world.number(minutes).await, 4);
        world.client.batch_execute(EXPIRE).await.unwrap();
        lease::renew(&client, &lease).await.unwrap();
        assert_eq!(world.number(minutes).await, 1);
    });
}

/// A run's record without its steps would be one whose steps can never be done.
#[test]
fn a_run_is_recorded_with_its_steps_or_not_at_all() {
    run(async {
        let world = World::small().await;
        world
            .client
            .batch_execute(
                "create function refused() returns trigger language plpgsql as
                     $$ begin raise exception 'not now'; end $$;
                 create trigger refused before insert on sync_steps
                     for each row execute function refused()",
            )
            .await
            .unwrap();
        let error = world.open("whole", json!({})).await.unwrap_err();
        assert_eq!(error.name(), "DatabaseRejected");
        assert_eq!(world.number("select count(*) from sync_runs").await, 0);
        let allow = "drop function refused cascade";
        world.client.batch_execute(allow).await.unwrap();
        let report = world.run_named("whole", json!({})).await;
        assert_eq!(report.error, None, "{report:?}");
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

/// Two calls of one run may both come after its lease ran out.
#[test]
fn a_lease_that_the_run_has_under_a_newer_token_is_its_own() {
    run(async {
        let world = World::small().await;
        world.open("own", json!({})).await.unwrap();
        let token = "select token from sync_leases where name = 'catalog'";
        let old = world.number(token).await;
        let anew =
            "update sync_leases set token = nextval('sync_lease_tokens') where holder = 'own'";
        for written in ["", ", written_token = token"] {
            let anew = anew.replace(" where", &format!("{written} where"));
            world.client.batch_execute(&anew).await.unwrap();
            let newest = world.number(token).await;
            let client = world.env.database.client().await.unwrap();
            let lease = lease::take_up(&client, &[CATALOG_LEASE], "own", old).await;
            assert_eq!(lease.unwrap().token, newest);
        }
        assert_eq!(world.run_named("own", json!({})).await.error, None);
    });
}

/// What a refresh replaces, orders refer to, and its preview stands in for it.
#[test]
fn a_preview_of_a_refresh_keeps_imports_and_fresh_orders_waiting() {
    run(async {
        let world = World::small().await;
        let refresh = json!({"full_refresh": true, "dry_run": true});
        let orders = json!({"only": ["orders"]});
        for (kind, request) in [("complete_sync", orders), ("historical_orders", json!({}))] {
            let (first, second) = (new_run_id(), new_run_id());
            world.open(&first, refresh.clone()).await.unwrap();
            let refused = world
                .open_as(kind, &second, request.clone())
                .await
                .unwrap_err();
            assert_eq!(refused.name(), "RunInProgress", "{kind}");
            assert!(stop(&world, &first).await);

            let (first, second) = (new_run_id(), new_run_id());
            world.open_as(kind, &first, request).await.unwrap();
            let refused = world.open(&second, refresh.clone()).await.unwrap_err();
            assert_eq!(refused.name(), "RunInProgress", "{kind}");
            // A preview of what changed has nothing to do with orders.
            let preview = new_run_id();
            world
                .open(&preview, json!({"dry_run": true}))
                .await
                .unwrap();
            assert!(stop(&world, &preview).await && stop(&world, &first).await);
        }
    });
}

/// Preflight has let the run pass, two weeks ago perhaps.
#[test]
fn a_redriven_step_asks_anew_whose_the_token_is() {
    run(async {
        for step in ["catalog", "inventory"] {
            for request in [json!({"reconcile": true}), json!({})] {
                let account = json!({"seed": 1, "locations": 2, "categories": 2, "items": 10,
                    "variations": 20, "counts": 40, "orders": 0});
                let world = World::new(Account::start(account.clone()), &[]).await;
                world.sync(json!({})).await;
                let run_id = new_run_id();
                world.open(&run_id, request.clone()).await.unwrap();
                let before = tables::fingerprint(&world.client).await;
                let mut other = account;
                other["seed"] = json!(2);
                world.account.reset(other).await;
                let refused = world.redriven_step(&run_id, step, 1).await.unwrap_err();
                assert_eq!(refused.name(), "ConfigInvalid", "{step} {request}");
                assert_eq!(
                    tables::fingerprint(&world.client).await,
                    before,
                    "{step} {request}"
                );
            }
        }
    });
}
