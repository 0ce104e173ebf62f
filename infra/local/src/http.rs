//! The one HTTP client of this crate. It speaks to loopback only, so proxies of
//! the environment are left aside.

use std::sync::LazyLock;

use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::error::StackError;
use crate::guard::PATIENCE;

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    // A second installation, by the tests or by another part, changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap_or_default()
});

/// The shared client.
pub(crate) fn client() -> Client {
    CLIENT.clone()
}

/// Sends a request and gives the answer's status and body.
pub(crate) async fn send(what: &str, request: RequestBuilder) -> Result<(u16, String), StackError> {
    let failed = |source| StackError::NoAnswer {
        what: what.to_owned(),
        source,
    };
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.text().await.map_err(failed)?;
    Ok((status, body))
}

/// Sends a request whose answer must be a success.
pub(crate) async fn succeed(what: &str, request: RequestBuilder) -> Result<String, StackError> {
    let (status, body) = send(what, request).await?;
    if (200..300).contains(&status) {
        Ok(body)
    } else {
        Err(StackError::Refused {
            what: what.to_owned(),
            status,
            body,
        })
    }
}

/// Sends a request whose answer must be a success, and gives its body as it came.
pub(crate) async fn bytes(what: &str, request: RequestBuilder) -> Result<Bytes, StackError> {
    let failed = |source| StackError::NoAnswer {
        what: what.to_owned(),
        source,
    };
    let answer = request.send().await.and_then(Response::error_for_status);
    answer.map_err(failed)?.bytes().await.map_err(failed)
}

/// Sends a request whose answer must be a success in JSON.
pub(crate) async fn json(what: &str, request: RequestBuilder) -> Result<Value, StackError> {
    let body = succeed(what, request).await?;
    serde_json::from_str(&body).map_err(|_| StackError::Unexpected {
        what: what.to_owned(),
        lacking: "JSON",
        body,
    })
}

/// A text in an answer's JSON.
pub(crate) fn text(
    what: &str,
    answer: &Value,
    pointer: &str,
    name: &'static str,
) -> Result<String, StackError> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| StackError::Unexpected {
            what: what.to_owned(),
            lacking: name,
            body: answer.to_string(),
        })
}
