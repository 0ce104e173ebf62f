//! The whole product in the local AWS, scenario by scenario.

use local::Stack;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::cloud::{Cloud, execution, options};
use crate::support::{database, run, tables};

const CATALOG: &str = "/v2/catalog/search";
const STEPS: [&str; 5] = ["preflight", "locations", "catalog", "inventory", "finish"];

fn statuses(run: &Value) -> Vec<(&str, &str)> {
    let steps = run["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| {
            (
                step["step"].as_str().unwrap(),
                step["status"].as_str().unwrap(),
            )
        })
        .collect()
}

fn totals(run: &Value) -> [i64; 3] {
    ["created", "updated", "deleted"].map(|key| run["totals"][key].as_i64().unwrap())
}

#[test]
fn a_first_sync_an_idle_one_and_changes_of_every_kind() {
    run(async {
        let cloud = Cloud::turn().await;
        let first = cloud.sync(json!({})).await;
        assert_eq!(first["status"], "succeeded", "{first}");
        assert_eq!(statuses(&first), STEPS.map(|step| (step, "succeeded")));
        assert_eq!(first["trigger"], "api");
        for (data_type, table) in [
            ("categories", "catalog_categories"),
            ("items", "catalog_items"),
            ("variations", "catalog_variations"),
        ] {
            let count = cloud
                .client
                .query_one(&format!("select count(*) from {table}"), &[])
                .await;
            let count: i64 = count.unwrap().get(0);
            assert_eq!(
                first["steps"][2]["stats"][data_type]["created"], count,
                "{table}"
            );
        }
        let execution = cloud
            .execution(first["execution_arn"].as_str().unwrap())
            .await;
        assert_eq!(execution.status, "SUCCEEDED");
        assert_eq!(execution.name, first["run_id"].as_str().unwrap());
        let output = execution.output.unwrap();
        assert!(output.len() < 1_000, "{output}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;

        cloud.account.clear_counters().await;
        let idle = cloud.sync(json!({})).await;
        assert_eq!(totals(&idle), [0, 0, 0]);
        assert!(cloud.account.requests().await <= 4);

        for change in [
            json!([{"op": "add_item", "count": 3, "variations": 2, "quantity": "4"}]),
            json!([{"op": "edit_item"}, {"op": "edit_variation", "price_amount": 7}]),
            json!([{"op": "delete_item"}, {"op": "delete_variation"}, {"op": "delete_category"}]),
            json!([{"op": "move_item"}]),
            json!([{"op": "deactivate_location"}]),
            json!([{"op": "restock"}, {"op": "sell"}]),
        ] {
            cloud.account.change(change.clone()).await;
            let report = cloud.sync(json!({})).await;
            assert_eq!(report["status"], "succeeded", "{change}: {report}");
            assert!(totals(&report).iter().sum::<i64>() > 0, "{change}");
            tables::assert_equal_truth(&cloud.client, &cloud.account).await;
        }
    });
}

#[test]
fn a_failure_at_the_second_step_keeps_the_first_and_never_starts_the_third() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.sync(json!({})).await;
        cloud
            .account
            .change(json!([{"op": "edit_location", "name": "Renamed"}, {"op": "edit_item"}, {"op": "sell"}]))
            .await;
        cloud
            .account
            .faults(json!([{"endpoint": CATALOG, "kind": "status", "status": 400}]))
            .await;
        let failed = cloud.sync(json!({})).await;
        assert_eq!(failed["status"], "failed");
        assert_eq!(failed["error"]["name"], "SquareRejected");
        assert_eq!(failed["error"]["step"], "catalog");
        assert_eq!(
            statuses(&failed),
            [
                ("preflight", "succeeded"),
                ("locations", "succeeded"),
                ("catalog", "failed"),
                ("inventory", "skipped"),
                ("finish", "skipped")
            ]
        );
        let arn = failed["execution_arn"].as_str().unwrap();
        let execution = cloud.execution(arn).await;
        assert_eq!(execution.status, "FAILED");
        assert_eq!(execution.error.as_deref(), Some("SquareRejected"));
        assert_eq!(
            execution.cause.as_deref(),
            failed["error"]["message"].as_str()
        );
        let entered = cloud.stack.aws().states_entered(arn).await.unwrap();
        assert!(entered.contains(&"Catalog".to_owned()), "{entered:?}");
        assert!(!entered.contains(&"Inventory".to_owned()), "{entered:?}");
        let renamed = "select count(*) from locations where name = 'Renamed'";
        let renamed: i64 = cloud.client.query_one(renamed, &[]).await.unwrap().get(0);
        assert_eq!(renamed, 1);

        cloud.account.clear_faults().await;
        let healed = cloud.sync(json!({})).await;
        assert_eq!(healed["status"], "succeeded", "{healed}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

#[test]
fn a_refused_token_and_a_missing_scope_end_the_execution_under_their_names() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.token(json!({"token": "another-token"})).await;
        let refused = cloud.sync(json!({})).await;
        assert_eq!(refused["error"]["name"], "SquareUnauthorized");
        assert_eq!(refused["error"]["step"], "preflight");
        let execution = cloud
            .execution(refused["execution_arn"].as_str().unwrap())
            .await;
        assert_eq!(execution.error.as_deref(), Some("SquareUnauthorized"));
        assert!(execution.cause.unwrap().contains("SQUARE_ACCESS_TOKEN"));

        let scopes = json!(["MERCHANT_PROFILE_READ", "INVENTORY_READ"]);
        cloud
            .account
            .token(json!({"token": "sim-token", "scopes": scopes}))
            .await;
        let lacking = cloud.sync(json!({})).await;
        assert_eq!(lacking["error"]["name"], "SquareForbidden");
        let message = lacking["error"]["message"].as_str().unwrap();
        assert!(message.contains("ITEMS_READ"), "{message}");
    });
}

#[test]
fn bursts_of_429_are_waited_out() {
    run(async {
        let cloud = Cloud::turn().await;
        let burst = json!({"endpoint": "*", "request": 2, "times": 4, "kind": "status", "status": 429,
            "retry_after": "1"});
        cloud.account.faults(json!([burst])).await;
        let done = cloud.sync(json!({})).await;
        assert_eq!(done["status"], "succeeded", "{done}");
        let retries: i64 = done["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|step| step["square"]["retries"].as_i64())
            .sum();
        assert_eq!(retries, 4, "{done}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

#[test]
fn a_square_that_stays_away_fails_the_run_after_the_state_machines_own_retries() {
    run(async {
        let cloud = Cloud::own("away").await;
        cloud.sync(json!({})).await;
        // It waits for Square three times, almost two minutes in all: at a stack of its own, so
        // that the other scenarios need not.
        cloud
            .account
            .faults(json!([{"endpoint": CATALOG, "kind": "status", "status": 503, "retry_after": "3600"}]))
            .await;
        let failed = cloud.sync(json!({})).await;
        assert_eq!(failed["error"]["name"], "SquareUnavailable", "{failed}");
        let attempts: i32 = cloud
            .client
            .query_one(
                "select attempts from sync_steps where run_id = $1 and step = 'catalog'",
                &[&failed["run_id"].as_str()],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(attempts, 3);
    });
}

#[test]
fn two_starts_at_once_are_one_run_and_a_repeated_key_is_the_first() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.sync(json!({})).await;
        cloud.account.hold(CATALOG, 0).await;
        let (one, two) = tokio::join!(cloud.start(json!({})), cloud.start(json!({})));
        let (accepted, refused) = if one.0 == StatusCode::ACCEPTED {
            (one, two)
        } else {
            (two, one)
        };
        assert_eq!(accepted.0, StatusCode::ACCEPTED, "{}", accepted.1);
        assert_eq!(refused.0, StatusCode::CONFLICT, "{}", refused.1);
        assert_eq!(refused.1["error"]["name"], "RunInProgress");
        assert_eq!(refused.1["error"]["run_id"], accepted.1["run_id"]);
        cloud.account.clear_faults().await;
        cloud.end_of(accepted.1["run_id"].as_str().unwrap()).await;

        let body = json!({"idempotency_key": "a double click"});
        let (one, two) = tokio::join!(cloud.start(body.clone()), cloud.start(body.clone()));
        assert_eq!(
            (one.0, two.0),
            (StatusCode::ACCEPTED, StatusCode::ACCEPTED),
            "{} {}",
            one.1,
            two.1
        );
        assert_eq!(one.1["run_id"], two.1["run_id"]);
        cloud.end_of(one.1["run_id"].as_str().unwrap()).await;
        let later = cloud.start(body).await;
        assert_eq!(later.1["run_id"], one.1["run_id"]);
        let runs: i64 = cloud
            .client
            .query_one("select count(*) from sync_runs", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(runs, 3);
    });
}

#[test]
fn a_stop_ends_the_execution_and_frees_the_lease_at_once() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.hold(CATALOG, 0).await;
        let (_, started) = cloud.start(json!({})).await;
        let run_id = started["run_id"].as_str().unwrap();
        cloud.account.held(CATALOG, 0).await;
        let path = format!("/admin/runs/{run_id}/stop");
        let (status, stopped) = cloud.call(Method::POST, &path, json!({})).await;
        assert!(status.is_success(), "{stopped}");
        assert_eq!(cloud.run(run_id).await["status"], "stopped");
        let execution = cloud
            .execution(started["execution_arn"].as_str().unwrap())
            .await;
        assert_eq!(execution.status, "ABORTED");

        // The stopped step is still under way; it must not write any more.
        cloud.account.clear_faults().await;
        let next = cloud.sync(json!({})).await;
        assert_eq!(next["status"], "succeeded", "{next}");
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
        let foreign = "select count(*) from catalog_items where last_changed_by_run = $1";
        let foreign: i64 = cloud
            .client
            .query_one(foreign, &[&run_id])
            .await
            .unwrap()
            .get(0);
        assert_eq!(foreign, 0);
    });
}

#[test]
fn the_console_and_the_schedule_can_start_a_run_too() {
    run(async {
        let cloud = Cloud::turn().await;
        let arn = cloud.start_by_hand("typed-by-hand", &json!({})).await;
        assert_eq!(cloud.execution(&arn).await.status, "SUCCEEDED");
        let run = cloud.run("typed-by-hand").await;
        assert_eq!(
            (run["trigger"].as_str(), run["requested_by"].as_str()),
            (Some("admin"), Some("console"))
        );
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;

        let input = json!({"trigger": "schedule", "scheduled_time": "2026-11-22T19:00:00Z"});
        let arn = cloud.start_by_hand("by-schedule-1", &input).await;
        assert_eq!(cloud.execution(&arn).await.status, "SUCCEEDED");
        let arn = cloud.start_by_hand("by-schedule-2", &input).await;
        let again = cloud.execution(&arn).await;
        assert_eq!(again.status, "SUCCEEDED");
        assert!(again.output.unwrap().contains("skipped"));

        let arn = cloud
            .start_by_hand("misspelt", &json!({"reconsile": true}))
            .await;
        let refused = cloud.execution(&arn).await;
        assert_eq!(refused.error.as_deref(), Some("InputInvalid"));
        assert!(refused.cause.unwrap().contains("reconsile"));
    });
}

#[test]
fn a_schedule_that_meets_a_run_is_skipped_quietly() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.account.hold(CATALOG, 0).await;
        let (_, started) = cloud.start(json!({})).await;
        let arn = cloud
            .start_by_hand("meets-a-run", &json!({"trigger": "schedule"}))
            .await;
        assert_eq!(cloud.execution(&arn).await.status, "SUCCEEDED");
        let skipped = cloud.run("meets-a-run").await;
        assert_eq!(skipped["status"], "skipped");
        let reason = skipped["warnings"][0].as_str().unwrap();
        assert!(
            reason.contains(started["run_id"].as_str().unwrap()),
            "{skipped}"
        );
        cloud.account.clear_faults().await;
        let run = cloud.end_of(started["run_id"].as_str().unwrap()).await;
        assert_eq!(run["status"], "succeeded");
    });
}

#[test]
fn the_api_refuses_what_it_should() {
    run(async {
        let cloud = Cloud::turn().await;
        let token = &cloud.stack.file().bearer_token;
        let path = "/admin/complete-sync";
        let (status, body) = cloud
            .raw(path, |http, url| http.post(url).json(&json!({})))
            .await;
        assert_eq!(
            (status, body["error"]["name"].as_str()),
            (StatusCode::UNAUTHORIZED, Some("Unauthorized"))
        );
        let mut forged = token.clone();
        forged.replace_range(forged.len() - 8.., "AAAAAAAA");
        let (status, _) = cloud
            .raw(path, |http, url| {
                http.post(url).bearer_auth(forged).json(&json!({}))
            })
            .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);

        for (body, field) in [
            (json!({"ful_refresh": true}), "ful_refresh"),
            (json!({"only": ["cataloge"]}), "only"),
            (json!({"reconcile": "yes"}), "reconcile"),
        ] {
            let (status, answer) = cloud.start(body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
            assert!(
                answer["error"]["message"].as_str().unwrap().contains(field),
                "{answer}"
            );
        }
        let (status, _) = cloud
            .raw(path, |http, url| {
                http.post(url).bearer_auth(token).body("full_refresh=true")
            })
            .await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        for (method, path, wanted) in [
            (Method::GET, "/admin/runs/none", StatusCode::NOT_FOUND),
            (Method::GET, "/admin/nothing", StatusCode::NOT_FOUND),
            (
                Method::DELETE,
                "/admin/runs",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            (Method::GET, "/healthz", StatusCode::OK),
            (Method::GET, "/openapi.json", StatusCode::OK),
        ] {
            let (status, body) = cloud.call(method, path, Value::Null).await;
            assert_eq!(status, wanted, "{path}: {body}");
        }
        // Nothing of this started anything.
        let (_, runs) = cloud.call(Method::GET, "/admin/runs", Value::Null).await;
        assert_eq!(runs["runs"], json!([]));
    });
}

#[test]
fn the_api_answers_at_the_root_of_its_own_name() {
    run(async {
        let cloud = Cloud::turn().await;
        let file = cloud.stack.file();
        for (path, status) in [
            ("/healthz", StatusCode::OK),
            ("/admin/runs", StatusCode::UNAUTHORIZED),
        ] {
            let url = format!("{}{path}", file.aws_endpoint_url);
            let answer = reqwest::Client::new()
                .get(url)
                .header("Host", &file.api_host_header)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
    });
}

#[test]
fn the_history_is_paged_newest_first() {
    run(async {
        let cloud = Cloud::turn().await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let run = cloud.sync(json!({"only": ["locations"]})).await;
            ids.insert(0, run["run_id"].as_str().unwrap().to_owned());
        }
        let (_, page) = cloud
            .call(Method::GET, "/admin/runs?limit=2", Value::Null)
            .await;
        let before = page["next"].as_str().unwrap().to_owned();
        let path = format!("/admin/runs?limit=2&before={before}");
        let (_, rest) = cloud.call(Method::GET, &path, Value::Null).await;
        assert_eq!(rest["next"], Value::Null);
        let found: Vec<&str> = [&page, &rest]
            .into_iter()
            .flat_map(|page| page["runs"].as_array().unwrap())
            .map(|run| run["run_id"].as_str().unwrap())
            .collect();
        assert_eq!(found, ids);
    });
}

#[test]
fn a_lambda_killed_in_the_middle_is_started_again_and_loses_nothing() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.sync(json!({"only": ["locations"]})).await;
        cloud.account.hold(CATALOG, 0).await;
        let (_, started) = cloud.start(json!({})).await;
        let run_id = started["run_id"].as_str().unwrap();
        cloud.account.held(CATALOG, 0).await;
        cloud.kill("catalog");
        cloud.account.clear_faults().await;
        let run = cloud.end_of(run_id).await;
        assert_eq!(run["status"], "succeeded", "{run}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

/// On a second stack beside the first, as two checkouts on one machine.
#[test]
fn a_wrong_setting_fails_in_preflight_and_is_in_the_record() {
    run(async {
        let mut options = options("misconfigured");
        options.settings.set("CATALOG_BATCH_SIZE", "5000");
        let stack = Stack::start(options).await.unwrap();
        let machine = &stack.file().state_machines.complete_sync;
        let aws = stack.aws();
        let arn = aws
            .start_execution(machine, Some("misconfigured"), &json!({}))
            .await
            .unwrap();
        let execution = execution(aws, &arn).await;
        assert_eq!(
            execution.error.as_deref(),
            Some("ConfigInvalid"),
            "{execution:?}"
        );
        assert!(execution.cause.unwrap().contains("CATALOG_BATCH_SIZE"));
        let client = database::connect(&stack.file().database_url).await;
        let recorded = "select status, error_name, error_step from sync_runs";
        let row = client.query_one(recorded, &[]).await.unwrap();
        let recorded: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        assert_eq!(recorded, ["failed", "ConfigInvalid", "preflight"]);
        stack.stop().await;
    });
}
