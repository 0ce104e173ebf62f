//! Square's ways of saying no, and what they mean for us.
//!
//! Square's own errors are a small JSON envelope with a category and a code.
//! Gateways on the way answer in HTML or plain text, so the status decides and
//! the envelope only adds detail. In an answer with status 200 there is no
//! status to go by, and the category decides.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::endpoint::Endpoint;
use crate::error::SyncError;
use crate::text::shorten;

/// Why one attempt did not bring an answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Status 429, or an error of that category.
    RateLimited { retry_after: Option<Duration> },
    /// No connection, no whole answer, or a fault on Square's side.
    Unavailable {
        detail: String,
        retry_after: Option<Duration>,
    },
    /// A whole answer that is not Square's JSON.
    Malformed { detail: String },
    /// Sending it again would change nothing.
    Refused(SyncError),
    /// The list's cursor is no longer good; the list itself may be.
    StaleCursor(SyncError),
}

impl Failure {
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable {
            detail: detail.into(),
            retry_after: None,
        }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::Malformed {
            detail: detail.into(),
        }
    }

    /// The same failure, where the step's deadline kept it from being tried again.
    pub(super) fn out_of_time(self) -> Self {
        match self {
            Self::Unavailable {
                detail,
                retry_after,
            } => Self::Unavailable {
                detail: format!("time ran out; last: {detail}"),
                retry_after,
            },
            other => other,
        }
    }

    /// The error of a request that ends with this failure after `attempts`.
    pub(super) fn into_error(self, endpoint: &Endpoint, attempts: u32) -> SyncError {
        let endpoint = endpoint.path.to_owned();
        match self {
            Self::RateLimited { .. } => SyncError::SquareRateLimited { endpoint, attempts },
            Self::Unavailable { detail, .. } => SyncError::SquareUnavailable {
                endpoint,
                detail,
                attempts,
            },
            Self::Malformed { detail } => SyncError::SquareMalformed { endpoint, detail },
            Self::Refused(error) | Self::StaleCursor(error) => error,
        }
    }
}

/// One of Square's errors. Every field is optional, as in every answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SquareError {
    category: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    field: Option<String>,
}

/// The errors in the body of a refused request; none in a gateway's page.
pub(super) fn errors_in(body: &[u8]) -> Vec<SquareError> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<SquareError>,
    }
    serde_json::from_slice::<Envelope>(body).map_or_else(|_| Vec::new(), |body| body.errors)
}

/// The request that was refused, as far as it is known.
pub(super) struct Asked<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) has_cursor: bool,
    /// Removed from Square's texts, should they repeat it.
    pub(super) token: &'a SecretString,
}

impl Asked<'_> {
    /// Judges an answer with a status other than 2xx.
    pub(super) fn judge_status(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        errors: &[SquareError],
    ) -> Failure {
        match status {
            StatusCode::UNAUTHORIZED => self.unauthorized(errors),
            StatusCode::FORBIDDEN => self.forbidden(errors),
            StatusCode::TOO_MANY_REQUESTS => Failure::RateLimited { retry_after },
            StatusCode::NOT_IMPLEMENTED => self.rejected(status, errors),
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Failure::Unavailable {
                    detail: self.describe(status, errors),
                    retry_after,
                }
            }
            _ if status.is_client_error() => self.rejected(status, errors),
            // Square neither redirects nor upgrades; something on the way does.
            _ => Failure::Refused(SyncError::SquareMalformed {
                endpoint: self.endpoint.path.to_owned(),
                detail: format!("status {} instead of an answer", status.as_u16()),
            }),
        }
    }

    /// Judges the errors in an answer with status 200.
    pub(super) fn judge_errors(&self, errors: &[SquareError]) -> Failure {
        let first = errors.first().cloned().unwrap_or_default();
        match (first.category.as_deref(), first.code.as_deref()) {
            (Some("AUTHENTICATION_ERROR"), Some("FORBIDDEN" | "INSUFFICIENT_SCOPES")) => {
                self.forbidden(errors)
            }
            (Some("AUTHENTICATION_ERROR"), _) => self.unauthorized(errors),
            (Some("RATE_LIMIT_ERROR"), _) => Failure::RateLimited { retry_after: None },
            (Some("API_ERROR"), code) if code != Some("NOT_IMPLEMENTED") => {
                Failure::unavailable(self.describe(StatusCode::OK, errors))
            }
            _ => self.rejected(StatusCode::OK, errors),
        }
    }

    fn unauthorized(&self, errors: &[SquareError]) -> Failure {
        Failure::Refused(SyncError::SquareUnauthorized {
            endpoint: self.endpoint.path.to_owned(),
            detail: self.describe(StatusCode::UNAUTHORIZED, errors),
        })
    }

    fn forbidden(&self, errors: &[SquareError]) -> Failure {
        let scope = match self.own_words(errors) {
            Some(words) => format!("{} (Square says: {words})", self.endpoint.permission),
            None => self.endpoint.permission.to_owned(),
        };
        Failure::Refused(SyncError::SquareForbidden {
            endpoint: self.endpoint.path.to_owned(),
            scope,
        })
    }

    fn rejected(&self, status: StatusCode, errors: &[SquareError]) -> Failure {
        let error = SyncError::SquareRejected {
            endpoint: self.endpoint.path.to_owned(),
            status: status.as_u16(),
            detail: self
                .own_words(errors)
                .unwrap_or_else(|| "the answer holds no error of Square's".to_owned()),
        };
        let may_be_cursor = status == StatusCode::BAD_REQUEST || status == StatusCode::OK;
        if self.has_cursor && may_be_cursor && errors.iter().any(speaks_of_cursor) {
            Failure::StaleCursor(error)
        } else {
            Failure::Refused(error)
        }
    }

    /// The status with Square's own words, if there are any.
    fn describe(&self, status: StatusCode, errors: &[SquareError]) -> String {
        let status = status.as_u16();
        match self.own_words(errors) {
            Some(words) => format!("status {status}, {words}"),
            None => format!("status {status}"),
        }
    }

    /// Category, code and detail of the first error: the fields that Square
    /// writes for the caller, shortened and without the token.
    fn own_words(&self, errors: &[SquareError]) -> Option<String> {
        let first = errors.first()?;
        let mut words = [&first.category, &first.code]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        for (before, text) in [(": ", &first.detail), (", field ", &first.field)] {
            if let Some(text) = text {
                words.push_str(before);
                words.push_str(text.trim_end_matches('.'));
            }
        }
        (!words.is_empty()).then(|| shorten(&without(&words, self.token)))
    }
}

/// Whether an error is about the cursor: `INVALID_CURSOR`, or a general code
/// whose detail or field names it.
fn speaks_of_cursor(error: &SquareError) -> bool {
    let names_it = |text: &Option<String>| {
        text.as_ref()
            .is_some_and(|text| text.to_ascii_lowercase().contains("cursor"))
    };
    names_it(&error.code) || names_it(&error.detail) || names_it(&error.field)
}

fn without(text: &str, token: &SecretString) -> String {
    match token.expose_secret() {
        "" => text.to_owned(),
        token => text.replace(token, "[token]"),
    }
}

/// Describes what went wrong below HTTP, without the address (it may hold credentials).
pub(super) fn describe_transport(error: &reqwest::Error) -> Failure {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let detail = if error.is_timeout() && error.is_connect() {
        "no connection in time".to_owned()
    } else if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("cannot connect: {cause}")
    } else if error.is_body() || error.is_decode() {
        format!("the answer was cut off: {cause}")
    } else {
        format!("the connection broke: {cause}")
    };
    Failure::unavailable(shorten(&detail))
}
