//! The age of the data: when what the tables hold was last asked of Square.
//!
//! A step counts from its beginning, for that is when it asked, and an import from
//! its own; a step that only staged counts once its run has published. Putting a
//! backup back makes the data as old as the backup.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::SyncError;
use crate::part::Part;

/// An import that was limited says nothing about how fresh orders are. Parameters: the
/// parts, and those that are staged.
const FRESHNESS: &str = "
    with done as (
        select s.step,
            max(case r.kind when 'complete_sync' then s.started_at else r.started_at end) as at
        from sync_steps s join sync_runs r using (run_id)
        where s.status = 'succeeded'
            and s.step = any($1)
            and (r.request -> 'dry_run') is distinct from 'true'::jsonb
            and case r.kind
                when 'complete_sync' then
                    r.mode = 'incremental' or s.step <> all($2) or exists (
                        select from sync_steps p
                        where p.run_id = s.run_id and p.step = 'publish'
                            and p.status = 'succeeded')
                when 'historical_orders' then
                    not r.request ?| array['from', 'to', 'location_ids']
                else false
            end
        group by s.step
    ), restored as (
        select s.started_at as at, b.created_at as of
        from sync_steps s join sync_runs r using (run_id)
            left join sync_backups b on b.backup_id = r.request ->> 'backup_id'
        where r.kind = 'restore' and s.step = 'restore' and s.status = 'succeeded'
        order by s.started_at desc limit 1
    ), fresh as (
        select t.step as data_type, t.place, case
                when t.step = any($2) and restored.at > done.at then restored.of
                else done.at
            end as as_of
        from unnest($1::text[])
                with ordinality t (step, place)
            left join done using (step)
            left join restored on true
    )
    select data_type, as_of,
        extract(epoch from clock_timestamp() - as_of)::bigint as age_seconds
    from fresh order by place";

/// The statement by its name, for the test that prepares them all.
#[must_use]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    vec![("freshness", FRESHNESS)]
}

/// The freshness of one data type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// The name of a part.
    pub data_type: String,
    /// When Square was asked for what the tables hold; none if never, or if it is
    /// no longer known.
    pub as_of: Option<Timestamp>,
    /// Seconds since then, by the database's clock.
    pub age_seconds: Option<i64>,
}

/// Reads how fresh each data type is, in the order in which they are synced.
///
/// # Errors
/// The database's.
pub async fn read(client: &impl GenericClient) -> Result<Vec<Freshness>, SyncError> {
    let names = |parts: &[Part]| -> Vec<&str> { parts.iter().map(|part| part.name()).collect() };
    let (all, staged) = (names(&Part::ALL), names(&Part::staged()));
    let rows = client.query(FRESHNESS, &[&all, &staged]).await?;
    rows.iter()
        .map(|row| {
            Ok(Freshness {
                data_type: row.try_get("data_type")?,
                as_of: row.try_get("as_of")?,
                age_seconds: row.try_get("age_seconds")?,
            })
        })
        .collect()
}
