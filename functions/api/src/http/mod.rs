//! The means that all routes share: reading a `body`, refusing by an `error`, and the
//! answers for which nothing is looked at.

pub(crate) mod body;
pub(crate) mod error;

use axum::http::StatusCode;

use error::ApiError;

/// Says that the function answers, and nothing else.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getHealth",
    tag = "service",
    security(()),
    responses((status = 200, description = "The function answers.")),
)]
pub(crate) async fn health() -> StatusCode {
    StatusCode::OK
}

pub(crate) fn not_found() -> ApiError {
    let message = "There is nothing here. GET /openapi.json describes the API.";
    ApiError::new(StatusCode::NOT_FOUND, "NotFound", message)
}

/// Refuses what is no request that HTTP knows.
pub(crate) async fn unreadable() -> ApiError {
    let message = "This is no request that can be read.";
    ApiError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
}

pub(crate) async fn method_not_allowed() -> ApiError {
    let message = "This address does not take this method; see the Allow header.";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}
