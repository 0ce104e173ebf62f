//! Drift: what a whole listing changes although Square changed it so long ago that a
//! delta should have brought it. Either a delta has missed it, or somebody has changed
//! a row by hand; both are told.

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use super::table::Table;
use crate::error::SyncError;
use crate::postgres::plan::Access;
use crate::postgres::sql::prefixed;
use crate::run::stats::{Counts, Drift};
use crate::run::step::StepContext;

/// Objects that a warning names.
pub(crate) const NAMED_MAX: usize = 10;

/// What a step's deltas should have brought, and what of it the listing found missing.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// All that Square changed before; none where nothing can be told.
    pub(crate) before: Option<Timestamp>,
    /// A sentence for each data type that has drifted.
    pub(crate) warnings: Vec<String>,
}

impl Expected {
    /// Counts the drift in what is staged of a table, before it is applied.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn count(
        &mut self,
        transaction: &Transaction<'_>,
        table: &Table,
        attempt: i64,
    ) -> Result<Option<Drift>, SyncError> {
        let (Some(before), Some(sql)) = (self.before, table.drift_sql()) else {
            return Ok(None);
        };
        let row = transaction
            .query_one(&sql, &[&attempt, &before, &named_max()])
            .await?;
        let drift = Drift {
            created: row.get("created"),
            updated: row.get("updated"),
            deleted: row.get("deleted"),
        };
        let named: Vec<String> = row.get("named");
        self.warnings
            .extend(warning(table.data_type, drift, &named));
        Ok(Some(drift))
    }
}

impl Expected {
    /// Counts the objects that are equal and of which the rows of another table, staged as
    /// well, are not: that is drift of theirs, too.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn count_children(
        &mut self,
        context: &StepContext<'_>,
        transaction: &Transaction<'_>,
        (holder, child): (&Table, &Table),
        counts: &mut Counts,
    ) -> Result<(), SyncError> {
        let (Some(before), Some(sql)) = (self.before, holder.child_drift_sql(child)) else {
            return Ok(());
        };
        let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
        let row = transaction
            .query_one(&sql, &[&attempt, &before, &named_max(), &run_id])
            .await?;
        let drift = Drift {
            updated: row.get("updated"),
            ..Drift::default()
        };
        let named: Vec<String> = row.get("named");
        self.warnings
            .extend(warning(holder.data_type, drift, &named));
        counts.drift = counts.drift.map(|ours| ours.and(drift));
        Ok(())
    }
}

fn named_max() -> i64 {
    i64::try_from(NAMED_MAX).unwrap_or(i64::MAX)
}

/// The sentence about a data type that has drifted.
pub(crate) fn warning(data_type: &str, drift: Drift, named: &[String]) -> Option<String> {
    let total = drift.total();
    if total == 0 {
        return None;
    }
    let more = total - i64::try_from(named.len()).unwrap_or(total);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Some(format!(
        "{total} {data_type} differed from Square although no change was outstanding \
         ({} missing, {} different, {} deleted there); they are as at Square now: {}{more}.",
        drift.created,
        drift.updated,
        drift.deleted,
        named.join(", "),
    ))
}

impl Table {
    /// Counts what a whole listing will change although it was changed long ago, and
    /// names some of it with the columns that differ. None for a table whose rows do
    /// not say when they changed. Parameters: attempt, since when it counts no more, how
    /// many to name.
    #[must_use]
    pub fn drift_sql(&self) -> Option<String> {
        let changed_at = self.changed_at?;
        let id = self.object_id("s");
        let differing: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                format!("case when t.{column} is distinct from s.{column} then '{column}' end")
            })
            .collect();
        // What waits in quarantine was brought; a row that follows another one's deletion
        // changes with that one.
        let is_late = format!(
            "s.seq > 0 and s.{changed_at} < $2 and w.object_id is null{follows}",
            follows = if self.has_tombstones {
                ""
            } else {
                " and not s.is_deleted and not coalesce(t.is_deleted, false)"
            },
        );
        let waiting = format!(
            " left join sync_quarantine w on w.data_type = '{data_type}' \
             and w.resolved_at is null and w.object_id = {id}",
            data_type = self.data_type,
        );
        let mut late = format!(
            "select {id} as id, case when t.{first} is null then 'created' else 'updated' end \
             as fate, concat_ws(', ', {differing}) as what from {changed} and {is_late}",
            first = self.key[0],
            differing = differing.join(", "),
            changed = self.changed_from(Access::Sets, &waiting),
        );
        if self.has_tombstones {
            late.push_str(&format!(
                " union all select {id}, 'deleted', 'deleted' from staging.{name} s \
                 join {name} t on {same}{waiting} where s.attempt = $1 and s.is_deleted \
                 and not t.is_deleted and {is_late}",
                name = self.name,
                same = Access::Sets.same_key(self.key, "s", "t"),
            ));
        }
        Some(format!(
            "with late as ({late}) \
             select count(*) filter (where fate = 'created') as created, \
             count(*) filter (where fate = 'updated') as updated, \
             count(*) filter (where fate = 'deleted') as deleted, \
             array(select id || ' (' || case fate when 'created' then 'missing' else what end \
             || ')' from late order by id limit $3) as named from late"
        ))
    }

    /// Counts this table's objects that were changed long ago and not just now, but of
    /// which rows of the child's differ from what is staged of them, are missing or are
    /// too many. Parameters: attempt, since when it counts no more, how many to name, run
    /// id.
    #[must_use]
    pub fn child_drift_sql(&self, child: &Self) -> Option<String> {
        let (changed_at, (holder, _)) = (self.changed_at?, child.held_by?);
        let [id] = self.key else {
            return None;
        };
        Some(format!(
            "with given as ( \
                 select s.{id} from staging.{name} s join {name} t on t.{id} = s.{id} \
                 where s.attempt = $1 and s.seq > 0 and not s.is_deleted and s.{changed_at} < $2 \
                 and t.{version} is not distinct from s.{version} \
                 and t.last_changed_by_run is distinct from $4), \
             late as ( \
                 select c.{holder} as {id} from staging.{child} c \
                 left join {child} t on {same} \
                 left join sync_quarantine w on w.data_type = '{child_type}' \
                 and w.resolved_at is null and w.object_id = {child_id} \
                 where c.attempt = $1 and w.object_id is null \
                 and ({theirs}) is distinct from ({ours}) \
                 union \
                 select t.{holder} from {child} t \
                 left join staging.{child} c on c.attempt = $1 and {same} \
                 where c.attempt is null) \
             select count(late.{id}) as updated, coalesce((array_agg( \
             {id} || ' ({child})' order by {id}) filter (where late.{id} is not null))[1:$3::bigint::int], \
             '{{}}') as named from given left join late using ({id})",
            name = self.name,
            version = self.version,
            child = child.name,
            child_type = child.data_type,
            child_id = child.object_id("c"),
            same = Access::Sets.same_key(child.key, "c", "t"),
            theirs = prefixed(child.columns, "t."),
            ours = prefixed(child.columns, "c."),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_how_many_and_which() {
        let drift = Drift {
            created: 1,
            updated: 2,
            deleted: 0,
        };
        assert_eq!(warning("items", Drift::default(), &[]), None);
        let named = ["A (missing)".to_owned(), "B (name)".to_owned()];
        let text = warning("items", drift, &named).unwrap();
        for part in [
            "3 items",
            "1 missing, 2 different, 0 deleted",
            "A (missing), B (name) and 1 more.",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
