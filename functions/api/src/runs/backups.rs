//! `GET /admin/backups` and `POST /admin/restore`: what refreshes have replaced,
//! and putting it back.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use shared::error::SyncError;
use shared::postgres::schema;
use shared::run::request::{Kind, Request};
use utoipa::ToSchema;

use super::contents::{self, Backup};
use super::starts::{self, StartResponses, Started};
use crate::app::App;
use crate::caller::Caller;
use crate::http::body;
use crate::http::error::{ApiError, ErrorBody};

/// Longer ids name no run, and so no backup.
const ID_CHARS_MAX: usize = 80;

/// The replaced accounts that are kept, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Backups {
    backups: Vec<Backup>,
}

/// Lists the backups, newest first.
#[utoipa::path(
    get,
    path = "/admin/backups",
    operation_id = "listBackups",
    tag = "backups",
    responses(
        (status = 200, description = "The backups that are kept.", body = Backups),
        (status = 401, description = "No valid token.", body = ErrorBody),
        (status = 403, description = "Signed in, but no admin.", body = ErrorBody),
        (status = 500, description = "A fault of the service.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    _caller: Caller,
) -> Result<Json<Backups>, ApiError> {
    let client = app.env().await?.database.client().await?;
    let backups = if schema::found(&client).await? == 0 {
        Vec::new()
    } else {
        contents::backups(&client, schema::wanted()).await?
    };
    Ok(Json(Backups { backups }))
}

/// The backup to put back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Restore {
    /// As `GET /admin/backups` names it.
    #[schema(
        value_type = String,
        required = true,
        min_length = 1,
        max_length = 80,
        pattern = "^[!-~]+$",
        example = "sync-20261122T180000Z-3fa2c1"
    )]
    backup_id: Option<String>,
    #[schema(schema_with = starts::key)]
    idempotency_key: Option<String>,
}

/// Starts putting a backup back. What it replaces becomes a backup itself, and the
/// next incremental sync reconciles with Square.
#[utoipa::path(
    post,
    path = "/admin/restore",
    operation_id = "startRestore",
    tag = "backups",
    request_body(content = Restore),
    responses(
        StartResponses,
        (status = 404, description = "There is no such backup.", body = ErrorBody),
    )
)]
pub(crate) async fn restore(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: Restore = body::read(&headers, body).await?;
    let request = asked.into_request(&caller)?;
    starts::accept(&app, &caller, &request).await
}

impl Restore {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<Request, SyncError> {
        let is_name = |id: &String| {
            (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.backup_id.as_ref().is_some_and(|id| !is_name(id)) {
            let problem = "names no backup; GET /admin/backups lists them";
            return Err(SyncError::input("backup_id", problem));
        }
        let request = Request {
            backup_id: self.backup_id,
            ..starts::request(Kind::Restore, caller, self.idempotency_key)
        };
        request.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_names_its_backup() {
        let restore = |id: Option<&str>| {
            let asked = Restore {
                backup_id: id.map(str::to_owned),
                idempotency_key: None,
            };
            asked.into_request(&Caller::ada())
        };
        let request = restore(Some("sync-1")).unwrap();
        assert_eq!(request.steps(), ["preflight", "restore", "finish"]);
        assert_eq!(request.leases(), ["catalog", "orders"]);
        for wrong in [None, Some(""), Some("a b"), Some("a\0")] {
            let error = restore(wrong).unwrap_err();
            assert!(error.to_string().starts_with("backup_id"), "{error}");
        }
    }
}
