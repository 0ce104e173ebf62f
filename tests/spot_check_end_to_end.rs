//! The spot check in the local AWS: asked for through the API, beside a sync that is at
//! work, found in its run's JSON, and stopped.

use local::api::SpotCheck;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::run;

const ORDERS: &str = "/v2/orders/batch-retrieve";

async fn start(cloud: &Cloud, body: Value) -> Value {
    let (status, started) = cloud.call(Method::POST, "/admin/spot-check", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    started
}

fn id_of(started: &Value) -> &str {
    started["run_id"].as_str().unwrap()
}

#[test]
fn a_spot_check_finds_what_was_changed_by_hand_while_a_sync_is_at_work() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud
            .account
            .reset(json!({"items": 20, "variations": 40, "counts": 80, "orders": 30}))
            .await;
        cloud.sync(json!({})).await;
        let imports = "/admin/historical-orders-sync";
        let (_, started) = cloud.call(Method::POST, imports, json!({})).await;
        assert_eq!(cloud.end_of(id_of(&started)).await["status"], "succeeded");
        let first = start(&cloud, json!({"sample": 1, "idempotency_key": "spot"})).await;
        let run = cloud.end_of(id_of(&first)).await;
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(run["kind"], "spot_check");
        assert_eq!(run["spot_check"]["differ"], json!([]), "{run}");
        let again = start(&cloud, json!({"sample": 1, "idempotency_key": "spot"})).await;
        assert_eq!(id_of(&again), id_of(&first));
        let (status, refused) = cloud
            .call(Method::POST, "/admin/spot-check", json!({"sample": 2_001}))
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert_eq!(refused["error"]["field"], "sample", "{refused}");

        let scramble = "update orders set ticket_name = 'by hand' where id = (
            select id from orders order by updated_at limit 1) returning id";
        let row = cloud.client.query_one(scramble, &[]).await.unwrap();
        let id: String = row.get(0);
        cloud.account.hold("/v2/catalog/search", 0).await;
        let (_, sync) = cloud.start(json!({})).await;
        cloud.account.held("/v2/catalog/search", 0).await;
        let run = cloud.end_of(id_of(&start(&cloud, json!({})).await)).await;
        assert_eq!(run["status"], "succeeded", "{run}");
        let found: SpotCheck = serde_json::from_value(run["spot_check"].clone()).unwrap();
        assert_eq!(found.rows_differ, 1, "{run}");
        let one = &found.differ[0];
        assert_eq!(
            (one.row_type.as_str(), one.id.as_str(), one.column.as_str()),
            ("orders", id.as_str(), "ticket_name")
        );
        assert_eq!(one.ours.as_deref(), Some("by hand"));
        assert!(run["warnings"][0].as_str().unwrap().contains(&id), "{run}");
        let steps: Vec<&str> = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["step"].as_str().unwrap())
            .collect();
        assert_eq!(steps, ["preflight", "spot_check", "finish"]);
        assert_eq!(cloud.run(id_of(&sync)).await["status"], "running");
        cloud.account.clear_faults().await;
        assert_eq!(cloud.end_of(id_of(&sync)).await["status"], "succeeded");
        stops(&cloud).await;
        let audited = "select count(*) from audit_log where action = 'spot_check'
            and outcome in ('accepted', 'repeated', 'shown') and run_id = any ($1)";
        let runs = [id_of(&first), run["run_id"].as_str().unwrap()];
        let row = cloud
            .client
            .query_one(audited, &[&&runs[..]])
            .await
            .unwrap();
        assert!(row.get::<_, i64>(0) >= 4);
    });
}

async fn stops(cloud: &Cloud) {
    let slow = json!([{"endpoint": ORDERS, "kind": "delay", "delay_ms": 60_000}]);
    cloud.account.clear_counters().await;
    cloud.account.faults(slow).await;
    let started = start(cloud, json!({})).await;
    cloud.account.held(ORDERS, 0).await;
    let path = format!("/admin/runs/{}/stop", id_of(&started));
    let (status, stopped) = cloud.call(Method::POST, &path, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{stopped}");
    assert_eq!(stopped["status"], "stopped");
    cloud.account.clear_faults().await;
    let run = cloud.end_of(id_of(&started)).await;
    assert_eq!(run["status"], "stopped", "{run}");
    assert_eq!(run.get("spot_check"), None, "{run}");
}
