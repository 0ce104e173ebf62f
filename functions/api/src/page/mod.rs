//! The admin page: server-rendered HTML that works without JavaScript, with a
//! small script that keeps it up to date. Pages read what the API reads; forms
//! start what the API starts.

mod admin;
mod answer;
pub(crate) mod assets;
mod chart;
mod export;
mod forms;
mod frame;
pub(crate) mod headers;
mod history;
mod moment;
mod notice;
mod preview;
pub(crate) mod sessions;
pub(crate) mod sign_in;
mod spot_check;
mod state;
mod sync;
mod tools;
mod trust;
mod words;

pub(crate) use admin::Admin;
pub(crate) use frame::{Frame, HOME};

use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use notice::Notice;

use crate::app::Routes;

/// Everything that browsers ask for once somebody is signed in.
pub(crate) fn routes() -> Routes {
    vec![
        (HOME, get(sync::page)),
        ("/admin/sync/start", post(forms::complete_sync)),
        ("/admin/sync/trust", get(trust::page)),
        ("/admin/sync/runs", get(history::runs)),
        ("/admin/sync/runs.csv", get(export::runs_csv)),
        ("/admin/sync/runs.json", get(export::runs_json)),
        ("/admin/sync/runs/{run_id}", get(history::run)),
        ("/admin/sync/runs/{run_id}/csv", get(export::run_csv)),
        ("/admin/sync/runs/{run_id}/json", get(export::run_json)),
        ("/admin/sync/runs/{run_id}/stop", post(forms::stop)),
        (
            "/admin/sync/orders",
            get(tools::orders).post(forms::historical_orders),
        ),
        (
            "/admin/sync/migration",
            get(tools::migration).post(forms::migration),
        ),
        ("/admin/sync/spot-check", post(forms::spot_check)),
        ("/admin/sync/backups", get(tools::backups)),
        ("/admin/sync/restore", post(forms::restore)),
        ("/admin/sync/quarantine", get(tools::quarantine)),
    ]
}

pub(crate) async fn home() -> Redirect {
    Redirect::to(HOME)
}

/// Says that there is nothing at an address: in a page to browsers that went astray, in
/// JSON to scripts.
pub(crate) async fn not_found(request: Request) -> Response {
    let is_page = request.method() == Method::GET && request.uri().path().starts_with(HOME);
    if is_page {
        Notice::no_page().into_response()
    } else {
        crate::http::not_found().into_response()
    }
}
