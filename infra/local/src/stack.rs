//! The stack as a whole: starts its parts side by side where they do not need
//! each other, says what it is doing, and ends them all together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::aws::{Aws, REGION};
use crate::checkout::Checkout;
use crate::error::StackError;
use crate::gate::Gate;
use crate::guard::{Guard, Service};
use crate::ports::Claim;
use crate::postgres::Postgres;
use crate::settings::{Settings, SquareAccount};
use crate::sign_in::{MachineClient, SignIn};
use crate::square::Square;
use crate::stack_file::{StackFile, StateMachines};
use crate::{deploy, ports};

/// The page's name on loopback: a custom domain of the template, so that the
/// page lies at its root path as it does on AWS.
pub(crate) const DOMAIN: &str = "app.localhost";

/// The options for starting a stack.
#[derive(Clone)]
pub struct Options {
    /// The directory of `stack.json` and the logs.
    pub stack_dir: PathBuf,
    /// The gateway's port; any free one if it is `Some(0)`, the usual one or
    /// else any free one if it is `None`.
    pub port: Option<u16>,
    /// The choice of Square and of the database, and the functions' settings.
    pub settings: Settings,
    /// The simulator's arguments.
    pub sim_args: Vec<String>,
    /// Parameters of the template that are to differ, for tests.
    pub parameters: BTreeMap<String, String>,
    /// Shortens the state machine's waits and retries, for tests.
    pub wait_scale: Option<f64>,
    /// Is told each part that stands, in a sentence.
    pub announce: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// A stack in this directory, on any free port, with the simulated account
    /// and default settings, that says nothing: for tests.
    #[must_use]
    pub fn quiet(stack_dir: impl Into<PathBuf>) -> Self {
        Self {
            stack_dir: stack_dir.into(),
            port: Some(0),
            settings: Settings::default(),
            sim_args: Vec::new(),
            parameters: BTreeMap::new(),
            wait_scale: None,
            announce: Arc::new(|_| ()),
        }
    }
}

/// A running stack. It ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Stack {
    file: StackFile,
    aws: Aws,
    account: SquareAccount,
    services: Vec<Service>,
    guard: Guard,
    _gate: Gate,
    _claim: Claim,
}

impl Stack {
    /// Starts everything, deploys the template and makes somebody to sign in as.
    ///
    /// # Errors
    /// Says which part did not start, with the end of its log.
    pub async fn start(options: Options) -> Result<Self, StackError> {
        let checkout = Checkout::find()?;
        let file_path = StackFile::path(&options.stack_dir);
        let stack_dir = options.stack_dir.clone();
        let guard = tokio::task::spawn_blocking(move || Guard::new(&stack_dir, &file_path))
            .await
            .map_err(|error| StackError::Io {
                doing: "while starting the watcher".to_owned(),
                source: error.into(),
            })??;
        let account = options.settings.square_account();
        let begun = async {
            let parts = Parts::start(&options, &account, &checkout, &guard).await?;
            let file = describe(&parts).await?;
            file.write(&options.stack_dir)?;
            Ok((parts, file))
        };
        match begun.await {
            Ok((parts, file)) => Ok(Self {
                file,
                aws: parts.aws,
                account,
                services: parts.services,
                guard,
                _gate: parts.gate,
                _claim: parts.claim,
            }),
            Err(error) => {
                guard.end(Vec::new()).await;
                Err(error)
            }
        }
    }

    /// The stack's addresses and keys, as in `stack.json`.
    #[must_use]
    pub fn file(&self) -> &StackFile {
        &self.file
    }

    /// The local AWS.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The Square account that is copied.
    #[must_use]
    pub fn account(&self) -> &SquareAccount {
        &self.account
    }

    /// A file for a log of this stack's.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.guard.log(name)
    }

    /// Waits until a part ends that should not, and says which.
    pub async fn broken(&mut self) -> StackError {
        loop {
            if let Some(error) = self.services.iter_mut().find_map(Service::ended) {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Ends everything and waits until it is gone.
    pub async fn stop(self) {
        self.guard.end(self.services).await;
    }
}

/// The parts of a stack once they have started.
struct Parts {
    claim: Claim,
    gate: Gate,
    aws: Aws,
    outputs: BTreeMap<String, String>,
    database_url: String,
    square_url: String,
    services: Vec<Service>,
}

impl Parts {
    /// Starts the database, Square and AWS side by side; the deployment needs
    /// only their addresses, except for the database's, whose password is made
    /// with it.
    async fn start(
        options: &Options,
        account: &SquareAccount,
        checkout: &Checkout,
        guard: &Guard,
    ) -> Result<Self, StackError> {
        let claim = ports::gateway(options.port)?;
        let port = claim.port();
        let announce = &options.announce;
        let (database, square, aws) = tokio::try_join!(
            timed(announce, "PostgreSQL", database(options, checkout, guard)),
            timed(
                announce,
                "Square account",
                Square::start(
                    account.clone(),
                    ports::free()?,
                    &options.sim_args,
                    checkout,
                    guard
                )
            ),
            timed(
                announce,
                "local AWS",
                Aws::start(port, options.wait_scale, checkout, guard)
            ),
        )?;
        let (database_url, database_service) = database;
        let (aws, aws_service, gate) = aws;
        let parameters = parameters(options, &aws, port, &square, &database_url);
        let outputs = timed(
            announce,
            "template deployed",
            deploy::deploy(&aws, &parameters, checkout, guard),
        )
        .await?;
        let services = [database_service, square.service, Some(aws_service)];
        Ok(Self {
            claim,
            gate,
            aws,
            outputs,
            database_url,
            square_url: square.url,
            services: services.into_iter().flatten().collect(),
        })
    }
}

/// Makes somebody to sign in as, and writes down what a stack's users need.
async fn describe(parts: &Parts) -> Result<StackFile, StackError> {
    let output = |name: &str| parts.outputs.get(name).cloned().unwrap_or_default();
    let endpoint = parts.aws.endpoint().to_owned();
    let sign_in = SignIn::create(&parts.aws, &output("UserPoolId")).await?;
    let bearer_token = MachineClient::find(&parts.aws).await?.token().await?;
    Ok(StackFile {
        // The stage's name is escaped: a bare $ would tempt every shell.
        api_url: format!("{endpoint}/_aws/execute-api/{}/%24default", output("ApiId")),
        api_host_header: host(parts.claim.port()),
        page_url: output("PageUrl"),
        database_url: parts.database_url.clone(),
        square_base_url: parts.square_url.clone(),
        aws_endpoint_url: endpoint,
        state_machines: StateMachines {
            complete_sync: output("CompleteSyncStateMachineArn"),
            historical_orders: output("HistoricalOrdersStateMachineArn"),
            migration: output("MigrationStateMachineArn"),
            restore: output("RestoreStateMachineArn"),
            spot_check: output("SpotCheckStateMachineArn"),
        },
        sign_in,
        bearer_token,
    })
}

/// The database that the environment names, or one of the stack's own.
async fn database(
    options: &Options,
    checkout: &Checkout,
    guard: &Guard,
) -> Result<(String, Option<Service>), StackError> {
    if let Some(url) = options.settings.get("DATABASE_URL") {
        return Ok((url.to_owned(), None));
    }
    let (url, service) = Postgres::start(checkout, guard).await?.into_parts();
    Ok((url, Some(service)))
}

/// The template's parameters: what the environment sets, and what is local.
fn parameters(
    options: &Options,
    aws: &Aws,
    port: u16,
    square: &Square,
    database_url: &str,
) -> BTreeMap<String, String> {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x86_64",
    };
    let certificate = format!("arn:aws:acm:{REGION}:000000000000:certificate/local");
    let local = [
        ("Architecture", architecture),
        ("SquareAccessToken", &square.token),
        ("SquareBaseUrl", &square.url),
        ("DatabaseUrl", database_url),
        ("ScheduleState", "DISABLED"),
        ("ReconcileScheduleState", "DISABLED"),
        ("OrderLookBackScheduleState", "DISABLED"),
        ("DomainName", DOMAIN),
        ("CertificateArn", &certificate),
        ("PublicUrl", &format!("http://{}", host(port))),
        ("CognitoEndpointUrl", aws.endpoint()),
        // Its Cognito has no pages for a second factor, and forgets people's groups when
        // it is asked again.
        ("MfaConfiguration", "OFF"),
        ("SignInCheckMinutes", "480"),
        ("MachineTokenHours", "24"),
    ];
    let mut parameters = options.settings.parameters();
    parameters.extend(local.map(|(name, value)| (name.to_owned(), value.to_owned())));
    parameters.extend(options.parameters.clone());
    parameters
}

fn host(port: u16) -> String {
    format!("{DOMAIN}:{port}")
}

/// Announces a part when it stands, with the seconds it took.
async fn timed<T>(
    announce: &Arc<dyn Fn(&str) + Send + Sync>,
    name: &str,
    part: impl Future<Output = Result<T, StackError>>,
) -> Result<T, StackError> {
    let began = Instant::now();
    let part = part.await?;
    announce(&format!("{name} ({:.1} s)", began.elapsed().as_secs_f64()));
    Ok(part)
}
