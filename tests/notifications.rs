//! EventBridge's reports of ended executions, against a real database: runs that
//! could not close themselves are closed, and the mail's facts are right.

use serde_json::{Value, json};
use shared::notification::{Notices, execution_ended};
use shared::run::summary;

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::World;

const CATALOG: &str = "/v2/catalog/search";

fn event(run_id: &str, status: &str, more: &Value) -> Value {
    let mut detail = json!({
        "executionArn": format!("arn:aws:states:us-east-1:1:execution:square-sync-complete-sync:{run_id}"),
        "stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:square-sync-complete-sync",
        "name": run_id, "status": status, "input": "{\"trigger\":\"schedule\"}",
        "startDate": 1_795_000_000_000_i64, "stopDate": 1_795_000_005_000_i64,
        "error": null, "cause": null,
    });
    for (name, value) in more.as_object().unwrap() {
        detail[name] = value.clone();
    }
    json!({"detail-type": "Step Functions Execution Status Change", "detail": detail})
}

async fn report(world: &World, event: &Value) {
    let database = Ok(&world.env.database);
    execution_ended(&Notices::default(), database, event)
        .await
        .unwrap();
}

async fn record(world: &World, run_id: &str) -> Value {
    let sql = "select jsonb_build_object('status', status, 'error', error_name, 'step', error_step,
            'trigger', trigger, 'finished', finished_at is not null,
            'open_steps', (select count(*) from sync_steps s
                where s.run_id = r.run_id and s.status in ('pending', 'running')))
        from sync_runs r where run_id = $1";
    world
        .client
        .query_one(sql, &[&run_id])
        .await
        .unwrap()
        .get(0)
}

const HELD: &str = "select count(*) from sync_leases
    where holder is not null and expires_at > clock_timestamp()";

#[test]
fn a_run_aborted_in_the_console_is_closed_and_its_lease_free_at_once() {
    run(async {
        let world = World::small().await;
        world.open("aborted", json!({})).await.unwrap();
        world.step("aborted", "locations").await.unwrap();
        assert_eq!(world.number(HELD).await, 1);
        for _ in 0..2 {
            report(&world, &event("aborted", "ABORTED", &json!({}))).await;
            let record = record(&world, "aborted").await;
            assert_eq!(record["status"], "stopped");
            assert_eq!(record["open_steps"], 0);
            assert_eq!(world.number(HELD).await, 0);
        }
        // What outlived its execution can no longer write, and the next run can.
        assert!(world.step("aborted", "catalog").await.is_err());
        world.sync(json!({})).await;
    });
}

#[test]
fn a_run_that_timed_out_as_a_whole_fails_at_the_step_it_was_at() {
    run(async {
        let world = World::small().await;
        world.open("late", json!({})).await.unwrap();
        let at_work = "update sync_steps set status = 'running'
            where run_id = 'late' and step = 'catalog'";
        world.client.batch_execute(at_work).await.unwrap();
        report(&world, &event("late", "TIMED_OUT", &json!({}))).await;
        let record = record(&world, "late").await;
        assert_eq!(record["status"], "failed");
        assert_eq!(record["error"], "States.Timeout");
        assert_eq!(record["step"], "catalog");
        assert_eq!(record["open_steps"], 0);
        assert_eq!(world.number(HELD).await, 0);
    });
}

#[test]
fn a_run_that_failed_before_its_record_gets_one() {
    run(async {
        let world = World::small().await;
        let more = json!({"error": "ConfigInvalid", "cause": "DATABASE_URL is not set."});
        report(&world, &event("early", "FAILED", &more)).await;
        let record = record(&world, "early").await;
        assert_eq!(record["status"], "failed");
        assert_eq!(record["error"], "ConfigInvalid");
        assert_eq!(record["step"], "preflight");
        assert_eq!(record["trigger"], "schedule");
    });
}

#[test]
fn a_run_that_closed_itself_keeps_its_own_reason() {
    run(async {
        let world = World::small().await;
        world
            .account
            .faults(json!([{"endpoint": CATALOG, "kind": "status", "status": 401}]))
            .await;
        let (name, report_of) = world.fail(json!({})).await;
        let more = json!({"error": "Other", "cause": "Another."});
        report(&world, &event(&report_of.run_id, "FAILED", &more)).await;
        assert_eq!(
            record(&world, &report_of.run_id).await["error"],
            name.as_str()
        );
    });
}

#[test]
fn failures_in_a_row_are_counted_until_the_failing_step_succeeds() {
    run(async {
        let world = World::small().await;
        let broken = json!([{"endpoint": CATALOG, "kind": "status", "status": 401}]);
        world.sync(json!({})).await;
        world.account.faults(broken).await;
        let database = &world.env.database;
        let before = |run_id: String| async move {
            let client = database.client().await.unwrap();
            let summary = summary::read(&client, &run_id).await.unwrap().unwrap();
            summary.failures_before
        };
        let (_, first) = world.fail(json!({})).await;
        assert_eq!(before(first.run_id).await, 0);
        let (_, second) = world.fail(json!({})).await;
        assert_eq!(before(second.run_id).await, 1);
        // A run without the failing step proves nothing.
        let other = world.sync(json!({"only": ["locations"]})).await;
        assert_eq!(before(other.run_id).await, 0);
        world.account.clear_faults().await;
        let preview = world.sync(json!({"dry_run": true})).await;
        assert_eq!(before(preview.run_id).await, 0);
        let recovered = world.sync(json!({})).await;
        assert_eq!(before(recovered.run_id).await, 2);
        let next = world.sync(json!({})).await;
        assert_eq!(before(next.run_id).await, 0);
    });
}

#[test]
fn the_figures_of_a_run_are_those_of_its_steps() {
    run(async {
        let account = Account::small();
        let world = World::new(account, &[]).await;
        let report = world.sync(json!({})).await;
        let client = world.env.database.client().await.unwrap();
        let summary = summary::read(&client, &report.run_id).await;
        let summary = summary.unwrap().unwrap();
        assert_eq!(summary.stats["items"], report.counts("items"));
        let requests: u64 = report.steps.values().map(|step| step.square.requests).sum();
        // Preflight asks for the token's status besides.
        assert_eq!(summary.square.requests, requests + 1);
        assert!(
            summary
                .freshness
                .iter()
                .any(|fresh| fresh.age_seconds.is_some())
        );
        assert_eq!(summary.status, "succeeded");
    });
}
