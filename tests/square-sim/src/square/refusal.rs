//! How Square says no: a status and an envelope of errors, each with a category
//! and a code.

use std::borrow::Cow;

use serde_json::{Value, json};

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    pub(crate) category: Cow<'static, str>,
    pub(crate) code: Cow<'static, str>,
    pub(crate) detail: String,
    /// The offending field of the request, as a path.
    pub(crate) field: Option<String>,
}

impl Refusal {
    /// A request that Square does not accept, status 400.
    pub(crate) fn invalid(
        code: &'static str,
        field: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let field = Some(field.into()).filter(|field| !field.is_empty());
        Self {
            field,
            ..Self::new(400, "INVALID_REQUEST_ERROR", code, detail)
        }
    }

    /// A refusal that names no field.
    pub(crate) fn new(
        status: u16,
        category: &'static str,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            category: category.into(),
            code: code.into(),
            detail: detail.into(),
            field: None,
        }
    }

    /// What Square says with that status when nothing more is known.
    pub(crate) fn of_status(status: u16) -> Self {
        let (category, code) = match status {
            401 => ("AUTHENTICATION_ERROR", "UNAUTHORIZED"),
            403 => ("AUTHENTICATION_ERROR", "FORBIDDEN"),
            404 => ("INVALID_REQUEST_ERROR", "NOT_FOUND"),
            405 => ("INVALID_REQUEST_ERROR", "METHOD_NOT_ALLOWED"),
            408 => ("INVALID_REQUEST_ERROR", "REQUEST_TIMEOUT"),
            409 => ("INVALID_REQUEST_ERROR", "CONFLICT"),
            429 => ("RATE_LIMIT_ERROR", "RATE_LIMITED"),
            400..=499 => ("INVALID_REQUEST_ERROR", "BAD_REQUEST"),
            501 => ("API_ERROR", "NOT_IMPLEMENTED"),
            502 => ("API_ERROR", "BAD_GATEWAY"),
            503 => ("API_ERROR", "SERVICE_UNAVAILABLE"),
            504 => ("API_ERROR", "GATEWAY_TIMEOUT"),
            _ => ("API_ERROR", "INTERNAL_SERVER_ERROR"),
        };
        let detail = match status {
            401 => "This request could not be authorized.",
            429 => "This request was rate limited. Please retry later.",
            500..=599 => {
                "An internal error has occurred, and the API was unable to service your request."
            }
            _ => "The request is not acceptable.",
        };
        Self::new(status, category, code, detail)
    }

    /// Square's envelope.
    pub(crate) fn envelope(&self) -> Value {
        let mut error =
            json!({"category": self.category, "code": self.code, "detail": self.detail});
        if let Some(field) = &self.field {
            error["field"] = json!(field);
        }
        json!({"errors": [error]})
    }
}
