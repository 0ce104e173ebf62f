//! Pages that only say something: signed out, no admin, refused, out of order.
//! Each says what happened and what to do next.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use shared::error::SyncError;

use super::{Frame, HOME};
use crate::http::error::{ApiError, Missing};

type Link = Option<(String, &'static str)>;

/// A page of one message.
#[derive(Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice {
    frame: Option<Frame>,
    status: StatusCode,
    title: String,
    text: String,
    link: Link,
}

const SIGN_IN: &str = "/admin/sign-in";

impl Notice {
    fn new(status: StatusCode, title: &str, text: impl Into<String>, link: Link) -> Self {
        Self {
            frame: None,
            status,
            title: title.to_owned(),
            text: text.into(),
            link,
        }
    }

    /// The same for somebody who is signed in.
    pub(crate) fn within(self, frame: Frame) -> Self {
        Self {
            frame: Some(frame),
            ..self
        }
    }

    pub(crate) fn signed_out() -> Self {
        let text = "You are signed out. Close the window if others use this computer.";
        Self::new(
            StatusCode::OK,
            "Signed out",
            text,
            link(SIGN_IN, "Sign in again"),
        )
    }

    /// On the way to the issuer's own page for it.
    pub(crate) fn signing_out(address: String) -> Self {
        let text = "You are signed out here. Your sign-in is ended where you signed in, too; \
                    if this page stays, follow the link.";
        let link = Some((address, "End it there"));
        Self::new(StatusCode::OK, "Signing out", text, link)
    }

    /// Where a copy of the cookie may still open something.
    pub(crate) fn signed_out_here_only(address: Option<String>) -> Self {
        let text = "You are signed out in this browser, but the database did not take note of \
                    it. If somebody has a copy of this sign-in, it ends within eight hours by \
                    itself; whoever looks after this service can end it at once.";
        let link = address
            .map(|address| (address, "End it where you signed in, too"))
            .or_else(|| link(SIGN_IN, "Sign in again"));
        Self::new(StatusCode::OK, "Signed out here", text, link)
    }

    pub(crate) fn session_ended() -> Self {
        let text = "Your session has ended, so nothing was done. Sign in, then ask again.";
        let link = link(SIGN_IN, "Sign in");
        Self::new(StatusCode::UNAUTHORIZED, "Session ended", text, link)
    }

    pub(crate) fn not_admin(frame: Frame) -> Self {
        let text = format!(
            "You are signed in as {}, who is not in the group of admins. Ask whoever looks after \
             this service for it, or sign out and come back as somebody else.",
            frame.person
        );
        Self::new(StatusCode::FORBIDDEN, "For admins only", text, None).within(frame)
    }

    pub(crate) fn sign_in_expired() -> Self {
        let text = "This sign-in took too long, was finished before, or was begun in another \
                    browser. Nothing is wrong with your account.";
        Self::new(
            StatusCode::BAD_REQUEST,
            "Sign in once more",
            text,
            link(SIGN_IN, "Sign in"),
        )
    }

    pub(crate) fn sign_in_refused() -> Self {
        let text = "The sign-in was refused or cancelled. The log of this service says why.";
        Self::new(
            StatusCode::FORBIDDEN,
            "Not signed in",
            text,
            link(SIGN_IN, "Try again"),
        )
    }

    pub(crate) fn sign_in_unavailable() -> Self {
        let text = "The sign-in service cannot be reached. Try again in a moment; if it stays, \
                    the log of this service says more.";
        let link = link(SIGN_IN, "Try again");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Sign-in unavailable",
            text,
            link,
        )
    }

    pub(crate) fn cross_site() -> Self {
        let text = "This was not asked for by a page of this service, so nothing was done.";
        Self::new(
            StatusCode::FORBIDDEN,
            "Refused",
            text,
            link(HOME, "To the page"),
        )
    }

    pub(crate) fn not_confirmed() -> Self {
        let text = "The box that confirms it was not ticked, so nothing was started.";
        Self::new(StatusCode::BAD_REQUEST, "Not confirmed", text, None)
    }

    pub(crate) fn no_page() -> Self {
        let text = "There is no page at this address.";
        let link = link(HOME, "To the first page");
        Self::new(StatusCode::NOT_FOUND, "Not found", text, link)
    }

    /// Nobody has signed in yet, so the particulars stay in the log.
    pub(crate) fn not_set_up(error: &SyncError) -> Self {
        tracing::error!(name = error.name(), %error, "service not set up");
        let text = "The service is not set up. Its log names the setting.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Not set up", text, None)
    }

    /// A refusal of the API's, as a page. Where the API's words are for scripts,
    /// it has its own.
    pub(crate) fn of(error: &ApiError) -> Self {
        let status = error.status();
        let run = error
            .run_id()
            .map(|run_id| (format!("/admin/sync/runs/{run_id}"), "See that run"));
        match status {
            StatusCode::NOT_FOUND if error.missing() == Some(Missing::Backup) => {
                let text = "There is no backup of this name any more, so nothing was started.";
                let link = link("/admin/sync/backups", "All backups");
                Self::new(status, "No such backup", text, link)
            }
            StatusCode::NOT_FOUND => {
                let text = "There is no run of this name.";
                let link = link("/admin/sync/runs", "All runs");
                Self::new(status, "No such run", text, link)
            }
            StatusCode::SERVICE_UNAVAILABLE if error.name() == "DatabaseUnavailable" => {
                let text = format!("{} Runs under way go on by themselves.", error.message());
                let link = link(HOME, "Try again");
                Self::new(status, "The database does not answer", text, link)
            }
            _ => {
                let link = run.or_else(|| link(HOME, "Back to the page"));
                Self::new(status, error.name(), error.message(), link)
            }
        }
    }
}

fn link(address: &str, label: &'static str) -> Link {
    Some((address.to_owned(), label))
}

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        match self.render() {
            Ok(html) => (self.status, Html(html)).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}
