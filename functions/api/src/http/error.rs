//! Refusals as callers see them: always `{"error": {"name", "message", …}}`, with
//! the status that fits. This is the one place where our errors become statuses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::error::SyncError;
use utoipa::ToSchema;

/// A request that was not carried out.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    problem: Problem,
    /// The `WWW-Authenticate` header of a 401 or 403 (RFC 6750, 3).
    challenge: Option<&'static str>,
    /// What a `NotFound` did not find, for pages.
    missing: Option<Missing>,
}

/// What is asked for by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Run,
    Backup,
}

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: Problem,
}

/// The problem, and what to do about it.
#[derive(Debug, Serialize, ToSchema)]
struct Problem {
    /// The error's name, which tells who must act: one that runs and state machines
    /// use, or one of a few of HTTP's.
    #[schema(example = "InputInvalid")]
    name: &'static str,
    /// A sentence for people.
    message: String,
    /// `InputInvalid`: the field or parameter that cannot be used.
    #[schema(value_type = String, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The run that it concerns: the one under way, or the one that could not be started.
    #[schema(value_type = String, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            problem: Problem {
                name,
                message: message.into(),
                field: None,
                run_id: None,
            },
            challenge: None,
            missing: None,
        }
    }

    /// There is none of that id.
    pub(crate) fn none_of(missing: Missing) -> Self {
        let message = match missing {
            Missing::Run => "There is no such run. GET /admin/runs lists them.",
            Missing::Backup => "There is no such backup. GET /admin/backups lists them.",
        };
        Self {
            missing: Some(missing),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    /// No token came along, or none that can be used; the caller learns no more.
    pub(crate) fn unauthorized(challenge: &'static str) -> Self {
        let message = "Sign in: send a valid access token as `Authorization: Bearer <token>`.";
        Self {
            challenge: Some(challenge),
            ..Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
        }
    }

    /// The caller is known, but no admin.
    pub(crate) fn forbidden() -> Self {
        let message =
            "You are signed in, but this is for admins. Ask for the admin group or scope.";
        Self {
            challenge: Some("Bearer error=\"insufficient_scope\""),
            ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
        }
    }

    pub(crate) fn no_such_run() -> Self {
        Self::none_of(Missing::Run)
    }

    /// The idempotency key is that of another request, which started this run.
    pub(crate) fn known_key(run_id: String) -> Self {
        let message = format!(
            "This idempotency_key is that of another request, which started run {run_id}. Give \
             each request a key of its own."
        );
        Self::new(StatusCode::CONFLICT, "IdempotencyConflict", message).about(run_id)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let message = "Send JSON, with `Content-Type: application/json`.";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!("The body may have at most {bytes_max} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message)
    }

    /// The same, because of how things are now: no fault of the service.
    pub(crate) fn conflicting(mut self) -> Self {
        self.status = StatusCode::CONFLICT;
        self
    }

    /// The run that it concerns.
    pub(crate) fn about(mut self, run_id: String) -> Self {
        self.problem.run_id = Some(run_id);
        self
    }

    /// The name, for logs and the audit log.
    pub(crate) fn name(&self) -> &'static str {
        self.problem.name
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the message: what happened and what to do.
    pub(crate) fn message(&self) -> &str {
        &self.problem.message
    }

    /// Into the log, if it is the service's fault.
    pub(crate) fn log(&self) {
        if self.status.is_server_error() {
            tracing::error!(
                status = self.status.as_u16(),
                name = self.problem.name,
                detail = self.problem.message,
                "request failed"
            );
        }
    }

    /// The field that cannot be used.
    #[cfg(test)]
    pub(crate) fn field(&self) -> Option<&str> {
        self.problem.field.as_deref()
    }

    /// What was asked for and is not there.
    pub(crate) fn missing(&self) -> Option<Missing> {
        self.missing
    }

    /// The run that it concerns, for the audit log.
    pub(crate) fn run_id(&self) -> Option<&str> {
        self.problem.run_id.as_deref()
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        let mut answer = Self::new(status(&error), error.name(), error.to_string());
        match error {
            SyncError::InputInvalid { field, .. } => answer.problem.field = Some(field),
            SyncError::RunInProgress { run_id } => answer.problem.run_id = Some(run_id),
            _ => {}
        }
        answer
    }
}

fn status(error: &SyncError) -> StatusCode {
    match error {
        SyncError::InputInvalid { .. } => StatusCode::BAD_REQUEST,
        SyncError::RunInProgress { .. } => StatusCode::CONFLICT,
        SyncError::AwsUnavailable { .. }
        | SyncError::DatabaseUnavailable { .. }
        | SyncError::DatabaseSchemaOutdated { .. } => StatusCode::SERVICE_UNAVAILABLE,
        SyncError::SquareUnauthorized { .. }
        | SyncError::SquareForbidden { .. }
        | SyncError::SquareRateLimited { .. }
        | SyncError::SquareUnavailable { .. }
        | SyncError::SquareRejected { .. }
        | SyncError::SquareMalformed { .. }
        | SyncError::SquarePageLimit { .. } => StatusCode::BAD_GATEWAY,
        SyncError::ConfigInvalid { .. }
        | SyncError::DatabaseRejected { .. }
        | SyncError::LeaseLost { .. }
        | SyncError::DeletionGuard { .. }
        | SyncError::StepTimeout { .. }
        | SyncError::Cancelled(_)
        | SyncError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let body = Json(ErrorBody {
            error: self.problem,
        });
        let mut response = (self.status, body).into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn answer(error: ApiError) -> (StatusCode, Value) {
        let response = error.into_response();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_wrong_field_is_named() {
        let error = SyncError::input("only", "is an empty list");
        let (status, body) = answer(error.into()).await;
        assert_eq!(status, 400);
        assert_eq!(
            body,
            json!({"error": {
                "name": "InputInvalid",
                "message": "only: is an empty list.",
                "field": "only",
            }})
        );
    }

    #[tokio::test]
    async fn a_run_in_progress_is_a_conflict_that_names_the_run() {
        let error = SyncError::RunInProgress {
            run_id: "sync-1".to_owned(),
        };
        let (status, body) = answer(error.into()).await;
        assert_eq!(status, 409);
        assert_eq!(body["error"]["name"], "RunInProgress");
        assert_eq!(body["error"]["run_id"], "sync-1");
    }

    #[test]
    fn what_passes_is_a_503_and_what_needs_us_is_not() {
        let unavailable = SyncError::DatabaseUnavailable {
            detail: String::new(),
        };
        let outdated = SyncError::DatabaseSchemaOutdated {
            found: 1,
            wanted: 2,
            todo: String::new(),
        };
        let rejected = SyncError::DatabaseRejected {
            detail: String::new(),
            sqlstate: None,
        };
        assert_eq!(status(&unavailable), 503);
        assert_eq!(status(&outdated), 503);
        assert_eq!(status(&rejected), 500);
        assert_eq!(
            status(&SyncError::config("DATABASE_URL", "is not set")),
            500
        );
    }

    #[test]
    fn a_refusal_challenges_as_bearer_tokens_want() {
        for (error, status) in [
            (ApiError::unauthorized("Bearer"), 401),
            (ApiError::forbidden(), 403),
        ] {
            let response = error.into_response();
            assert_eq!(response.status(), status);
            let challenge = &response.headers()[header::WWW_AUTHENTICATE];
            assert!(challenge.to_str().unwrap().starts_with("Bearer"));
        }
    }
}
