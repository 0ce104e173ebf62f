//! From staging into a table, and what became of it in figures.

use deadpool_postgres::Transaction;

use super::drift::Expected;
use super::quarantine;
use super::table::Table;
use crate::error::SyncError;
use crate::postgres::is_there_already;
use crate::postgres::plan::Access;
use crate::run::stats::{Counts, Written, count};
use crate::run::step::StepContext;

/// What became of the staged rows of a table.
pub(crate) struct Upserted {
    pub(crate) counts: Counts,
    /// Whether the table had no row, so that none can be gone.
    pub(crate) was_empty: bool,
}

/// Inserts what is new and changes what differs. Counts what was set aside, too, and
/// what deltas should have brought; nothing is marked as deleted yet.
///
/// # Errors
/// The database's.
pub(crate) async fn upsert(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    access: Access,
    expected: &mut Expected,
) -> Result<Upserted, SyncError> {
    let attempt = context.attempt;
    let staged = transaction
        .query_one(&table.staged_sql(), &[&attempt])
        .await?
        .get(0);
    let drift = expected.count(transaction, table, attempt).await?;
    let (written, was_empty) = write(context, transaction, table, access).await?;
    let mut counts = Counts::new(staged, written);
    counts.drift = drift;
    counts.quarantined = quarantine::count(transaction, attempt, table.data_type).await?;
    Ok(Upserted { counts, was_empty })
}

/// Inserts what is new and changes what differs. Returns how many of each, and whether
/// the table was empty.
///
/// # Errors
/// The database's.
pub(crate) async fn write(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    access: Access,
) -> Result<(Written, bool), SyncError> {
    let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
    let is_empty = transaction.query_one(&table.is_empty_sql(), &[]).await?;
    if is_empty.get(0) {
        transaction.batch_execute("savepoint empty").await?;
        match insert(transaction, table, attempt, run_id).await {
            Ok(written) => return Ok((written, true)),
            // Another call of this step has brought them meanwhile.
            Err(error) if is_there_already(&error) => {
                transaction.batch_execute("rollback to empty").await?;
            }
            Err(error) => return Err(error),
        }
    }
    let upsert = table.upsert_sql(access);
    let row = transaction.query_one(&upsert, &[&attempt, &run_id]).await?;
    let written = Written {
        created: row.get("created"),
        updated: row.get("updated"),
    };
    Ok((written, false))
}

/// Inserts what is staged into a table that is empty.
async fn insert(
    transaction: &Transaction<'_>,
    table: &Table,
    attempt: i64,
    run_id: &str,
) -> Result<Written, SyncError> {
    let insert = table.insert_sql();
    let created = transaction.execute(&insert, &[&attempt, &run_id]).await?;
    if let Some(history) = table.first_history_sql() {
        transaction.execute(&history, &[&attempt]).await?;
    }
    Ok(Written {
        created: count(created),
        updated: 0,
    })
}

/// Marks rows as deleted: those with a tombstone and those that a whole listing lacks.
/// Returns how many.
///
/// # Errors
/// The database's.
pub(crate) async fn mark_deleted(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    access: Access,
) -> Result<i64, SyncError> {
    let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
    let sql = table.mark_deleted_sql(access);
    Ok(count(
        transaction.execute(&sql, &[&attempt, &run_id]).await?,
    ))
}
