//! The world as a function needs it: its settings, Square and the database.
//!
//! Closing a run needs the database alone: a wrong setting of anything else must
//! not keep it from being recorded.

use std::collections::HashMap;

use aws_sdk_secretsmanager::Client;
use tokio::time::Instant;

use crate::aws::{self, Failure};
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
    /// `ConfigInvalid` naming the setting; `AwsUnavailable`.
    pub async fn from_environment() -> Result<Self, SyncError> {
        let variables = Variables::resolve(&SECRETS).await?;
        Self::new(Settings::read(|name| variables.get(name))?)
    }

    /// The database alone.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting; `AwsUnavailable`.
    pub async fn database_from_environment() -> Result<Database, SyncError> {
        let variables = Variables::resolve(&["DATABASE_URL"]).await?;
        let url = variables
            .get("DATABASE_URL")
            .ok_or_else(|| SyncError::config("DATABASE_URL", "is not set"))?;
        Database::trusting(&url.into(), variables.get("DATABASE_CA_PEM").as_deref())
    }

    /// Prepares the clients for these settings.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub fn new(settings: Settings) -> Result<Self, SyncError> {
        Ok(Self {
            database: Database::trusting(
                &settings.database_url,
                settings.database_ca_pem.as_deref(),
            )?,
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
    /// `ConfigInvalid` naming the variable whose secret is missing, forbidden or no
    /// text; `AwsUnavailable` if it cannot be asked for.
    pub async fn resolve(names: &[&str]) -> Result<Self, SyncError> {
        let mut secrets = HashMap::new();
        for name in names {
            let variable = format!("{name}_SECRET_ARN");
            let Some(arn) = variable_of_process(&variable) else {
                continue;
            };
            let client = Client::new(&aws::config().await);
            let value = secret(&client, &variable, &arn).await?;
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

/// Returns the text of the secret that a variable names.
async fn secret(client: &Client, variable: &str, arn: &str) -> Result<String, SyncError> {
    let secret = client
        .get_secret_value()
        .secret_id(arn)
        .send()
        .await
        .map_err(|error| Failure::of(&error).about("Secrets Manager", variable, "secret"))?;
    secret
        .secret_string()
        .map(str::to_owned)
        .ok_or_else(|| SyncError::config(variable, "names a secret that holds no text"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::tests::{answering, at, away};

    const VARIABLE: &str = "DATABASE_URL_SECRET_ARN";

    async fn read(address: &str) -> Result<String, SyncError> {
        let client = Client::new(&at(address, Duration::from_secs(60)).await);
        secret(&client, VARIABLE, "arn:of:it").await
    }

    #[tokio::test]
    async fn a_secret_that_is_missing_forbidden_or_out_of_reach_is_called_so() {
        let value = answering(200, r#"{"SecretString":"postgres://h/d"}"#).await;
        assert_eq!(read(&value).await.unwrap(), "postgres://h/d");
        for (status, body, name, says) in [
            (
                400,
                r#"{"__type":"ResourceNotFoundException","message":"can't find it"}"#,
                "ConfigInvalid",
                "that does not exist",
            ),
            (
                400,
                r#"{"__type":"AccessDeniedException","message":"no identity-based policy"}"#,
                "ConfigInvalid",
                "may not use (AccessDeniedException: no identity-based policy)",
            ),
            (
                400,
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
                "AwsUnavailable",
                "Rate exceeded",
            ),
            (
                200,
                r#"{"SecretBinary":"AAAA"}"#,
                "ConfigInvalid",
                "holds no text",
            ),
        ] {
            let error = read(&answering(status, body).await).await.unwrap_err();
            assert_eq!(error.name(), name, "{error}");
            let text = error.to_string();
            assert!(text.contains(says), "{text}");
            assert_eq!(text.contains(VARIABLE), name == "ConfigInvalid", "{text}");
        }
        let error = read(&away().await).await.unwrap_err();
        assert_eq!(error.name(), "AwsUnavailable");
        assert!(error.to_string().contains("NAT gateway"), "{error}");
    }
}
