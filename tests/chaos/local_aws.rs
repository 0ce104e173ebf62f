//! The same histories in the local AWS: the deployed template, the real state machines, and
//! the functions' own processes, which are killed where a step is cut off. Slower, with one
//! history after the other; when which of them comes is the machine's.

use std::process::Command;
use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;
use local::{Execution as Described, Options, Stack, StackError};
use reqwest::Method;
use serde_json::{Value, json};
use shared::postgres::schema;

use crate::event::{Mishap, What};
use crate::execution::{Ended, Execution};
use crate::runs::{EXPIRE, end_a_session};
use crate::support::account::Account;
use crate::support::cloud;
use crate::world::{SETTINGS, World, all_parts, migrated_up_to, pick};

/// Between two looks at an execution.
const PAUSE: Duration = Duration::from_millis(20);

/// A stack that stands for all histories.
pub(crate) struct LocalAws {
    stack: Stack,
    http: reqwest::Client,
}

impl LocalAws {
    /// # Errors
    /// Says which part did not start.
    pub(crate) async fn start() -> Result<Self, StackError> {
        let directory = std::env::temp_dir().join(format!("chaos-{}", std::process::id()));
        let mut options = Options::quiet(directory);
        // A minute between two attempts becomes half a second.
        options.wait_scale = Some(0.01);
        options.sim_args = ["--orders", "0"].map(str::to_owned).to_vec();
        for (name, value) in SETTINGS {
            options.settings.set(name, value);
        }
        options
            .settings
            .set("SQUARE_MAX_REQUESTS_PER_SECOND", "200");
        let stack = Stack::start(options).await?;
        migrated_up_to(&stack.file().database_url, schema::wanted()).await;
        Ok(Self {
            stack,
            http: reqwest::Client::new(),
        })
    }

    pub(crate) fn square_url(&self) -> &str {
        &self.stack.file().square_base_url
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.stack.file().database_url
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }

    /// An account as a history begins with, and a database without rows and runs.
    pub(crate) async fn begin(&self, account: &Value) {
        let client = cloud::emptied(self.database_url()).await;
        drop(client);
        let square = Account::at(self.square_url());
        square.clear_faults().await;
        square.reset(account.clone()).await;
    }

    /// Has Step Functions carry out a run, with what befalls it.
    ///
    /// # Errors
    /// What is against the rules.
    pub(crate) async fn carry_out(
        &self,
        world: &World,
        execution: &Execution,
        mishap: Mishap,
        mut rng: Rng,
    ) -> Result<Ended, String> {
        let arn = self.begin_execution(execution).await?;
        let mut is_due = mishap.what != What::Nothing;
        let described = loop {
            let described = self.describe(&arn).await?;
            if !described.is_running() {
                break described;
            }
            if is_due && self.steps_begun(world, &execution.run_id).await > mishap.call {
                is_due = false;
                let waits = u64::try_from(mishap.waits).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(waits)).await;
                self.strike(world, (&arn, execution), mishap.what, &mut rng)
                    .await?;
            }
            tokio::time::sleep(PAUSE).await;
        };
        if mishap.what == What::TokenRevoked {
            world.square.set_revoked(false).await;
        }
        let status = "select status from sync_runs where run_id = $1";
        let row = world
            .client()
            .query_opt(status, &[&execution.run_id])
            .await
            .unwrap();
        let status: String = row.map_or_else(|| "unknown".to_owned(), |row| row.get(0));
        world
            .story
            .tell(format!("    {}, {status}", described.status));
        if status == "succeeded" && described.status == "FAILED" {
            return Err(format!(
                "{} succeeded, but its execution failed",
                execution.run_id
            ));
        }
        if described.status == "SUCCEEDED" && !matches!(&*status, "succeeded" | "skipped") {
            return Err(format!(
                "the execution of {} succeeded, but the run is {status}",
                execution.run_id
            ));
        }
        Ok(match &*status {
            "unknown" | "queued" | "running" => Ended::Silently,
            _ => Ended::Closed(status),
        })
    }

    async fn begin_execution(&self, execution: &Execution) -> Result<String, String> {
        let machines = &self.stack.file().state_machines;
        let machine = match execution.kind {
            "historical_orders" => &machines.historical_orders,
            "migration" => &machines.migration,
            "restore" => &machines.restore,
            "spot_check" => &machines.spot_check,
            _ => &machines.complete_sync,
        };
        let name = Some(execution.run_id.as_str());
        let begun = self
            .stack
            .aws()
            .start_execution(machine, name, &execution.request);
        begun.await.map_err(|error| error.to_string())
    }

    async fn describe(&self, arn: &str) -> Result<Described, String> {
        let described = self.stack.aws().execution(arn).await;
        described.map_err(|error| error.to_string())
    }

    /// How many of its steps have begun.
    async fn steps_begun(&self, world: &World, run_id: &str) -> usize {
        let begun = format!(
            "select step from sync_steps where run_id = '{run_id}' and started_at is not null"
        );
        match world.texts_of(&begun).await {
            Some(steps) => steps.len(),
            // A database that has not been migrated yet.
            None => 0,
        }
    }

    /// What happens beside an execution.
    async fn strike(
        &self,
        world: &World,
        (arn, execution): (&str, &Execution),
        what: What,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let run_id = &execution.run_id;
        match what {
            What::CutOff | What::TwiceAtOnce | What::TwiceInARow | What::ServerDies => {
                self.kill(world, rng);
            }
            What::Aborted => {
                let body = json!({"executionArn": arn, "cause": "Aborted in the console."});
                let aborted = self.stack.aws().step_functions("StopExecution", &body);
                let said = aborted.await.map(drop).map_err(|error| error.to_string());
                world.story.tell(format!("    aborted: {said:?}"));
            }
            What::Stopped => self.stop_run(world, run_id).await,
            What::SessionEnds => {
                world.story.tell("    a session ends".to_owned());
                end_a_session(world, Some(run_id), rng).await;
            }
            What::LeaseRunsOut => world.sql(EXPIRE).await,
            What::TakenOver | What::SecondStart => {
                if what == What::TakenOver {
                    world.sql(EXPIRE).await;
                }
                let request = if rng.bool() {
                    json!({})
                } else {
                    json!({"only": all_parts()})
                };
                let other = Execution {
                    run_id: format!("{run_id}-b"),
                    kind: "complete_sync",
                    request,
                    redrives: 0,
                };
                let arn = self.begin_execution(&other).await?;
                while self.describe(&arn).await?.is_running() {
                    tokio::time::sleep(PAUSE).await;
                }
                world.story.tell(format!("    {} beside it", other.run_id));
            }
            What::Redelivered => {
                // Under the same name Step Functions takes it for the same.
                let again = self.begin_execution(execution).await;
                world.story.tell(format!("    again: {again:?}"));
            }
            What::AccountChanges => {
                world.keep_time().await;
                let times = rng.usize(1..=3);
                world.change_any(rng, times).await;
            }
            What::TokenRevoked => world.square.set_revoked(true).await,
            What::Nothing => {}
        }
        Ok(())
    }

    /// Kills a process of a function at random, as a machine that dies does.
    fn kill(&self, world: &World, rng: &mut Rng) {
        let processes = self.stack.aws().processes();
        let steps: Vec<(String, u32)> = processes
            .into_iter()
            .filter(|process| !process.function.to_lowercase().ends_with("api"))
            .map(|process| (process.function, process.pid))
            .collect();
        if let Some((function, pid)) = pick(rng, &steps) {
            let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
            let said = if killed.unwrap().success() {
                "is killed"
            } else {
                "was gone"
            };
            world.story.tell(format!("    {function} {said}"));
        }
    }

    /// Has the API stop a run, as an admin does.
    pub(crate) async fn stop_run(&self, world: &World, run_id: &str) {
        let file = self.stack.file();
        let url = format!("{}/admin/runs/{run_id}/stop", file.api_url);
        let request = self.http.request(Method::POST, url);
        let answer = request.bearer_auth(&file.bearer_token).send().await;
        let said = answer.map(|answer| answer.status().as_u16());
        world.story.tell(format!("    stopped: {said:?}"));
    }

    /// Waits until nobody is at work any more: an execution that was aborted leaves its
    /// function to go on, and what reports it comes a moment later.
    pub(crate) async fn settle(&self, world: &World) {
        let began = jiff::Timestamp::now();
        let at_work = "select pid::text from pg_stat_activity
            where datname = current_database() and application_name like 'square-sync%'
                and (state <> 'idle' or state_change > clock_timestamp() - interval '700 ms')";
        while !world.texts(at_work).await.is_empty()
            && jiff::Timestamp::now().duration_since(began) < SignedDuration::from_secs(30)
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
