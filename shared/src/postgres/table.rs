//! From staging to the table: the statements that every data table shares.
//!
//! A table says its columns once; the statements that copy rows into staging,
//! keep one copy of each, apply what differs and mark what is gone are made from
//! that. Applying compares first and writes only rows that differ, so an idle
//! sync writes no row version at all.

use deadpool_postgres::Object;
use futures::pin_mut;
use tokio_postgres::GenericClient;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::ledger::Ledger;
use crate::error::SyncError;

/// A data table and its staging table of the same name.
#[derive(Debug)]
pub struct Table {
    /// The name in the public schema and in `staging`.
    pub name: &'static str,
    /// The name in statistics and in quarantine.
    pub data_type: &'static str,
    /// The primary key.
    pub key: &'static [&'static str],
    /// The data columns of both tables, the key included.
    pub columns: &'static [&'static str],
    /// Columns that only staging has, after the others.
    pub staging_only: &'static [&'static str],
    /// The column that says which of two copies is newer; a copy older than the
    /// table's own row is left alone.
    pub version: &'static str,
    /// What makes one staged copy win over another of the same key, as SQL with
    /// `@` for the copy; the greatest wins.
    pub rank: &'static str,
    /// Whether staged rows marked as deleted are tombstones, which carry no data.
    pub has_tombstones: bool,
}

/// A row on its way into staging.
pub trait Row: Sync {
    /// The values of `seq`, `columns` and `staging_only`, in that order.
    fn values(&self) -> Vec<&(dyn ToSql + Sync)>;
}

/// How many rows a statement inserted and changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub created: i64,
    pub updated: i64,
}

impl Table {
    /// Copies rows into staging, in PostgreSQL's binary format.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn copy_in<R: Row>(
        &self,
        client: &Object,
        attempt: i64,
        rows: &[R],
        ledger: &mut Ledger,
    ) -> Result<(), SyncError> {
        if rows.is_empty() {
            return Ok(());
        }
        let types = self.staging_types(client).await?;
        let statement = format!(
            "copy staging.{} ({}) from stdin binary",
            self.name,
            self.staging_columns()
        );
        let sink = client.copy_in(&statement).await?;
        let writer = BinaryCopyInWriter::new(sink, &types);
        pin_mut!(writer);
        for row in rows {
            let mut values: Vec<&(dyn ToSql + Sync)> = vec![&attempt];
            values.extend(row.values());
            writer.as_mut().write(&values).await?;
        }
        ledger.added(self, writer.finish().await?);
        Ok(())
    }

    /// Stages once more what waits in quarantine for its parent.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn replay(
        &self,
        client: &Object,
        attempt: i64,
        ledger: &mut Ledger,
    ) -> Result<(), SyncError> {
        ledger.added(self, client.execute(&self.replay_sql(), &[&attempt]).await?);
        Ok(())
    }

    /// Keeps the winning copy of each staged key.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn dedupe(
        &self,
        client: &Object,
        attempt: i64,
        ledger: &mut Ledger,
    ) -> Result<(), SyncError> {
        ledger.removed(self, client.execute(&self.dedupe_sql(), &[&attempt]).await?);
        Ok(())
    }

    async fn staging_types(&self, client: &Object) -> Result<Vec<Type>, SyncError> {
        let statement = client
            .prepare_cached(&format!(
                "select {} from staging.{}",
                self.staging_columns(),
                self.name
            ))
            .await?;
        Ok(statement
            .columns()
            .iter()
            .map(|column| column.type_().clone())
            .collect())
    }

    /// Tells the planner what was staged: it knows nothing of rows this new, and
    /// would look each one up instead of joining them.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn analyze(&self, client: &impl GenericClient) -> Result<(), SyncError> {
        client
            .batch_execute(&format!("analyze staging.{}", self.name))
            .await?;
        Ok(())
    }

    fn staging_columns(&self) -> String {
        let mut columns = vec!["attempt", "seq"];
        columns.extend(self.columns);
        columns.extend(self.staging_only);
        columns.join(", ")
    }

    /// Stages the rows that wait in quarantine for their parent once more, with
    /// `seq` 0. Parameter: attempt.
    #[must_use]
    pub fn replay_sql(&self) -> String {
        let mut columns = self.columns.to_vec();
        columns.extend(self.staging_only);
        format!(
            "insert into staging.{name} (attempt, seq, {columns}) \
             select $1, 0, {values} from sync_quarantine q \
             cross join lateral jsonb_populate_record(null::staging.{name}, q.payload) r \
             where q.data_type = '{data_type}' and q.replayable and q.resolved_at is null",
            name = self.name,
            data_type = self.data_type,
            columns = columns.join(", "),
            values = list(&columns, "r."),
        )
    }

    /// Keeps the winning copy of each staged key. Parameter: attempt.
    #[must_use]
    pub fn dedupe_sql(&self) -> String {
        format!(
            "with repeated as (select {key} from staging.{name} where attempt = $1 \
             group by {key} having count(*) > 1) \
             delete from staging.{name} s using repeated r \
             where s.attempt = $1 and {same_r} and exists ( \
             select from staging.{name} b where b.attempt = $1 and {same_b} \
             and ({rank_b}) > ({rank_s}))",
            name = self.name,
            key = self.key.join(", "),
            same_r = self.same_key("s", "r"),
            same_b = self.same_key("s", "b"),
            rank_b = self.rank.replace('@', "b"),
            rank_s = self.rank.replace('@', "s"),
        )
    }

    /// Inserts new rows and changes those that differ, and answers how many of
    /// each. Parameters: attempt, run id.
    #[must_use]
    pub fn upsert_sql(&self) -> String {
        self.upsert_where_sql(if self.has_tombstones {
            "not s.is_deleted"
        } else {
            "true"
        })
    }

    /// As `upsert_sql`, for the staged rows that also meet `condition`.
    #[must_use]
    pub fn upsert_where_sql(&self, condition: &str) -> String {
        let assignments: Vec<String> = self
            .columns
            .iter()
            .filter(|column| !self.key.contains(column))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let newer = if self.version.is_empty() {
            String::new()
        } else {
            format!(
                "(s.{v} is null or t.{v} is null or s.{v} >= t.{v}) and ",
                v = self.version
            )
        };
        format!(
            "with changed as (select s.* from staging.{name} s \
             left join {name} t on {same} \
             where s.attempt = $1 and {condition} and (t.{first} is null or \
             {newer}({theirs}) is distinct from ({ours}))), \
             written as (insert into {name} \
             ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
             select {columns}, now(), now(), $2 from changed \
             on conflict ({key}) do update set {assignments}, \
             last_changed_at = excluded.last_changed_at, \
             last_changed_by_run = excluded.last_changed_by_run \
             returning (xmax = 0) as is_new) \
             select count(*) filter (where is_new) as created, \
             count(*) filter (where not is_new) as updated from written",
            name = self.name,
            same = self.same_key("s", "t"),
            first = self.key[0],
            theirs = list(self.columns, "t."),
            ours = list(self.columns, "s."),
            columns = self.columns.join(", "),
            key = self.key.join(", "),
            assignments = assignments.join(", "),
        )
    }

    /// Runs an upsert made by this table.
    ///
    /// # Errors
    /// Any of the database's.
    pub async fn upsert(
        &self,
        client: &tokio_postgres::Transaction<'_>,
        sql: &str,
        attempt: i64,
        run_id: &str,
    ) -> Result<Written, SyncError> {
        let row = client.query_one(sql, &[&attempt, &run_id]).await?;
        Ok(Written {
            created: row.get("created"),
            updated: row.get("updated"),
        })
    }

    /// How many live rows are staged. Parameter: attempt.
    #[must_use]
    pub fn staged_sql(&self) -> String {
        let live = if self.has_tombstones {
            " and not is_deleted"
        } else {
            ""
        };
        format!(
            "select count(*) from staging.{} where attempt = $1{live}",
            self.name
        )
    }

    /// Marks rows as deleted: those with a tombstone and, when everything was
    /// listed, those that Square no longer has, but not those it gave and we had
    /// to quarantine. Parameters: attempt, run id, whether everything was listed.
    #[must_use]
    pub fn mark_deleted_sql(&self) -> String {
        let time = if self.has_tombstones {
            "coalesce(s.updated_at, now())"
        } else {
            "now()"
        };
        let gone = if self.has_tombstones {
            "(s.is_deleted or ($3 and s.attempt is null))"
        } else {
            "($3 and s.attempt is null)"
        };
        format!(
            "update {name} t set is_deleted = true, deleted_at = {time}, \
             last_changed_at = now(), last_changed_by_run = $2 \
             from {name} x left join staging.{name} s on s.attempt = $1 and {same_s} \
             where {same_t} and not t.is_deleted and {gone} and not exists ( \
             select from staging.quarantine q where q.attempt = $1 \
             and q.data_type = '{data_type}' and q.object_id = {object_id})",
            name = self.name,
            data_type = self.data_type,
            object_id = self.object_id("t"),
            same_s = self.same_key("x", "s"),
            same_t = self.same_key("t", "x"),
        )
    }

    /// The object's id in quarantine: its key, joined by colons.
    #[must_use]
    pub fn object_id(&self, alias: &str) -> String {
        let parts: Vec<String> = self
            .key
            .iter()
            .map(|column| format!("{alias}.{column}"))
            .collect();
        parts.join(" || ':' || ")
    }

    fn same_key(&self, a: &str, b: &str) -> String {
        same_key(self.key, a, b)
    }
}

/// `a.key = b.key` for all parts of the key.
pub(crate) fn same_key(key: &[&str], a: &str, b: &str) -> String {
    let parts: Vec<String> = key
        .iter()
        .map(|column| format!("{a}.{column} = {b}.{column}"))
        .collect();
    parts.join(" and ")
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

/// The columns, each with the prefix.
pub(crate) fn list(columns: &[&str], prefix: &str) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| format!("{prefix}{column}"))
        .collect();
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELVES: Table = Table {
        name: "shelves",
        data_type: "shelves",
        key: &["id"],
        columns: &["id", "label", "version"],
        staging_only: &[],
        version: "version",
        rank: "coalesce(@.version, 0), @.seq",
        has_tombstones: false,
    };

    #[test]
    fn an_upsert_reads_as_one_would_write_it() {
        assert_eq!(
            SHELVES.upsert_sql(),
            "with changed as (select s.* from staging.shelves s left join shelves t on s.id = t.id \
             where s.attempt = $1 and true and (t.id is null or \
             (s.version is null or t.version is null or s.version >= t.version) and \
             (t.id, t.label, t.version) is distinct from (s.id, s.label, s.version))), \
             written as (insert into shelves \
             (id, label, version, first_synced_at, last_changed_at, last_changed_by_run) \
             select id, label, version, now(), now(), $2 from changed \
             on conflict (id) do update set label = excluded.label, version = excluded.version, \
             last_changed_at = excluded.last_changed_at, \
             last_changed_by_run = excluded.last_changed_by_run returning (xmax = 0) as is_new) \
             select count(*) filter (where is_new) as created, \
             count(*) filter (where not is_new) as updated from written"
        );
    }

    #[test]
    fn the_greatest_rank_wins() {
        assert!(
            SHELVES
                .dedupe_sql()
                .ends_with("(coalesce(b.version, 0), b.seq) > (coalesce(s.version, 0), s.seq))")
        );
    }
}
