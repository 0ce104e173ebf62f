//! From staging into a table, and what became of it in figures.

use deadpool_postgres::Transaction;

use super::quarantine;
use super::table::Table;
use crate::error::SyncError;
use crate::postgres::plan::Access;
use crate::run::stats::{Counts, count};
use crate::run::step::StepContext;

/// Inserts what is new and changes what differs, by the table's upsert or one made of
/// it. Counts what was set aside, too; nothing is marked as deleted yet.
///
/// # Errors
/// The database's.
pub(crate) async fn upsert(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    sql: &str,
) -> Result<Counts, SyncError> {
    let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
    let staged = transaction
        .query_one(&table.staged_sql(), &[&attempt])
        .await?
        .get(0);
    let written = table.upsert(transaction, sql, attempt, run_id).await?;
    let mut counts = Counts::new(staged, written);
    counts.quarantined = quarantine::count(transaction, attempt, table.data_type).await?;
    Ok(counts)
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
