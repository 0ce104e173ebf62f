//! The way to PostgreSQL: a small pool whose connections are checked before
//! use, because Lambda freezes processes and thaws them onto dead sockets, and
//! whose sessions have a limit on everything that could hang.

mod address;
pub(crate) mod copy;
mod error;
pub mod plan;
mod pooling;
pub mod schema;
pub mod sessions;
pub(crate) mod sql;
mod statements;
mod tls;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    ConfigConnectImpl, Connect, GenericClient, Hook, HookError, Manager, ManagerConfig, Object,
    Pool, RecyclingMethod,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::sessions::{Calls, Current, Sessions};
use self::tls::Access;
use crate::error::SyncError;
use crate::times::Now;
pub(crate) use error::{is_there_already, unstorable};
pub(crate) use pooling::ensure_sessions;

/// A step writes on one connection and beats its heart on another; the third
/// lets progress pass while the second renews the lease.
const POOL_SIZE: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a connection is waited for: for one that has died to be found
/// out, and for a new one.
pub const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// After how long without a word from the server a connection counts as lost, be it
/// that we wait for its word or that it has not taken ours.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The interval at which a silent server is asked for a sign of life. The kernel's own
/// pace would be two hours.
const PROBE: Duration = Duration::from_secs(10);

/// The longest that a statement may take: a backstop, for a call's own, shorter time
/// ends its statements with the call.
const STATEMENT_MAX: Duration = Duration::from_secs(840);

/// Session limits. `public` is where our tables are, whatever schema the role has of
/// its own.
const SESSION: &str = "set search_path = public; \
    set timezone = 'UTC'; \
    set lock_timeout = '15s'; \
    set idle_in_transaction_session_timeout = '120s'; \
    set client_min_messages = 'warning'";

/// Returns the time by the database's clock.
///
/// # Errors
/// The database's.
pub async fn now(client: &impl GenericClient) -> Result<Now, SyncError> {
    let row = client.query_one("select now()", &[]).await?;
    Ok(Now::at(row.get(0)))
}

/// The server's settings against a function that is no more: to look for it while a
/// statement runs, and to ask a silent connection for a sign of life. Not every server
/// can, for its version or its system.
const WATCH: &str = "do $$
    declare setting text[];
    begin
        foreach setting slice 1 in array array[
            ['tcp_keepalives_idle', '10'], ['tcp_keepalives_interval', '10'],
            ['tcp_keepalives_count', '3'], ['client_connection_check_interval', '5s']]
        loop
            begin
                perform set_config(setting[1], setting[2], false);
            exception when undefined_object or invalid_parameter_value then null;
            end;
        end loop;
    end $$";

/// A pool of connections to the one database.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    config: Config,
    tls: MakeRustlsConnect,
    /// What the address leaves open to whoever is between.
    weakness: Option<String>,
    /// The sessions of calls that are done, for those to come.
    rested: Arc<Mutex<Vec<Calls>>>,
    /// The sessions of a call; none where they belong to no call.
    calls: Option<Calls>,
}

impl Database {
    /// Prepares the pool; connections are made when they are asked for.
    ///
    /// # Errors
    /// `ConfigInvalid` if `DATABASE_URL` cannot be understood.
    pub fn connect(url: &SecretString) -> Result<Self, SyncError> {
        Self::trusting(url, None)
    }

    /// Prepares the pool; the server must prove who it is by the certificates in `ca`,
    /// the text of `DATABASE_CA_PEM`, if there are any.
    ///
    /// # Errors
    /// `ConfigInvalid` if `DATABASE_URL` or `DATABASE_CA_PEM` cannot be understood.
    pub fn trusting(url: &SecretString, ca: Option<&str>) -> Result<Self, SyncError> {
        Self::open(url, ca, STATEMENT_MAX)
    }

    /// The same for somebody who waits no longer than that for a statement.
    ///
    /// # Errors
    /// `ConfigInvalid` if `DATABASE_URL` or `DATABASE_CA_PEM` cannot be understood.
    pub fn open(
        url: &SecretString,
        ca: Option<&str>,
        statement_max: Duration,
    ) -> Result<Self, SyncError> {
        let Access {
            config,
            tls,
            weakness,
        } = tls::parse(url.expose_secret(), ca)?;
        let config = within_limits(config);
        let connect = ConfigConnectImpl { tls: tls.clone() };
        Ok(Self {
            pool: pool(&config, connect, statement_max, None)?,
            config,
            tls,
            weakness,
            rested: Arc::default(),
            calls: None,
        })
    }

    /// The same database over sessions of a run's name, for one call's work until
    /// the deadline. [`rest`](Self::rest) or [`end`](Self::end) follows.
    ///
    /// # Errors
    /// None that is expected.
    pub(crate) fn for_run(&self, run_id: &str, deadline: Instant) -> Result<Self, SyncError> {
        let rested = self.rested().pop();
        let calls = if let Some(calls) = rested {
            calls.current.change(run_id, deadline);
            calls
        } else {
            let sessions = Sessions::new(self.tls.clone());
            let current = Current::new(run_id, deadline);
            Calls {
                pool: pool(
                    &self.config,
                    sessions.clone(),
                    STATEMENT_MAX,
                    Some(current.clone()),
                )?,
                sessions,
                current,
            }
        };
        Ok(Self {
            pool: calls.pool.clone(),
            config: self.config.clone(),
            tls: self.tls.clone(),
            weakness: self.weakness.clone(),
            rested: Arc::clone(&self.rested),
            calls: Some(calls),
        })
    }

    /// Leaves the sessions of a call that is done to the next one. Takes two seconds at
    /// most, and ends them where they cannot be left.
    pub(crate) async fn rest(&self) {
        let Some(calls) = &self.calls else { return };
        match timeout(sessions::LIMIT, calls.rest()).await {
            Ok(Ok(())) => self.rested().push(calls.clone()),
            failed => {
                tracing::warn!(?failed, "sessions not left to the next call");
                self.end().await;
            }
        }
    }

    /// Ends the sessions of a call whose work failed or was dropped: whatever the
    /// server still does for it is cancelled. Takes two seconds at most.
    pub(crate) async fn end(&self) {
        let Some(calls) = &self.calls else { return };
        self.pool.close();
        calls.sessions.end().await;
    }

    /// Returns what every run is to be warned of: that nobody beyond this machine has to
    /// prove to be the database.
    pub(crate) fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }

    fn rested(&self) -> MutexGuard<'_, Vec<Calls>> {
        self.rested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that works.
    ///
    /// # Errors
    /// `DatabaseUnavailable` or, where PostgreSQL says no, `DatabaseRejected`.
    pub async fn client(&self) -> Result<Object, SyncError> {
        Ok(self.pool.get().await?)
    }
}

/// Sets how soon a connection that cannot be made, or is dead, is noticed.
fn within_limits(mut config: Config) -> Config {
    config
        .application_name(sessions::NAME)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(SILENCE_MAX)
        .keepalives(true)
        .keepalives_idle(PROBE)
        .keepalives_interval(PROBE)
        .keepalives_retries(3);
    config
}

/// A pool whose sessions know our settings. Those of a call have its run's name, and
/// none of their statements can outlast it by much, even if the process that would
/// cancel it is no more.
fn pool(
    config: &Config,
    connect: impl Connect + 'static,
    statement_max: Duration,
    call: Option<Current>,
) -> Result<Pool, SyncError> {
    let manager = Manager::from_connect(
        config.clone(),
        connect,
        ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        },
    );
    let mut pool = Pool::builder(manager)
        .max_size(POOL_SIZE)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_TIMEOUT * 2))
        .create_timeout(Some(CONNECT_TIMEOUT * 2))
        .recycle_timeout(Some(CONNECT_TIMEOUT));
    if let Some(call) = call.clone() {
        pool = pool.pre_recycle(Hook::async_fn(move |client, metrics| {
            let call = call.clone();
            Box::pin(async move {
                if !call.is_new_to(metrics) {
                    return Ok(());
                }
                // What an earlier call's plans were made for has changed.
                let settings = [&settings(statement_max, Some(&call)), "discard plans"].join("; ");
                let set = client.batch_execute(&settings).await;
                set.map_err(HookError::Backend)
            })
        }));
    }
    pool.post_create(Hook::async_fn(move |client, _| {
        let settings = [&settings(statement_max, call.as_ref()), WATCH].join("; ");
        Box::pin(async move {
            let set = client.batch_execute(&settings).await;
            set.map_err(HookError::Backend)
        })
    }))
    .build()
    .map_err(|error| SyncError::Internal(error.to_string()))
}

/// A session's settings. A call's statements have the time that it has, and a moment
/// more: at its deadline it is the call that ends them, and says so under its own name.
fn settings(statement_max: Duration, call: Option<&Current>) -> String {
    let mut settings = [SESSION, plan::SESSION].join("; ");
    let milliseconds = statement_max.as_millis();
    settings += &format!("; set statement_timeout = {milliseconds}");
    if let Some((name, deadline)) = call.map(Current::name) {
        let name = name.replace('\'', "''");
        let left = deadline.saturating_duration_since(Instant::now()) + CONNECT_TIMEOUT;
        let left = left.as_millis();
        settings += &format!("; set application_name = '{name}'; set statement_timeout = {left}");
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the address says: a limit that is not there is one that is missed.
    #[test]
    fn a_dead_connection_is_noticed_within_half_a_minute() {
        for address in [
            "postgresql://u@h/d",
            "postgresql://u@h/d?keepalives=0&keepalives_idle=7200&tcp_user_timeout=0",
        ] {
            let database = Database::connect(&address.to_owned().into()).unwrap();
            let of_run = database.for_run("r1", Instant::now()).unwrap();
            for config in [&database.config, &of_run.config] {
                let half = Duration::from_secs(30);
                assert_eq!(config.get_tcp_user_timeout(), Some(&half));
                assert!(config.get_keepalives());
                let (idle, interval) = (
                    config.get_keepalives_idle(),
                    config.get_keepalives_interval().unwrap(),
                );
                let retries = config.get_keepalives_retries().unwrap();
                // Of the probes the first follows the idle time at once.
                assert!(idle + interval * (retries - 1) <= half);
            }
        }
    }

    #[test]
    fn only_a_call_has_a_name_and_a_time_limit_of_its_own() {
        let (name, limit) = ("application_name", "statement_timeout = 5000");
        let without = settings(Duration::from_secs(20), None);
        assert!(!without.contains(name));
        assert!(without.ends_with("statement_timeout = 20000"), "{without}");
        let call = Current::new("it's", Instant::now());
        let own = settings(STATEMENT_MAX, Some(&call));
        assert!(
            own.contains("'square-sync it''s'") && own.ends_with(limit),
            "{own}"
        );
    }
}
