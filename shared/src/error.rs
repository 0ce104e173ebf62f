//! One enum for everything that can end a step.
//!
//! Its name is what Step Functions matches in `Retry` and `Catch`, and what the
//! console, the API and the mail show. So each variant is named by who must act,
//! and its message says what happened, where, and what to do next. A message
//! never holds a token, a connection string or a customer's data: it is shown to
//! operators and kept in logs. For the same reason no variant carries the driver's
//! error along: its debug output, which the runtime logs, quotes rows.

use lambda_runtime::Diagnostic;

/// Why a step, a run or a request ended without its result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SyncError {
    /// A setting is missing or wrong. The message names the variable.
    #[error("{setting} {problem}. Set it in the function's environment and deploy again.")]
    ConfigInvalid { setting: String, problem: String },

    /// The caller's input cannot be carried out. The message names the field.
    #[error("{field}: {problem}.")]
    InputInvalid { field: String, problem: String },

    /// Square refused the access token (HTTP 401), or it is about to expire.
    #[error(
        "Square refused the access token at {endpoint}: {detail}. Put a valid token into SQUARE_ACCESS_TOKEN (check SQUARE_ENVIRONMENT as well), then start the sync again."
    )]
    SquareUnauthorized { endpoint: String, detail: String },

    /// The token is valid but lacks a permission (HTTP 403).
    #[error(
        "The access token may not use {endpoint}: it lacks {scope}. Grant this permission in Square's Developer Console and use the new token."
    )]
    SquareForbidden { endpoint: String, scope: String },

    /// Square kept answering 429 until the request's retry budget was spent.
    #[error(
        "Square kept limiting our requests to {endpoint} ({attempts} attempts). Lower SQUARE_MAX_REQUESTS_PER_SECOND, or wait: the next run goes on by itself."
    )]
    SquareRateLimited { endpoint: String, attempts: u32 },

    /// Square could not be reached or kept failing.
    #[error(
        "Square is unavailable at {endpoint}: {detail} ({attempts} attempts). Nothing half-done was kept; the next run goes on by itself. See https://www.issquareup.com."
    )]
    SquareUnavailable {
        endpoint: String,
        detail: String,
        attempts: u32,
    },

    /// Square understood the request and refused it (other 4xx).
    #[error(
        "Square rejected our request to {endpoint} with status {status}: {detail}. This is a fault in the request; report it with the run's id."
    )]
    SquareRejected {
        endpoint: String,
        status: u16,
        detail: String,
    },

    /// An answer that is not what Square's API promises: HTML, cut or wrong JSON.
    #[error(
        "Square's answer from {endpoint} cannot be read: {detail}. Check SQUARE_BASE_URL and any proxy on the way; if it stays, report it with the run's id."
    )]
    SquareMalformed { endpoint: String, detail: String },

    /// A list that does not end: too many pages, or a cursor that came before.
    #[error(
        "The list at {endpoint} does not end: {detail}. Nothing half-done was kept; start the run again, and report it if it stays."
    )]
    SquarePageLimit { endpoint: String, detail: String },

    /// A service of AWS that the function needs cannot be reached, or not at the moment.
    #[error("{service} is unavailable: {detail}. It is asked again by itself.")]
    AwsUnavailable { service: String, detail: String },

    /// PostgreSQL cannot be reached, or not at the moment.
    #[error(
        "The database is unavailable: {detail}. Check that it runs, that DATABASE_URL is right, and that its network lets this function in."
    )]
    DatabaseUnavailable { detail: String },

    /// PostgreSQL refused a statement.
    #[error("The database refused a statement: {detail}. The transaction was rolled back.")]
    DatabaseRejected {
        detail: String,
        /// PostgreSQL's code, where it was PostgreSQL that refused.
        sqlstate: Option<String>,
    },

    /// The schema is not at the version that this binary was built for.
    #[error("The database schema is at version {found}, and this release wants {wanted}. {todo}")]
    DatabaseSchemaOutdated {
        found: i64,
        wanted: i64,
        todo: String,
    },

    /// Another run took the lease over, so this one may not write any more.
    #[error(
        "Run {run_id} no longer holds the lease on {lease}: {detail}. Nothing was written; start a new run."
    )]
    LeaseLost {
        run_id: String,
        lease: String,
        detail: String,
    },

    /// Another run holds the lease.
    #[error("Run {run_id} is in progress. Wait for it to end, or stop it first.")]
    RunInProgress { run_id: String },

    /// The step would delete suspiciously much.
    #[error(
        "This run would delete {deleting} of {live} live rows of {table}{also}, more than {percent} %. If that is right, start it with allow_mass_deletion."
    )]
    DeletionGuard {
        table: String,
        deleting: i64,
        live: i64,
        /// The same figures of other tables, as they read on; empty if there are none.
        also: String,
        percent: u32,
    },

    /// The step stopped itself at its time-out, which a setting says.
    #[error(
        "The {step} step stopped itself at its time-out of {seconds} s; what it had not committed was rolled back. Raise {setting} (Lambda allows 900 s), or lower the load on Square and the database, then start again."
    )]
    StepTimeout {
        step: String,
        seconds: u64,
        setting: String,
    },

    /// The run was stopped, or has ended before.
    #[error("{0}")]
    Cancelled(String),

    /// A defect of ours.
    #[error("Internal error: {0}. Report it with the run's id.")]
    Internal(String),
}

impl SyncError {
    /// Every name, as it appears in state machines and API answers.
    pub const NAMES: [&str; 19] = [
        "ConfigInvalid",
        "InputInvalid",
        "SquareUnauthorized",
        "SquareForbidden",
        "SquareRateLimited",
        "SquareUnavailable",
        "SquareRejected",
        "SquareMalformed",
        "SquarePageLimit",
        "AwsUnavailable",
        "DatabaseUnavailable",
        "DatabaseRejected",
        "DatabaseSchemaOutdated",
        "LeaseLost",
        "RunInProgress",
        "DeletionGuard",
        "StepTimeout",
        "Cancelled",
        "Internal",
    ];

    /// The names that a later attempt can cure by itself: the state machine retries these.
    /// `StepTimeout` it tries once more, like a function that was cut short.
    pub const RETRYABLE: [&str; 4] = [
        "SquareRateLimited",
        "SquareUnavailable",
        "AwsUnavailable",
        "DatabaseUnavailable",
    ];

    /// The error's name: the variant's own.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConfigInvalid { .. } => "ConfigInvalid",
            Self::InputInvalid { .. } => "InputInvalid",
            Self::SquareUnauthorized { .. } => "SquareUnauthorized",
            Self::SquareForbidden { .. } => "SquareForbidden",
            Self::SquareRateLimited { .. } => "SquareRateLimited",
            Self::SquareUnavailable { .. } => "SquareUnavailable",
            Self::SquareRejected { .. } => "SquareRejected",
            Self::SquareMalformed { .. } => "SquareMalformed",
            Self::SquarePageLimit { .. } => "SquarePageLimit",
            Self::AwsUnavailable { .. } => "AwsUnavailable",
            Self::DatabaseUnavailable { .. } => "DatabaseUnavailable",
            Self::DatabaseRejected { .. } => "DatabaseRejected",
            Self::DatabaseSchemaOutdated { .. } => "DatabaseSchemaOutdated",
            Self::LeaseLost { .. } => "LeaseLost",
            Self::RunInProgress { .. } => "RunInProgress",
            Self::DeletionGuard { .. } => "DeletionGuard",
            Self::StepTimeout { .. } => "StepTimeout",
            Self::Cancelled(_) => "Cancelled",
            Self::Internal(_) => "Internal",
        }
    }

    /// A setting that is missing or wrong; `problem` reads on from the setting's name.
    pub fn config(setting: &str, problem: impl Into<String>) -> Self {
        Self::ConfigInvalid {
            setting: setting.to_owned(),
            problem: problem.into(),
        }
    }

    /// A field of a request or an event that cannot be used.
    pub fn input(field: &str, problem: impl Into<String>) -> Self {
        Self::InputInvalid {
            field: field.to_owned(),
            problem: problem.into(),
        }
    }
}

/// The error that the Lambda runtime posts: without this, Step Functions would see a
/// type name of the runtime instead of ours.
impl From<SyncError> for Diagnostic {
    fn from(error: SyncError) -> Self {
        Self {
            error_type: error.name().to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// An error with the causes behind it: the first alone often says only that something
/// failed.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let cause = inner.to_string();
        // Some repeat what is behind them.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retryable_name_is_a_name() {
        for name in SyncError::RETRYABLE {
            assert!(SyncError::NAMES.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_runtime_posts_our_name_and_message() {
        let diagnostic = Diagnostic::from(SyncError::RunInProgress {
            run_id: "r1".into(),
        });
        assert_eq!(diagnostic.error_type, "RunInProgress");
        assert!(diagnostic.error_message.contains("r1"));
    }
}
