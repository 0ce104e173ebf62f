//! What surrounds every page of somebody who is signed in, and who that is.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::notice::Notice;
use crate::app::App;
use crate::auth::{self, Caller};
use crate::error::ApiError;
use crate::sign_in::session::Session;
use crate::sign_in::{changes, is_same_origin};

const ENTRIES: [(&str, &str); 5] = [
    ("/admin/sync", "Sync"),
    ("/admin/sync/runs", "Runs"),
    ("/admin/sync/orders", "Orders history"),
    ("/admin/sync/migration", "Migration"),
    ("/admin/sync/backups", "Backups"),
];

/// The navigation and the person.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) person: String,
    pub(crate) csrf_token: String,
    here: String,
}

/// An entry of the navigation.
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) here: bool,
}

impl Frame {
    fn new(session: &Session, here: &str) -> Self {
        Self {
            person: session.name.clone(),
            csrf_token: session.csrf_token.clone(),
            here: here.to_owned(),
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        ENTRIES
            .iter()
            .map(|(path, name)| Entry {
                path,
                name,
                here: *path == self.here,
            })
            .collect()
    }
}

/// An admin at the page. Others are sent to sign in, or told that they are none;
/// a form that another site's page sent is refused.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) caller: Caller,
    pub(crate) session: Session,
    pub(crate) frame: Frame,
}

impl FromRequestParts<App> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let env = app
            .env()
            .await
            .map_err(|error| Notice::not_set_up(&error).into_response())?;
        let changes = changes(&parts.method);
        let Some(session) = parts.extensions.get::<Session>().cloned() else {
            return Err(if changes {
                Notice::session_ended().into_response()
            } else {
                to_sign_in(parts).into_response()
            });
        };
        if changes && !is_same_origin(&parts.headers, env.sign_in.issuer.public_url()) {
            tracing::warn!("cross-site form refused");
            return Err(Notice::cross_site().into_response());
        }
        let frame = Frame::new(&session, parts.uri.path());
        match Caller::signed_in(&session, auth::source_ip(parts)) {
            Some(caller) => Ok(Self {
                caller,
                session,
                frame,
            }),
            None => Err(Notice::not_admin(frame).into_response()),
        }
    }
}

fn to_sign_in(parts: &Parts) -> Redirect {
    let place = parts
        .uri
        .path_and_query()
        .map_or("", |place| place.as_str());
    let query: String = url::form_urlencoded::byte_serialize(place.as_bytes()).collect();
    Redirect::to(&format!("/admin/sign-in?return_to={query}"))
}

/// A page, or why there is none.
pub(crate) fn answer<T: Template>(frame: Frame, page: Result<T, ApiError>) -> Response {
    match page {
        Ok(page) => match page.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                tracing::error!(%error, "page not rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        },
        Err(error) => refusal(&error, frame),
    }
}

/// Why something was not done, as a page.
pub(crate) fn refusal(error: &ApiError, frame: Frame) -> Response {
    error.log();
    Notice::of(error).within(frame).into_response()
}
