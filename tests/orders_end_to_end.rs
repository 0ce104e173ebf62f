//! Orders and the migration through the local AWS: the real state machines, the
//! real functions.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::orders::store::TABLES;

use crate::support::cloud::Cloud;
use crate::support::patience::patiently;
use crate::support::{run, tables};

const ORDERS: &str = "/v2/orders/search";
const IMPORT: &str = "/admin/historical-orders-sync";
const MIGRATE: &str = "/admin/migrate-order-line-items";

/// An account of two chunks.
fn account(orders: usize) -> Value {
    json!({"locations": 12, "items": 20, "variations": 40, "counts": 40, "orders": orders})
}

/// Starts a run; returns its id.
async fn start(cloud: &Cloud, path: &str, body: Value) -> String {
    let (status, started) = cloud.call(Method::POST, path, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    started["run_id"].as_str().unwrap().to_owned()
}

/// The orders step of a run.
fn orders_step(run: &Value) -> &Value {
    let steps = run["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == "orders").unwrap()
}

fn orders_read(run: &Value) -> i64 {
    orders_step(run)["progress"]["done"].as_i64().unwrap()
}

/// Waits until the calls of a stopped run have noticed: their requests would be taken
/// for the next run's.
async fn nobody_asks(cloud: &Cloud) {
    let quiet = patiently(async || {
        let before = cloud.account.requests_to(ORDERS).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        (cloud.account.requests_to(ORDERS).await == before).then_some(())
    });
    assert!(quiet.await.is_some(), "a stopped run goes on");
}

#[test]
fn a_history_survives_a_kill_a_stop_and_a_failing_window_and_orders_stay_fresh() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.reset(account(20_000)).await;

        // Killed in the middle of a window, then stopped.
        cloud.account.hold(ORDERS, 12).await;
        let run_id = start(&cloud, IMPORT, json!({})).await;
        cloud.until(&run_id, |run| orders_read(run) > 500).await;
        cloud.kill("orders");
        cloud.account.hold(ORDERS, 40).await;
        let running = cloud.until(&run_id, |run| orders_read(run) > 5_000).await;
        let progress = &orders_step(&running)["progress"];
        assert!(
            progress["windows"]["total"].as_i64() > Some(60),
            "{running}"
        );
        let (total, left) = (&progress["total"], &progress["seconds_left"]);
        assert!(total.as_i64() > Some(5_000), "{running}");
        assert!(left.as_i64().is_some(), "{running}");
        let path = format!("/admin/runs/{run_id}/stop");
        let (status, stopped) = cloud.call(Method::POST, &path, Value::Null).await;
        assert_eq!(
            (status, &stopped["status"]),
            (StatusCode::OK, &json!("stopped"))
        );
        let read = orders_read(&cloud.run(&run_id).await);
        assert!(read < 20_000, "{read}");
        nobody_asks(&cloud).await;
        cloud.account.clear_faults().await;

        // Its locations are still asked for, but one window is refused for good.
        let fault = json!({"endpoint": ORDERS, "request": 6, "times": 1, "kind": "status",
            "status": 400});
        cloud.account.faults(json!([fault])).await;
        let run_id = start(&cloud, IMPORT, json!({})).await;
        let failed = cloud.end_of(&run_id).await;
        assert_eq!(failed["error"]["name"], "SquareRejected", "{failed}");
        assert_eq!(failed["error"]["step"], "orders");
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("1 of "), "{message}");
        assert!(message.contains(" windows failed, "), "{message}");
        assert!(message.contains(" locations from "), "{message}");
        let arn = failed["execution_arn"].as_str().unwrap();
        let execution = cloud.execution(arn).await;
        assert_eq!(execution.error.as_deref(), Some("SquareRejected"));
        assert_eq!(execution.cause.as_deref(), Some(message));
        cloud.account.clear_faults().await;

        // What is missing, and then nothing any more.
        let run_id = start(&cloud, IMPORT, json!({})).await;
        let healed = cloud.end_of(&run_id).await;
        assert_eq!(healed["status"], "succeeded", "{healed}");
        assert_eq!(orders_step(&healed)["progress"]["windows"]["total"], 1);
        tables::assert_orders_equal_truth(&cloud.client, &cloud.account).await;
        cloud.account.clear_counters().await;
        let run_id = start(&cloud, IMPORT, json!({})).await;
        let idle = cloud.end_of(&run_id).await;
        assert_eq!(idle["status"], "succeeded", "{idle}");
        assert_eq!(cloud.account.requests_to(ORDERS).await, 2);

        // Fresh orders: asked for by name, and by the schedule from now on.
        let changes = json!([
            {"op": "add_order", "count": 600},
            {"op": "edit_order", "count": 50},
            {"op": "add_order", "kind": "return", "count": 20},
            {"op": "add_order", "count": 5,
                "set": {"created_at": "2026-06-29T00:00:00Z", "updated_at": "2026-06-29T00:00:00Z"}},
        ]);
        cloud.account.change(changes).await;
        let fresh = cloud.sync(json!({"only": ["orders"]})).await;
        assert_eq!(fresh["status"], "succeeded", "{fresh}");
        tables::assert_orders_equal_truth(&cloud.client, &cloud.account).await;
        cloud
            .account
            .change(json!([{"op": "edit_order", "count": 10}, {"op": "add_order"}]))
            .await;
        let input = json!({"trigger": "schedule", "scheduled_time": "2026-11-26T10:00:00Z"});
        let arn = cloud.start_by_hand("scheduled-orders", &input).await;
        cloud.execution(&arn).await;
        let scheduled = cloud.run("scheduled-orders").await;
        assert_eq!(scheduled["status"], "succeeded", "{scheduled}");
        assert_eq!(orders_step(&scheduled)["status"], "succeeded");
        tables::assert_orders_equal_truth(&cloud.client, &cloud.account).await;
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

#[test]
fn an_import_ends_when_square_is_away_for_good_and_the_next_one_goes_on() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.reset(account(2_000)).await;
        let away = json!({"endpoint": ORDERS, "kind": "status", "status": 503, "request": 20,
            "times": u64::MAX});
        cloud.account.faults(json!([away])).await;
        let run_id = start(&cloud, IMPORT, json!({})).await;
        let failed = cloud.end_of(&run_id).await;
        assert_eq!(failed["error"]["name"], "SquareUnavailable", "{failed}");
        assert_eq!(failed["error"]["step"], "orders");
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.contains(" windows failed, "), "{message}");
        assert!(message.contains(" are in. "), "{message}");
        // The tries of four windows, and a few more; there are some seventy.
        let asked = cloud.account.requests_to(ORDERS).await;
        assert!(asked <= 200, "{asked} requests");

        cloud.account.clear_faults().await;
        let run_id = start(&cloud, IMPORT, json!({})).await;
        let healed = cloud.end_of(&run_id).await;
        assert_eq!(healed["status"], "succeeded", "{healed}");
        tables::assert_orders_equal_truth(&cloud.client, &cloud.account).await;
    });
}

#[test]
fn an_import_at_work_lets_the_catalog_be_synced_and_refuses_another_import() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.reset(account(300)).await;
        cloud.account.hold(ORDERS, 2).await;
        let run_id = start(&cloud, IMPORT, json!({"from": "2025-01-01"})).await;
        cloud.account.held(ORDERS, 2).await;
        let (status, refused) = cloud.call(Method::POST, IMPORT, json!({})).await;
        assert_eq!(status, StatusCode::CONFLICT, "{refused}");
        assert_eq!(refused["error"]["run_id"], run_id);
        let (status, refused) = cloud.call(Method::POST, MIGRATE, json!({})).await;
        assert_eq!(status, StatusCode::CONFLICT, "{refused}");
        let sync = cloud.sync(json!({})).await;
        assert_eq!(sync["status"], "succeeded", "{sync}");
        cloud.account.clear_faults().await;
        let import = cloud.end_of(&run_id).await;
        assert_eq!(import["status"], "succeeded", "{import}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

#[test]
fn an_outdated_schema_refuses_syncs_until_it_is_migrated() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.reset(account(400)).await;
        let run_id = start(&cloud, IMPORT, json!({})).await;
        assert_eq!(cloud.end_of(&run_id).await["status"], "succeeded");
        let back = "alter table sync_runs drop constraint sync_runs_kind_check,
                add constraint sync_runs_kind_check check (kind in ('complete_sync',
                    'historical_orders', 'migration', 'restore'));
            alter table sync_watermarks drop column counts_drift, drop column fresh_since;
            drop table sync_ended_sign_ins; drop table square_askers; drop index sync_quarantine_nameless_orders;
            alter table sync_order_windows drop column verified_at, drop column is_open, drop column moved_at, drop column failures,
                drop column failing_since, drop column failing_redrive;
            delete from refinery_schema_history where version >= 14;
            update orders set total_amount = 0; delete from order_line_items";
        cloud.client.batch_execute(back).await.unwrap();
        for table in &TABLES[4..] {
            let sql = format!("drop table {}", table.name);
            cloud.client.batch_execute(&sql).await.unwrap();
        }

        let (status, refused) = cloud.start(json!({})).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
        assert_eq!(refused["error"]["name"], "DatabaseSchemaOutdated");
        let arn = cloud
            .start_by_hand("by-hand-on-an-old-schema", &json!({}))
            .await;
        let execution = cloud.execution(&arn).await;
        assert_eq!(execution.error.as_deref(), Some("DatabaseSchemaOutdated"));
        let (status, runs) = cloud.call(Method::GET, "/admin/runs", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{runs}");

        cloud.account.clear_counters().await;
        let run_id = start(&cloud, MIGRATE, json!({})).await;
        let migrated = cloud.end_of(&run_id).await;
        assert_eq!(migrated["status"], "succeeded", "{migrated}");
        assert_eq!(migrated["kind"], "migration");
        assert_eq!(cloud.account.requests().await, 0);
        tables::assert_orders_equal_truth(&cloud.client, &cloud.account).await;
        let sync = cloud.sync(json!({})).await;
        assert_eq!(sync["status"], "succeeded", "{sync}");
    });
}
