//! Requests as API Gateway hands them to the function, mended on their way into HTTP's
//! own form.
//!
//! A client chooses most of what an event holds. What `lambda_http` cannot convert would
//! end the invocation, without an answer of ours and without a line in the log: so each
//! such field is made one that can be, and what is beyond that is refused as a bad
//! request.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Service};
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

/// Fields that nothing here reads; the query and the path are read as they were sent.
const UNREAD: [&str; 3] = ["queryStringParameters", "pathParameters", "stageVariables"];

/// Answers an event: by the router, or by `refusing` if it cannot be read.
pub(crate) async fn answer(
    router: Router,
    refusing: Router,
    event: LambdaEvent<Value>,
) -> Result<impl Serialize, Infallible> {
    let LambdaEvent { payload, context } = event;
    // The event is converted by the call, before anything of ours is at work.
    let begun = serde_json::from_value::<LambdaRequest>(mended(payload))
        .ok()
        .and_then(|request| {
            let event = LambdaEvent::new(request, context.clone());
            let call = || Adapter::from(router).call(event);
            catch_unwind(AssertUnwindSafe(call)).ok()
        });
    if let Some(answer) = begun {
        return answer.await;
    }
    tracing::warn!("event not readable");
    let request = serde_json::from_value(nothing());
    let request = request.unwrap_or_else(|_| LambdaRequest::ApiGatewayV2(Default::default()));
    let event = LambdaEvent::new(request, context);
    Adapter::from(refusing).call(event).await
}

/// The event of a request for nothing.
fn nothing() -> Value {
    json!({
        "version": "2.0", "rawPath": "/", "rawQueryString": "", "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/"}, "timeEpoch": 0},
    })
}

/// Returns the event with all fields that a client chooses such as can be converted.
fn mended(mut event: Value) -> Value {
    let Some(fields) = event.as_object_mut() else {
        return event;
    };
    for field in UNREAD {
        fields.remove(field);
    }
    if let Some(headers) = fields.get_mut("headers").and_then(Value::as_object_mut) {
        mend_headers(headers);
    }
    if let Some(Value::Array(cookies)) = fields.get_mut("cookies") {
        cookies.retain(|cookie| cookie.as_str().is_some_and(is_header_value));
    }
    let text = |field: &str| {
        fields
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (path, query) = address(text("rawPath"), text("rawQueryString"));
    fields.insert("rawPath".to_owned(), path.into());
    fields.insert("rawQueryString".to_owned(), query.into());
    if let Some(context) = fields
        .get_mut("requestContext")
        .and_then(Value::as_object_mut)
    {
        context.remove("domainName");
        if let Some(Value::Object(http)) = context.get_mut("http") {
            // Anything else would count as GET, or end the call.
            let method = http.get("method").and_then(Value::as_str);
            if method.is_none_or(|name| Method::from_bytes(name.as_bytes()).is_err()) {
                http.remove("method");
            }
        }
    }
    event
}

/// Keeps the headers that can be, but for the host: the address would be made of it, and
/// it is always our own.
fn mend_headers(headers: &mut Map<String, Value>) {
    headers.retain(|name, value| {
        let is_value = value.as_str().is_some_and(is_header_value);
        let name = HeaderName::from_bytes(name.as_bytes());
        is_value && name.is_ok_and(|name| name != "host")
    });
}

fn is_header_value(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
}

/// The path and the query with whatever an address cannot hold percent-encoded.
fn address(path: &str, query: &str) -> (String, String) {
    let Ok(mut url) = Url::parse("https://localhost/") else {
        return ("/".to_owned(), String::new());
    };
    url.set_path(path);
    url.set_query(Some(query));
    (
        url.path().to_owned(),
        url.query().unwrap_or_default().to_owned(),
    )
}

#[cfg(test)]
mod tests;
