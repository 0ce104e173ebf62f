//! From a page to its tables at once: a parent's table, and those of its children.
//!
//! What the tables do not have at all is copied straight into them. The rest of a page
//! is copied into temporary tables, compared with what is there, and only rows that
//! differ are written. A child's rows that the parent no longer has are deleted.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use crate::error::SyncError;
use crate::postgres::copy::{self, Values};
use crate::postgres::plan::Access;
use crate::postgres::sql::{or_change, prefixed, values};
use crate::times::SOON;

/// The way in which pages reach the tables: of all there is, they name a few rows.
pub(crate) const ACCESS: Access = Access::LookUps;

/// A table and the temporary table that its rows are copied into.
#[derive(Debug)]
pub struct PageTable {
    /// The name in the public schema.
    pub name: &'static str,
    /// The primary key: the id, or the parent's and one more column.
    pub key: &'static [&'static str],
    pub(crate) columns: &'static [&'static str],
    pub(crate) children: &'static [&'static PageTable],
}

impl PageTable {
    /// The temporary table's name.
    pub(crate) fn staged(&self) -> String {
        format!("staged_{}", self.name)
    }

    /// The column in which a staged parent lists those of this child's keys, without
    /// its own, that it still has.
    fn kept(&self) -> String {
        format!("kept_{}", self.name)
    }

    /// Makes the temporary table.
    pub(crate) fn create_sql(&self) -> String {
        let children = self.children.iter();
        let kept: String = children
            .map(|child| format!(", null::text[] as {}", child.kept()))
            .collect();
        format!(
            "create temporary table {} on commit delete rows as \
             select {}{kept} from public.{} with no data",
            self.staged(),
            self.columns.join(", "),
            self.name
        )
    }

    fn staged_columns(&self) -> String {
        let mut columns = self.columns.to_vec();
        let kept: Vec<String> = self.children.iter().map(|child| child.kept()).collect();
        columns.extend(kept.iter().map(String::as_str));
        columns.join(", ")
    }

    /// Inserts new rows and changes those that differ; returns the first part of each
    /// one's key, and whether it is new. Parameter: run id.
    pub(crate) fn upsert_sql(&self) -> String {
        let current = ACCESS.left_join(self.name, "t", &ACCESS.same_key(self.key, "s", "t"));
        let differs = format!(
            "t.{first} is null or ({theirs}) is distinct from ({ours})",
            first = self.key[0],
            theirs = prefixed(self.columns, "t."),
            ours = prefixed(self.columns, "s."),
        );
        let changed = values(self.columns, self.key);
        self.write_sql(&prefixed(self.columns, "s."), &current, &differs, &changed)
    }

    /// Writes those staged rows that meet the condition; of a row that is there,
    /// these columns change. In the order of their keys: pages that are written side by
    /// side may have rows in common, and must not wait for each other in a circle.
    pub(crate) fn write_sql(
        &self,
        values: &str,
        current: &str,
        differs: &str,
        changed: &[&str],
    ) -> String {
        format!(
            "insert into {name} as w \
             ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
             select {values}, now(), now(), $1 from {staged} s {current} where {differs} \
             order by {key} {or_change} returning w.{first}, (w.xmax = 0) as is_new",
            name = self.name,
            staged = self.staged(),
            columns = self.columns.join(", "),
            key = prefixed(self.key, "s."),
            or_change = or_change(self.key, changed),
            first = self.key[0],
        )
    }

    /// Deletes a child's rows that their parent no longer has; returns the parent's id
    /// of each.
    pub(crate) fn delete_missing_sql(&self, child: &Self) -> String {
        let ([id], [parent, name]) = (self.key, child.key) else {
            unreachable!("a parent has one column for a key, and a child one more")
        };
        let kept = child.kept();
        let missing = format!("t.{parent} = o.{id} and t.{name} <> all (o.{kept})");
        format!(
            "delete from {table} where ctid = any (array( \
             select t.ctid from {staged} o {present})) returning {parent}",
            table = child.name,
            staged = self.staged(),
            present = ACCESS.join(child.name, "t", &missing),
        )
    }

    /// Takes out of staging what the table has a newer copy of; returns the ids. Versions
    /// break a tie, where both copies have one. A row of a time still to come is newer
    /// than nothing.
    pub(crate) fn drop_outdated_sql(&self) -> String {
        format!(
            "delete from {staged} where ctid = any (array( \
             select s.ctid from {staged} s {current} \
             where (t.updated_at > s.updated_at and t.updated_at <= {SOON}) \
             or (t.updated_at = s.updated_at and t.version > s.version))) \
             returning {id}",
            staged = self.staged(),
            current = ACCESS.join(self.name, "t", &ACCESS.same_key(self.key, "s", "t")),
            id = self.key[0],
        )
    }

    /// Takes a child's rows of outdated parents out of staging. Parameter: the
    /// parents' ids.
    pub(crate) fn drop_children_sql(&self, child: &Self) -> String {
        format!(
            "delete from {} where {} = any ($1)",
            child.staged(),
            child.key[0]
        )
    }

    /// Returns which of some rows the table has, and what a row written now is to say of
    /// when. Parameter: their ids.
    pub(crate) fn known_sql(&self) -> String {
        let id = self.key[0];
        format!(
            "select now() as at, array(select t.{id} from unnest($1::text[]) s ({id}) {current}) \
             as known",
            current = ACCESS.join(self.name, "t", &ACCESS.same_key(self.key, "s", "t")),
        )
    }

    /// Names the staged rows of some parents that are not in the table as they are here,
    /// with the columns that differ, all of them for a row that is not there. Returns the
    /// parent's id, the row's, whether it is missing, and the columns. Parameter: the
    /// parents' ids.
    pub(crate) fn differing_sql(&self) -> String {
        let [parent, ..] = self.key else {
            unreachable!("every table has a key")
        };
        let what: Vec<String> = values(self.columns, self.key)
            .iter()
            .map(|column| {
                format!("case when t.{column} is distinct from s.{column} then '{column}' end")
            })
            .collect();
        let id: Vec<String> = self.key.iter().map(|part| format!("s.{part}")).collect();
        format!(
            "select s.{parent}, {id}, t.{parent} is null, concat_ws(', ', {what}) \
             from {staged} s {current} where s.{parent} = any ($1) \
             and (t.{parent} is null or ({theirs}) is distinct from ({ours}))",
            id = id.join(" || ':' || "),
            what = what.join(", "),
            staged = self.staged(),
            current = ACCESS.left_join(self.name, "t", &ACCESS.same_key(self.key, "s", "t")),
            theirs = prefixed(self.columns, "t."),
            ours = prefixed(self.columns, "s."),
        )
    }

    /// Names a child's rows that their parent no longer has: the parent's id and the
    /// row's. Parameter: the parents' ids.
    pub(crate) fn extra_sql(&self, child: &Self) -> String {
        let ([id], [parent, name]) = (self.key, child.key) else {
            unreachable!("a parent has one column for a key, and a child one more")
        };
        let kept = child.kept();
        let extra = format!("t.{parent} = o.{id} and t.{name} <> all (o.{kept})");
        format!(
            "select t.{parent}, t.{parent} || ':' || t.{name} from {staged} o {present} \
             where o.{id} = any ($1)",
            staged = self.staged(),
            present = ACCESS.join(child.name, "t", &extra),
        )
    }

    /// Copies rows into the temporary table.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn stage<'r>(
        &self,
        transaction: &Transaction<'_>,
        rows: impl Iterator<Item = Values<'r>>,
    ) -> Result<(), SyncError> {
        copy_in(transaction, &self.staged(), &self.staged_columns(), rows).await
    }

    /// Copies rows into the table itself, which has none of them.
    ///
    /// # Errors
    /// The database's; a unique violation if it has.
    pub(crate) async fn insert<'r>(
        &self,
        transaction: &Transaction<'_>,
        rows: impl Iterator<Item = Values<'r>>,
        at: &'r Timestamp,
        run_id: &'r &str,
    ) -> Result<(), SyncError> {
        let columns = format!(
            "{}, first_synced_at, last_changed_at, last_changed_by_run",
            self.columns.join(", ")
        );
        let rows = rows.map(|mut values| {
            values.extend([at as &(dyn ToSql + Sync), at, run_id]);
            values
        });
        copy_in(transaction, self.name, &columns, rows).await
    }
}

/// Copies rows into a table, in PostgreSQL's binary format.
pub(crate) async fn copy_in<'r>(
    transaction: &Transaction<'_>,
    table: &str,
    columns: &str,
    rows: impl Iterator<Item = Values<'r>>,
) -> Result<(), SyncError> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let described = transaction
        .prepare_cached(&format!("select {columns} from {table}"))
        .await?;
    let statement = transaction
        .prepare_cached(&format!("copy {table} ({columns}) from stdin binary"))
        .await?;
    let sink = transaction.copy_in(&statement).await?;
    copy::write(sink, &copy::types(&described), rows).await?;
    Ok(())
}
