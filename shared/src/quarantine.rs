//! Rows that cannot be stored yet: they are kept whole, named, and tried again.
//!
//! An object that cannot be read, or whose parent Square never gave, must
//! neither fail the step nor vanish. It waits in `sync_quarantine` until it
//! fits, or until Square no longer has it.

use serde_json::Value;
use tokio_postgres::{GenericClient, Transaction};

use crate::error::SyncError;
use crate::postgres::ledger::Ledger;
use crate::postgres::plan::Access;
use crate::postgres::table::{Table, quarantined_sql};
use crate::square::Broken;
use crate::text::Texts;

/// Stages objects that could not be read, under the ids in `key_fields`.
///
/// # Errors
/// The database's.
pub async fn stage_broken(
    client: &impl GenericClient,
    attempt: i64,
    texts: &mut Texts,
    key_fields: &[&str],
    broken: Vec<(&'static str, Broken)>,
    ledger: &mut Ledger,
) -> Result<(), SyncError> {
    for (data_type, broken) in broken {
        let payload: Value = texts.json(broken.payload);
        let object_id = object_id(&payload, key_fields);
        let reason = format!("Cannot be read: {}.", broken.problem);
        client
            .execute(
                "insert into staging.quarantine
                     (attempt, seq, data_type, object_id, reason, payload, replayable)
                 values ($1, 1, $2, coalesce($3, md5($5::jsonb::text)), $4, $5, false)",
                &[&attempt, &data_type, &object_id, &reason, &payload],
            )
            .await?;
        ledger.set_aside();
    }
    Ok(())
}

/// The object's id; without one it is known by its content.
fn object_id(payload: &Value, key_fields: &[&str]) -> Option<String> {
    let parts: Option<Vec<&str>> = key_fields
        .iter()
        .map(|field| payload.get(field)?.as_str())
        .collect();
    parts.map(|parts| parts.join(":"))
}

/// An object without its place among the tables, outside of any staging.
#[derive(Debug)]
pub struct Aside {
    pub data_type: &'static str,
    /// None where the object does not say; then it is known by its content.
    pub object_id: Option<String>,
    pub reason: String,
    pub payload: Value,
    /// Whether it only waits for its parent.
    pub replayable: bool,
}

impl Aside {
    /// An object that could not be read.
    pub fn broken(
        data_type: &'static str,
        key_fields: &[&str],
        broken: Broken,
        texts: &mut Texts,
    ) -> Self {
        let payload = texts.json(broken.payload);
        Self {
            data_type,
            object_id: object_id(&payload, key_fields),
            reason: format!("Cannot be read: {}.", broken.problem),
            payload,
            replayable: false,
        }
    }

    /// Puts it into `sync_quarantine`, where an object waits once.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep(&self, client: &impl GenericClient, run_id: &str) -> Result<(), SyncError> {
        client
            .execute(
                "insert into sync_quarantine as q
                     (data_type, object_id, reason, payload, replayable, run_id)
                 values ($1, coalesce($2, md5($4::jsonb::text)), $3, $4, $5, $6)
                 on conflict (data_type, object_id) where resolved_at is null
                 do update set reason = excluded.reason, payload = excluded.payload,
                     replayable = excluded.replayable, run_id = excluded.run_id,
                     last_seen_at = now()",
                &[
                    &self.data_type,
                    &self.object_id,
                    &self.reason,
                    &self.payload,
                    &self.replayable,
                    &run_id,
                ],
            )
            .await?;
        Ok(())
    }
}

/// Closes what has found its place.
///
/// # Errors
/// The database's.
pub async fn resolve(
    client: &impl GenericClient,
    data_type: &str,
    object_ids: &[&str],
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_quarantine set resolved_at = now()
             where data_type = $1 and resolved_at is null and object_id = any ($2)",
            &[&data_type, &object_ids],
        )
        .await?;
    Ok(())
}

/// How many distinct objects of this run's pages went to quarantine.
///
/// # Errors
/// The database's.
pub async fn count(
    transaction: &Transaction<'_>,
    attempt: i64,
    data_type: &str,
) -> Result<i64, SyncError> {
    let row = transaction
        .query_one(
            "select count(distinct object_id) from staging.quarantine
             where attempt = $1 and data_type = $2 and seq > 0",
            &[&attempt, &data_type],
        )
        .await?;
    Ok(row.get(0))
}

/// Moves what this attempt could not place to `sync_quarantine`, and closes what
/// has found its place, or what a whole listing no longer showed.
///
/// # Errors
/// The database's.
pub async fn settle(
    transaction: &Transaction<'_>,
    table: &Table,
    attempt: i64,
    run_id: &str,
    access: Access,
) -> Result<(), SyncError> {
    transaction
        .execute(&keep_sql(access), &[&attempt, &table.data_type, &run_id])
        .await?;
    transaction
        .execute(&settle_sql(table, access), &[&attempt, &table.data_type])
        .await?;
    Ok(())
}

/// Keeps what was set aside, an object once. What waited before and was only tried
/// again is there already, unless everything was listed. Parameters: attempt, data
/// type, run id.
fn keep_sql(access: Access) -> String {
    let tried = match access {
        Access::Sets => "",
        Access::LookUps => " and seq > 0",
    };
    format!(
        "insert into sync_quarantine as q
             (data_type, object_id, reason, payload, replayable, run_id)
         select distinct on (object_id) data_type, object_id, reason, payload, replayable, $3
         from staging.quarantine
         where attempt = $1 and data_type = $2{tried}
         order by object_id, seq desc
         on conflict (data_type, object_id) where resolved_at is null
         do update set reason = excluded.reason, payload = excluded.payload,
             replayable = excluded.replayable, run_id = excluded.run_id, last_seen_at = now()"
    )
}

/// Closes what waits no longer: not given to quarantine again by this attempt,
/// and placed by it, deleted at Square, or absent from a whole listing.
/// Parameters: attempt, data type.
fn settle_sql(table: &Table, access: Access) -> String {
    let waiting = "w.data_type = $2 and w.resolved_at is null";
    let candidates = match access {
        Access::Sets => "sync_quarantine w".to_owned(),
        Access::LookUps => format!(
            "(select distinct {id} as object_id from staging.{name} s where s.attempt = $1) s
             {placed}",
            id = table.object_id("s"),
            name = table.name,
            placed = access.join(
                "sync_quarantine",
                "w",
                &format!("{waiting} and w.object_id = s.object_id")
            ),
        ),
    };
    format!(
        "update sync_quarantine set resolved_at = now() where ctid = any (array(
             select w.ctid from {candidates}
             {aside}
             where {waiting} and q.object_id is null))",
        aside = quarantined_sql(table.data_type, "w.object_id"),
    )
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements(table: &Table) -> Vec<String> {
    let by_access = |access| [keep_sql(access), settle_sql(table, access)];
    [Access::Sets, Access::LookUps].map(by_access).concat()
}
