//! From a page to its tables at once: a parent's table, and those of its children.
//!
//! A page is copied into temporary tables, compared with what is there, and only rows
//! that differ are written. A child's rows that the parent no longer has are deleted.

use deadpool_postgres::Transaction;
use futures::pin_mut;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use crate::error::SyncError;
use crate::postgres::plan::Access;
use crate::postgres::sql::{or_change, prefixed, values};

/// The way in which pages reach the tables: of all there is, they name a few rows.
pub(crate) const ACCESS: Access = Access::LookUps;

/// A table and the temporary table that its rows are copied into.
#[derive(Debug)]
pub struct PageTable {
    /// The name in the public schema.
    pub name: &'static str,
    /// The temporary table's name.
    pub(crate) staged: &'static str,
    /// The primary key: the id, or the parent's and one more column.
    pub key: &'static [&'static str],
    pub(crate) columns: &'static [&'static str],
    /// The column in which a staged parent lists those of this table's keys, without
    /// its own, that it still has; empty for the parent.
    pub(crate) kept: &'static str,
    pub(crate) children: &'static [&'static PageTable],
}

impl PageTable {
    /// Makes the temporary table.
    pub(crate) fn create_sql(&self) -> String {
        let children = self.children.iter();
        let kept: String = children
            .map(|child| format!(", null::text[] as {}", child.kept))
            .collect();
        format!(
            "create temporary table {} on commit delete rows as \
             select {}{kept} from public.{} with no data",
            self.staged,
            self.columns.join(", "),
            self.name
        )
    }

    fn staged_columns(&self) -> String {
        let mut columns = self.columns.to_vec();
        columns.extend(self.children.iter().map(|child| child.kept));
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
            staged = self.staged,
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
        let kept = child.kept;
        let missing = format!("t.{parent} = o.{id} and t.{name} <> all (o.{kept})");
        format!(
            "delete from {table} where ctid = any (array( \
             select t.ctid from {staged} o {present})) returning {parent}",
            table = child.name,
            staged = self.staged,
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
             where (t.updated_at > s.updated_at and t.updated_at <= now()) \
             or (t.updated_at = s.updated_at and t.version > s.version))) \
             returning {id}",
            staged = self.staged,
            current = ACCESS.join(self.name, "t", &ACCESS.same_key(self.key, "s", "t")),
            id = self.key[0],
        )
    }

    /// Takes a child's rows of outdated parents out of staging. Parameter: the
    /// parents' ids.
    pub(crate) fn drop_children_sql(&self, child: &Self) -> String {
        format!(
            "delete from {} where {} = any ($1)",
            child.staged, child.key[0]
        )
    }

    /// Copies rows into the temporary table, in PostgreSQL's binary format.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn copy_in<'r, R: 'r>(
        &self,
        transaction: &Transaction<'_>,
        rows: impl Iterator<Item = &'r R>,
        values: impl Fn(&R) -> Vec<&(dyn ToSql + Sync)>,
    ) -> Result<(), SyncError> {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let (columns, staged) = (self.staged_columns(), self.staged);
        let described = transaction
            .prepare_cached(&format!("select {columns} from {staged}"))
            .await?;
        let types: Vec<Type> = described
            .columns()
            .iter()
            .map(|column| column.type_().clone())
            .collect();
        let copy = transaction
            .prepare_cached(&format!("copy {staged} ({columns}) from stdin binary"))
            .await?;
        let writer = BinaryCopyInWriter::new(transaction.copy_in(&copy).await?, &types);
        pin_mut!(writer);
        for row in rows {
            writer.as_mut().write(&values(row)).await?;
        }
        writer.finish().await?;
        Ok(())
    }
}
