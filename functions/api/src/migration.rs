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

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::{ApiError, ErrorBody};
use crate::starts::{self, Started};

/// There is nothing to choose.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Migration {
    /// A second request with the same key gets the first one's run.
    #[schema(min_length = 1, max_length = 200)]
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
    responses(
        (status = 202, description = "The run is queued; with a known idempotency_key, the first run.", body = Started),
        (status = 400, description = "The body cannot be used; `field` names where.", body = ErrorBody),
        (status = 401, description = "No valid token.", body = ErrorBody),
        (status = 403, description = "Signed in, but no admin.", body = ErrorBody),
        (status = 409, description = "`RunInProgress`: `run_id` names the run.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 415, description = "The body is not JSON.", body = ErrorBody),
        (status = 500, description = "A fault of the service.", body = ErrorBody),
        (status = 502, description = "Step Functions refused.", body = ErrorBody),
        (status = 503, description = "The database or Step Functions is away, or a newer release has migrated the schema.", body = ErrorBody),
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: Migration = body::read(&headers, body).await?;
    starts::accept(&app, &caller, &asked.into_request(&caller.name)?).await
}

impl Migration {
    fn into_request(self, requested_by: &str) -> Result<Request, SyncError> {
        starts::request(Kind::Migration, requested_by, self.idempotency_key)?.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_holds_both_leases() {
        let request = Migration::default().into_request("ada").unwrap();
        assert_eq!(request.leases(), ["catalog", "orders"]);
        assert_eq!(
            request.steps(),
            ["preflight", "migrate", "rederive", "finish"]
        );
    }
}
