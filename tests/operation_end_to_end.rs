//! What an operator relies on, in the local AWS: the schedule fires, ends are told
//! to a subscriber, secrets are read, and logs and metrics hold what they should.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::patience::patiently;
use crate::support::run;
use crate::support::subscriber::Subscriber;

const CATALOG: &str = "/v2/catalog/search";

#[test]
fn a_stack_runs_by_itself_tells_of_it_and_leaves_a_trail() {
    run(async {
        let parameters = [
            ("ScheduleState", "ENABLED"),
            ("ScheduleExpression", "rate(1 minute)"),
            ("NotifySuccess", "true"),
            ("NotifyRecovery", "true"),
        ];
        let cloud = Cloud::with_parameters("operation", &parameters).await;
        let subscriber = Subscriber::to(cloud.stack).await;

        let scheduled = scheduled_run(&cloud).await;
        let mail = subscriber.told_of(&scheduled).await;
        assert_eq!(mail["Subject"], "Square Sync: The sync succeeded");
        assert_contains(&mail, "started by the schedule, succeeded");
        disable_schedule(&cloud).await;

        failure_and_recovery(&cloud, &subscriber).await;
        stops(&cloud, &subscriber).await;
        rotation(&cloud).await;
        logs(&cloud).await;
        no_row_is_logged(&cloud).await;
    });
}

fn assert_contains(mail: &Value, part: &str) {
    let body = mail["Message"].as_str().unwrap();
    assert!(body.contains(part), "{part} is not in {body}");
}

/// The run that the schedule starts, at its end.
async fn scheduled_run(cloud: &Cloud) -> String {
    let sql = "select run_id from sync_runs where trigger = 'schedule' and status = 'succeeded'";
    let exists = "select to_regclass('sync_runs') is not null";
    let run_id = patiently(async || {
        let exists = cloud.client.query_one(exists, &[]).await.unwrap();
        if !exists.get::<_, bool>(0) {
            return None;
        }
        let row = cloud.client.query_opt(sql, &[]).await.unwrap();
        row.map(|row| row.get(0))
    });
    let Some(run_id) = run_id.await else {
        panic!("the schedule did not fire");
    };
    run_id
}

async fn disable_schedule(cloud: &Cloud) {
    let endpoint = &cloud.stack.file().aws_endpoint_url;
    let url = format!("{endpoint}/schedules/square-sync-complete-sync?groupName=square-sync");
    let call = async |method, body: Option<&Value>| {
        let request = reqwest::Client::new().request(method, &url);
        // By its scope the local AWS knows which of its services is meant.
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/scheduler/aws4_request, \
            SignedHeaders=host, Signature=0";
        let request = request.header("Authorization", scope);
        let request = body
            .into_iter()
            .fold(request, |request, body| request.json(body));
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let mut schedule = call(Method::GET, None).await;
    assert_eq!(schedule["State"], "ENABLED");
    schedule["State"] = json!("DISABLED");
    call(Method::PUT, Some(&schedule)).await;
}

async fn failure_and_recovery(cloud: &Cloud, subscriber: &Subscriber) {
    cloud
        .account
        .faults(json!([{"endpoint": CATALOG, "kind": "status", "status": 403}]))
        .await;
    let failed = cloud.sync(json!({})).await;
    let run_id = failed["run_id"].as_str().unwrap();
    let mail = subscriber.told_of(run_id).await;
    assert_eq!(
        mail["Subject"],
        "Square Sync: The sync failed at catalog: SquareForbidden"
    );
    assert_contains(&mail, failed["error"]["message"].as_str().unwrap());
    assert_contains(&mail, failed["console_url"].as_str().unwrap());
    let page = cloud.stack.file().page_url.as_str();
    assert_contains(&mail, &format!("{page}/runs/{run_id}"));
    assert_contains(&mail, "old, as of 20");
    assert_eq!(mail["MessageAttributes"]["status"]["Value"], "failed");

    cloud.account.clear_faults().await;
    let recovered = cloud.sync(json!({})).await;
    let run_id = recovered["run_id"].as_str().unwrap();
    let mail = subscriber.told_of(run_id).await;
    assert_eq!(mail["Subject"], "Square Sync: The sync works again");

    // A preview, and a start that meets a run, are no news.
    let preview = cloud.sync(json!({"dry_run": true})).await;
    let after = cloud.sync(json!({})).await;
    subscriber.told_of(after["run_id"].as_str().unwrap()).await;
    let of_preview = subscriber.all_of(preview["run_id"].as_str().unwrap());
    assert!(of_preview.is_empty(), "{of_preview:?}");
}

async fn stops(cloud: &Cloud, subscriber: &Subscriber) {
    cloud.account.hold(CATALOG, 0).await;
    // Through the API.
    let (_, started) = cloud.start(json!({})).await;
    let run_id = started["run_id"].as_str().unwrap().to_owned();
    at_catalog(cloud, &run_id).await;
    let path = format!("/admin/runs/{run_id}/stop");
    let (status, _) = cloud.call(Method::POST, &path, json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let mail = subscriber.told_of(&run_id).await;
    assert_eq!(mail["Subject"], "Square Sync: The sync was stopped");
    assert_eq!(mail["MessageAttributes"]["status"]["Value"], "stopped");

    // In the console, where nobody tells the database: the event does.
    let arn = cloud.start_by_hand("by-hand", &json!({})).await;
    at_catalog(cloud, "by-hand").await;
    let body = json!({"executionArn": arn});
    let stopped = cloud.stack.aws().step_functions("StopExecution", &body);
    stopped.await.unwrap();
    subscriber.told_of("by-hand").await;
    let sql = "select status from sync_runs where run_id = 'by-hand'";
    let row = cloud.client.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "stopped");
    cloud.account.clear_faults().await;
    let next = cloud.sync(json!({})).await;
    assert_eq!(next["status"], "succeeded", "{next}");
}

async fn at_catalog(cloud: &Cloud, run_id: &str) {
    let sql = "select from sync_steps
        where run_id = $1 and step = 'catalog' and status = 'running'";
    let at_work = patiently(async || cloud.client.query_opt(sql, &[&run_id]).await.unwrap()).await;
    assert!(
        at_work.is_some(),
        "{run_id} did not come to its catalog step"
    );
}

/// A new token in Secrets Manager serves functions that are already warm.
async fn rotation(cloud: &Cloud) {
    cloud.account.token(json!({"token": "first"})).await;
    let refused = cloud.sync(json!({})).await;
    assert_eq!(refused["error"]["name"], "SquareUnauthorized", "{refused}");
    for token in ["first", "second"] {
        cloud.account.token(json!({"token": token})).await;
        put_token(cloud, token).await;
        let served = cloud.sync(json!({})).await;
        assert_eq!(served["status"], "succeeded", "{served}");
    }
}

async fn put_token(cloud: &Cloud, token: &str) {
    let aws = cloud.stack.aws();
    let list = aws.call("secretsmanager.ListSecrets", &json!({})).await;
    let list = list.unwrap();
    let of_square = list["SecretList"]
        .as_array()
        .unwrap()
        .iter()
        .find(|secret| secret["Description"] == "Access token of the Square account")
        .unwrap();
    let put = json!({"SecretId": of_square["ARN"], "SecretString": token});
    aws.call("secretsmanager.PutSecretValue", &put)
        .await
        .unwrap();
}

async fn logs(cloud: &Cloud) {
    let run = cloud.sync(json!({"reconcile": true})).await;
    let run_id = run["run_id"].as_str().unwrap();
    for step in ["preflight", "locations", "catalog", "inventory", "finish"] {
        let lines = json_lines(cloud, step).await;
        let own: Vec<_> = lines
            .iter()
            .filter(|line| line["span"]["run_id"] == run_id)
            .collect();
        assert!(!own.is_empty(), "{step} left no line of {run_id}");
        for line in own {
            let span = &line["span"];
            assert!(
                line["timestamp"].is_string() && line["level"].is_string(),
                "{line}"
            );
            assert_eq!(span["step"], step, "{line}");
            assert_eq!(span["execution_arn"], run["execution_arn"], "{line}");
            assert!(span["request_id"].is_string(), "{line}");
            // EventBridge's report has no attempt.
            assert!(step == "finish" || span["attempt"] == 1, "{line}");
        }
    }
    let metrics: Vec<Value> = json_lines(cloud, "finish")
        .await
        .into_iter()
        .filter(|line| line.get("_aws").is_some())
        .collect();
    for name in [
        "RunsSucceeded",
        "RunsFailed",
        "RunsStopped",
        "Duration",
        "Requests",
        "DataAge",
        "Unchanged",
        "QuarantineOpen",
    ] {
        assert!(
            metrics.iter().any(|line| line[name].is_number()),
            "no {name} in {metrics:?}"
        );
    }
    for line in &metrics {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "SquareSync");
        assert_eq!(line["Stack"], local::deploy::STACK);
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{line}");
        }
    }
    let used = json_lines(cloud, "catalog").await;
    assert!(used.iter().any(|line| line["TimeOutUsed"].is_number()));
}

/// A preview stores rows of the account, and its log tells how many.
async fn no_row_is_logged(cloud: &Cloud) {
    let address = "nobody-else@example.com";
    let edit = json!([{"op": "edit_location", "set": {"business_email": address}}]);
    cloud.account.change(edit).await;
    let preview = cloud.sync(json!({"dry_run": true})).await;
    let stored = preview["preview"]["locations"].to_string();
    assert!(stored.contains(address), "{preview}");
    let lines = json_lines(cloud, "publish").await;
    let run_id = &preview["run_id"];
    let done = |line: &&Value| {
        let fields = &line["fields"];
        fields["run_id"] == *run_id && fields["message"] == "step done"
    };
    let line = lines.iter().find(done).unwrap();
    let output = line["fields"]["output"].as_str().unwrap();
    assert!(output.contains("\"duration_ms\":"), "{output}");
    for line in lines {
        assert!(!line.to_string().contains(address), "{line}");
    }
}

/// The lines of a function's log; all but the runtime's own are JSON.
async fn json_lines(cloud: &Cloud, function: &str) -> Vec<Value> {
    let log = format!("{}-{function}", local::deploy::STACK);
    let lines = cloud.stack.aws().function_log(&log).await.unwrap();
    lines
        .iter()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
