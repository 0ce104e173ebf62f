//! The page's files, compiled in: no other host is asked for anything.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A release changes them, so they are kept for minutes only.
const CACHE: &str = "public, max-age=300";

/// `GET /admin/assets/{name}`
pub(crate) async fn get(name: Result<Path<String>, PathRejection>) -> Response {
    let name = name.map_or_else(|_| String::new(), |Path(name)| name);
    let (kind, body) = match name.as_str() {
        "page.css" => (
            "text/css; charset=utf-8",
            include_str!("../../assets/page.css"),
        ),
        "page.js" => (
            "text/javascript; charset=utf-8",
            include_str!("../../assets/page.js"),
        ),
        "icon.svg" => ("image/svg+xml", include_str!("../../assets/icon.svg")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    (
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE)],
        body,
    )
        .into_response()
}
