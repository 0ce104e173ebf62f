//! PostgreSQL's errors in our names, decided by SQLSTATE in this one place.
//!
//! The server's `detail` quotes rows, so it never gets into a message: the
//! primary message, the code and the names of the table and constraint do.

use deadpool_postgres::PoolError;
use tokio_postgres::error::DbError;

use crate::error::SyncError;

impl From<tokio_postgres::Error> for SyncError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => {
                let detail = describe(refusal);
                if is_passing(refusal.code().code()) {
                    Self::DatabaseUnavailable { detail }
                } else {
                    let sqlstate = Some(refusal.code().code().to_owned());
                    Self::DatabaseRejected { detail, sqlstate }
                }
            }
            None => Self::DatabaseUnavailable {
                detail: without_server(&error),
            },
        }
    }
}

impl From<PoolError> for SyncError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error)
            | PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
                error.into()
            }
            PoolError::Timeout(_) => Self::DatabaseUnavailable {
                detail: "no connection could be made in 10 seconds".to_owned(),
            },
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Whether a later attempt can succeed without anybody's help.
fn is_passing(code: &str) -> bool {
    // 08 connection, 53 out of resources (but a full disk waits for a person),
    // 57P01–57P05 shutting down or starting up, 57014 a time-out of ours,
    // 55P03 lock time-out, 40 serialization and deadlock, 25006 a fail-over's
    // read-only moment.
    (code.starts_with("08") || code.starts_with("53") || code.starts_with("40")) && code != "53100"
        || code.starts_with("57P0")
        || matches!(code, "57014" | "55P03" | "25006")
}

/// The SQLSTATE of a refusal that lies in the values alone: PostgreSQL cannot hold
/// one (class 22), or not in the place that it is meant for (class 54, a column that
/// is never null, a check), or two of them are in each other's way (class 21).
pub(crate) fn unstorable(error: &SyncError) -> Option<String> {
    let SyncError::DatabaseRejected {
        sqlstate: Some(code),
        ..
    } = error
    else {
        return None;
    };
    let is_in_the_values = matches!(code.get(..2), Some("21" | "22" | "54"));
    (is_in_the_values || matches!(code.as_str(), "23502" | "23514")).then(|| code.clone())
}

fn describe(refusal: &DbError) -> String {
    let code = refusal.code().code();
    let hint = match code {
        "53100" => ". The disk is full: make room, then start the sync again",
        "28P01" | "28000" => ". Check the user and password in DATABASE_URL",
        "3D000" => ". Create the database that DATABASE_URL names",
        "42501" => ". Grant the user of DATABASE_URL this right",
        _ => "",
    };
    let place = [
        ("table", refusal.table()),
        ("constraint", refusal.constraint()),
    ]
    .into_iter()
    .filter_map(|(kind, name)| name.map(|name| format!(", {kind} {name}")))
    .collect::<String>();
    format!("{} (SQLSTATE {code}{place}){hint}", refusal.message())
}

/// The driver's own words, with the operating system's reason behind them.
fn without_server(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_passing;

    #[test]
    fn what_passes_by_itself_is_retried_and_what_needs_a_person_is_not() {
        for code in [
            "08006", "53300", "57P01", "57P03", "40001", "40P01", "55P03", "57014",
        ] {
            assert!(is_passing(code), "{code}");
        }
        for code in [
            "53100", "28P01", "3D000", "42P01", "23503", "42501", "22P02",
        ] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
