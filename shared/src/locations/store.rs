//! Locations into PostgreSQL. There is no deletion at Square: a location that it
//! no longer lists is set inactive, because orders and counts refer to it.

use std::collections::HashSet;

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::types::ToSql;

use super::columns::COLUMNS;
use super::rows::LocationRow;
use crate::error::SyncError;
use crate::postgres::plan::Access;
use crate::postgres::unstorable;
use crate::run::stats::{Stats, count};
use crate::run::step::StepContext;
use crate::staging::apply;
use crate::staging::column::{self, names};
use crate::staging::drift::Expected;
use crate::staging::guard;
use crate::staging::quarantine;
use crate::staging::table::Table;

/// `locations`.
pub const LOCATIONS: Table = Table {
    name: "locations",
    data_type: "locations",
    key: &["id"],
    columns: &names(&COLUMNS),
    staging_only: &[],
    version: "",
    changed_at: None,
    rank: &["seq"],
    has_tombstones: false,
    live: "@.status is distinct from 'INACTIVE'",
    is_object: true,
    parents: &[],
    held_by: None,
    vouched: None,
    history: None,
};

/// Sets locations inactive that Square no longer lists. Parameters: attempt, run id.
#[must_use]
pub fn mark_inactive_sql() -> String {
    format!(
        "update locations set status = 'INACTIVE', last_changed_at = now(), \
         last_changed_by_run = $2 where ctid = any (array({}))",
        LOCATIONS.absent_sql("ctid")
    )
}

/// The locations that Square knows. One that it no longer lists is inactive here
/// and must not be asked for; what it listed last is still in staging.
pub const LISTED: &str = "
    select id from locations
    where status is distinct from 'INACTIVE'
        or id in (select id from staging.locations)
        or not exists (select from staging.locations)
    order by id";

/// Adds the staged locations that are not there yet. Parameters: attempt, run id.
#[must_use]
pub fn add_staged_sql() -> String {
    let columns = LOCATIONS.columns.join(", ");
    format!(
        "insert into locations \
         ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
         select {columns}, now(), now(), $2 from staging.locations where attempt = $1 \
         on conflict (id) do nothing"
    )
}

/// Adds those staged locations that are not there yet.
pub(crate) async fn add_staged(
    transaction: &Transaction<'_>,
    attempt: i64,
    run_id: &str,
) -> Result<(), SyncError> {
    let sql = add_staged_sql();
    transaction.execute(&sql, &[&attempt, &run_id]).await?;
    Ok(())
}

/// Those of these locations that have a row.
pub(super) async fn known(
    client: &impl GenericClient,
    ids: &[String],
) -> Result<HashSet<String>, SyncError> {
    let sql = "select id from locations where id = any ($1)";
    let rows = client.query(sql, &[&ids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Adds a location, unless it is there. Parameters: run id, then the columns.
#[must_use]
pub fn add_missing_sql() -> String {
    let values: Vec<String> = (0..LOCATIONS.columns.len())
        .map(|index| format!("${}", index + 2))
        .collect();
    format!(
        "insert into locations \
         ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
         values ({values}, now(), now(), $1) on conflict do nothing",
        columns = LOCATIONS.columns.join(", "),
        values = values.join(", "),
    )
}

/// Adds a location, unless it is there. Returns the SQLSTATE if PostgreSQL cannot
/// store it.
pub(super) async fn add_missing(
    client: &impl GenericClient,
    row: &LocationRow,
    run_id: &str,
) -> Result<Option<String>, SyncError> {
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&run_id];
    values.extend(column::values(&COLUMNS, row));
    match client.execute(&add_missing_sql(), &values).await {
        Ok(_) => Ok(None),
        Err(error) => {
            let error = error.into();
            unstorable(&error).map(Some).ok_or(error)
        }
    }
}

/// Applies what was staged, and returns what became of it.
pub(crate) async fn apply(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
) -> Result<Stats, SyncError> {
    let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
    let access = Access::Sets;
    access.enter_anew(transaction).await?;
    guard::check_absence(context, transaction, &LOCATIONS, attempt).await?;
    let upserted = apply::upsert(
        context,
        transaction,
        &LOCATIONS,
        access,
        &mut Expected::default(),
    )
    .await?;
    let mut counts = upserted.counts;
    let marked = transaction
        .execute(&mark_inactive_sql(), &[&attempt, &run_id])
        .await?;
    counts.deleted = count(marked);
    quarantine::settle(transaction, &LOCATIONS, attempt, run_id, access).await?;
    Ok(Stats::from([("locations".to_owned(), counts)]))
}
