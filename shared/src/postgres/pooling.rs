//! A look at what is between us and the server. A pooler that gives each transaction
//! another connection takes away what we build on: a session's settings, its temporary
//! tables, its prepared statements, an advisory lock. The errors that come of it speak of
//! anything but a pooler, so it is looked for before any data is read.

use deadpool_postgres::Object;
use tokio_postgres::SimpleQueryMessage;

use super::Database;
use super::address::SETTING;
use crate::error::SyncError;

/// A pooler that gives its connections by turns, or at random, may give the right one
/// once.
const ROUNDS: usize = 3;

/// Refuses a pooler that does not keep our sessions. By simple statements alone: one that
/// is prepared might fail for that very reason.
///
/// # Errors
/// `ConfigInvalid` naming `DATABASE_URL`; the database's.
pub(crate) async fn ensure_sessions(database: &Database) -> Result<(), SyncError> {
    let (one, other) = (database.client().await?, database.client().await?);
    let session = backend(&one, "").await?;
    for _ in 0..ROUNDS {
        // While the other is in a transaction, nobody else can be given its connection.
        let occupied = backend(&other, "begin; ").await?;
        // Asked first: a pooler with a single connection would have us wait.
        if occupied == session || backend(&one, "").await? != session {
            return Err(refusal());
        }
        other.batch_execute("commit").await?;
        if backend(&other, "").await? != occupied {
            return Err(refusal());
        }
    }
    Ok(())
}

/// Returns the process of the server that a session is given for a transaction that
/// begins like this.
async fn backend(client: &Object, beginning: &str) -> Result<Option<String>, SyncError> {
    let statements = format!("{beginning}select pg_backend_pid()");
    let answers = client.simple_query(&statements).await.map_err(|error| {
        // A pooler by statement has no transactions at all.
        let is_protocol = error.code().is_some_and(|code| code.code() == "08P01");
        if is_protocol { refusal() } else { error.into() }
    })?;
    Ok(answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

fn refusal() -> SyncError {
    SyncError::config(
        SETTING,
        "leads to a pooler that gives each transaction another connection (PgBouncer's \
pool_mode=transaction and its like), where settings, temporary tables and locks of a session are \
lost. Take the server's own address, or the pooler's for whole sessions",
    )
}

#[cfg(test)]
mod tests;
