//! Rows that a whole listing lacks. Square promises no snapshot of a list, so absence
//! alone is a weak reason to delete: an object may have slipped between two pages.
//!
//! A row is marked as deleted for one of three reasons: Square's tombstone; Square's
//! answer to the direct question after it; or an absence that nothing in the same
//! listing contradicts. So what is absent is counted first, which refuses a listing
//! that lacks suspiciously much (`guard`), and then asked for by its ids. What
//! Square gives to that is staged like any other page, and the rest stays absent
//! (`Table::absent_sql`).

use super::guard;
use super::intake::Intake;
use super::table::Table;
use crate::error::SyncError;

/// Ids a question: as many as Square takes.
const IDS_MAX: usize = 1_000;

impl Intake<'_> {
    /// Whether the listing lacks rows of the table; [`next_absent`](Self::next_absent)
    /// returns their ids, which are those in `column`.
    ///
    /// # Errors
    /// `DeletionGuard` if it lacks too many; the database's.
    pub(crate) async fn has_absent(&self, table: &Table, column: &str) -> Result<bool, SyncError> {
        let (context, client, attempt) = (self.context, &self.client, self.context.attempt);
        let absent = match guard::check_absence(context, client, table, attempt).await {
            // Publishing judges what a refresh leaves out, with all figures in its message.
            Err(SyncError::DeletionGuard { .. }) if context.run.request.stages_only() => 0,
            absent => absent?,
        };
        if absent == 0 {
            return Ok(false);
        }
        // A cursor, because an account may lose more than fits in memory, and one
        // that outlives its transaction, because answers are staged in between.
        let query = table.absent_sql(column).replace("$1", &attempt.to_string());
        let declare = format!("close all; declare absent cursor with hold for {query}");
        client.batch_execute(&declare).await?;
        Ok(true)
    }

    /// The next ids; empty after the last.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn next_absent(&self) -> Result<Vec<String>, SyncError> {
        let fetch = format!("fetch {IDS_MAX} from absent");
        let rows = self.client.query(&fetch, &[]).await?;
        if rows.is_empty() {
            self.client.batch_execute("close absent").await?;
        }
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
