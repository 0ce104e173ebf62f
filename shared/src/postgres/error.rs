//! PostgreSQL's errors in our names, decided by SQLSTATE in this one place.
//!
//! The server's `detail` quotes rows, so it never gets into a message: the
//! primary message, the code and the names of the table and constraint do.

use deadpool_postgres::PoolError;
use rustls::Error as TlsError;
use tokio_postgres::error::DbError;

use super::address::SETTING;
use crate::error::{SyncError, with_causes};

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
            None => match unproven(&error) {
                Some(problem) => Self::config(SETTING, problem),
                None => Self::DatabaseUnavailable {
                    detail: with_causes(&error),
                },
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

/// Whether PostgreSQL has refused a row because its key is there.
pub(crate) fn is_there_already(error: &SyncError) -> bool {
    matches!(error, SyncError::DatabaseRejected { sqlstate: Some(code), .. } if code == "23505")
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

/// What keeps the server from being taken for the right one. It does not pass: somebody
/// set it up so, or is between.
fn unproven(error: &tokio_postgres::Error) -> Option<String> {
    let cause = std::error::Error::source(error)?;
    let of_tls = cause
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref()?.downcast_ref::<TlsError>());
    if let Some(TlsError::InvalidCertificate(why)) = of_tls {
        return Some(format!(
            "leads to a server whose certificate does not prove that it is the one named there \
({why}). Without sslmode it must. Put the certificate of its authority into DATABASE_CA_PEM, name \
the server as its certificate does, or ask for a weaker sslmode"
        ));
    }
    // The driver has no type for these.
    match cause.to_string().as_str() {
        "server does not support TLS" => Some(
            "leads to a server that has no TLS. Without sslmode a server beyond this machine must \
have it. Turn it on there, or ask for sslmode=disable on a network that you trust"
                .to_owned(),
        ),
        "no hostname provided for TLS handshake" => {
            Some("wants a host beside hostaddr, for the certificate to prove".to_owned())
        }
        _ => None,
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
