//! A run without Step Functions: the same functions in the same order, so that a
//! test can look at each and break in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shared::env::Env;
use shared::error::SyncError;
use shared::run::start;
use shared::run::stats::{Counts, StepOutput};
use shared::run::step::StepInput;
use shared::settings::Settings;
use shared::{
    catalog, finish, inventory, locations, migrate, orders, preflight, publish, spot_check,
};
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

    /// The same account with a database of its own.
    pub(crate) async fn beside(other: &Self) -> Self {
        Self::new(Account::at(&other.account.url), &[]).await
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
        self.run_named(&new_run_id(), request).await
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
        self.finish(report, request).await
    }

    /// The preflight step of a complete sync.
    pub(crate) async fn open(
        &self,
        run_id: &str,
        request: Value,
    ) -> Result<preflight::Output, SyncError> {
        self.open_as("complete_sync", run_id, request).await
    }

    /// The preflight step of that kind of run.
    pub(crate) async fn open_as(
        &self,
        kind: &str,
        run_id: &str,
        request: Value,
    ) -> Result<preflight::Output, SyncError> {
        let input = json!({"kind": kind, "run_id": run_id, "execution_arn": format!("arn:{run_id}"),
            "request": request});
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
            "locations" => Box::pin(locations::sync(&self.env, input, deadline())).await,
            "catalog" => Box::pin(catalog::sync(&self.env, input, deadline())).await,
            "inventory" => Box::pin(inventory::sync(&self.env, input, deadline())).await,
            "publish" => self.publish_call(run_id, "publish").await,
            "orders" => Box::pin(self.fresh_orders(run_id, redrive_count)).await,
            "spot_check" => Box::pin(spot_check::check(&self.env, input, deadline())).await,
            other => panic!("no step {other}"),
        }
    }

    /// The orders step of a complete sync, call after call.
    async fn fresh_orders(&self, run_id: &str, redrives: i32) -> Result<StepOutput, SyncError> {
        loop {
            let event = json!({"run_id": run_id, "redrive_count": redrives, "work": "fresh"});
            let output = self.orders(event).await?;
            if output["done"] == true {
                return Ok(serde_json::from_value(output).unwrap());
            }
        }
    }

    /// One call of the orders function.
    pub(crate) async fn orders(&self, event: Value) -> Result<Value, SyncError> {
        self.orders_until(event, deadline()).await
    }

    /// One call of the orders function, which Lambda would end at that moment.
    pub(crate) async fn orders_until(
        &self,
        event: Value,
        deadline: Instant,
    ) -> Result<Value, SyncError> {
        let input = serde_json::from_value(event).unwrap();
        let output = Box::pin(orders::handle(&self.env, input, deadline)).await?;
        Ok(serde_json::to_value(output).unwrap())
    }

    /// An import of historical orders that is expected to succeed.
    pub(crate) async fn import(&self, request: Value) -> Report {
        let report = self.import_named(&new_run_id(), request).await;
        assert_eq!(report.error, None, "{report:?}");
        report
    }

    /// An import as the state machine does it, but one window after the other; a
    /// window that fails does not stop the others.
    pub(crate) async fn import_named(&self, run_id: &str, request: Value) -> Report {
        let kind = "historical_orders";
        let mut report = Report {
            run_id: run_id.to_owned(),
            kind: kind.to_owned(),
            ..Report::default()
        };
        if let Err(error) = self.open_as(kind, run_id, request.clone()).await {
            return self.close(report, "preflight", error, request).await;
        }
        let plan = match self.plan(run_id).await {
            Ok(plan) => plan,
            Err(error) => return self.close(report, "plan", error, request).await,
        };
        let mut failed = None;
        for window in plan["windows"].as_array().unwrap() {
            let window_id = window["window_id"].as_i64().unwrap();
            match self.window(run_id, window_id).await {
                Ok(calls) => report.calls += calls,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return self.close(report, "orders", error, request).await;
        }
        self.finish(report, request).await
    }

    /// The plan of an import that was opened.
    pub(crate) async fn plan(&self, run_id: &str) -> Result<Value, SyncError> {
        self.orders(json!({"run_id": run_id, "work": "plan"})).await
    }

    /// A window to its end; returns how many calls that took.
    pub(crate) async fn window(&self, run_id: &str, window_id: i64) -> Result<i64, SyncError> {
        let event = json!({"run_id": run_id, "work": "window", "window_id": window_id});
        for calls in 1.. {
            let output = self.orders(event.clone()).await?;
            if output["cut_off"] == true {
                return Err(SyncError::Cancelled(output["message"].to_string()));
            }
            if output["done"] == true {
                return Ok(calls);
            }
        }
        Ok(0)
    }

    /// A migration as the state machine does it.
    pub(crate) async fn migrate(&self, run_id: &str) -> Report {
        let kind = "migration";
        let mut report = Report {
            run_id: run_id.to_owned(),
            kind: kind.to_owned(),
            ..Report::default()
        };
        if let Err(error) = self.open_as(kind, run_id, json!({})).await {
            return self.close(report, "preflight", error, json!({})).await;
        }
        for (step, work) in [("migrate", "schema"), ("rederive", "rederive")] {
            loop {
                let output = match self.migration_call(run_id, work).await {
                    Ok(output) => output,
                    Err(error) => return self.close(report, step, error, json!({})).await,
                };
                report.calls += 1;
                if output["done"] != false {
                    break;
                }
            }
        }
        self.finish(report, json!({})).await
    }

    /// One call of the publish function.
    pub(crate) async fn publish_call(
        &self,
        run_id: &str,
        work: &str,
    ) -> Result<StepOutput, SyncError> {
        let event = json!({"run_id": run_id, "work": work});
        let input = serde_json::from_value(event).unwrap();
        match Box::pin(publish::handle(&self.env, input, deadline())).await? {
            publish::Output::Step(output) => Ok(*output),
            publish::Output::Held { run_id } => panic!("{run_id} only holds its leases"),
        }
    }

    /// A restore as the state machine does it.
    pub(crate) async fn restore(&self, backup_id: &str) -> Report {
        let (run_id, kind) = (new_run_id(), "restore");
        let request = json!({"backup_id": backup_id});
        let report = Report {
            run_id: run_id.clone(),
            kind: kind.to_owned(),
            ..Report::default()
        };
        if let Err(error) = self.open_as(kind, &run_id, request.clone()).await {
            return self.close(report, "preflight", error, request).await;
        }
        match self.publish_call(&run_id, "restore").await {
            Ok(_) => self.finish(report, request).await,
            Err(error) => self.close(report, "restore", error, request).await,
        }
    }

    /// A spot check as the state machine does it.
    pub(crate) async fn spot_check(&self, request: Value) -> Report {
        let (run_id, kind) = (new_run_id(), "spot_check");
        let report = Report {
            run_id: run_id.clone(),
            kind: kind.to_owned(),
            ..Report::default()
        };
        if let Err(error) = self.open_as(kind, &run_id, request.clone()).await {
            return self.close(report, "preflight", error, request).await;
        }
        match self.step(&run_id, "spot_check").await {
            Ok(_) => self.finish(report, request).await,
            Err(error) => self.close(report, "spot_check", error, request).await,
        }
    }

    /// One call of the migrate function.
    pub(crate) async fn migration_call(
        &self,
        run_id: &str,
        work: &str,
    ) -> Result<Value, SyncError> {
        let event = json!({"run_id": run_id, "work": work});
        let input = serde_json::from_value(event).unwrap();
        let output = migrate::handle(&self.env.database, input, deadline()).await?;
        Ok(serde_json::to_value(output).unwrap())
    }

    /// Stops a run as the API does.
    pub(crate) async fn stop(&self, run_id: &str) {
        let mut client = self.env.database.client().await.unwrap();
        assert!(start::stop(&mut client, run_id).await.unwrap());
    }

    /// Ends a run whose steps are done.
    pub(crate) async fn finished(&self, run_id: &str, kind: &str) -> Report {
        let report = Report {
            run_id: run_id.to_owned(),
            kind: kind.to_owned(),
            ..Report::default()
        };
        let report = self.finish(report, json!({})).await;
        assert_eq!(report.error, None, "{report:?}");
        report
    }

    /// The finish step, and the steps' figures as the database has them.
    async fn finish(&self, mut report: Report, request: Value) -> Report {
        let input = finish_input(&report, &Value::Null, None);
        let kept = Some(self.env.settings.backups_kept);
        match finish::close(&self.env.database, kept, input, deadline()).await {
            Ok(output) => {
                report.status = output.status;
                report.totals = output.totals;
                report.warnings = output.warnings;
            }
            Err(error) => return self.close(report, "finish", error, request).await,
        }
        let sql = "select step, result from sync_steps where run_id = $1 and result ? 'stats'";
        for row in self.client.query(sql, &[&report.run_id]).await.unwrap() {
            let result: StepOutput = serde_json::from_value(row.get(1)).unwrap();
            report.notes.extend(result.notes.iter().cloned());
            report.steps.insert(row.get(0), result);
        }
        self.assert_one_unit(&report).await;
        report
    }

    /// Steps that tell on the way how many orders they have read end with that number.
    async fn assert_one_unit(&self, report: &Report) {
        let sql = "select step, progress_done, progress_total from sync_steps
            where run_id = $1 and step in ('orders', 'rederive') and status = 'succeeded'";
        for row in self.client.query(sql, &[&report.run_id]).await.unwrap() {
            let stats = &report.steps[row.get::<_, &str>(0)].stats;
            let given = stats.get("orders").map_or(0, Counts::given);
            assert_eq!(row.get::<_, i64>(1), given, "{report:?}");
            assert_eq!(row.get::<_, Option<i64>>(2), Some(given), "{report:?}");
        }
    }

    /// Ends an import of which a window failed.
    pub(crate) async fn failed(&self, run_id: &str, error: SyncError) -> Report {
        let report = Report {
            run_id: run_id.to_owned(),
            kind: "historical_orders".to_owned(),
            ..Report::default()
        };
        self.close(report, "orders", error, json!({})).await
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
        let input = finish_input(&report, &request, Some(failure));
        let kept = None;
        let output = finish::close(&self.env.database, kept, input, deadline())
            .await
            .unwrap();
        report.status = output.status;
        report.error = output.error;
        report
    }

    /// A number that the database returns.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// What a run left.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    /// Empty for a complete sync.
    kind: String,
    /// How many calls the parts of its steps took.
    pub(crate) calls: i64,
    pub(crate) status: String,
    pub(crate) steps: BTreeMap<String, StepOutput>,
    pub(crate) totals: Option<Counts>,
    pub(crate) warnings: Vec<String>,
    /// Of all steps.
    pub(crate) notes: Vec<String>,
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

/// A name that no other run of this process has.
pub(crate) fn new_run_id() -> String {
    format!("run-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The functions' environment for this Square and this database.
pub(crate) fn env(square: &str, database: &str, settings: &[(&str, &str)]) -> Env {
    let base = [
        ("SQUARE_ACCESS_TOKEN", "sim-token"),
        ("SQUARE_BASE_URL", square),
        ("DATABASE_URL", database),
        ("SQUARE_MAX_REQUESTS_PER_SECOND", "1000"),
        // As long as can be set: a step that is merely slow is none that fails.
        ("LOCATION_SYNC_TIMEOUT", "900"),
        ("CATALOG_SYNC_TIMEOUT", "900"),
        ("INVENTORY_SYNC_TIMEOUT", "900"),
        ("ORDERS_SYNC_TIMEOUT", "900"),
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

fn finish_input(report: &Report, request: &Value, failure: Option<Value>) -> finish::Input {
    let kind = if report.kind.is_empty() {
        "complete_sync"
    } else {
        &report.kind
    };
    let input =
        json!({"kind": kind, "run_id": report.run_id, "request": request, "failure": failure});
    serde_json::from_value(input).unwrap()
}

/// When Lambda would end a call: so late that it never does. Each step's own limit,
/// of up to a quarter of an hour, comes first.
pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60 * 60)
}
