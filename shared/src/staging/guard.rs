//! The deletion guard: an account that suddenly seems to have lost much of its
//! data is more likely misread than emptied, so the step stops before it believes it.

use deadpool_postgres::{GenericClient, Transaction};

use super::table::Table;
use crate::error::SyncError;
use crate::run::stats::Counts;
use crate::run::step::StepContext;

/// Tables this small may lose a large share: there that is a few rows.
const LIVE_ROWS_MIN: i64 = 50;

/// Tables this small may lose all that they have.
const ALL_ROWS_MIN: i64 = 5;

/// Refuses a step that has marked too many of the table's rows as deleted.
///
/// # Errors
/// `DeletionGuard` with the figures.
pub(crate) async fn check(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    counts: &Counts,
) -> Result<(), SyncError> {
    let (deleted, created) = (counts.deleted, counts.created);
    if deleted == 0 || !is_on(context) {
        return Ok(());
    }
    let percent = context.env.settings.deletion_guard_percent;
    // Where more than that is left the guard passes, so that counting goes no further.
    let enough = deleted
        .saturating_mul(100)
        .checked_div(percent.into())
        .map_or(i64::MAX, |share| share + created + LIVE_ROWS_MIN);
    let left = left(transaction, table, enough).await?;
    judge(table.name, left + deleted - created, deleted, percent)
}

/// Refuses a whole listing that lacks too many of the table's live rows, or all of
/// them: nothing at all, where there was something, is more likely no answer. Returns
/// how many it lacks.
///
/// # Errors
/// `DeletionGuard` with the figures.
pub(crate) async fn check_absence(
    context: &StepContext<'_>,
    client: &impl GenericClient,
    table: &Table,
    attempt: i64,
) -> Result<i64, SyncError> {
    let row = client
        .query_one(&table.absent_count_sql(), &[&attempt])
        .await?;
    let (live, absent): (i64, i64) = (row.get("live"), row.get("absent"));
    if is_on(context) {
        let percent = context.env.settings.deletion_guard_percent;
        judge_absence(table.name, live, absent, percent)?;
    }
    Ok(absent)
}

/// Refuses a step that has marked all rows of a table as deleted with what a whole
/// listing lacked; `unsaid` of them, without a word of Square's.
///
/// # Errors
/// `DeletionGuard` with the figures.
pub(crate) async fn check_unsaid(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    unsaid: i64,
) -> Result<(), SyncError> {
    if unsaid <= ALL_ROWS_MIN || !is_on(context) {
        return Ok(());
    }
    if left(transaction, table, 1).await? > 0 {
        return Ok(());
    }
    let percent = context.env.settings.deletion_guard_percent;
    judge_absence(table.name, unsaid, unsaid, percent)
}

/// Counts the live rows that a table has left, no further than `enough`.
async fn left(transaction: &Transaction<'_>, table: &Table, enough: i64) -> Result<i64, SyncError> {
    let (name, lives) = (table.name, table.lives(table.name));
    let sql = format!("select count(*) from (select from {name} where {lives} limit $1) rows");
    Ok(transaction.query_one(&sql, &[&enough]).await?.get(0))
}

/// A preview deletes nothing, and shows what it would.
fn is_on(context: &StepContext<'_>) -> bool {
    let request = &context.run.request;
    !request.allow_mass_deletion && !request.dry_run
}

/// Refuses a refresh that would leave too many rows out: per table, how many were
/// live and how many of them would vanish.
///
/// # Errors
/// `DeletionGuard` with the figures of every such table.
pub(crate) fn check_refresh(
    context: &StepContext<'_>,
    tables: &[(&str, i64, i64)],
) -> Result<(), SyncError> {
    if !is_on(context) {
        return Ok(());
    }
    judge_all(tables, context.env.settings.deletion_guard_percent)
}

fn judge_all(tables: &[(&str, i64, i64)], percent: u32) -> Result<(), SyncError> {
    let mut refused = tables
        .iter()
        .filter(|(table, live, gone)| judge_absence(table, *live, *gone, percent).is_err());
    let Some((table, live, deleting)) = refused.next() else {
        return Ok(());
    };
    let also = refused
        .map(|(table, live, vanishing)| format!(", {vanishing} of {live} of {table}"))
        .collect();
    Err(SyncError::DeletionGuard {
        table: (*table).to_owned(),
        deleting: *deleting,
        live: *live,
        also,
        percent,
    })
}

fn judge_absence(table: &str, live: i64, absent: i64, percent: u32) -> Result<(), SyncError> {
    if live > ALL_ROWS_MIN && absent >= live {
        return Err(refusal(table, live, absent, percent));
    }
    judge(table, live, absent, percent)
}

fn judge(table: &str, live: i64, deleting: i64, percent: u32) -> Result<(), SyncError> {
    if live > LIVE_ROWS_MIN && deleting.saturating_mul(100) > live.saturating_mul(percent.into()) {
        return Err(refusal(table, live, deleting, percent));
    }
    Ok(())
}

fn refusal(table: &str, live: i64, deleting: i64, percent: u32) -> SyncError {
    SyncError::DeletionGuard {
        table: table.to_owned(),
        deleting,
        live,
        also: String::new(),
        percent,
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, judge_absence, judge_all};

    #[test]
    fn exactly_the_limit_passes_and_one_more_does_not() {
        assert!(judge("catalog_items", 100, 30, 30).is_ok());
        let error = judge("catalog_items", 100, 31, 30).unwrap_err();
        assert_eq!(error.name(), "DeletionGuard");
        assert!(error.to_string().contains("31 of 100"), "{error}");
    }

    #[test]
    fn a_refresh_is_refused_with_the_figures_of_every_table() {
        let tables = [
            ("locations", 4, 4),
            ("catalog_items", 100, 50),
            ("catalog_categories", 100, 1),
            ("catalog_variations", 200, 90),
        ];
        let message = judge_all(&tables, 30).unwrap_err().to_string();
        assert!(
            message.contains(
                "50 of 100 live rows of catalog_items, 90 of 200 of catalog_variations, more"
            ),
            "{message}"
        );
        assert!(judge_all(&tables, 60).is_ok());
    }

    #[test]
    fn a_small_table_may_lose_much_but_not_all_by_absence() {
        assert!(judge("locations", 50, 50, 30).is_ok());
        for (live, absent, passes) in [
            (0, 0, true),
            (5, 5, true),
            (6, 5, true),
            (6, 6, false),
            (50, 49, true),
            (51, 16, false),
        ] {
            let judged = judge_absence("locations", live, absent, 30);
            assert_eq!(judged.is_ok(), passes, "{absent} of {live}");
        }
        assert!(judge_absence("locations", 6, 6, 100).is_err());
    }
}
