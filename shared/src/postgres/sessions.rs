//! The sessions on which one call of a run works, and their end.
//!
//! A future that is dropped leaves its statement running at the server, with every
//! lock that it holds. So a call works on sessions of its own, which end with it if
//! it does not come to its own end: a statement that keeps one from ending is
//! cancelled. A call that is done leaves its sessions to the function's next one,
//! for a connection costs more than most calls do on it. They carry the run's name
//! while it works, so that whoever stops the run can end them from outside, and
//! operators see in `pg_stat_activity` what is whose.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use deadpool_postgres::{Connect, GenericClient, Metrics, Pool};
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{CancelToken, Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::SyncError;

/// The name of our sessions that belong to no run, and the beginning of the others'
/// names.
pub(super) const NAME: &str = "square-sync";
/// PostgreSQL's longest name.
const NAME_MAX: usize = 63;

/// The time that a session may take to end by itself: nothing keeps one that is idle.
const PAUSE: Duration = Duration::from_millis(100);
/// The time that ending them, or leaving them to the next call, may take, with a
/// database that may be away.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// The name of a run's sessions.
pub(super) fn name_of(run_id: &str) -> String {
    // The end of a long id tells runs apart: it is the random part.
    let room = NAME_MAX - NAME.len() - 1;
    let cut = run_id.len().saturating_sub(room);
    format!("{NAME} {}", run_id.get(cut..).unwrap_or_default())
}

/// Sessions for one call after the other.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) pool: Pool,
    pub(super) sessions: Sessions,
    pub(super) current: Current,
}

impl Calls {
    /// Leaves the sessions of a call that is done without a run's name.
    ///
    /// # Errors
    /// The database's, and if one of them is still at work.
    pub(super) async fn rest(&self) -> Result<(), SyncError> {
        let status = self.pool.status();
        if status.available != status.size {
            let busy = "a session is in use after its call";
            return Err(SyncError::Internal(busy.to_owned()));
        }
        let mut idle = Vec::with_capacity(status.size);
        for _ in 0..status.size {
            idle.push(self.pool.get().await?);
        }
        for client in &idle {
            let unnamed = format!("set application_name = '{NAME}'");
            client.batch_execute(&unnamed).await?;
        }
        self.sessions.forget_ended();
        Ok(())
    }
}

/// The call that has the sessions now.
#[derive(Clone)]
pub(super) struct Current(Arc<Mutex<Call>>);

struct Call {
    run_id: String,
    deadline: Instant,
    since: Moment,
}

impl Current {
    pub(super) fn new(run_id: &str, deadline: Instant) -> Self {
        Self(Arc::new(Mutex::new(Call {
            run_id: run_id.to_owned(),
            deadline,
            since: Moment::now(),
        })))
    }

    pub(super) fn change(&self, run_id: &str, deadline: Instant) {
        let mut call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        run_id.clone_into(&mut call.run_id);
        call.deadline = deadline;
        call.since = Moment::now();
    }

    /// The name of its sessions, and when it has to be done.
    pub(super) fn name(&self) -> (String, Instant) {
        let call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (name_of(&call.run_id), call.deadline)
    }

    /// Whether a session was last used by an earlier call.
    pub(super) fn is_new_to(&self, session: &Metrics) -> bool {
        let call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        session.recycled.unwrap_or(session.created) < call.since
    }
}

/// Makes connections, and remembers them.
#[derive(Clone)]
pub(super) struct Sessions {
    tls: MakeRustlsConnect,
    open: Arc<Mutex<Vec<Session>>>,
}

struct Session {
    cancel: CancelToken,
    /// Runs until the session has ended.
    connection: JoinHandle<()>,
}

impl Sessions {
    pub(super) fn new(tls: MakeRustlsConnect) -> Self {
        Self {
            tls,
            open: Arc::default(),
        }
    }

    /// Forgets those that have ended by themselves.
    fn forget_ended(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| !session.connection.is_finished());
    }

    /// Has all of them end, once nobody uses them any more. No statement of theirs
    /// runs on; where the database does not hear us, it is left to find out itself.
    pub(super) async fn end(&self) {
        let mut open = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *open)
        };
        if timeout(LIMIT, self.see_off(&mut open)).await.is_err() {
            tracing::warn!(sessions = open.len(), "the database does not end them");
        }
        for session in open {
            session.connection.abort();
        }
    }

    async fn see_off(&self, open: &mut Vec<Session>) {
        loop {
            let pause = Instant::now() + PAUSE;
            for session in open.iter_mut() {
                // Which of them have ended is seen below.
                let _ = timeout_at(pause, &mut session.connection).await;
            }
            open.retain(|session| !session.connection.is_finished());
            if open.is_empty() {
                return;
            }
            // Again each time: a request that comes before its statement is lost.
            let cancels = open
                .iter()
                .map(|session| session.cancel.cancel_query(self.tls.clone()));
            for error in join_all(cancels).await.into_iter().filter_map(Result::err) {
                tracing::warn!(%error, "statement not cancelled");
            }
        }
    }
}

impl Connect for Sessions {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.tls.clone()).await?;
            let session = Session {
                cancel: client.cancel_token(),
                connection: tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::warn!(%error, "connection lost");
                    }
                }),
            };
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push(session);
            // The pool aborts the task that it is given; this one is to roll back first.
            Ok((client, tokio::spawn(std::future::ready(()))))
        })
    }
}

/// Ends from outside what these runs are doing in the database at this moment. Their
/// writes are refused anyway, so what goes wrong here is only logged.
pub(crate) async fn end_of(client: &impl GenericClient, run_ids: &[String]) {
    if run_ids.is_empty() {
        return;
    }
    let names: Vec<String> = run_ids.iter().map(|run_id| name_of(run_id)).collect();
    match client
        .execute(END, &[&names])
        .await
        .map_err(SyncError::from)
    {
        Ok(0) => {}
        Ok(sessions) => tracing::info!(?run_ids, sessions, "sessions ended"),
        Err(error) => tracing::warn!(?run_ids, name = error.name(), %error, "sessions not ended"),
    }
}

/// Ended and not only cancelled: a transaction between two statements has locks too.
/// Parameter: names.
const END: &str = "
    select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = any($1) and datname = current_database()
        and usename = current_user and pid <> pg_backend_pid()";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 1] = [END];

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn sessions_are_named_after_their_run_within_postgresqls_limit() {
        assert_eq!(
            name_of("sync-20261122T180000Z-3fa2c1"),
            "square-sync sync-20261122T180000Z-3fa2c1"
        );
        let long = name_of(&format!("{}-3fa2c1", "x".repeat(73)));
        assert_eq!(long.len(), 63);
        assert!(long.starts_with("square-sync xxx") && long.ends_with("-3fa2c1"));
        // None that a run can have.
        assert!(name_of(&"ä".repeat(40)).len() <= 63);
    }
}
