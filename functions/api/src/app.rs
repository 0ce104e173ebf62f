//! The things that the handlers share, made on the first request that needs them: a
//! missing setting is then answered and logged under its name, while `/healthz` and the
//! description keep working.

use std::sync::Arc;

use axum::routing::MethodRouter;
use secrecy::SecretString;
use shared::env::{Variables, aws_config};
use shared::error::SyncError;
use shared::postgres::Database;
use tokio::sync::OnceCell;

use crate::auth::{Guard, SignIn};
use crate::executions::{Executions, Machines};
use crate::schedule::Schedule;
use crate::setting::required;

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
    /// The times at which syncs start by themselves.
    pub schedule: Schedule,
}

impl Env {
    async fn from_environment() -> Result<Self, SyncError> {
        let variables =
            Variables::resolve(&["DATABASE_URL", "SESSION_KEY", "OIDC_CLIENT_SECRET"]).await?;
        let lookup = |name: &str| variables.get(name);
        let database_url = SecretString::from(required(lookup, "DATABASE_URL")?);
        let machines = Machines::read(lookup)?;
        let step_functions = aws_sdk_sfn::Client::new(&aws_config().await);
        Ok(Self {
            database: Database::connect(&database_url)?,
            executions: Executions::new(step_functions, machines),
            guard: Guard::read(lookup)?,
            sign_in: SignIn::read(lookup)?,
            schedule: Schedule::read(lookup),
        })
    }
}

/// The state of the router.
#[derive(Clone)]
pub struct App {
    env: Arc<OnceCell<Env>>,
}

impl App {
    /// Reads the process environment when the first request needs it.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            env: Arc::new(OnceCell::new()),
        }
    }

    /// Works with what is given; for tests.
    #[must_use]
    pub fn with(env: Env) -> Self {
        Self {
            env: Arc::new(OnceCell::new_with(Some(env))),
        }
    }

    /// Everything to work with.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting; the next request tries again.
    pub async fn env(&self) -> Result<&Env, SyncError> {
        self.env.get_or_try_init(Env::from_environment).await
    }
}

/// Addresses with their handlers.
pub(crate) type Routes = Vec<(&'static str, MethodRouter<App>)>;
