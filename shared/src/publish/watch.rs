//! What a transaction changes, as it goes: the rows that were there before, and the
//! keys of those that it has inserted. A preview needs nothing else of an account, however
//! large it is.
//!
//! Statement triggers keep them, in tables of a schema that is rolled back with all the
//! rest. Making a trigger keeps other writers out, who have no lease then, and no readers;
//! an autovacuum of the table is waited for for a second, and cancelled.

use deadpool_postgres::Transaction;

use crate::account;
use crate::error::SyncError;
use crate::postgres::sql::{prefixed, same_key};
use crate::staging::table::Table;

/// The table beside a table's old rows, with the keys of those that were inserted.
fn inserted(table: &Table) -> String {
    format!("inserted_{}", table.name)
}

/// Begins to watch all tables.
pub(super) async fn begin(transaction: &Transaction<'_>, schema: &str) -> Result<(), SyncError> {
    // A schema of that name can only be left from a run that was not recorded.
    let mut script = format!("drop schema if exists {schema} cascade; create schema {schema}");
    for table in account::all_tables() {
        script.push_str(&watch_sql(table, schema));
    }
    transaction.batch_execute(&script).await?;
    Ok(())
}

/// Tells the planner of the rows that were there before.
pub(super) async fn analyze(transaction: &Transaction<'_>, schema: &str) -> Result<(), SyncError> {
    let tables = account::all_tables().into_iter();
    let tables: Vec<String> = tables
        .map(|table| format!("{schema}.{}", table.name))
        .collect();
    transaction
        .batch_execute(&format!("analyze {}", tables.join(", ")))
        .await?;
    Ok(())
}

/// Of a row that is changed twice the first version is the one that was there; one that
/// was inserted here was not.
fn watch_sql(table: &Table, schema: &str) -> String {
    let (name, inserted) = (table.name, inserted(table));
    let key = table.key.join(", ");
    let same = same_key(table.key, "o", "k");
    format!(
        "; create unlogged table {schema}.{name} (like {name}, primary key ({key}))
         ; create unlogged table {schema}.{inserted} as select {key} from {name} with no data
         ; alter table {schema}.{inserted} add primary key ({key})
         ; create function {schema}.note_{name}() returns trigger language plpgsql as $note$
         begin
             insert into {schema}.{inserted} select {key} from new_rows on conflict do nothing;
             return null;
         end $note$
         ; create function {schema}.keep_{name}() returns trigger language plpgsql as $keep$
         begin
             insert into {schema}.{name} select o.* from old_rows o
             left join {schema}.{inserted} k on {same} where k.{first} is null
             on conflict do nothing;
             return null;
         end $keep$
         ; create trigger note_inserts after insert on {name} referencing new table as new_rows
             for each statement execute function {schema}.note_{name}()
         ; create trigger keep_updates after update on {name} referencing old table as old_rows
             for each statement execute function {schema}.keep_{name}()
         ; create trigger keep_deletes after delete on {name} referencing old table as old_rows
             for each statement execute function {schema}.keep_{name}()",
        first = table.key[0],
    )
}

/// Whether anything was changed.
pub(super) fn any_sql(table: &Table, schema: &str) -> String {
    format!(
        "select exists (select from {schema}.{name}) or exists (select from {schema}.{inserted})",
        name = table.name,
        inserted = inserted(table),
    )
}

/// The table's rows (`n`) beside the old ones (`c`), of those that were changed; one of
/// the two may be missing.
pub(super) fn changed_sql(table: &Table, schema: &str) -> String {
    let name = table.name;
    format!(
        "(select n.* from {name} n join (select {key} from {schema}.{name} \
         union select {key} from {schema}.{inserted}) k on {changed}) n \
         full join {schema}.{name} c on {same}",
        key = prefixed(table.key, ""),
        inserted = inserted(table),
        changed = same_key(table.key, "n", "k"),
        same = same_key(table.key, "n", "c"),
    )
}
