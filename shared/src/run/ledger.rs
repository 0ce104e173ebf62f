//! The number of rows that an attempt has in staging, counted as they are written.
//!
//! Staging is shared and unlogged: another invocation of the same step may empty
//! it, and so does a crash of PostgreSQL. An attempt that applied what was left
//! would take the rest of the account for deleted, so before it applies anything
//! it counts its rows, and the transaction keeps them from then on.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};

use crate::error::SyncError;

/// The rows of one attempt, per staging table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger {
    rows: BTreeMap<String, i64>,
}

impl Ledger {
    /// That many rows were written to the table's staging.
    pub fn added(&mut self, table: &str, rows: u64) {
        self.change(table, i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// That many rows were taken out again.
    pub fn removed(&mut self, table: &str, rows: u64) {
        self.change(table, -i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// One object was set aside.
    pub fn set_aside(&mut self) {
        self.change("quarantine", 1);
    }

    fn change(&mut self, table: &str, by: i64) {
        *self.rows.entry(table.to_owned()).or_default() += by;
    }

    /// Counts the attempt's rows; none can vanish any more before the transaction
    /// ends.
    ///
    /// # Errors
    /// `DatabaseUnavailable` if some are gone: the step is to be done again.
    pub async fn verify(
        &self,
        transaction: &Transaction<'_>,
        attempt: i64,
    ) -> Result<(), SyncError> {
        for (table, expected) in &self.rows {
            let sql = format!("select count(*) from staging.{table} where attempt = $1");
            let found: i64 = transaction.query_one(&sql, &[&attempt]).await?.get(0);
            if found != *expected {
                return Err(SyncError::DatabaseUnavailable {
                    detail: format!(
                        "staging.{table} holds {found} of the {expected} rows written to it, \
because PostgreSQL restarted or another invocation of this step took over"
                    ),
                });
            }
        }
        Ok(())
    }
}
