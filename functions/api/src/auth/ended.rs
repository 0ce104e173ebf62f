//! The sign-ins that were ended before their time: by their owners, or by whoever
//! looks after the service. The sealed cookies know nothing of it, so this table is
//! asked wherever an admin is let in.

use shared::error::SyncError;
use shared::postgres::Database;
use tokio_postgres::error::SqlState;

use super::session::Session;

/// Longer than any sign-in lasts.
const FORGET: &str =
    "delete from sync_ended_sign_ins where ended_at < clock_timestamp() - interval '1 day'";

const END: &str =
    "insert into sync_ended_sign_ins (whose) values ($1) on conflict (whose) do nothing";

/// A sign-in's own end counts whenever it was. Of all of a person's it is those that
/// began before, give or take what two clocks may differ.
const IS_ENDED: &str = "select exists (select from sync_ended_sign_ins
    where whose = $1
        or whose = $2 and ended_at + interval '5 seconds' >= to_timestamp($3::bigint))";

/// The statements, for the test that prepares them all.
pub const STATEMENTS: [&str; 3] = [FORGET, END, IS_ENDED];

/// The sign-ins that were ended.
pub struct EndedSignIns(Place);

enum Place {
    Database(Box<Database>),
    #[cfg(test)]
    Memory(std::sync::Mutex<std::collections::HashMap<String, i64>>),
}

impl EndedSignIns {
    /// Those that this database knows of.
    #[must_use]
    pub fn kept_in(database: &Database) -> Self {
        Self(Place::Database(Box::new(database.clone())))
    }

    /// Whether this one is among them.
    pub(crate) async fn has(&self, session: &Session) -> Result<bool, SyncError> {
        self.have(&session.id, &session.subject, session.began_at)
            .await
    }

    /// Whether the sign-in of this id, which this person began then (Unix seconds), is
    /// among them.
    ///
    /// # Errors
    /// The database's. That it has no such table is none: a schema that is yet to be
    /// migrated can only be by somebody who is let in.
    pub async fn have(&self, id: &str, subject: &str, began_at: i64) -> Result<bool, SyncError> {
        match &self.0 {
            Place::Database(database) => {
                let client = database.client().await?;
                match client
                    .query_one(IS_ENDED, &[&id, &subject, &began_at])
                    .await
                {
                    Ok(row) => Ok(row.get(0)),
                    Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
            #[cfg(test)]
            Place::Memory(ended) => {
                let ended = ended.lock().unwrap();
                let of_person = ended.get(subject);
                Ok(ended.contains_key(id) || of_person.is_some_and(|at| *at >= began_at))
            }
        }
    }

    /// Ends the sign-in of this id, and forgets those that are over by now anyway.
    /// Returns whether it was not ended yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn end(&self, id: &str) -> Result<bool, SyncError> {
        match &self.0 {
            Place::Database(database) => {
                let client = database.client().await?;
                let is_new = client.execute(END, &[&id]).await? > 0;
                if is_new {
                    client.execute(FORGET, &[]).await?;
                }
                Ok(is_new)
            }
            #[cfg(test)]
            Place::Memory(ended) => {
                let now = jiff::Timestamp::now().as_second();
                let before = ended.lock().unwrap().insert(id.to_owned(), now);
                Ok(before.is_none())
            }
        }
    }

    /// None, in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self(Place::Memory(std::sync::Mutex::default()))
    }
}
