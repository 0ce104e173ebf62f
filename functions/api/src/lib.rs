//! The HTTP API of Square Sync.
//!
//! It checks who asks, starts and stops runs, and shows what they did. The work
//! itself is the state machines': nothing here waits for a sync.
//!
//! From the top: `openapi` describes the API; `page` serves browsers and `runs`
//! scripts, the same way; `caller` is the admin who asks. `app` holds what all of
//! them work with: the rules of who may ask (`auth`), Step Functions (`executions`),
//! when the next sync is due (`schedule`), and the log of who asked for what (`audit`).
//! `http` reads requests and refuses them, `event` makes requests of what Lambda brings,
//! and `setting` reads the environment. Nothing uses what stands above it.

mod app;
mod audit;
mod auth;
mod caller;
mod event;
mod executions;
mod http;
mod openapi;
mod page;
mod runs;
mod schedule;
mod setting;

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use lambda_http::service_fn;
use tower_http::compression::CompressionLayer;

pub use app::{App, Env};
pub use audit::AuditLog;
pub use auth::{EndedSignIns, Guard, STATEMENTS as SIGN_IN_STATEMENTS, SignIn};
pub use executions::{Executions, Machines};
pub use runs::{statements, store};
pub use schedule::Schedule;

use app::Routes;
use http::{health, method_not_allowed, unreadable};
use page::{sessions, sign_in};
use runs::{backups, complete_sync, historical_orders, history, migration, spot_check};

/// Answers the events of API Gateway until the process ends.
///
/// # Errors
/// The runtime's, if it cannot be reached.
pub async fn serve(app: App) -> Result<(), lambda_http::Error> {
    let (router, refusing) = (router(app.clone()), refusing(app));
    lambda_http::lambda_runtime::run(service_fn(|event| {
        event::answer(router.clone(), refusing.clone(), event)
    }))
    .await
}

/// Refuses every request, for those that cannot be read.
fn refusing(app: App) -> Router {
    Router::new()
        .fallback(unreadable)
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Every route of the API. What is not in `open` or `plain` is for admins.
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
            caller::refusals,
        ))
        .layer(middleware::from_fn_with_state(app.clone(), sessions::open));
    with(signed_in, plain())
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Routes for scripts, in JSON.
fn scripts() -> Routes {
    vec![
        ("/admin/complete-sync", post(complete_sync::post)),
        (
            "/admin/historical-orders-sync",
            post(historical_orders::post),
        ),
        ("/admin/migrate-order-line-items", post(migration::post)),
        ("/admin/spot-check", post(spot_check::post)),
        ("/admin/backups", get(backups::list)),
        ("/admin/restore", post(backups::restore)),
        ("/admin/runs", get(history::list)),
        ("/admin/runs/{run_id}", get(history::get)),
        ("/admin/runs/{run_id}/stop", post(history::stop)),
    ]
}

/// Routes for anybody.
fn open() -> Routes {
    vec![
        ("/", get(page::home)),
        ("/admin", get(page::home)),
        ("/admin/sign-in", get(sign_in::begin)),
        ("/admin/callback", get(sign_in::callback)),
        ("/admin/sign-out", post(sign_in::end)),
        ("/admin/signed-out", get(sign_in::ended)),
    ]
}

/// Routes for anybody that need nothing: no setting, no secret, no database. No session
/// either: the files that a page loads must not each renew it.
fn plain() -> Routes {
    vec![
        ("/admin/assets/{name}", get(page::assets::get)),
        ("/healthz", get(health)),
        ("/openapi.json", get(openapi::description)),
    ]
}

/// Around every request: headers that keep answers out of caches, sniffers and
/// other sites' frames, and one line in the log.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let mut response = next.run(request).await;
    let public_url = app.known().map(|env| env.sign_in.issuer.public_url());
    page::headers::add(public_url, response.headers_mut());
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
