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
use axum::routing::{MethodRouter, get, post};
use tower_http::compression::CompressionLayer;

pub use app::{App, Env};
pub use auth::Guard;
pub use executions::{Executions, Machines};
pub use schedule::Schedule;
pub use sign_in::SignIn;

use error::ApiError;

/// Addresses, and what answers them.
type Routes = Vec<(&'static str, MethodRouter<App>)>;

/// Every route of the API. What is not in `open` or `files` is for admins.
pub fn router(app: App) -> Router {
    let with = |router: Router<App>, routes: Routes| {
        routes.into_iter().fold(router, |router, (path, methods)| {
            router.route(path, methods)
        })
    };
    let signed_in = [scripts(), page::routes(), open()]
        .into_iter()
        .fold(Router::new(), with)
        .fallback(page::not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            app.clone(),
            sign_in::sessions,
        ));
    // Without a session: a page's files must not each renew it.
    with(signed_in, files())
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// What scripts ask for, in JSON.
fn scripts() -> Routes {
    vec![
        ("/admin/complete-sync", post(complete_sync::post)),
        (
            "/admin/historical-orders-sync",
            post(historical_orders::post),
        ),
        ("/admin/migrate-order-line-items", post(migration::post)),
        ("/admin/backups", get(backups::list)),
        ("/admin/restore", post(backups::restore)),
        ("/admin/runs", get(runs::list)),
        ("/admin/runs/{run_id}", get(runs::get)),
        ("/admin/runs/{run_id}/stop", post(runs::stop)),
    ]
}

/// What anybody may ask for.
fn open() -> Routes {
    vec![
        ("/", get(page::home)),
        ("/admin", get(page::home)),
        ("/admin/sign-in", get(sign_in::begin)),
        ("/admin/callback", get(sign_in::callback)),
        ("/admin/sign-out", post(sign_in::end)),
        ("/admin/signed-out", get(sign_in::ended)),
        ("/healthz", get(health)),
        ("/openapi.json", get(openapi::description)),
    ]
}

/// What pages load.
fn files() -> Routes {
    vec![("/admin/assets/{name}", get(page::assets::get))]
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

fn not_found() -> ApiError {
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
