//! The schema's version, and bringing an empty database to it.
//!
//! An empty database is migrated on its own; an upgrade waits for an admin,
//! because it may take long and needs a quiet moment.

use deadpool_postgres::Object;
use futures::future::BoxFuture;

use crate::error::SyncError;

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
pub async fn found(client: &Object) -> Result<i64, SyncError> {
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
pub async fn ensure(client: &mut Object) -> Result<(), SyncError> {
    if found(client).await? == 0 {
        client
            .execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK])
            .await?;
        let result = migrate_if_empty(client).await;
        client
            .execute("select pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
            .await?;
        result?;
    }
    let (found, wanted) = (found(client).await?, wanted());
    let todo = match found.cmp(&wanted) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less => {
            "Start the database migration (POST /admin/migrate-order-line-items), then sync again."
        }
        std::cmp::Ordering::Greater => {
            "Deploy the newer release of Square Sync that this database was migrated by."
        }
    };
    Err(SyncError::DatabaseSchemaOutdated {
        found,
        wanted,
        todo: todo.to_owned(),
    })
}

/// Two first runs may meet here: the second finds the work done.
fn migrate_if_empty(client: &mut Object) -> BoxFuture<'_, Result<(), SyncError>> {
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
/// `DatabaseRejected` naming the migration that failed; the ones before it stay.
pub async fn migrate(client: &mut Object) -> Result<(), SyncError> {
    let client: &mut tokio_postgres::Client = client;
    embedded::migrations::runner()
        .set_abort_missing(false)
        .run_async(client)
        .await
        .map(|_| ())
        .map_err(|error| SyncError::DatabaseRejected {
            detail: format!("migration failed: {}", root_cause(&error)),
        })
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
