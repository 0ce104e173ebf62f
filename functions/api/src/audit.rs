//! The audit log: who asked for what, and what came of it. Rows are only ever added.

use deadpool_postgres::GenericClient;
use serde_json::{Value, json};
use shared::error::SyncError;
use shared::postgres::Database;
use tokio_postgres::types::Json;

pub(crate) const ADD: &str =
    "insert into audit_log (actor, action, source_ip, run_id, outcome, detail)
    values ($1, $2, $3, $4, $5, $6)";

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
pub struct AuditLog(Place);

enum Place {
    Database(Box<Database>),
    #[cfg(test)]
    Memory(std::sync::Mutex<Vec<Value>>),
}

impl AuditLog {
    /// The log of this database.
    #[must_use]
    pub fn kept_in(database: &Database) -> Self {
        Self(Place::Database(Box::new(database.clone())))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn add(&self, entry: &Audit<'_>) -> Result<(), SyncError> {
        match &self.0 {
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

    /// A log in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self(Place::Memory(std::sync::Mutex::default()))
    }

    /// Returns the lines since the last call.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<Value> {
        match &self.0 {
            Place::Database(_) => Vec::new(),
            Place::Memory(lines) => std::mem::take(&mut *lines.lock().unwrap()),
        }
    }
}
