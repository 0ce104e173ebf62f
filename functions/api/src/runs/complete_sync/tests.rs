//! The fields that a body may hold, and the answer to a wrong one.

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;

use serde_json::{Value, json};
use shared::run::request::Trigger;

use super::*;

fn headers(content_type: Option<&'static str>) -> HeaderMap {
    content_type
        .map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value)))
        .into_iter()
        .collect()
}

fn read(body: &str) -> Result<Request, ApiError> {
    let parsed: CompleteSync = body::parse(&headers(Some("application/json")), body.as_bytes())?;
    Ok(parsed.into_request(&Caller::ada())?)
}

async fn refusal(error: ApiError) -> (u16, Value) {
    let response = error.into_response();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 10_000)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (status, body["error"].clone())
}

#[test]
fn nothing_asked_for_is_a_whole_incremental_sync() {
    for body in [
        "{}",
        "",
        " \n",
        r#"{"full_refresh": false, "dry_run": false}"#,
    ] {
        let request = read(body).unwrap();
        let expected = Request {
            trigger: Trigger::Api,
            requested_by: Some("ada".to_owned()),
            ..Request::default()
        };
        assert_eq!(request, expected, "{body}");
    }
}

#[test]
fn every_field_reaches_the_run() {
    let request = read(
        r#"{"only": ["inventory", "catalog"], "reconcile": true,
            "allow_mass_deletion": true, "idempotency_key": "k-1"}"#,
    )
    .unwrap();
    assert_eq!(
        request.steps(),
        ["preflight", "catalog", "inventory", "finish"]
    );
    assert_eq!(
        read(r#"{"only": ["orders"]}"#).unwrap().leases(),
        ["orders"]
    );
    let refresh = read(r#"{"full_refresh": true, "dry_run": true}"#).unwrap();
    assert_eq!(refresh.mode(), "full_refresh");
    assert!(refresh.steps().contains(&"publish"));
    assert!(request.reconcile && request.allow_mass_deletion);
    assert_eq!(request.repeat_key().as_deref(), Some("k-1"));
    assert_eq!(request.requester(), "ada");
    // What the execution gets, its first step reads as the same request.
    assert_eq!(
        Request::parse(Kind::CompleteSync, json!(request)).unwrap(),
        request
    );
}

#[tokio::test]
async fn a_wrong_body_is_refused_and_the_field_named() {
    let long_key = format!(r#"{{"idempotency_key": "{}"}}"#, "k".repeat(201));
    for (body, field, words) in [
        (
            r#"{"full_refresh": true, "only": ["catalog"]}"#,
            "only",
            "all but orders",
        ),
        (
            r#"{"dry_run": true, "only": ["orders"]}"#,
            "only",
            "cannot be previewed",
        ),
        (
            r#"{"full_refresh": "yes"}"#,
            "full_refresh",
            "cannot be used",
        ),
        (r#"{"only": []}"#, "only", "empty list"),
        (
            r#"{"only": ["catalog", "orders", "catalog"]}"#,
            "only[2]",
            "a second time",
        ),
        (r#"{"only": "catalog"}"#, "only", "cannot be used"),
        (r#"{"only": ["cataloge"]}"#, "only[0]", "cataloge"),
        (r#"{"reconcile": "yes"}"#, "reconcile", "cannot be used"),
        (r#"{"reconcile": 1}"#, "reconcile", "cannot be used"),
        (r#"{"ful_refresh": true}"#, "ful_refresh", "unknown field"),
        (r#"{"trigger": "schedule"}"#, "trigger", "unknown field"),
        (
            r#"{"requested_by": "eve"}"#,
            "requested_by",
            "unknown field",
        ),
        (
            r#"{"reconcile": true, "reconcile": false}"#,
            "body",
            "duplicate field `reconcile`",
        ),
        (r#"{"idempotency_key": ""}"#, "idempotency_key", "1 to 200"),
        (
            r#"{"idempotency_key": "a\u0000"}"#,
            "idempotency_key",
            "printable",
        ),
        (
            r#"{"idempotency_key": "\tschedule"}"#,
            "idempotency_key",
            "printable",
        ),
        (&long_key, "idempotency_key", "1 to 200"),
        (r#"{"reconcile": true"#, "body", "no valid JSON"),
        (r"{reconcile: true}", "body", "no valid JSON"),
        ("{} {}", "body", "no valid JSON"),
        ("[]", "body", "JSON object"),
        ("[false]", "body", "JSON object"),
        ("null", "body", "JSON object"),
        ("\u{feff}{}", "body", "JSON object"),
    ] {
        let (status, error) = refusal(read(body).unwrap_err()).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(error["name"], "InputInvalid", "{body}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{body}: {message}");
        assert!(message.contains(field), "{body}: {message}");
        assert!(
            error["field"].as_str().unwrap().starts_with(field),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn only_json_is_read() {
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        assert!(body::parse::<CompleteSync>(&headers(Some(content_type)), b"{}").is_ok());
    }
    for (content_type, body, status) in [
        (Some("text/plain"), "{}", 415),
        (Some("application/x-www-form-urlencoded"), "", 415),
        (Some("application/jsonp"), "{}", 415),
        (Some(""), "{}", 415),
        (None, "{}", 415),
        (None, "", 400),
    ] {
        let read = body::parse::<CompleteSync>(&headers(content_type), body.as_bytes());
        let error = read.unwrap_err();
        assert_eq!(refusal(error).await.0, status, "{content_type:?} {body:?}");
    }
}

/// As many different ones as there are: that is all of them, in any order.
#[test]
fn a_refresh_takes_all_its_parts_in_any_order_and_is_described_so() {
    let mut names: Vec<&str> = Part::staged().iter().map(|part| part.name()).collect();
    let described = json!(some_of(&Part::staged(), Part::staged().len()));
    let items = json!({"type": "string", "enum": names});
    assert_eq!(described["items"], items, "{described}");
    assert_eq!(described["minItems"], names.len());
    assert_eq!(described["uniqueItems"], true);
    names.reverse();
    while !names.is_empty() {
        let body = json!({"full_refresh": true, "only": names}).to_string();
        let is_whole = names.len() == Part::staged().len();
        assert_eq!(read(&body).is_ok(), is_whole, "{body}");
        names.pop();
    }
}
