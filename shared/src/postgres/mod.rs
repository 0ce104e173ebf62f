//! The way to PostgreSQL: a small pool whose connections are checked before
//! use, because Lambda freezes processes and thaws them onto dead sockets, and
//! whose sessions have a limit on everything that could hang.

mod error;
pub mod ledger;
pub mod plan;
pub mod schema;
mod statements;
pub mod table;
mod tls;

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::GenericClient;

use crate::error::SyncError;
use crate::times::Now;

/// A step writes on one connection and beats its heart on another; the third
/// lets progress pass while the second renews the lease.
const POOL_SIZE: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a connection is waited for: for one that has died to be found
/// out, and for a new one.
pub const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// A server that has gone without a word is given up after this time. One that is
/// at work goes on saying that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Session limits. The statement limit is a backstop: steps set their own,
/// shorter one in the transaction that applies them.
const SESSION: &str = "set application_name = 'square-sync'; \
    set timezone = 'UTC'; \
    set statement_timeout = '840s'; \
    set lock_timeout = '15s'; \
    set idle_in_transaction_session_timeout = '120s'; \
    set client_min_messages = 'warning'";

/// What the database's clock says.
///
/// # Errors
/// The database's.
pub async fn now(client: &impl GenericClient) -> Result<Now, SyncError> {
    let row = client.query_one("select now()", &[]).await?;
    Ok(Now::at(row.get(0)))
}

/// A pool of connections to the one database.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// Prepares the pool; connections are made when they are asked for.
    ///
    /// # Errors
    /// `ConfigInvalid` if `DATABASE_URL` cannot be understood.
    pub fn connect(url: &SecretString) -> Result<Self, SyncError> {
        let (mut config, tls) = tls::parse(url.expose_secret())?;
        config.connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(SILENCE_MAX / 2);
        config.keepalives_interval(SILENCE_MAX / 6);
        config.tcp_user_timeout(SILENCE_MAX);
        let manager = Manager::from_config(
            config,
            tls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Verified,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT * 2))
            .create_timeout(Some(CONNECT_TIMEOUT * 2))
            .recycle_timeout(Some(CONNECT_TIMEOUT))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute(&[SESSION, plan::SESSION].join("; "))
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| SyncError::Internal(error.to_string()))?;
        Ok(Self { pool })
    }

    /// A connection that works.
    ///
    /// # Errors
    /// `DatabaseUnavailable` or, where PostgreSQL says no, `DatabaseRejected`.
    pub async fn client(&self) -> Result<Object, SyncError> {
        Ok(self.pool.get().await?)
    }
}
