//! The world as a function needs it: its settings, Square and the database.
//!
//! Closing a run needs the database alone: a wrong setting of anything else must
//! not keep it from being recorded.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::time::Instant;

use crate::error::SyncError;
use crate::postgres::Database;
use crate::settings::Settings;
use crate::square::Square;

/// The settings that may be given as the ARN of a secret: `<NAME>_SECRET_ARN`.
const SECRETS: [&str; 2] = ["SQUARE_ACCESS_TOKEN", "DATABASE_URL"];

/// The settings and the clients that a step works with.
pub struct Env {
    pub settings: Settings,
    pub database: Database,
    pub square: Square,
}

impl Env {
    /// Reads the process environment and prepares the clients; connects to nothing
    /// but Secrets Manager.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub async fn from_environment() -> Result<Self, SyncError> {
        let variables = Variables::resolve(&SECRETS).await?;
        Self::new(Settings::read(|name| variables.get(name))?)
    }

    /// The database alone.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub async fn database_from_environment() -> Result<Database, SyncError> {
        let variables = Variables::resolve(&["DATABASE_URL"]).await?;
        let url = variables
            .get("DATABASE_URL")
            .ok_or_else(|| SyncError::config("DATABASE_URL", "is not set"))?;
        Database::connect(&url.into())
    }

    /// Prepares the clients for these settings.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub fn new(settings: Settings) -> Result<Self, SyncError> {
        Ok(Self {
            database: Database::connect(&settings.database_url)?,
            square: Square::new(&settings)?,
            settings,
        })
    }

    /// The same world for one call's work on a run, over database sessions that end
    /// with it.
    ///
    /// # Errors
    /// None that is expected.
    pub(crate) fn for_run(&self, run_id: &str, deadline: Instant) -> Result<Self, SyncError> {
        Ok(Self {
            settings: self.settings.clone(),
            database: self.database.for_run(run_id, deadline)?,
            square: self.square.clone(),
        })
    }
}

/// The process environment with the secrets it points at.
#[derive(Default)]
pub struct Variables {
    secrets: HashMap<String, String>,
}

impl Variables {
    /// Fetches those of `names` that are given as `<NAME>_SECRET_ARN`.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the variable whose secret cannot be read.
    pub async fn resolve(names: &[&str]) -> Result<Self, SyncError> {
        let mut secrets = HashMap::new();
        for name in names {
            let variable = format!("{name}_SECRET_ARN");
            let Some(arn) = variable_of_process(&variable) else {
                continue;
            };
            let client = aws_sdk_secretsmanager::Client::new(&aws_config().await);
            let secret = client
                .get_secret_value()
                .secret_id(&arn)
                .send()
                .await
                .map_err(|error| {
                    let reason = error.into_service_error();
                    SyncError::config(
                        &variable,
                        format!("names a secret that cannot be read ({reason})"),
                    )
                })?;
            let value = secret.secret_string().unwrap_or_default().to_owned();
            secrets.insert((*name).to_owned(), value);
        }
        Ok(Self { secrets })
    }

    /// A variable's value; a secret goes before a variable of the same name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.secrets
            .get(name)
            .cloned()
            .or_else(|| variable_of_process(name))
    }
}

fn variable_of_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the configuration of the functions' calls to AWS: over ring, so that one
/// crypto library serves all, and with limits on waiting.
pub async fn aws_config() -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(3))
                .operation_timeout(Duration::from_secs(20))
                .build(),
        )
        .load()
        .await
}
