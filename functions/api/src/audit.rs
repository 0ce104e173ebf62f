//! The audit log: who asked for what, and what came of it. Rows are only ever added.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::GenericClient;
use serde_json::{Value, json};
use shared::error::SyncError;
use shared::postgres::Database;
use tokio::time::Instant;
use tokio_postgres::types::Json;

pub(crate) const ADD: &str =
    "insert into audit_log (actor, action, source_ip, run_id, outcome, detail)
    values ($1, $2, $3, $4, $5, $6)";

/// One refusal of a sort for one person within this time is enough: whoever may sign in,
/// admin or not, could otherwise fill a table that only ever grows.
const REFUSALS_APART: Duration = Duration::from_secs(60);

/// A line of the audit log.
pub(crate) struct Audit<'a> {
    /// The name by which people know them.
    pub(crate) actor: &'a str,
    /// The `sub` by which the issuer knows them, whatever they are called.
    pub(crate) subject: Option<&'a str>,
    pub(crate) action: &'a str,
    pub(crate) source_ip: Option<&'a str>,
    pub(crate) run_id: Option<&'a str>,
    pub(crate) outcome: &'a str,
    pub(crate) detail: Value,
}

impl Audit<'_> {
    /// Returns the detail with the `sub` in it: a column of its own would be missing
    /// where a migration is yet to run, and that it was asked for has to be written too.
    fn whole_detail(&self) -> Value {
        let mut detail = self.detail.clone();
        if let (Value::Object(fields), Some(subject)) = (&mut detail, self.subject) {
            fields.insert("sub".to_owned(), json!(subject));
        }
        detail
    }
}

/// Adds a line.
pub(crate) async fn add(client: &impl GenericClient, entry: &Audit<'_>) -> Result<(), SyncError> {
    client
        .execute(
            ADD,
            &[
                &entry.actor,
                &entry.action,
                &entry.source_ip,
                &entry.run_id,
                &entry.outcome,
                &Json(&entry.whole_detail()),
            ],
        )
        .await?;
    Ok(())
}

/// The log, for whoever works with nothing else of the database.
pub struct AuditLog {
    place: Place,
    /// When a person was last refused, by their `sub` and the outcome.
    refused: Mutex<HashMap<(String, String), Instant>>,
}

enum Place {
    Database(Box<Database>),
    #[cfg(test)]
    Memory(Mutex<Vec<Value>>),
}

impl AuditLog {
    /// The log of this database.
    #[must_use]
    pub fn kept_in(database: &Database) -> Self {
        Self::at(Place::Database(Box::new(database.clone())))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            refused: Mutex::default(),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn add(&self, entry: &Audit<'_>) -> Result<(), SyncError> {
        match &self.place {
            Place::Database(database) => add(&database.client().await?, entry).await,
            #[cfg(test)]
            Place::Memory(lines) => {
                lines.lock().unwrap().push(json!({
                    "actor": entry.actor, "action": entry.action, "outcome": entry.outcome,
                    "run_id": entry.run_id, "detail": entry.whole_detail(),
                }));
                Ok(())
            }
        }
    }

    /// Adds a line about something that is over either way: that it cannot be written
    /// is said in the function's own log.
    pub(crate) async fn try_to_add(&self, entry: &Audit<'_>) {
        if let Err(problem) = self.add(entry).await {
            let Audit {
                actor,
                action,
                outcome,
                ..
            } = entry;
            tracing::warn!(%problem, actor, action, outcome, "not in the audit log");
        }
    }

    /// Adds the line of somebody who was turned away, unless it was told a moment ago.
    pub(crate) async fn try_to_add_refusal(&self, entry: &Audit<'_>) {
        if self.is_news(entry, Instant::now()) {
            self.try_to_add(entry).await;
        }
    }

    fn is_news(&self, entry: &Audit<'_>, now: Instant) -> bool {
        let who = entry.subject.unwrap_or(entry.actor).to_owned();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, at| now.duration_since(*at) < REFUSALS_APART);
        let key = (who, entry.outcome.to_owned());
        let is_news = !refused.contains_key(&key);
        if is_news {
            refused.insert(key, now);
        }
        is_news
    }

    /// A log in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::at(Place::Memory(Mutex::default()))
    }

    /// Returns the lines since the last call.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<Value> {
        match &self.place {
            Place::Database(_) => Vec::new(),
            Place::Memory(lines) => std::mem::take(&mut *lines.lock().unwrap()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;

    #[test]
    fn a_refusal_is_news_once_a_minute_for_each_person_and_each_sort() {
        let log = AuditLog::in_memory();
        let (ada, now) = (Caller::ada(), Instant::now());
        let bob = Caller {
            subject: "0000-2222".to_owned(),
            ..Caller::ada()
        };
        let after = |caller: &Caller, outcome, seconds| {
            let at = now + Duration::from_secs(seconds);
            log.is_news(&caller.entry("refused", outcome), at)
        };
        assert!(after(&ada, "Forbidden", 0));
        assert!(!after(&ada, "Forbidden", 59));
        assert!(after(&bob, "Forbidden", 59));
        assert!(after(&ada, "CrossSite", 59));
        assert!(after(&ada, "Forbidden", 60));
        assert!(!after(&bob, "Forbidden", 60));
    }
}
