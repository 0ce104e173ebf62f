//! Against a server that answers as Step Functions does.

use std::sync::{Arc, Mutex};

use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:sync";
const EXECUTION: &str = "arn:aws:states:us-east-1:123456789012:execution:sync:sync-1";

/// One machine for each kind of run.
fn machine(variable: &str) -> Option<String> {
    let name = match variable {
        "COMPLETE_SYNC_STATE_MACHINE_ARN" => "sync",
        "HISTORICAL_ORDERS_STATE_MACHINE_ARN" => "orders",
        "MIGRATION_STATE_MACHINE_ARN" => "migration",
        "RESTORE_STATE_MACHINE_ARN" => "restore",
        "SPOT_CHECK_STATE_MACHINE_ARN" => "spot",
        _ => return None,
    };
    Some(MACHINE.replace("sync", name))
}

type Received = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers every request like this, and keeps what was asked.
async fn answering(status: u16, answer: Value) -> (Executions, Received) {
    let received = Received::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let kept = received.clone();
    let router = Router::new().route(
        "/",
        post(async move |headers: HeaderMap, body: String| {
            let action = headers["x-amz-target"].to_str().unwrap().to_owned();
            let body = serde_json::from_str(&body).unwrap();
            kept.lock().unwrap().push((action, body));
            (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (at(&address), received)
}

fn at(address: &str) -> Executions {
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(address)
        .retry_config(aws_sdk_sfn::config::retry::RetryConfig::disabled())
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                    aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
                ))
                .build_https(),
        )
        .build();
    Executions::new(Client::from_conf(config), Machines::read(machine).unwrap())
}

fn described(status: &str, error: Option<&str>, cause: Option<&str>) -> Value {
    json!({
        "executionArn": EXECUTION, "stateMachineArn": MACHINE, "name": "sync-1",
        "status": status, "startDate": 1_700_000_000.0, "error": error, "cause": cause,
    })
}

#[tokio::test]
async fn a_start_names_the_execution_after_the_run() {
    let answer = json!({"executionArn": EXECUTION, "startDate": 1_700_000_000.0});
    let (executions, received) = answering(200, answer).await;
    let input = json!({"trigger": "api"}).to_string();
    assert_eq!(
        executions
            .start(Kind::CompleteSync, "sync-1", &input)
            .await
            .unwrap(),
        EXECUTION
    );
    let received = received.lock().unwrap();
    assert_eq!(
        *received,
        [(
            "AWSStepFunctions.StartExecution".to_owned(),
            json!({"stateMachineArn": MACHINE, "name": "sync-1", "input": input}),
        )]
    );
}

#[tokio::test]
async fn a_second_start_finds_the_first_execution() {
    let (executions, _) = answering(400, json!({"__type": "ExecutionAlreadyExists"})).await;
    assert_eq!(
        executions
            .start(Kind::CompleteSync, "sync-1", "{}")
            .await
            .unwrap(),
        EXECUTION
    );
}

#[tokio::test]
async fn an_execution_that_never_was_is_unknown_and_counts_as_stopped() {
    let (executions, _) = answering(400, json!({"__type": "ExecutionDoesNotExist"})).await;
    executions.stop(EXECUTION, "why").await.unwrap();
    assert_eq!(
        executions.standing(EXECUTION).await.unwrap(),
        Standing::Unknown
    );
}

#[tokio::test]
async fn a_stop_says_who_and_why() {
    let (executions, received) = answering(200, json!({"stopDate": 1_700_000_000.0})).await;
    executions.stop(EXECUTION, "Stopped by ada").await.unwrap();
    let (action, body) = received.lock().unwrap().remove(0);
    assert_eq!(action, "AWSStepFunctions.StopExecution");
    assert_eq!(
        body,
        json!({"executionArn": EXECUTION, "error": "Cancelled", "cause": "Stopped by ada"})
    );
}

#[tokio::test]
async fn an_execution_is_over_only_when_step_functions_says_so() {
    let ended = |name: &str, message: &str| Standing::Ended {
        name: name.to_owned(),
        message: message.to_owned(),
    };
    let cause = r#"{"errorType": "LeaseLost", "errorMessage": "Run a no longer holds"}"#;
    for (answer, standing) in [
        (described("RUNNING", None, None), Standing::UnderWay),
        (described("PENDING_REDRIVE", None, None), Standing::UnderWay),
        (described("SOMETHING_NEW", None, None), Standing::UnderWay),
        (described("ABORTED", None, None), Standing::Aborted),
        (
            described("FAILED", Some("SquareUnavailable"), Some("Square is away.")),
            ended("SquareUnavailable", "Square is away."),
        ),
        (
            described("FAILED", Some("LeaseLost"), Some(cause)),
            ended("LeaseLost", "Run a no longer holds"),
        ),
        (
            described("TIMED_OUT", None, None),
            ended(
                "States.Timeout",
                "The execution ended as TIMED_OUT without closing this run. Start the sync again.",
            ),
        ),
    ] {
        let (executions, _) = answering(200, answer.clone()).await;
        assert_eq!(
            executions.standing(EXECUTION).await.unwrap(),
            standing,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_needs_a_person() {
    for (status, answer, expected) in [
        (400, json!({"__type": "ThrottlingException"}), 503),
        (400, json!({"__type": "ExecutionLimitExceeded"}), 503),
        (500, json!({"__type": "InternalFailure"}), 503),
        (400, json!({"__type": "StateMachineDoesNotExist"}), 502),
        (400, json!({"__type": "AccessDeniedException"}), 502),
    ] {
        let (executions, _) = answering(status, answer.clone()).await;
        let error = executions
            .start(Kind::CompleteSync, "sync-1", "{}")
            .await
            .unwrap_err();
        let name = if expected == 503 {
            "AwsUnavailable"
        } else {
            "Internal"
        };
        assert_eq!(error.as_sync_error().name(), name);
        let response = ApiError::from(error).into_response();
        assert_eq!(response.status(), expected, "{answer}");
    }
    // A port on which nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = at(&address)
        .start(Kind::CompleteSync, "sync-1", "{}")
        .await
        .unwrap_err();
    assert!(error.passes(), "{error:?}");
    let message = error.as_sync_error().to_string();
    assert!(message.contains("NAT gateway"), "{message}");
}

#[tokio::test]
async fn each_kind_of_run_has_its_machine() {
    let answer = json!({"executionArn": EXECUTION, "startDate": 1_700_000_000.0});
    let (executions, received) = answering(200, answer).await;
    for (kind, name) in [
        (Kind::CompleteSync, "sync"),
        (Kind::HistoricalOrders, "orders"),
        (Kind::Migration, "migration"),
        (Kind::Restore, "restore"),
        (Kind::SpotCheck, "spot"),
    ] {
        let arn = executions.arn_of(kind, "r");
        assert!(arn.ends_with(&format!(":execution:{name}:r")), "{arn}");
        executions.start(kind, "r", "{}").await.unwrap();
        let (_, body) = received.lock().unwrap().remove(0);
        assert_eq!(body["stateMachineArn"], MACHINE.replace("sync", name));
    }
}

#[test]
fn only_a_state_machines_arn_is_taken() {
    for variable in [
        "COMPLETE_SYNC_STATE_MACHINE_ARN",
        "HISTORICAL_ORDERS_STATE_MACHINE_ARN",
        "MIGRATION_STATE_MACHINE_ARN",
        "RESTORE_STATE_MACHINE_ARN",
        "SPOT_CHECK_STATE_MACHINE_ARN",
    ] {
        let read = Machines::read(|name| {
            if name == variable {
                Some(EXECUTION.to_owned())
            } else {
                machine(name)
            }
        });
        let message = read.unwrap_err().to_string();
        assert!(message.contains(variable), "{message}");
    }
}
