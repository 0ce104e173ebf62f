//! The account as a set of tables: copied aside, emptied, filled.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;

use crate::account;
use crate::error::SyncError;
use crate::locations::store::LOCATIONS;
use crate::part::Part;
use crate::postgres::plan::{self, Access};
use crate::postgres::sql::{prefixed, same_key};
use crate::run::stats;
use crate::staging::table::{ALL_NAMED, Table};

/// PostgreSQL's longest name.
const NAME_MAX: usize = 63;

/// Rows by data type.
pub(super) type Rows = BTreeMap<&'static str, i64>;

/// The schema of a run's backup, as an identifier in quotes. Run ids hold no quotes.
pub(super) fn schema_of(run_id: &str) -> String {
    let name = format!("backup_{run_id}");
    // The end of a long name tells runs apart: it is the random part.
    let cut = name.len().saturating_sub(NAME_MAX);
    format!(
        "\"{}\"",
        if cut == 0 {
            name
        } else {
            format!("backup_{}", &run_id[cut..])
        }
    )
}

/// Copies all tables into a schema of their own, and how far their lists were read.
pub(super) async fn copy_to(transaction: &Transaction<'_>, schema: &str) -> Result<(), SyncError> {
    // A schema of that name can only be left from a run that was not recorded.
    let mut script = format!("drop schema if exists {schema} cascade; create schema {schema}");
    for table in account::all_tables() {
        let name = table.name;
        script.push_str(&format!(
            "; create table {schema}.{name} as table {name}; analyze {schema}.{name}"
        ));
    }
    script.push_str(&format!(
        "; create table {schema}.sync_watermarks as select * from sync_watermarks \
         where list in ({})",
        lists()
    ));
    transaction.batch_execute(&script).await?;
    Ok(())
}

/// The names of the lists that keep a watermark, as SQL.
fn lists() -> String {
    let quoted: Vec<String> = account::lists()
        .iter()
        .map(|list| format!("'{list}'"))
        .collect();
    quoted.join(", ")
}

/// Lets the lists go on from where they stood when the copy was made, and be
/// listed as a whole by the next run: what was deleted since leaves its tombstones.
pub(super) async fn rewind_lists(
    transaction: &Transaction<'_>,
    schema: &str,
    run_id: &str,
) -> Result<(), SyncError> {
    transaction
        .batch_execute(&format!(
            "delete from sync_watermarks where list in ({})",
            lists()
        ))
        .await?;
    transaction
        .execute(
            &format!(
                "insert into sync_watermarks \
                 (list, position, settled, reconciled_at, reconcile_wanted, updated_by_run) \
                 select list, position, false, reconciled_at, true, $1 from {schema}.sync_watermarks"
            ),
            &[&run_id],
        )
        .await?;
    Ok(())
}

/// Deletes all rows, those first that refer to others. Orders go on referring to
/// their locations; that is checked at the commit.
pub(super) async fn empty(transaction: &Transaction<'_>) -> Result<Rows, SyncError> {
    transaction
        .batch_execute("set constraints orders_location_id_fkey deferred")
        .await?;
    let mut removed = Rows::new();
    for table in account::all_tables().into_iter().rev() {
        let rows = transaction
            .execute(&format!("delete from {}", table.name), &[])
            .await?;
        add(&mut removed, table, rows);
    }
    Ok(removed)
}

/// Fills the empty tables from a schema.
pub(super) async fn fill_from(
    transaction: &Transaction<'_>,
    schema: &str,
) -> Result<Rows, SyncError> {
    let mut inserted = Rows::new();
    for table in account::all_tables() {
        let name = table.name;
        let rows = transaction
            .execute(
                &format!("insert into {name} select * from {schema}.{name}"),
                &[],
            )
            .await?;
        add(&mut inserted, table, rows);
    }
    Ok(inserted)
}

/// Tells the planner of tables that were all filled anew.
pub(super) async fn analyze(transaction: &Transaction<'_>) -> Result<(), SyncError> {
    let tables = account::all_tables().into_iter();
    let tables: Vec<&str> = tables.map(|table| table.name).collect();
    plan::analyze_written(transaction, &tables, i64::MAX).await
}

fn add(rows: &mut Rows, table: &Table, count: u64) {
    if table.is_object {
        *rows.entry(table.data_type).or_default() += stats::count(count);
    }
}

/// Brings back what Square has just given and could not be read: rows that the attempt
/// has set aside, with what hangs on them. If something came without its id, it may
/// be any row, so that all come back that the listing lacks.
pub(super) async fn keep_unreadable(
    transaction: &Transaction<'_>,
    copy: &str,
    part: Part,
    attempt: i64,
) -> Result<Rows, SyncError> {
    let mut kept = Rows::new();
    let aside = "select exists (select from staging.quarantine where attempt = $1)";
    if !transaction
        .query_one(aside, &[&attempt])
        .await?
        .get::<_, bool>(0)
    {
        return Ok(kept);
    }
    for table in account::tables(part) {
        let rows = transaction
            .execute(&keep_unreadable_sql(table, copy), &[&attempt])
            .await?;
        add(&mut kept, table, rows);
    }
    Ok(kept)
}

/// Parameter: attempt.
fn keep_unreadable_sql(table: &Table, copy: &str) -> String {
    let name = table.name;
    let parents: String = table
        .parents
        .iter()
        .map(|(column, parent)| format!(" join {parent} on {parent}.id = c.{column}"))
        .collect();
    // Its own name, and that of the object that it came with.
    let own = table
        .is_object
        .then(|| (table.data_type, table.object_id("c")));
    let holder = table
        .held_by
        .map(|(column, data_type)| (data_type, format!("c.{column}")));
    // What this listing names, of itself or of the object that holds it, is not what it
    // gave without an id.
    let named = if table.is_object {
        format!(
            "select from staging.{name} s where s.attempt = $1 and {}",
            same_key(table.key, "s", "c")
        )
    } else {
        let holders = table.held_by.iter().map(|(column, data_type)| {
            let of_type = |table: &&Table| table.is_object && table.data_type == *data_type;
            let holder = account::all_tables().into_iter().find(of_type);
            let holder = holder.map_or(*data_type, |table| table.name);
            format!("select from staging.{holder} s where s.attempt = $1 and s.id = c.{column}")
        });
        holders.collect()
    };
    let mut asides = String::new();
    let mut is_aside = format!("not ({ALL_NAMED}) and not exists ({named})");
    for (number, (data_type, id)) in own.into_iter().chain(holder).enumerate() {
        asides.push_str(&format!(
            " left join (select distinct object_id from staging.quarantine \
             where attempt = $1 and data_type = '{data_type}') q{number} \
             on q{number}.object_id = {id}"
        ));
        is_aside.push_str(&format!(" or q{number}.object_id is not null"));
    }
    format!(
        "insert into {name} select c.* from {copy}.{name} c{parents}{asides} \
         where {lives} and ({is_aside}) on conflict do nothing",
        lives = table.is_there("c"),
    )
}

/// Brings locations back, as inactive, that are gone but that orders refer to.
pub(super) async fn keep_needed_locations(
    transaction: &Transaction<'_>,
    copy: &str,
    run_id: &str,
) -> Result<i64, SyncError> {
    let columns = LOCATIONS.columns.join(", ");
    let values = prefixed(LOCATIONS.columns, "c.").replace("c.status", "'INACTIVE'");
    // One order of each is enough, of however many.
    Access::LookUps.enter(transaction).await?;
    let rows = transaction
        .execute(
            &format!(
                "insert into locations \
                 ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
                 select {values}, c.first_synced_at, now(), $1 from {copy}.locations c \
                 cross join lateral (select from orders o where o.location_id = c.id limit 1) o \
                 on conflict (id) do nothing"
            ),
            &[&run_id],
        )
        .await?;
    Access::Sets.enter(transaction).await?;
    Ok(stats::count(rows))
}

/// Per table, how many rows were live in the copy, and how many of them are gone.
pub(super) async fn vanishing(
    transaction: &Transaction<'_>,
    copy: &str,
) -> Result<Vec<(&'static str, i64, i64)>, SyncError> {
    let mut found = Vec::new();
    for table in account::objects() {
        let row = transaction
            .query_one(
                &format!(
                    "select count(*), count(*) filter (where n.{first} is null) \
                     from (select * from {copy}.{name} o where {lives}) c \
                     left join {name} n on {same}",
                    name = table.name,
                    first = table.key[0],
                    same = same_key(table.key, "n", "c"),
                    lives = table.lives("o"),
                ),
                &[],
            )
            .await?;
        found.push((table.name, row.get(0), row.get(1)));
    }
    Ok(found)
}

/// For the test that prepares every statement: those that name no schema.
pub(super) fn statements() -> Vec<String> {
    account::all_tables()
        .iter()
        .map(|table| format!("delete from {}", table.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::schema_of;

    #[test]
    fn a_backups_schema_is_named_after_its_run_within_postgresqls_limit() {
        assert_eq!(
            schema_of("sync-20261122T180000Z-3fa2c1"),
            "\"backup_sync-20261122T180000Z-3fa2c1\""
        );
        let long = schema_of(&"x".repeat(80));
        assert_eq!(long.len(), 63 + 2);
    }
}
