//! `POST /admin/complete-sync`: the account as it is now.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use shared::error::SyncError;
use shared::part::Part;
use shared::run::request::{Kind, Request};
use utoipa::ToSchema;

use super::starts::{self, StartResponses, Started};
use crate::app::App;
use crate::caller::Caller;
use crate::http::body;
use crate::http::error::ApiError;

/// The parts to sync, and the way to do it. Everything is optional: `{}` asks for an
/// incremental sync of locations, catalog and inventory.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CompleteSync {
    /// Replace the whole account in one go. Readers see the old one until the new one
    /// is complete; the old one is kept as a backup.
    full_refresh: bool,
    /// The parts to sync: `locations`, `catalog`, `inventory`, `orders`; left
    /// out, the first three.
    #[schema(min_items = 1, value_type = Option<Vec<String>>)]
    only: Option<Vec<Part>>,
    /// List everything that Square has, instead of what changed since the last run.
    reconcile: bool,
    /// Preview: the figures and a sample of what would change, and nothing changed.
    dry_run: bool,
    /// Go on even where the deletion guard would stop the run.
    allow_mass_deletion: bool,
    /// A second request with the same key gets the first one's run.
    #[schema(min_length = 1, max_length = 200)]
    idempotency_key: Option<String>,
}

/// Starts a complete sync.
#[utoipa::path(
    post,
    path = "/admin/complete-sync",
    operation_id = "startCompleteSync",
    tag = "runs",
    request_body(content = CompleteSync, description = "May be empty, which means `{}`."),
    responses(StartResponses)
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: CompleteSync = body::read(&headers, body).await?;
    starts::accept(&app, &caller, &asked.into_request(&caller)?).await
}

impl CompleteSync {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<Request, SyncError> {
        let request = Request {
            only: self.only,
            full_refresh: self.full_refresh,
            dry_run: self.dry_run,
            reconcile: self.reconcile,
            allow_mass_deletion: self.allow_mass_deletion,
            ..starts::request(Kind::CompleteSync, caller, self.idempotency_key)?
        };
        request.checked()
    }
}

#[cfg(test)]
mod tests;
