//! The API's statements on what the tables hold: rows, what waits in quarantine, locations
//! without a past, backups.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Serialize;
use shared::account;
use shared::error::SyncError;
use tokio_postgres::Client;
use tokio_postgres::types::Json;
use utoipa::ToSchema;

use super::amount::{Amount, COUNTED_MAX, counting};

/// The objects in quarantine, newest first: of one run, or all.
const QUARANTINE: &str = "select data_type, object_id, reason, first_seen_at
    from sync_quarantine
    where resolved_at is null and ($1::text is null or run_id = $1)
    order by last_seen_at desc, id desc limit $2";

/// Parameter: how many are counted at most.
const WAITING: &str = "select count(*) from (
    select from sync_quarantine where resolved_at is null limit $1) few";

/// Locations whose orders scheduled runs leave out. Parameter: how many at most.
const WITHOUT_HISTORY: &str = "
    select l.id, l.name from sync_watermarks w join locations l on w.list = 'orders:' || l.id
    where not w.kept_fresh
        and exists (select from sync_watermarks where list like 'orders:%' and kept_fresh)
    order by l.name, l.id limit $1";

/// The number of rows of each table that a refresh replaces.
static COUNTS: LazyLock<String> = LazyLock::new(|| {
    let tables = account::all_tables();
    let tables: Vec<_> = tables.iter().map(|one| (one.name, one.name)).collect();
    counting(&tables)
});

const BACKUPS: &str = "select backup_id, run_id, created_at,
        extract(epoch from clock_timestamp() - created_at)::bigint as age_seconds,
        bytes, rows, schema_version = $1 as restorable
    from sync_backups order by created_at desc, backup_id desc";

/// Every statement by its name, for the test that prepares them all.
pub(super) fn statements() -> Vec<(&'static str, &'static str)> {
    vec![
        ("quarantine", QUARANTINE),
        ("waiting", WAITING),
        ("without_history", WITHOUT_HISTORY),
        ("counts", &COUNTS),
        ("backups", BACKUPS),
    ]
}

/// A replaced account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Backup {
    pub(crate) backup_id: String,
    /// The run that replaced it.
    pub(crate) run_id: String,
    pub(crate) created_at: Timestamp,
    /// Seconds since then.
    pub(crate) age_seconds: i64,
    /// On disk.
    pub(crate) bytes: i64,
    /// Rows by table.
    pub(crate) rows: BTreeMap<String, i64>,
    /// Whether this release can put it back: it is of the same schema version.
    pub(crate) restorable: bool,
}

/// Something that waits in quarantine.
pub(crate) struct Quarantined {
    pub(crate) data_type: String,
    pub(crate) object_id: String,
    pub(crate) reason: String,
    pub(crate) first_seen_at: Timestamp,
}

/// The newest `count` that wait: of one run, or all.
pub(crate) async fn quarantine(
    client: &Client,
    run_id: Option<&str>,
    count: i64,
) -> Result<Vec<Quarantined>, SyncError> {
    let rows = client.query(QUARANTINE, &[&run_id, &count]).await?;
    rows.iter()
        .map(|row| {
            Ok(Quarantined {
                data_type: row.try_get(0)?,
                object_id: row.try_get(1)?,
                reason: row.try_get(2)?,
                first_seen_at: row.try_get(3)?,
            })
        })
        .collect()
}

/// The number of objects that wait in quarantine.
pub(crate) async fn waiting(client: &Client) -> Result<Amount, SyncError> {
    let row = client.query_one(WAITING, &[&(COUNTED_MAX + 1)]).await?;
    Ok(Amount::new(row.try_get(0)?, 0))
}

/// Up to `count` locations whose orders of the past nobody has imported, where there
/// are others whose have been: id and name.
pub(crate) async fn without_history(
    client: &Client,
    count: i64,
) -> Result<Vec<(String, Option<String>)>, SyncError> {
    let rows = client.query(WITHOUT_HISTORY, &[&count]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// The rows of each table that a refresh replaces.
pub(crate) async fn counts(client: &Client) -> Result<Vec<(String, Amount)>, SyncError> {
    let rows = client.query(COUNTS.as_str(), &[&(COUNTED_MAX + 1)]).await?;
    rows.iter()
        .map(|row| {
            let amount = Amount::new(row.try_get(1)?, row.try_get(2)?);
            Ok((row.try_get(0)?, amount))
        })
        .collect()
}

/// The backups, newest first; `wanted` is this release's schema version.
pub(crate) async fn backups(client: &Client, wanted: i64) -> Result<Vec<Backup>, SyncError> {
    let rows = client.query(BACKUPS, &[&wanted]).await?;
    rows.iter()
        .map(|row| {
            Ok(Backup {
                backup_id: row.try_get("backup_id")?,
                run_id: row.try_get("run_id")?,
                created_at: row.try_get("created_at")?,
                age_seconds: row.try_get("age_seconds")?,
                bytes: row.try_get("bytes")?,
                rows: row.try_get::<_, Json<_>>("rows")?.0,
                restorable: row.try_get("restorable")?,
            })
        })
        .collect()
}
