//! Backups: the tables that a refresh or a restore has replaced, each set in a
//! schema of its own. The newest few are kept; the others go when a run is closed,
//! apart from what it has committed: somebody may be reading them.

use deadpool_postgres::{GenericClient, Object, Transaction};
use tokio_postgres::types::Json;

use super::replace::schema_of;
use crate::account;
use crate::error::SyncError;
use crate::postgres::schema;

/// Records the copy that this transaction has made. An account without any row is no
/// backup.
pub(super) async fn record(
    transaction: &Transaction<'_>,
    copy: &str,
    run_id: &str,
) -> Result<(), SyncError> {
    let mut rows = serde_json::Map::new();
    let mut bytes = 0;
    for table in account::all_tables() {
        let sql = format!(
            "select count(*), pg_total_relation_size('{copy}.{name}') from {copy}.{name}",
            name = table.name
        );
        let row = transaction.query_one(&sql, &[]).await?;
        let count: i64 = row.get(0);
        bytes += row.get::<_, i64>(1);
        rows.insert(table.name.to_owned(), count.into());
    }
    if rows.values().all(|count| count == 0) {
        transaction
            .batch_execute(&format!("drop schema {copy} cascade"))
            .await?;
        return Ok(());
    }
    transaction
        .execute(RECORD, &[&run_id, &schema::wanted(), &bytes, &Json(rows)])
        .await?;
    Ok(())
}

/// Drops the backups that are too many, each by itself. One that cannot be dropped
/// now stays for the next run; returns a warning for each.
pub(crate) async fn drop_outdated(client: &mut Object, kept: u32) -> Vec<String> {
    let outdated = match client.query(TOO_MANY, &[&i64::from(kept)]).await {
        Ok(rows) => rows,
        Err(error) => return vec![left("the outdated backups", &error.into())],
    };
    let mut warnings = Vec::new();
    for row in outdated {
        let backup_id: String = row.get(0);
        if let Err(error) = drop_one(client, &backup_id).await {
            warnings.push(left(&format!("outdated backup {backup_id}"), &error));
        }
    }
    warnings
}

async fn drop_one(client: &mut Object, backup_id: &str) -> Result<(), SyncError> {
    let schema = schema_of(backup_id);
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "set local lock_timeout = '{LOCK_TIMEOUT}'; drop schema if exists {schema} cascade"
        ))
        .await?;
    transaction.execute(FORGET, &[&backup_id]).await?;
    transaction.commit().await?;
    Ok(())
}

fn left(what: &str, error: &SyncError) -> String {
    format!("Could not drop {what}; the next run tries again. {error}")
}

/// The schema of a backup that can be put back.
///
/// # Errors
/// `InputInvalid` if there is none of that id, `DatabaseSchemaOutdated` if it was
/// made by another version of the schema.
pub(super) async fn find(
    client: &impl GenericClient,
    backup_id: &str,
) -> Result<String, SyncError> {
    if !can_be_restored(client, backup_id).await? {
        let problem = format!("names no backup; GET /admin/backups lists them (\"{backup_id}\")");
        return Err(SyncError::input("backup_id", problem));
    }
    Ok(schema_of(backup_id))
}

/// Whether there is a backup of that id.
///
/// # Errors
/// `DatabaseSchemaOutdated` if it was made by another version of the schema.
pub async fn can_be_restored(
    client: &impl GenericClient,
    backup_id: &str,
) -> Result<bool, SyncError> {
    let Some(row) = client.query_opt(VERSION, &[&backup_id]).await? else {
        return Ok(false);
    };
    let (found, wanted): (i64, i64) = (row.get(0), schema::wanted());
    if found == wanted {
        return Ok(true);
    }
    Err(SyncError::DatabaseSchemaOutdated {
        found,
        wanted,
        todo: format!(
            "That is the version of backup {backup_id}: it can be put back only by a release \
of that version. A full refresh brings the account as it is now."
        ),
    })
}

const RECORD: &str = "insert into sync_backups (backup_id, run_id, schema_version, bytes, rows)
    values ($1, $1, $2, $3, $4)";

/// Whoever reads a backup for longer is left to it.
const LOCK_TIMEOUT: &str = "1s";

/// Some at a time, as closing a run has little. Parameter: how many are kept.
const TOO_MANY: &str = "select backup_id from sync_backups
    order by created_at desc, backup_id desc offset $1 limit 20";

const FORGET: &str = "delete from sync_backups where backup_id = $1";

const VERSION: &str = "select schema_version from sync_backups where backup_id = $1";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 4] = [RECORD, TOO_MANY, FORGET, VERSION];
