//! Plans that do not hang on estimates.
//!
//! PostgreSQL chooses a plan by statistics, and here they are often wrong: staging
//! is filled and read within seconds, and an autoanalyze that comes while a load's
//! transaction is open finds the tables empty. A nested loop over what was thought
//! to be one row is then a step that never ends. So every statement over sets has
//! one of two forms, each with one sensible plan:
//!
//! - **Sets** are joined whole. All our sessions know hash joins only: each side is
//!   read once, whatever was expected of it.
//! - **Look-ups** find a table's rows one by one, in a `lateral` subquery that
//!   cannot be pulled up: a nested loop over exactly the rows outside of it, each
//!   served by an index because sequential scans are off. Their cost is that of
//!   the rows looked up, however large the table is.
//!
//! Rows are written by their key (`on conflict`) or their place (`ctid`), so that
//! writing needs no join of its own.

use deadpool_postgres::GenericClient;

use super::sql::{prefixed, same_key};
use crate::error::SyncError;

/// For every session of ours. Compiled plans go too: a plan that was thought dear
/// is compiled for longer than it runs.
pub(super) const SESSION: &str =
    "set enable_nestloop = off; set enable_mergejoin = off; set jit = off";

/// A statement's way from the rows that were staged to the data tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whole tables against all that was listed.
    Sets,
    /// The rows that a few changes name.
    LookUps,
}

impl Access {
    /// A listing goes over the tables anyway; changes touch no more than they name.
    #[must_use]
    pub fn of(listed_all: bool) -> Self {
        if listed_all {
            Self::Sets
        } else {
            Self::LookUps
        }
    }

    /// `join table alias on condition`, in this form.
    #[must_use]
    pub fn join(self, table: &str, alias: &str, condition: &str) -> String {
        self.joined("join", table, alias, condition)
    }

    /// `left join table alias on condition`, in this form.
    #[must_use]
    pub fn left_join(self, table: &str, alias: &str, condition: &str) -> String {
        self.joined("left join", table, alias, condition)
    }

    /// That both rows have the same key. Looked up as one range of the key as a whole:
    /// of single columns the planner might take another index, believing that one
    /// column finds as little as all.
    #[must_use]
    pub fn same_key(self, key: &[&str], a: &str, b: &str) -> String {
        let (ours, theirs) = (
            prefixed(key, &format!("{a}.")),
            prefixed(key, &format!("{b}.")),
        );
        if self == Self::Sets || key.len() == 1 {
            return same_key(key, a, b);
        }
        format!("({theirs}) >= ({ours}) and ({theirs}) <= ({ours})")
    }

    fn joined(self, join: &str, table: &str, alias: &str, condition: &str) -> String {
        match self {
            Self::Sets => format!("{join} {table} {alias} on {condition}"),
            // `offset 0` keeps the subquery from being pulled up into a plain join.
            Self::LookUps => format!(
                "{join} lateral (select {alias}.*, {alias}.ctid from {table} {alias} \
                 where {condition} offset 0) {alias} on true"
            ),
        }
    }

    /// Has the rest of the transaction run in this form.
    ///
    /// # Errors
    /// The database's.
    pub async fn enter(self, transaction: &impl GenericClient) -> Result<(), SyncError> {
        transaction.batch_execute(&self.settings()).await?;
        Ok(())
    }

    /// As `enter`, and has kept plans made anew. Those are the checks of foreign keys,
    /// which may be of a time when the table that they look into was small.
    ///
    /// # Errors
    /// The database's.
    pub async fn enter_anew(self, transaction: &impl GenericClient) -> Result<(), SyncError> {
        let settings = self.settings();
        transaction
            .batch_execute(&format!("{settings}; discard plans"))
            .await?;
        Ok(())
    }

    fn settings(self) -> String {
        let scans = match self {
            Self::Sets => "on",
            Self::LookUps => "off",
        };
        format!("set local enable_seqscan = {scans}; set local enable_bitmapscan = {scans}")
    }
}

/// Tells the planner of tables of which `changed` rows were written within this very
/// transaction. A glance will do: once it has been committed, autovacuum takes all of these
/// rows for changed, and looks at them thoroughly within a minute.
///
/// # Errors
/// The database's.
pub async fn analyze_written(
    transaction: &impl GenericClient,
    tables: &[&str],
    changed: i64,
) -> Result<(), SyncError> {
    transaction.batch_execute(GLANCE).await?;
    analyze(transaction, tables, changed).await
}

const GLANCE: &str = "set local default_statistics_target = 20";

/// Tells the planner of tables of which `changed` rows have just been written,
/// where that is much: by the rule of autovacuum, which comes a minute later. A table that
/// somebody else is at is left to autovacuum.
///
/// # Errors
/// The database's.
pub async fn analyze(
    transaction: &impl GenericClient,
    tables: &[&str],
    changed: i64,
) -> Result<(), SyncError> {
    let rows = transaction
        .query(MUCH_CHANGED, &[&tables, &changed])
        .await?;
    let much: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    if !much.is_empty() {
        transaction
            .batch_execute(&format!("analyze (skip_locked) {}", much.join(", ")))
            .await?;
    }
    Ok(())
}

/// Parameters: tables, how many rows were changed.
const MUCH_CHANGED: &str = "
    select name from unnest($1::text[]) as given (name)
    join pg_class c on c.oid = name::regclass
    where $2::bigint > 50 + greatest(c.reltuples, 0) / 10";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 1] = [MUCH_CHANGED];

#[cfg(test)]
mod tests {
    use super::Access;

    #[test]
    fn a_key_of_several_columns_is_looked_up_as_a_whole() {
        let key = |access: Access| access.same_key(&["a", "b"], "s", "t");
        assert_eq!(key(Access::Sets), "s.a = t.a and s.b = t.b");
        assert_eq!(
            key(Access::LookUps),
            "(t.a, t.b) >= (s.a, s.b) and (t.a, t.b) <= (s.a, s.b)"
        );
    }

    #[test]
    fn a_look_up_stays_a_subquery_of_its_own() {
        assert_eq!(
            Access::Sets.left_join("items", "i", "i.id = s.item_id"),
            "left join items i on i.id = s.item_id"
        );
        assert_eq!(
            Access::LookUps.join("items", "i", "i.id = s.item_id"),
            "join lateral (select i.*, i.ctid from items i where i.id = s.item_id offset 0) i on true"
        );
    }
}
