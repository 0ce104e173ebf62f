//! The answer of a page's route: the page, or why there is none.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::Frame;
use super::notice::Notice;
use crate::http::error::ApiError;

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
