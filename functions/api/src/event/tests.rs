//! Events as API Gateway may hand them over, whatever a client has sent.

use lambda_http::Context;

use super::*;
use crate::tests::{app, unread};

fn event(change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/healthz", "rawQueryString": "a=b",
        "cookies": ["a=b"],
        "headers": {"host": "sync.example.com", "x-forwarded-proto": "https",
            "x-forwarded-port": "443", "user-agent": "test"},
        "queryStringParameters": {"a": "b"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "cafe0001", "domainName": "sync.example.com",
            "http": {
                "method": "GET", "path": "/healthz", "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test",
            },
            "requestId": "r", "routeKey": "$default", "stage": "$default", "timeEpoch": 0,
        },
        "isBase64Encoded": false,
    });
    change(&mut event);
    event
}

async fn answered(event: Value) -> Value {
    let event = LambdaEvent::new(event, Context::default());
    let answer = answer(app(), unread(), event).await.unwrap();
    serde_json::to_value(answer).unwrap()
}

/// Sends the event, and expects that status, and our headers.
async fn expect(status: u16, event: Value) {
    let what = event.to_string();
    let answer = answered(event).await;
    assert_eq!(answer["statusCode"], status, "{what}: {answer}");
    assert_eq!(answer["headers"]["cache-control"], "no-store", "{what}");
    assert_eq!(
        answer["headers"]["x-content-type-options"], "nosniff",
        "{what}"
    );
}

/// Every letter that may be trouble, and some that are none.
fn letters() -> impl Iterator<Item = String> {
    let ascii = (0..128_u8).map(|byte| char::from(byte).to_string());
    ascii.chain(["%", "%zz", "%00", "%ff", "ä", "\u{85}", "\u{feff}", "😀"].map(str::to_owned))
}

#[tokio::test]
async fn whatever_the_query_holds_the_request_reaches_its_route() {
    for letter in letters() {
        let query = format!("a={letter}&b{letter}={letter}{letter}");
        expect(200, event(|event| event["rawQueryString"] = query.into())).await;
    }
    for query in [Value::Null, json!(7), json!(""), json!("#"), json!("?")] {
        expect(200, event(|event| event["rawQueryString"] = query)).await;
    }
}

#[tokio::test]
async fn a_query_keeps_what_it_says() {
    for (raw, kept) in [
        ("limit=<", "limit=%3C"),
        ("a=\"b c\"", "a=%22b%20c%22"),
        ("a=%3C+%2B&b=", "a=%3C+%2B&b="),
        ("state=a%2Fb&code=x-y_z~", "state=a%2Fb&code=x-y_z~"),
    ] {
        assert_eq!(address("/", raw).1, kept);
    }
    assert_eq!(
        address("/admin/runs/a b?c#d", "").0,
        "/admin/runs/a%20b%3Fc%23d"
    );
}

#[tokio::test]
async fn whatever_the_path_holds_there_is_an_answer() {
    for letter in letters() {
        let path = format!("/nothing/{letter}/{letter}a");
        expect(404, event(|event| event["rawPath"] = path.into())).await;
    }
    for (path, status) in [
        (json!("//evil.example/healthz"), 404),
        (json!(":x"), 404),
        (json!("@evil"), 404),
        (json!("healthz"), 200),
        (json!(""), 303),
        (Value::Null, 303),
        (json!("/admin/runs/\u{0}"), 401),
    ] {
        expect(status, event(|event| event["rawPath"] = path)).await;
    }
}

#[tokio::test]
async fn whatever_the_headers_hold_the_request_reaches_its_route() {
    let names = [
        "host",
        "Host",
        "x-forwarded-proto",
        "x-forwarded-for",
        "cookie",
        "x-any",
    ];
    let values = [
        "",
        "https,http",
        "ht tp",
        "a b",
        "a/b?c#d",
        "[",
        "a:b:c",
        "a:99999",
        "..",
        "x@y",
    ];
    for name in names {
        for value in values.map(str::to_owned).into_iter().chain(letters()) {
            let header = |event: &mut Value| event["headers"][name] = value.clone().into();
            expect(200, event(header)).await;
        }
    }
    for name in letters() {
        expect(200, event(|event| event["headers"][name] = json!("a"))).await;
    }
    for odd in [Value::Null, json!(7), json!([]), json!({})] {
        expect(200, event(|event| event["headers"]["x-odd"] = odd)).await;
    }
    expect(200, event(|event| event["headers"] = Value::Null)).await;
}

#[tokio::test]
async fn whatever_else_a_client_chooses_there_is_an_answer() {
    for text in letters() {
        let given = json!(text);
        for field in ["userAgent", "protocol", "sourceIp", "path"] {
            let chosen = |event: &mut Value| {
                event["requestContext"]["http"][field] = given.clone();
            };
            expect(200, event(chosen)).await;
        }
        expect(200, event(|event| event["cookies"] = json!([text, "a=b"]))).await;
        let domain = |event: &mut Value| {
            event["requestContext"]["domainName"] = given.clone();
            event["headers"].as_object_mut().unwrap().remove("host");
        };
        expect(200, event(domain)).await;
        expect(200, event(|event| event["body"] = given.clone())).await;
        expect(
            200,
            event(|event| event["queryStringParameters"] = json!([text])),
        )
        .await;
        expect(
            200,
            event(|event| event["pathParameters"] = json!({"a": [text]})),
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_no_method_is_refused() {
    let asked = |method: Value| event(|event| event["requestContext"]["http"]["method"] = method);
    for method in ["", " ", "GE T", "GET\n", "ä", "<"] {
        expect(400, asked(method.into())).await;
    }
    for method in [Value::Null, json!(7), json!(["GET"])] {
        expect(400, asked(method)).await;
    }
    for method in ["get", "BREW", "M-SEARCH", "POST"] {
        expect(405, asked(method.into())).await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_at_all_is_refused() {
    for event in [
        Value::Null,
        json!([]),
        json!("GET /"),
        json!({}),
        json!({"version": "1.0"}),
    ] {
        expect(400, event).await;
    }
    let encoded = |event: &mut Value| {
        event["isBase64Encoded"] = json!(true);
        event["body"] = json!("no base 64!");
    };
    expect(400, event(encoded)).await;
    let long = |event: &mut Value| event["rawQueryString"] = "<".repeat(30_000).into();
    expect(400, event(long)).await;
}
