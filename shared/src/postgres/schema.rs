//! The schema's version, and bringing an empty database to it.
//!
//! An empty database is migrated on its own; an upgrade waits for an admin,
//! because it may take long and needs a quiet moment.

use deadpool_postgres::Object;
use futures::future::BoxFuture;
use tokio_postgres::Client;

use super::{Database, statements};
use crate::error::{SyncError, with_causes};

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Any number, the same in every release: whoever migrates holds this lock.
const MIGRATION_LOCK: i64 = 0x5371_7561_7265;

/// The version that this release was built for: its newest migration.
#[must_use]
pub fn wanted() -> i64 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

/// The version that the database is at; 0 for an empty one.
///
/// # Errors
/// Any of the database's.
pub async fn found(client: &Client) -> Result<i64, SyncError> {
    let exists: bool = client
        .query_one(
            "select to_regclass('refinery_schema_history') is not null",
            &[],
        )
        .await?
        .get(0);
    if !exists {
        return Ok(0);
    }
    let row = client
        .query_one(
            "select coalesce(max(version), 0)::bigint from refinery_schema_history",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Migrates an empty database, and refuses one at another version.
///
/// # Errors
/// `DatabaseSchemaOutdated` if the schema is older or newer than this release.
pub async fn ensure(database: &Database) -> Result<(), SyncError> {
    ensure_not_newer(database).await?;
    let (found, wanted) = (version_of(database).await?, wanted());
    if found < wanted {
        let todo = "Start the database migration (POST /admin/migrate-order-line-items, in the \
local stack make sync ARGS=--migrate), then sync again.";
        return Err(outdated(found, todo));
    }
    Ok(())
}

/// Migrates an empty database, and refuses one that a newer release has migrated.
///
/// # Errors
/// `DatabaseSchemaOutdated` if the schema is newer than this release.
pub async fn ensure_not_newer(database: &Database) -> Result<(), SyncError> {
    if version_of(database).await? == 0 {
        with_lock(database, migrate_if_empty).await?;
    }
    let found = version_of(database).await?;
    if found > wanted() {
        let todo = "Deploy the newer release of Square Sync that this database was migrated by.";
        return Err(outdated(found, todo));
    }
    Ok(())
}

fn outdated(found: i64, todo: &str) -> SyncError {
    SyncError::DatabaseSchemaOutdated {
        found,
        wanted: wanted(),
        todo: todo.to_owned(),
    }
}

async fn version_of(database: &Database) -> Result<i64, SyncError> {
    let client = database.client().await?;
    found(&client).await
}

/// Does it while nobody else migrates. The lock is the connection's, so that one is
/// closed afterwards and never goes back to the pool: however this ends, even if it
/// is dropped half-way, the lock goes with it.
async fn with_lock(
    database: &Database,
    work: impl FnOnce(&mut Client) -> BoxFuture<'_, Result<(), SyncError>>,
) -> Result<(), SyncError> {
    let mut client = Object::take(database.client().await?);
    client
        .execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK])
        .await?;
    let result = work(&mut client).await;
    // The next one need not wait for the server to see the connection closed.
    let unlocked = client
        .execute("select pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
        .await;
    if let Err(error) = unlocked.map_err(SyncError::from) {
        tracing::warn!(name = error.name(), %error, "migration lock left to the connection's end");
    }
    result
}

/// Brings an older schema to this release's version.
///
/// # Errors
/// `DatabaseRejected` naming the migration and the statement that failed; the
/// migrations before it stay.
pub async fn upgrade(database: &Database) -> Result<(), SyncError> {
    with_lock(database, |client| Box::pin(migrate(client))).await
}

/// Two first runs may meet here: the second finds the work done.
fn migrate_if_empty(client: &mut Client) -> BoxFuture<'_, Result<(), SyncError>> {
    Box::pin(async move {
        if found(client).await? == 0 {
            migrate(client).await?;
        }
        Ok(())
    })
}

/// Applies every pending migration, each in its own transaction.
///
/// # Errors
/// `DatabaseRejected` naming the migration and the statement that failed; the
/// ones before it stay.
pub async fn migrate(client: &mut Client) -> Result<(), SyncError> {
    migrate_to(client, embedded::migrations::runner()).await
}

/// Applies the migrations up to that version; for the tests of an upgrade.
///
/// # Errors
/// As `migrate`.
pub async fn migrate_up_to(client: &mut Client, version: i32) -> Result<(), SyncError> {
    let target = refinery::Target::Version(version);
    migrate_to(client, embedded::migrations::runner().set_target(target)).await
}

async fn migrate_to(client: &mut Client, runner: refinery::Runner) -> Result<(), SyncError> {
    let runner = runner.set_abort_missing(false);
    let Err(error) = runner.run_async(client).await else {
        return Ok(());
    };
    let done = found(client).await?;
    let failed = runner
        .get_migrations()
        .iter()
        .filter(|migration| i64::from(migration.version()) > done)
        .min_by_key(|migration| migration.version());
    let place = match failed {
        Some(migration) => {
            let statement = statements::failing(client, migration.sql().unwrap_or_default()).await;
            format!(
                "migration {} ({}) failed{}",
                migration.version(),
                migration.name(),
                statement.map_or_else(String::new, |sql| format!(" at \"{sql}\""))
            )
        }
        None => "a migration failed".to_owned(),
    };
    Err(SyncError::DatabaseRejected {
        detail: format!("{place}: {}", with_causes(&error)),
        sqlstate: None,
    })
}
