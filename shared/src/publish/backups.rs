//! Backups: the tables that a refresh or a restore has replaced, each set in a
//! schema of its own. The newest few are kept.

use deadpool_postgres::Transaction;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Json;

use super::account::{TABLES, schema_of};
use crate::error::SyncError;
use crate::postgres::schema;

/// Records the copy that this transaction has made, and drops those that are too
/// many. An account without any row is no backup.
pub(super) async fn record(
    transaction: &Transaction<'_>,
    copy: &str,
    run_id: &str,
    kept: u32,
) -> Result<(), SyncError> {
    let mut rows = serde_json::Map::new();
    let mut bytes = 0;
    for table in TABLES {
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
    let outdated = transaction.query(TOO_MANY, &[&i64::from(kept)]).await?;
    for row in outdated {
        let backup_id: String = row.get(0);
        let schema = schema_of(&backup_id);
        transaction
            .batch_execute(&format!("drop schema if exists {schema} cascade"))
            .await?;
        transaction.execute(FORGET, &[&backup_id]).await?;
    }
    Ok(())
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
    let Some(row) = client.query_opt(VERSION, &[&backup_id]).await? else {
        let problem = format!("names no backup; GET /admin/backups lists them (\"{backup_id}\")");
        return Err(SyncError::input("backup_id", problem));
    };
    let (found, wanted): (i64, i64) = (row.get(0), schema::wanted());
    if found != wanted {
        return Err(SyncError::DatabaseSchemaOutdated {
            found,
            wanted,
            todo: format!(
                "That is the version of backup {backup_id}: it can be put back only by a release \
of that version. A full refresh brings the account as it is now."
            ),
        });
    }
    Ok(schema_of(backup_id))
}

const RECORD: &str = "insert into sync_backups (backup_id, run_id, schema_version, bytes, rows)
    values ($1, $1, $2, $3, $4)";

/// Parameter: how many are kept.
const TOO_MANY: &str =
    "select backup_id from sync_backups order by created_at desc, backup_id desc offset $1";

const FORGET: &str = "delete from sync_backups where backup_id = $1";

const VERSION: &str = "select schema_version from sync_backups where backup_id = $1";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 4] = [RECORD, TOO_MANY, FORGET, VERSION];
