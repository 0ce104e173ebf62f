//! `POST /admin/migrate-order-line-items`: the schema brought up to this release,
//! and the order tables derived anew.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use shared::error::SyncError;
use shared::run::request::{Kind, Request};
use utoipa::ToSchema;

use super::starts::{self, StartResponses, Started};
use crate::app::App;
use crate::caller::Caller;
use crate::http::body;
use crate::http::error::ApiError;

/// There is nothing to choose.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Migration {
    #[schema(schema_with = starts::key)]
    idempotency_key: Option<String>,
}

/// Starts a migration: pending changes of the schema, then all order tables
/// derived anew from what is stored, without asking Square.
#[utoipa::path(
    post,
    path = "/admin/migrate-order-line-items",
    operation_id = "startMigration",
    tag = "runs",
    request_body(content = Migration, description = "May be empty, which means `{}`."),
    responses(StartResponses)
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: Migration = body::read(&headers, body).await?;
    starts::accept(&app, &caller, &asked.into_request(&caller)?).await
}

impl Migration {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<Request, SyncError> {
        starts::request(Kind::Migration, caller, self.idempotency_key).checked()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn read(body: &str) -> Result<Request, ApiError> {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )]);
        let asked: Migration = body::parse(&headers, body.as_bytes())?;
        Ok(asked.into_request(&Caller::ada())?)
    }

    #[test]
    fn a_migration_holds_both_leases() {
        let request = read("{}").unwrap();
        assert_eq!(request.kind, Kind::Migration);
        assert_eq!(request.leases(), ["catalog", "orders"]);
        assert_eq!(
            request.steps(),
            ["preflight", "migrate", "rederive", "finish"]
        );
        // What the execution gets, its first step reads as the same request.
        let input = serde_json::json!(request);
        assert_eq!(Request::parse(Kind::Migration, input).unwrap(), request);
    }

    #[test]
    fn a_key_is_all_that_can_be_said() {
        let request = read(r#"{"idempotency_key": "k-1"}"#).unwrap();
        assert_eq!(request.repeat_key().as_deref(), Some("k-1"));
        for (body, field) in [
            (r#"{"idempotency_key": ""}"#, "idempotency_key"),
            (r#"{"idempotency_key": 1}"#, "idempotency_key"),
            (r#"{"from": "2024-01-01"}"#, "from"),
            (r#"{"dry_run": false}"#, "dry_run"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.name(), "InputInvalid", "{body}");
            assert_eq!(error.field(), Some(field), "{body}");
        }
    }
}
