//! What the handlers share, made on the first request that needs it: a missing
//! setting is then answered and logged under its name, while `/healthz` and the
//! description keep working.

use std::sync::Arc;

use secrecy::SecretString;
use shared::env::{Variables, aws_config};
use shared::error::SyncError;
use shared::postgres::Database;
use tokio::sync::OnceCell;

use crate::auth::Guard;
use crate::executions::{Executions, Machines};
use crate::schedule::Schedule;
use crate::sign_in::SignIn;

/// What the API works with.
pub struct Env {
    /// Where runs are recorded.
    pub database: Database,
    /// The state machines that carry them out.
    pub executions: Executions,
    /// Who may ask.
    pub guard: Guard,
    /// How people sign in.
    pub sign_in: SignIn,
    /// When syncs start by themselves.
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

/// A variable that the API cannot do without.
pub(crate) fn required(
    lookup: impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<String, SyncError> {
    lookup(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
        .ok_or_else(|| SyncError::config(name, "is not set"))
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

    /// What to work with.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting; the next request tries again.
    pub async fn env(&self) -> Result<&Env, SyncError> {
        self.env.get_or_try_init(Env::from_environment).await
    }
}
