//! The HTTP API of Square Sync.
//!
//! It checks who asks, starts and stops runs, and shows what they did. The work
//! itself is the state machines': nothing here waits for a sync. `starts` is the
//! way of a start, with a file for each kind of run before it; `runs` is the way
//! of everything that reads or stops one. `sign_in` and `page` are for browsers.

mod app;
mod auth;
mod backups;
mod body;
mod complete_sync;
mod error;
mod executions;
mod historical_orders;
mod jwks;
mod migration;
mod openapi;
mod page;
mod runs;
mod schedule;
mod settle;
mod sign_in;
mod starts;
pub mod store;
mod view;

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

pub use app::{App, Env};
pub use auth::Guard;
pub use executions::{Executions, Machines};
pub use schedule::Schedule;
pub use sign_in::SignIn;

use error::ApiError;

/// Every route of the API.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/admin/complete-sync", post(complete_sync::post))
        .route(
            "/admin/historical-orders-sync",
            post(historical_orders::post),
        )
        .route("/admin/migrate-order-line-items", post(migration::post))
        .route("/admin/backups", get(backups::list))
        .route("/admin/restore", post(backups::restore))
        .route("/admin/runs", get(runs::list))
        .route("/admin/runs/{run_id}", get(runs::get))
        .route("/admin/runs/{run_id}/stop", post(runs::stop))
        .merge(page::routes())
        .route("/healthz", get(health))
        .route("/openapi.json", get(openapi::description))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            app.clone(),
            sign_in::sessions,
        ))
        // Without a session: a page's files must not each renew it.
        .route("/admin/assets/{name}", get(page::assets::get))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Says that the function answers, and nothing else.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getHealth",
    tag = "service",
    security(()),
    responses((status = 200, description = "The function answers.")),
)]
async fn health() -> StatusCode {
    StatusCode::OK
}

async fn not_found() -> ApiError {
    let message = "There is nothing here. GET /openapi.json describes the API.";
    ApiError::new(StatusCode::NOT_FOUND, "NotFound", message)
}

async fn method_not_allowed() -> ApiError {
    let message = "This address does not take this method; see the Allow header.";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

/// Around every request: headers that keep answers out of caches, sniffers and
/// other sites' frames, and one line in the log.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let mut response = next.run(request).await;
    page::headers::add(&app, response.headers_mut()).await;
    tracing::info!(
        %method,
        path,
        status = response.status().as_u16(),
        duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request answered"
    );
    response
}

#[cfg(test)]
mod tests;
