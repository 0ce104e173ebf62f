//! The HTTP API of Square Sync.
//!
//! It checks who asks, starts and stops runs, and shows what they did. The work
//! itself is the state machines': nothing here waits for a sync.
//!
//! From the top: `openapi` describes the API; `page` serves browsers and `runs`
//! scripts, the same way; `caller` is the admin who asks. `app` holds what all of
//! them work with: the rules of who may ask (`auth`), Step Functions (`executions`),
//! and when the next sync is due (`schedule`). `http` reads requests and refuses them,
//! and `setting` reads the environment. Nothing uses what stands above it.

mod app;
mod auth;
mod caller;
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
use tower_http::compression::CompressionLayer;

pub use app::{App, Env};
pub use auth::{Guard, SignIn};
pub use executions::{Executions, Machines};
pub use runs::store;
pub use schedule::Schedule;

use app::Routes;
use http::{health, method_not_allowed};
use page::sign_in;
use runs::{backups, complete_sync, historical_orders, history, migration};

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

/// Routes for scripts, in JSON.
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
        ("/healthz", get(health)),
        ("/openapi.json", get(openapi::description)),
    ]
}

/// The files that pages load.
fn files() -> Routes {
    vec![("/admin/assets/{name}", get(page::assets::get))]
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
