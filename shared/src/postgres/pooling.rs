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

const BACKEND: &str = "select concat_ws(' ', pg_backend_pid(), inet_server_addr(), \
    pg_postmaster_start_time())";

/// Refuses a pooler that does not keep our sessions. By simple statements alone: one that
/// is prepared might fail for that very reason. `one` is a session of this database's;
/// another is taken beside it.
///
/// # Errors
/// `ConfigInvalid` naming `DATABASE_URL`; the database's.
pub(crate) async fn ensure_sessions(database: &Database, one: &Object) -> Result<(), SyncError> {
    let other = database.client().await?;
    let kept = keeps_sessions(one, &other).await;
    if !matches!(kept, Ok(true)) {
        // Others are given it next, and must not be within our transaction.
        let _ = other.batch_execute("rollback").await;
    }
    if kept? { Ok(()) } else { Err(refusal()) }
}

async fn keeps_sessions(one: &Object, other: &Object) -> Result<bool, SyncError> {
    let session = backend(one, "").await?;
    for _ in 0..ROUNDS {
        // While the other is in a transaction, nobody else can be given its connection.
        let occupied = backend(other, "begin; ").await?;
        // Asked first: a pooler with a single connection would have us wait.
        if occupied == session || backend(one, "").await? != session {
            return Ok(false);
        }
        other.batch_execute("commit").await?;
        if backend(other, "").await? != occupied {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the process that a session is given for a transaction that begins like this.
/// Behind one address may be several servers, and each counts its processes for itself.
async fn backend(client: &Object, beginning: &str) -> Result<Option<String>, SyncError> {
    let statements = format!("{beginning}{BACKEND}");
    let answers = client.simple_query(&statements).await.map_err(|error| {
        // A pooler by statement has no transactions at all. Any server breaks the
        // protocol in the same words, but hardly there.
        let is_protocol = error.code().is_some_and(|code| code.code() == "08P01");
        if is_protocol && !beginning.is_empty() {
            refusal()
        } else {
            error.into()
        }
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
