//! The things that the handlers share, made on the first request that needs them: a
//! missing setting is then answered and logged under its name, while `/healthz` and the
//! description keep working.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::routing::MethodRouter;
use secrecy::SecretString;
use shared::aws;
use shared::env::Variables;
use shared::error::SyncError;
use shared::postgres::Database;
use shared::settings::Settings;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::audit::AuditLog;
use crate::auth::{EndedSignIns, Guard, SignIn};
use crate::executions::{Executions, Machines};
use crate::schedule::Schedule;
use crate::setting::required;

/// The longest that a statement may take: nobody hears its answer once the function,
/// which has 29 seconds, is cut.
const STATEMENT_MAX: Duration = Duration::from_secs(20);

/// Anybody can ask, also while the secrets cannot be read: each question is a call to AWS
/// that costs and takes its time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Everything that the API works with.
pub struct Env {
    /// The record of runs.
    pub database: Database,
    /// The state machines that carry them out.
    pub executions: Executions,
    /// The rules of who may ask.
    pub guard: Guard,
    /// The way people sign in.
    pub sign_in: SignIn,
    /// The sign-ins that were ended before their time.
    pub ended: EndedSignIns,
    /// The record of who asked for what.
    pub audit: AuditLog,
    /// The times at which syncs start by themselves.
    pub schedule: Schedule,
    /// Days within which all of the orders' history is to be read again; 0 is never.
    pub scrub_days: u32,
}

impl Env {
    async fn from_environment() -> Result<Self, SyncError> {
        let variables =
            Variables::resolve(&["DATABASE_URL", "SESSION_KEY", "OIDC_CLIENT_SECRET"]).await?;
        let lookup = |name: &str| variables.get(name);
        let database_url = SecretString::from(required(lookup, "DATABASE_URL")?);
        let machines = Machines::read(lookup)?;
        let step_functions = aws_sdk_sfn::Client::new(&aws::config().await);
        let ca = lookup("DATABASE_CA_PEM");
        let database = Database::open(&database_url, ca.as_deref(), STATEMENT_MAX)?;
        Ok(Self {
            ended: EndedSignIns::kept_in(&database),
            audit: AuditLog::kept_in(&database),
            database,
            executions: Executions::new(step_functions, machines),
            guard: Guard::read(lookup)?,
            sign_in: SignIn::read(lookup)?,
            schedule: Schedule::read(lookup),
            scrub_days: Settings::read_scrub_days(lookup)?,
        })
    }
}

/// The state of the router.
#[derive(Clone)]
pub struct App {
    env: Arc<OnceCell<Env>>,
    /// Why it could not be made, and when.
    failed: Arc<Mutex<Option<(Instant, SyncError)>>>,
    make: Make,
    retry_after: Duration,
}

/// The way to what the handlers share.
type Make = fn() -> Pin<Box<dyn Future<Output = Result<Env, SyncError>> + Send>>;

impl App {
    /// Reads the process environment when the first request needs it.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::made_by(|| Box::pin(Env::from_environment()))
    }

    pub(crate) fn made_by(make: Make) -> Self {
        Self {
            env: Arc::default(),
            failed: Arc::default(),
            make,
            retry_after: RETRY_AFTER,
        }
    }

    /// Works with what is given; for tests.
    #[must_use]
    pub fn with(env: Env) -> Self {
        Self {
            env: Arc::new(OnceCell::new_with(Some(env))),
            ..Self::from_environment()
        }
    }

    /// The same, trying again at once; for tests.
    #[cfg(test)]
    pub(crate) fn at_once(self) -> Self {
        Self {
            retry_after: Duration::ZERO,
            ..self
        }
    }

    /// Everything to work with.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting, `AwsUnavailable`; a request some seconds later
    /// tries again.
    pub async fn env(&self) -> Result<&Env, SyncError> {
        self.env.get_or_try_init(|| self.attempt()).await
    }

    async fn attempt(&self) -> Result<Env, SyncError> {
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failed().clone();
        if let Some((at, error)) = before
            && at.elapsed() < self.retry_after
        {
            return Err(error);
        }
        let made = (self.make)().await;
        *failed() = made
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        made
    }

    /// The same if a request needed it before; makes nothing.
    pub(crate) fn known(&self) -> Option<&Env> {
        self.env.get()
    }
}

/// Addresses with their handlers.
pub(crate) type Routes = Vec<(&'static str, MethodRouter<App>)>;
