//! A run without Step Functions: the same functions in the same order, so that a
//! test can look at each and break in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shared::env::Env;
use shared::error::SyncError;
use shared::run::stats::{Counts, StepOutput};
use shared::run::step::StepInput;
use shared::settings::Settings;
use shared::{catalog, finish, inventory, locations, preflight};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::account::Account;
use super::database;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An account, a database and the functions between them.
pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) env: Env,
    pub(crate) client: Client,
}

impl World {
    /// A small account and a migrated database.
    pub(crate) async fn small() -> Self {
        Self::new(Account::small(), &[]).await
    }

    /// This account, with settings changed.
    pub(crate) async fn new(account: Account, settings: &[(&str, &str)]) -> Self {
        let url = database::migrated().await;
        Self {
            env: env(&account.url, &url, settings),
            client: database::connect(&url).await,
            account,
        }
    }

    /// A run that is expected to succeed.
    pub(crate) async fn sync(&self, request: Value) -> Report {
        let report = self.run(request).await;
        assert_eq!(report.error, None, "{report:?}");
        report
    }

    /// A run that is expected to fail, and under which name.
    pub(crate) async fn fail(&self, request: Value) -> (String, Report) {
        let report = self.run(request).await;
        let error = report.error.clone().unwrap_or_else(|| panic!("{report:?}"));
        (error.name, report)
    }

    /// A run as the state machine does it.
    pub(crate) async fn run(&self, request: Value) -> Report {
        let run_id = format!("run-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.run_named(&run_id, request).await
    }

    /// As `run`, with the execution's name given.
    pub(crate) async fn run_named(&self, run_id: &str, request: Value) -> Report {
        let mut report = Report {
            run_id: run_id.to_owned(),
            ..Report::default()
        };
        let opened = match self.open(run_id, request.clone()).await {
            Ok(opened) => opened,
            Err(error) => return self.close(report, "preflight", error, request).await,
        };
        report.status = opened.status;
        if report.status == "skipped" {
            return report;
        }
        for step in opened.steps {
            match self.step(run_id, &step).await {
                Ok(output) => report.steps.insert(step, output),
                Err(error) => return self.close(report, &step, error, request).await,
            };
        }
        let input = finish_input(run_id, &Value::Null, None);
        match finish::close(&self.env.database, input, deadline()).await {
            Ok(output) => {
                report.status = output.status;
                report.totals = output.totals;
                report.warnings = output.warnings;
                report
            }
            Err(error) => self.close(report, "finish", error, request).await,
        }
    }

    /// The preflight step.
    pub(crate) async fn open(
        &self,
        run_id: &str,
        request: Value,
    ) -> Result<preflight::Output, SyncError> {
        let input =
            json!({"run_id": run_id, "execution_arn": format!("arn:{run_id}"), "request": request});
        preflight::open(
            &self.env,
            serde_json::from_value(input).unwrap(),
            deadline(),
        )
        .await
    }

    /// One step by its name.
    pub(crate) async fn step(&self, run_id: &str, step: &str) -> Result<StepOutput, SyncError> {
        self.redriven_step(run_id, step, 0).await
    }

    /// One step of an execution that was redriven so many times.
    pub(crate) async fn redriven_step(
        &self,
        run_id: &str,
        step: &str,
        redrive_count: i32,
    ) -> Result<StepOutput, SyncError> {
        let input = StepInput {
            run_id: run_id.to_owned(),
            redrive_count,
        };
        match step {
            "locations" => locations::sync(&self.env, input, deadline()).await,
            "catalog" => catalog::sync(&self.env, input, deadline()).await,
            "inventory" => inventory::sync(&self.env, input, deadline()).await,
            other => panic!("no step {other}"),
        }
    }

    async fn close(
        &self,
        mut report: Report,
        step: &str,
        error: SyncError,
        request: Value,
    ) -> Report {
        let cause = json!({"errorType": error.name(), "errorMessage": error.to_string()});
        let failure = json!({"step": step, "error": error.name(), "cause": cause.to_string()});
        let input = finish_input(&report.run_id, &request, Some(failure));
        let output = finish::close(&self.env.database, input, deadline())
            .await
            .unwrap();
        report.status = output.status;
        report.error = output.error;
        report
    }

    /// A number that the database answers.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// What a run left.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    pub(crate) status: String,
    pub(crate) steps: BTreeMap<String, StepOutput>,
    pub(crate) totals: Option<Counts>,
    pub(crate) warnings: Vec<String>,
    pub(crate) error: Option<finish::ErrorOutput>,
}

impl Report {
    /// A data type's figures, all steps together.
    pub(crate) fn counts(&self, data_type: &str) -> Counts {
        let mut sum = Counts::default();
        for step in self.steps.values() {
            if let Some(counts) = step.stats.get(data_type) {
                sum.add(counts);
            }
        }
        sum
    }
}

/// The functions' environment for this Square and this database.
pub(crate) fn env(square: &str, database: &str, settings: &[(&str, &str)]) -> Env {
    let base = [
        ("SQUARE_ACCESS_TOKEN", "sim-token"),
        ("SQUARE_BASE_URL", square),
        ("DATABASE_URL", database),
        ("SQUARE_MAX_REQUESTS_PER_SECOND", "1000"),
    ];
    let settings = Settings::read(|name| {
        settings
            .iter()
            .chain(&base)
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    });
    Env::new(settings.unwrap()).unwrap()
}

fn finish_input(run_id: &str, request: &Value, failure: Option<Value>) -> finish::Input {
    let input = json!({"run_id": run_id, "request": request, "failure": failure});
    serde_json::from_value(input).unwrap()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(120)
}
