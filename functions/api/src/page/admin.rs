//! The person at the page: an admin, or somebody to be sent away.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};

use super::Frame;
use super::answer::refusal;
use super::notice::Notice;
use crate::app::App;
use crate::auth::origin::{changes, is_same_origin};
use crate::auth::session::Session;
use crate::caller::{self, Caller};

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
            return Err(signed_out(parts));
        };
        let caller = Caller::signed_in(&session, &parts.extensions);
        caller::note(parts, &caller, session.admin);
        if changes && !is_same_origin(&parts.headers, env.sign_in.issuer.public_url()) {
            tracing::warn!("cross-site form refused");
            return Err(Notice::cross_site().into_response());
        }
        let frame = Frame::new(&session, parts.uri.path());
        if !session.admin {
            return Err(Notice::not_admin(frame).into_response());
        }
        match caller::is_ended(env, &session, &caller).await {
            Ok(false) => Ok(Self {
                caller,
                session,
                frame,
            }),
            Ok(true) => Err(signed_out(parts)),
            Err(error) => Err(refusal(&error, frame)),
        }
    }
}

fn signed_out(parts: &Parts) -> Response {
    if changes(&parts.method) {
        Notice::session_ended().into_response()
    } else {
        to_sign_in(parts).into_response()
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
