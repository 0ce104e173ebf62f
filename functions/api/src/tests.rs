//! The router as the Lambda runtime calls it, up to where a database is needed.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use shared::postgres::Database;
use tower::ServiceExt;

use super::*;

mod browser;
mod door;
pub(crate) mod issuer;
mod pages;
mod refusals;
mod sessions;
mod sign_in;

/// Nothing listens there: what answers without a database answers all the same.
const NO_DATABASE: &str = "postgres://nobody@127.0.0.1:1/nothing?sslmode=disable";

const PUBLIC_URL: &str = "https://sync.example.com";

pub(crate) fn app() -> Router {
    router(things(test_issuer))
}

/// What refuses requests that cannot be read.
pub(crate) fn unread() -> Router {
    refusing(things(test_issuer))
}

/// An issuer that does not answer.
fn test_issuer(name: &str) -> Option<String> {
    let at = |path: &str| Some(format!("http://127.0.0.1:1{path}"));
    match name {
        "OIDC_ISSUER" => at(""),
        "OIDC_CLIENT_IDS" => Some("people".to_owned()),
        "OIDC_AUTHORIZATION_URL" => at("/authorize"),
        "OIDC_TOKEN_URL" => at("/token"),
        "OIDC_END_SESSION_URL" => at("/logout"),
        _ => None,
    }
}

/// The router behind the issuer that these settings describe.
fn app_of(issuer: impl Fn(&str) -> Option<String>) -> Router {
    router(things(issuer))
}

/// Everything that the router works with, behind that issuer.
fn things(issuer: impl Fn(&str) -> Option<String>) -> App {
    App::with(env_of(issuer))
}

/// The same by itself; what belongs to the sign-in is in memory.
fn env_of(issuer: impl Fn(&str) -> Option<String>) -> Env {
    let lookup = |name: &str| match name {
        "OIDC_CLIENT_ID" => Some("people".to_owned()),
        "PUBLIC_URL" => Some(PUBLIC_URL.to_owned()),
        "SESSION_KEY" => Some(browser::KEY.to_owned()),
        _ => issuer(name),
    };
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(aws_sdk_sfn::config::BehaviorVersion::latest())
        .build();
    let machines =
        |_: &str| Some("arn:aws:states:us-east-1:123456789012:stateMachine:a".to_owned());
    Env {
        database: Database::connect(&NO_DATABASE.to_owned().into()).unwrap(),
        executions: Executions::new(
            aws_sdk_sfn::Client::from_conf(config),
            Machines::read(machines).unwrap(),
        ),
        guard: Guard::read(lookup).unwrap(),
        sign_in: SignIn::read(lookup).unwrap(),
        ended: EndedSignIns::in_memory(),
        audit: AuditLog::in_memory(),
        schedule: Schedule::default(),
        scrub_days: 90,
    }
}

async fn ask(method: Method, path: &str) -> (Response, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap();
    let (parts, body) = app().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    (Response::from_parts(parts, Body::from(body)), json)
}

#[tokio::test]
async fn health_says_nothing_but_that() {
    let (response, _) = ask(Method::GET, "/healthz").await;
    assert_eq!(response.status(), 200);
    let body = axum::body::to_bytes(response.into_body(), 10)
        .await
        .unwrap();
    assert!(body.is_empty());
}

/// Who only asks whether it is there shall not wait for a secret that cannot be read.
#[tokio::test]
async fn what_needs_nothing_makes_nothing() {
    let app = router(App::made_by(|| panic!("nobody needs this")));
    let cookie = browser::sealed(browser::session(), browser::KEY);
    for path in [
        "/healthz",
        "/openapi.json",
        "/admin/assets/page.js",
        "/admin/assets/none",
    ] {
        for cookie in ["", &cookie] {
            let answer = browser::get(&app, path, cookie).await;
            assert!(answer.status != 500, "{path}");
            assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(answer.headers.contains_key(header::CONTENT_SECURITY_POLICY));
        }
    }
}

#[tokio::test]
async fn every_answer_is_kept_out_of_caches() {
    for path in ["/healthz", "/admin/runs", "/nothing", "/openapi.json"] {
        let (response, _) = ask(Method::GET, path).await;
        assert_eq!(
            response.headers()[header::CACHE_CONTROL],
            "no-store",
            "{path}"
        );
        assert_eq!(
            response.headers()[header::X_CONTENT_TYPE_OPTIONS],
            "nosniff",
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_answered_as_json() {
    let (response, body) = ask(Method::GET, "/admin/nothing").await;
    assert_eq!(response.status(), 404);
    assert_eq!(body["error"]["name"], "NotFound");

    let (response, body) = ask(Method::GET, "/admin/complete-sync").await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()[header::ALLOW], "POST");
    assert_eq!(body["error"]["name"], "MethodNotAllowed");
}

#[tokio::test]
async fn before_sign_in_a_wrong_setting_stays_in_the_log() {
    // The test's process has none of the API's settings.
    let request = Request::get("/admin/runs").body(Body::empty()).unwrap();
    let response = router(App::from_environment())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 10_000)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["name"], "ConfigInvalid");
    assert!(!body.to_string().contains("DATABASE_URL"));
}

#[tokio::test]
async fn the_description_covers_every_route_and_refers_to_nothing_missing() {
    let (response, document) = ask(Method::GET, "/openapi.json").await;
    assert_eq!(response.status(), 200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let described: Vec<(&str, &str)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (method.as_str(), path.as_str()))
        })
        .collect();
    let mut expected = [
        ("get", "/admin/runs"),
        ("get", "/admin/runs/{run_id}"),
        ("get", "/healthz"),
        ("get", "/openapi.json"),
        ("get", "/admin/backups"),
        ("post", "/admin/restore"),
        ("post", "/admin/complete-sync"),
        ("post", "/admin/historical-orders-sync"),
        ("post", "/admin/migrate-order-line-items"),
        ("post", "/admin/runs/{run_id}/stop"),
        ("post", "/admin/spot-check"),
    ];
    expected.sort_by_key(|(_, path)| *path);
    let mut sorted = described.clone();
    sorted.sort_by_key(|(_, path)| *path);
    assert_eq!(sorted, expected);

    for (method, path) in described {
        let operation = &document["paths"][path][method];
        let open = matches!(path, "/healthz" | "/openapi.json");
        assert_eq!(operation["responses"]["401"].is_null(), open, "{path}");
        // An empty requirement lifts the document's own.
        assert_eq!(
            operation["security"],
            if open { json!([{}]) } else { Value::Null },
            "{path}"
        );
    }
    assert_eq!(document["security"], json!([{"bearer": []}]));
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let schemas = &document["components"]["schemas"];
    for body in ["HistoricalOrders", "Migration", "Restore"] {
        assert_eq!(schemas[body]["additionalProperties"], false, "{body}");
    }
    let syncs = schemas["CompleteSync"]["oneOf"].as_array().unwrap();
    assert_eq!(syncs.len(), 3);
    for sync in syncs {
        assert_eq!(sync["additionalProperties"], false, "{sync}");
    }
    for reference in references(&document) {
        let target = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(target).is_some(), "{reference}");
    }
}

/// Every refusal has the body that all have.
#[tokio::test]
async fn every_refusal_is_described_with_its_body() {
    let (_, document) = ask(Method::GET, "/openapi.json").await;
    let mut refusals = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with('2') {
                    continue;
                }
                refusals += 1;
                let body = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(body, "#/components/schemas/ErrorBody", "{path} {status}");
                assert_ne!(response["description"], "", "{path} {status}");
            }
        }
    }
    assert!(refusals > 40, "{refusals}");
    let restore = &document["paths"]["/admin/restore"]["post"]["responses"];
    assert!(restore["404"].is_object() && restore["409"].is_object());
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(target) if name == "$ref" => vec![target.clone()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// A request as API Gateway hands it to Lambda.
#[tokio::test]
async fn an_api_gateway_event_reaches_its_route() {
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/admin/complete-sync",
        "rawQueryString": "",
        "headers": {"host": "app.localhost:4610", "content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "cafe0001", "domainName": "app.localhost",
            "http": {
                "method": "POST", "path": "/admin/complete-sync", "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test",
            },
            "requestId": "r", "routeKey": "$default", "stage": "$default", "timeEpoch": 0,
        },
        "body": "e30=", "isBase64Encoded": true,
    });
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
}
