//! An execution without Step Functions: which function is called next, with what, and
//! what becomes of its error, as the state machines have it but for their waits.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Value, json};
use shared::env::Env;
use shared::error::SyncError;
use shared::{
    catalog, finish, inventory, locations, migrate, orders, preflight, publish, spot_check,
};
use tokio_postgres::Client;

use crate::support::run::deadline;

/// How often the state machine calls again for an error that may pass.
const RETRIES: usize = 2;

/// One call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    /// A step of a complete sync, by its name.
    Step(String),
    Plan,
    Window(i64),
    /// `schema` or `rederive`.
    Migrate(&'static str),
    Restore,
    Finish,
    /// Closes a run that failed.
    Close {
        step: String,
        name: String,
        message: String,
    },
}

impl Call {
    /// The step's name in the run's record.
    pub(crate) fn step(&self) -> &str {
        match self {
            Self::Open => "preflight",
            Self::Step(step) | Self::Close { step, .. } => step,
            Self::Plan => "plan",
            Self::Window(_) => "orders",
            Self::Migrate("schema") => "migrate",
            Self::Migrate(_) => "rederive",
            Self::Restore => "restore",
            Self::Finish => "finish",
        }
    }
}

/// An execution's name and input.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) run_id: String,
    pub(crate) kind: &'static str,
    pub(crate) request: Value,
    pub(crate) redrives: i32,
}

fn plain(output: impl Serialize) -> Value {
    serde_json::to_value(output).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(event: Value) -> T {
    serde_json::from_value(event).unwrap()
}

impl Execution {
    /// Makes a call, and the calls after it that the state machine makes of the same
    /// state until it is done.
    pub(crate) async fn call(&self, env: &Env, call: &Call) -> Result<Value, SyncError> {
        match call {
            Call::Open => {
                let input = read(json!({"kind": self.kind, "run_id": self.run_id,
                    "execution_arn": format!("arn:{}", self.run_id),
                    "redrive_count": self.redrives, "request": self.request}));
                Ok(plain(
                    Box::pin(preflight::open(env, input, deadline())).await?,
                ))
            }
            Call::Step(step) => self.step(env, step).await,
            Call::Plan => {
                let input = read(self.event(json!({"work": "plan"})));
                Ok(plain(
                    Box::pin(orders::handle(env, input, deadline())).await?,
                ))
            }
            Call::Window(window_id) => {
                let event = json!({"work": "window", "window_id": window_id});
                self.orders(env, &event).await
            }
            Call::Migrate(work) => loop {
                let input = read(self.event(json!({"work": work})));
                let output = Box::pin(migrate::handle(&env.database, input, deadline())).await?;
                let output = plain(output);
                if output["done"] != false {
                    return Ok(output);
                }
            },
            Call::Restore => self.publish(env, "restore").await,
            Call::Finish => self.finish(env, None).await,
            Call::Close {
                step,
                name,
                message,
            } => {
                let cause = json!({"errorType": name, "errorMessage": message});
                let failure = json!({"step": step, "error": name, "cause": cause.to_string()});
                self.finish(env, Some(failure)).await
            }
        }
    }

    fn event(&self, mut event: Value) -> Value {
        event["run_id"] = json!(self.run_id);
        event["redrive_count"] = json!(self.redrives);
        event
    }

    async fn step(&self, env: &Env, step: &str) -> Result<Value, SyncError> {
        let input = read(self.event(json!({})));
        Ok(plain(match step {
            "locations" => Box::pin(locations::sync(env, input, deadline())).await?,
            "catalog" => Box::pin(catalog::sync(env, input, deadline())).await?,
            "inventory" => Box::pin(inventory::sync(env, input, deadline())).await?,
            "publish" => return self.publish(env, "publish").await,
            "orders" => return self.orders(env, &json!({"work": "fresh"})).await,
            "spot_check" => Box::pin(spot_check::check(env, input, deadline())).await?,
            other => panic!("no step {other}"),
        }))
    }

    async fn publish(&self, env: &Env, work: &str) -> Result<Value, SyncError> {
        let input = read(self.event(json!({"work": work})));
        Ok(plain(
            Box::pin(publish::handle(env, input, deadline())).await?,
        ))
    }

    async fn orders(&self, env: &Env, event: &Value) -> Result<Value, SyncError> {
        loop {
            let input = read(self.event(event.clone()));
            let output = plain(Box::pin(orders::handle(env, input, deadline())).await?);
            if output["cut_off"] == true {
                return Err(SyncError::Cancelled(output["message"].to_string()));
            }
            if output["done"] == true {
                return Ok(output);
            }
        }
    }

    async fn finish(&self, env: &Env, failure: Option<Value>) -> Result<Value, SyncError> {
        let kept = Some(env.settings.backups_kept).filter(|_| failure.is_none());
        let input = read(json!({"kind": self.kind, "run_id": self.run_id,
            "redrive_count": self.redrives, "request": self.request, "failure": failure}));
        Ok(plain(
            Box::pin(finish::close(&env.database, kept, input, deadline())).await?,
        ))
    }
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this status of the run: `succeeded`, `failed`, `skipped`, `stopped`.
    Closed(String),
    /// Without a word, so that the run is open.
    Silently,
}

/// The calls that a state machine makes, one after the other.
#[derive(Debug)]
pub(crate) struct Machine {
    left: VecDeque<Call>,
    retries: usize,
    /// The first error of a window: the others are read all the same.
    failed: Option<Call>,
    pub(crate) ended: Option<Ended>,
}

impl Machine {
    pub(crate) fn new(calls: impl IntoIterator<Item = Call>) -> Self {
        Self {
            left: calls.into_iter().collect(),
            retries: 0,
            failed: None,
            ended: None,
        }
    }

    /// The call that is due; none when the execution has ended.
    pub(crate) fn due(&self) -> Option<&Call> {
        if self.ended.is_some() {
            return None;
        }
        self.left.front()
    }

    /// Takes the answer to the call that was due.
    pub(crate) fn answered(&mut self, kind: &str, answer: Result<Value, SyncError>) {
        let Some(call) = self.left.front().cloned() else {
            return;
        };
        match answer {
            Ok(output) => {
                self.retries = 0;
                self.left.pop_front();
                self.follow(kind, &call, &output);
            }
            Err(error)
                if SyncError::RETRYABLE.contains(&error.name()) && self.retries < RETRIES =>
            {
                self.retries += 1;
            }
            Err(error) => self.give_up(call, &error),
        }
    }

    fn follow(&mut self, kind: &str, call: &Call, output: &Value) {
        match call {
            Call::Open if output["status"] == "skipped" => {
                self.ended = Some(Ended::Closed("skipped".to_owned()));
            }
            Call::Open => {
                let steps = output["steps"].as_array().into_iter().flatten();
                let steps: Vec<Call> = match kind {
                    "historical_orders" => vec![Call::Plan],
                    "migration" => vec![Call::Migrate("schema"), Call::Migrate("rederive")],
                    "restore" => vec![Call::Restore],
                    _ => steps
                        .filter_map(|step| step.as_str().map(|step| Call::Step(step.to_owned())))
                        .collect(),
                };
                self.left = steps.into_iter().chain([Call::Finish]).collect();
            }
            Call::Plan => {
                let windows = output["windows"].as_array().into_iter().flatten();
                let ids = windows.filter_map(|window| window["window_id"].as_i64());
                for window_id in ids.collect::<Vec<_>>().into_iter().rev() {
                    self.left.push_front(Call::Window(window_id));
                }
            }
            Call::Finish | Call::Close { .. } => {
                let status = output["status"].as_str().unwrap_or_default();
                self.ended = Some(Ended::Closed(status.to_owned()));
            }
            _ => {}
        }
        if self.left.front() == Some(&Call::Finish)
            && let Some(close) = self.failed.take()
        {
            self.left = VecDeque::from([close]);
        }
    }

    fn give_up(&mut self, call: Call, error: &SyncError) {
        self.retries = 0;
        if matches!(call, Call::Close { .. }) {
            self.ended = Some(Ended::Silently);
            return;
        }
        let close = Call::Close {
            step: call.step().to_owned(),
            name: error.name().to_owned(),
            message: error.to_string(),
        };
        self.left.pop_front();
        if matches!(call, Call::Window(_)) {
            self.failed.get_or_insert(close);
            if self.left.front() == Some(&Call::Finish) {
                self.left = self.failed.take().into_iter().collect();
            }
        } else {
            self.left = VecDeque::from([close]);
        }
    }
}

/// The calls that are left of a run: those of a redrive.
pub(crate) async fn left(client: &Client, run_id: &str, kind: &str) -> Vec<Call> {
    let sql = "select step from sync_steps where run_id = $1 and status <> 'succeeded'
        order by ordinal";
    let mut calls = Vec::new();
    for row in client.query(sql, &[&run_id]).await.unwrap() {
        let step: String = row.get(0);
        match step.as_str() {
            // What follows on it is in its answer.
            "preflight" => return vec![Call::Open],
            "plan" => calls.push(Call::Plan),
            "migrate" => calls.push(Call::Migrate("schema")),
            "rederive" => calls.push(Call::Migrate("rederive")),
            "restore" => calls.push(Call::Restore),
            "finish" => {}
            "orders" if kind == "historical_orders" => {
                let undone = "select window_id from sync_order_windows
                    where run_id = $1 and done_at is null order by window_id";
                let rows = client.query(undone, &[&run_id]).await.unwrap();
                calls.extend(rows.iter().map(|row| Call::Window(row.get(0))));
            }
            _ => calls.push(Call::Step(step)),
        }
    }
    calls.push(Call::Finish);
    calls
}
