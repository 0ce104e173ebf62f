//! The admin page: server-rendered HTML that works without JavaScript, with a
//! small script that keeps it up to date. Pages read what the API reads; forms
//! start what the API starts.

pub(crate) mod assets;
mod export;
mod forms;
mod frame;
pub(crate) mod headers;
mod history;
pub(crate) mod notice;
mod sync;
mod tools;
mod words;

pub(crate) use frame::{Admin, Frame};

use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::app::App;
use crate::sign_in;

/// Everything that browsers ask for.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/admin", get(home))
        .route("/admin/sync", get(sync::page))
        .route("/admin/sync/start", post(forms::complete_sync))
        .route("/admin/sync/runs", get(history::runs))
        .route("/admin/sync/runs.csv", get(export::runs_csv))
        .route("/admin/sync/runs.json", get(export::runs_json))
        .route("/admin/sync/runs/{run_id}", get(history::run))
        .route("/admin/sync/runs/{run_id}/csv", get(export::run_csv))
        .route("/admin/sync/runs/{run_id}/json", get(export::run_json))
        .route("/admin/sync/runs/{run_id}/stop", post(forms::stop))
        .route(
            "/admin/sync/orders",
            get(tools::orders).post(forms::historical_orders),
        )
        .route(
            "/admin/sync/migration",
            get(tools::migration).post(forms::migration),
        )
        .route("/admin/sync/backups", get(tools::backups))
        .route("/admin/sync/restore", post(forms::restore))
        .route("/admin/sync/quarantine", get(tools::quarantine))
        .route("/admin/sign-in", get(sign_in::begin))
        .route("/admin/callback", get(sign_in::callback))
        .route("/admin/sign-out", post(sign_in::end))
        .route("/admin/signed-out", get(sign_in::ended))
}

async fn home() -> Redirect {
    Redirect::to("/admin/sync")
}
