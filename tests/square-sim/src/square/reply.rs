//! Answers on their way out: compressed if the client likes it, and spoilt if a
//! fault asks for it.

use std::io::Write;
use std::time::Duration;

use super::refusal::Refusal;
use super::{VERSION, cursor};
use crate::control::faults::{Fault, Kind};
use crate::control::rewrites::Rewrite;
use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};

/// Marks an answer whose connection is to be closed without a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped;

/// An answer before it is put on the wire.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    retry_after: Option<String>,
    /// The Square-Version asked for, given back.
    pub(super) version: Option<HeaderValue>,
    cut: bool,
    dropped: bool,
}

impl Reply {
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: "application/json",
            body,
            retry_after: None,
            version: None,
            cut: false,
            dropped: false,
        }
    }

    pub(super) fn refusal(refusal: &Refusal) -> Self {
        Self::json(refusal.status, refusal.envelope().to_string().into_bytes())
    }

    fn text(status: u16, content_type: &'static str, body: &str) -> Self {
        Self {
            content_type,
            ..Self::json(status, body.into())
        }
    }

    /// The answer of a fault that replaces the endpoint's.
    pub(super) fn instead(fault: &Fault) -> Option<Self> {
        let mut reply = match fault.kind {
            Kind::Status => Self::refusal(&fault.refusal(fault.status.unwrap_or(500))),
            Kind::ErrorsIn200 => {
                let refusal = fault.refusal(fault.status.unwrap_or(500));
                Self {
                    status: 200,
                    ..Self::refusal(&refusal)
                }
            }
            Kind::CursorExpired => Self::refusal(&cursor::expired()),
            Kind::Html => Self::text(
                fault.status.unwrap_or(502),
                "text/html; charset=UTF-8",
                "<!DOCTYPE html>\n<html><head><title>502 Bad gateway</title></head><body>Error 1101</body></html>",
            ),
            Kind::Text => Self::text(
                fault.status.unwrap_or(503),
                "text/plain",
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            ),
            Kind::MalformedJson => {
                Self::json(200, b"{\"objects\":[{\"type\":\"ITEM\",\"id\":".to_vec())
            }
            Kind::Nothing => Self::json(200, b"{}".to_vec()),
            Kind::Drop => Self {
                dropped: true,
                ..Self::json(500, Vec::new())
            },
            Kind::Delay | Kind::CutBody | Kind::CursorRepeats | Kind::EmptyPage | Kind::Skip => {
                return None;
            }
        };
        reply.retry_after.clone_from(&fault.retry_after);
        Some(reply)
    }

    /// Bends the endpoint's own answer.
    pub(super) fn spoil(&mut self, fault: &Fault) {
        self.cut = fault.kind == Kind::CutBody;
        self.retry_after.clone_from(&fault.retry_after);
    }

    /// Rewrites the body, whoever it is from.
    pub(super) fn rewrite(&mut self, rewrites: &[Rewrite]) {
        for rewrite in rewrites {
            self.body = rewrite.apply(&self.body);
        }
    }

    /// The HTTP response for a client with these headers.
    pub(super) fn into_response(mut self, asked: &HeaderMap, gzip: bool) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.dropped {
            response.extensions_mut().insert(Dropped);
            return response;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let version = self
            .version
            .take()
            .unwrap_or(HeaderValue::from_static(VERSION));
        headers.insert(HeaderName::from_static("square-version"), version);
        headers.insert("vary", HeaderValue::from_static("Origin, Accept-Encoding"));
        if let Some(Ok(wait)) = self.retry_after.as_deref().map(HeaderValue::from_str) {
            headers.insert(RETRY_AFTER, wait);
        }
        if gzip
            && self.body.len() > 1_024
            && accepts_gzip(asked)
            && let Ok(packed) = packed(&self.body)
        {
            self.body = packed;
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        *response.body_mut() = if self.cut {
            cut(&self.body)
        } else {
            Body::from(self.body)
        };
        response
    }
}

/// The length that the response announces.
pub(super) fn length(response: &Response<Body>) -> u64 {
    let length = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    length
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get("accept-encoding")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accepted
        .split(',')
        .any(|coding| coding.trim().starts_with("gzip"))
}

fn packed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Half the body, and then, once that is on its way, a broken connection.
fn cut(body: &[u8]) -> Body {
    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
    let rest = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("cut by a fault"))
    });
    Body::from_stream(stream::iter([Ok(half)]).chain(rest))
}
