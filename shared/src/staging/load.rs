//! Rows into staging, and one copy of each left there.

use deadpool_postgres::{GenericClient, Object};
use tokio_postgres::error::SqlState;

use super::column::Column;
use super::table::Table;
use crate::error::SyncError;
use crate::postgres::copy::{self, Values};
use crate::postgres::unstorable;
use crate::run::ledger::Ledger;

/// A row that PostgreSQL cannot store.
#[derive(Debug)]
pub struct Refused<'r, R> {
    pub table: &'static Table,
    pub row: &'r R,
    pub sqlstate: String,
}

impl Table {
    /// Copies rows into staging, in PostgreSQL's binary format. Returns those that
    /// PostgreSQL cannot store; the others are in.
    ///
    /// # Errors
    /// Any other of the database's.
    pub async fn copy_in<'r, R: Sync>(
        &'static self,
        client: &Object,
        attempt: i64,
        columns: &[&[Column<R>]],
        rows: &'r [R],
        ledger: &mut Ledger,
    ) -> Result<Vec<Refused<'r, R>>, SyncError> {
        let mut refused = Vec::new();
        let mut parts = vec![rows];
        // A refused part is halved until what is refused stands alone.
        while let Some(rows) = parts.pop() {
            match self.copy_part(client, attempt, columns, rows).await {
                Ok(count) => ledger.added(self.name, count),
                Err(error) => match (unstorable(&error), rows) {
                    (Some(sqlstate), [row]) => refused.push(Refused {
                        table: self,
                        row,
                        sqlstate,
                    }),
                    (Some(_), rows) => {
                        let (first, second) = rows.split_at(rows.len() / 2);
                        parts.extend([second, first]);
                    }
                    (None, _) => return Err(error),
                },
            }
        }
        Ok(refused)
    }

    async fn copy_part<R>(
        &self,
        client: &Object,
        attempt: i64,
        columns: &[&[Column<R>]],
        rows: &[R],
    ) -> Result<u64, SyncError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let columns = || columns.iter().copied().flatten();
        let names: Vec<&str> = ["attempt"]
            .into_iter()
            .chain(columns().map(|column| column.name))
            .collect();
        let (name, names) = (self.name, names.join(", "));
        let types = format!("select {names} from staging.{name}");
        let described = client.prepare_cached(&types).await?;
        let statement = format!("copy staging.{name} ({names}) from stdin binary");
        let statement = client.prepare_cached(&statement).await?;
        let sink = client.copy_in(&statement).await?;
        let rows = rows.iter().map(|row| {
            let mut values: Values<'_> = vec![&attempt];
            values.extend(columns().map(|column| (column.value)(row)));
            values
        });
        copy::write(sink, &copy::types(&described), rows).await
    }

    /// Stages once more what waits in quarantine for its parent. Returns whether anything
    /// does.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn replay(
        &self,
        client: &Object,
        attempt: i64,
        ledger: &mut Ledger,
    ) -> Result<bool, SyncError> {
        let replayed = client.execute(&self.replay_sql(), &[&attempt]).await?;
        ledger.added(self.name, replayed);
        Ok(replayed > 0)
    }

    /// Keeps the winning copy of each staged key, or of those whose first column has one of
    /// the values `among`.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn dedupe(
        &self,
        client: &Object,
        attempt: i64,
        among: Option<&[String]>,
        ledger: &mut Ledger,
    ) -> Result<(), SyncError> {
        let removed = client
            .execute(&self.dedupe_sql(), &[&attempt, &among])
            .await?;
        ledger.removed(self.name, removed);
        Ok(())
    }

    /// Tells the planner how much was staged: it knows nothing of rows this new. Of
    /// what is in them it needs no more than a glance, for all are read whatever it is.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn analyze(&self, client: &impl GenericClient) -> Result<(), SyncError> {
        client
            .batch_execute(&format!(
                "begin; set local default_statistics_target = 1; analyze staging.{}; commit",
                self.name
            ))
            .await?;
        Ok(())
    }
}

/// Empties staging before an attempt; what an earlier step of the same run has set
/// aside may have to wait there for `publish`. A step that outlived its run may still be
/// writing there; then its rows are left, and told apart by their attempt.
///
/// # Errors
/// The database's, but for the lock that such a step holds.
pub async fn clear_staging(
    client: &Object,
    tables: &[&Table],
    keeps_quarantine: bool,
) -> Result<(), SyncError> {
    let mut names: Vec<String> = tables
        .iter()
        .map(|table| format!("staging.{}", table.name))
        .collect();
    if !keeps_quarantine {
        names.push("staging.quarantine".to_owned());
    }
    let truncate = format!(
        "begin; set local lock_timeout = '2s'; truncate {}; commit",
        names.join(", ")
    );
    let Err(error) = client.batch_execute(&truncate).await else {
        return Ok(());
    };
    client.batch_execute("rollback").await?;
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        tracing::warn!("an earlier step is still writing to staging; its rows are ignored");
        return Ok(());
    }
    Err(error.into())
}
