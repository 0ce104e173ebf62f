//! What a whole listing lacks. Square promises no snapshot of a list, so absence
//! alone is a weak reason to delete: an object may have slipped between two pages.
//!
//! A row is marked as deleted for one of three reasons: Square's tombstone; Square's
//! answer to the direct question after it; or an absence that nothing in the same
//! listing contradicts. So what is absent is counted first, which refuses a listing
//! that lacks suspiciously much (`guard`), and then asked for by its ids. What
//! Square gives to that is staged like any other page, and the rest stays absent
//! (`Table::absent_sql`).

use deadpool_postgres::Object;

use super::guard;
use super::table::Table;
use crate::error::SyncError;
use crate::run::step::StepContext;

/// Ids a question: as many as Square takes.
const IDS_MAX: usize = 1_000;

/// The ids of rows that a whole listing lacks, batch by batch.
pub(crate) struct Absent<'a> {
    client: &'a Object,
}

impl<'a> Absent<'a> {
    /// Looks for what the attempt's listing of the table lacks; none if nothing. The
    /// ids are those in `column`.
    ///
    /// # Errors
    /// `DeletionGuard` if that is too much; the database's.
    pub(crate) async fn of(
        context: &StepContext<'_>,
        client: &'a Object,
        table: &Table,
        column: &str,
    ) -> Result<Option<Self>, SyncError> {
        let attempt = context.attempt;
        let absent = match guard::check_absence(context, &***client, table, attempt).await {
            // Publishing judges what a refresh leaves out, with all figures in its message.
            Err(SyncError::DeletionGuard { .. }) if context.run.request.stages_only() => 0,
            absent => absent?,
        };
        if absent == 0 {
            return Ok(None);
        }
        // A cursor, because an account may lose more than fits in memory, and one
        // that outlives its transaction, because answers are staged in between.
        let query = table.absent_sql(column).replace("$1", &attempt.to_string());
        client
            .batch_execute(&format!(
                "close all; declare absent cursor with hold for {query}"
            ))
            .await?;
        Ok(Some(Self { client }))
    }

    /// The next ids; empty after the last.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn next(&self) -> Result<Vec<String>, SyncError> {
        let fetch = format!("fetch {IDS_MAX} from absent");
        let rows = self.client.query(&fetch, &[]).await?;
        if rows.is_empty() {
            self.client.batch_execute("close absent").await?;
        }
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
