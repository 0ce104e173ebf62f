//! The frame around every step's work: find the run, take up the lease, beat,
//! stop in time, and leave a record that a second call finds.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout};

use super::lease::{self, Lease};
use super::metrics;
use super::progress::{self, Progress};
use super::share::Asking;
use super::stats::{self, StagedStep, Stats, StepOutput};
use super::store::{self, Run};
use crate::env::Env;
use crate::error::SyncError;
use crate::postgres::Database;
use crate::square::{Counters, Square};
use crate::text;

/// The input from the state machine to a step.
#[derive(Debug, Clone, Deserialize)]
pub struct StepInput {
    pub run_id: String,
    /// Redrives of the execution so far; they tell a redriven step from a late one.
    #[serde(default)]
    pub redrive_count: i32,
}

/// The means that a step has for its work.
pub struct StepContext<'a> {
    pub env: &'a Env,
    pub run: Run,
    pub lease: Lease,
    /// Sets this attempt's rows in staging apart.
    pub attempt: i64,
    pub deadline: Instant,
    pub square: Square,
    pub progress: Progress,
    /// Whether the execution was redriven: what its first steps have seen to may be
    /// two weeks old.
    pub is_redriven: bool,
    /// For what is not the work itself: `env` is over sessions that end with that.
    database: &'a Database,
    step: &'static str,
    started: Instant,
}

/// The name of a step, and the time that it may take.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub name: &'static str,
    pub timeout: Duration,
    /// The setting that says so.
    pub timeout_setting: &'static str,
    /// When the Lambda itself will be ended.
    pub lambda_deadline: Instant,
}

/// Left of the Lambda's time when the step stops itself: enough to have the database
/// roll back and to say so.
const MARGIN: Duration = Duration::from_secs(5);
/// The time that each question and note about a failure may take: there are two, and no
/// more than `MARGIN` in which the database may be the one that failed.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Step {
    /// When the step stops itself, if it starts now.
    pub(crate) fn deadline(&self) -> Instant {
        (Instant::now() + self.timeout).min(self.lambda_deadline - MARGIN)
    }

    /// Returns the error with which the step stops itself.
    pub(crate) fn timed_out(&self) -> SyncError {
        SyncError::StepTimeout {
            step: self.name.to_owned(),
            seconds: self.timeout.as_secs(),
            setting: self.timeout_setting.to_owned(),
        }
    }
}

/// When a call hands over to the next one: well ahead of its end, with time for a
/// page to be written.
pub(crate) fn hand_over_at(deadline: Instant) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + left.saturating_sub(Duration::from_secs(45)).max(left / 2)
}

/// Performs a step once, however often it is called.
///
/// # Errors
/// The work's; `Cancelled` if the run has ended; `StepTimeout`; `LeaseLost`.
pub async fn perform<O: DeserializeOwned>(
    env: &Env,
    input: StepInput,
    step: Step,
    work: impl AsyncFnOnce(&StepContext<'_>) -> Result<O, SyncError>,
) -> Result<O, SyncError> {
    let client = env.database.client().await?;
    if let Some(output) = earlier_result(&client, &input.run_id, step.name).await? {
        return Ok(output);
    }
    let deadline = step.deadline();
    let own = env.for_run(&input.run_id, deadline)?;
    let context = open((&own, &env.database), &client, &input, (step, deadline)).await?;
    store::start_step(&client, &context.run.run_id, step.name, false).await?;
    drop(client);
    let progress = Some((&context.progress, &context.square));
    // Boxed, because it is moved about.
    let work = Box::pin(work(&context));
    match context.drive(step, progress, work).await {
        Ok(output) => {
            metrics::step_done(step.name, context.started.elapsed(), step.timeout);
            Ok(output)
        }
        Err(error) => context.failed(error).await,
    }
}

/// Works on a part of a step that takes several calls. The step's record is the
/// parts' own work, page by page, and so is what becomes of a failure.
///
/// # Errors
/// As `perform`.
pub async fn perform_part<O>(
    env: &Env,
    input: StepInput,
    step: Step,
    work: impl AsyncFnOnce(&StepContext<'_>) -> Result<O, SyncError>,
) -> Result<O, SyncError> {
    let client = env.database.client().await?;
    let deadline = step.deadline();
    let own = env.for_run(&input.run_id, deadline)?;
    let context = open((&own, &env.database), &client, &input, (step, deadline)).await?;
    store::start_step(&client, &context.run.run_id, step.name, true).await?;
    drop(client);
    let work = Box::pin(work(&context));
    let result = context.drive(step, None, work).await;
    result.inspect_err(|error| context.log_failure(error))
}

async fn open<'a>(
    (env, database): (&'a Env, &'a Database),
    client: &Object,
    input: &StepInput,
    (step, deadline): (Step, Instant),
) -> Result<StepContext<'a>, SyncError> {
    let started = Instant::now();
    let (run, lease) = enter(client, input).await?;
    let attempt = client
        .query_one("select nextval('staging.attempts')", &[])
        .await?
        .get(0);
    Ok(StepContext {
        // A moment longer, so that it is the step that says its time is up.
        square: env.square.for_step(deadline + MARGIN / 2).sharing(),
        env,
        run,
        lease,
        attempt,
        deadline,
        progress: Progress::default(),
        is_redriven: input.redrive_count > 0,
        database,
        step: step.name,
        started,
    })
}

/// Finds the run and takes its leases up.
pub(crate) async fn enter(client: &Object, input: &StepInput) -> Result<(Run, Lease), SyncError> {
    let run = resume(client, input).await?;
    let token = run.lease_token.unwrap_or_default();
    let lease = lease::take_up(client, run.request.leases(), &run.run_id, token).await?;
    Ok((run, lease))
}

/// Works over the sessions `of_run` until it is done, the lease is lost, or time is up.
/// Without `progress`, the work tells it by itself.
pub(crate) async fn drive<O>(
    (database, of_run): (&Database, &Database),
    lease: &Lease,
    (step, deadline): (Step, Instant),
    progress: Option<(&Progress, &Square)>,
    work: impl Future<Output = Result<O, SyncError>>,
) -> Result<O, SyncError> {
    let end = async {
        tokio::select! {
            biased;
            error = progress::beat(database, lease, step.name, progress) => error,
            () = sleep_until(deadline) => step.timed_out(),
        }
    };
    let error = match until(of_run, work, end).await {
        Err(error) if error.name() != "LeaseLost" => error,
        result => return result,
    };
    // Whoever takes a lease ends the sessions as well: then that is why it failed.
    let asked = async {
        let client = database.client().await?;
        lease::check(&client, lease).await
    };
    match timeout(LAST_WORD, asked).await {
        Ok(Err(lost @ SyncError::LeaseLost { .. })) => Err(lost),
        _ => Err(error),
    }
}

/// Works over these sessions until it is done, or `end` says why not. Then the
/// database does nothing for it any more: not the statement at which it stopped, and
/// not those that ran beside one that failed. So no statement needs a time limit of
/// its own, wherever it stands.
pub(crate) async fn until<O>(
    of_run: &Database,
    work: impl Future<Output = Result<O, SyncError>>,
    end: impl Future<Output = SyncError>,
) -> Result<O, SyncError> {
    let result = {
        let (work, end) = (pin!(work), pin!(end));
        tokio::select! {
            biased;
            result = work => result,
            error = end => Err(error),
        }
    };
    match &result {
        Ok(_) => of_run.rest().await,
        Err(_) => of_run.end().await,
    }
    result
}

/// Opens a transaction that is on disk when it is committed.
pub(crate) async fn begin(client: &mut Object) -> Result<Transaction<'_>, SyncError> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute("set local synchronous_commit = on")
        .await?;
    Ok(transaction)
}

/// Stores a step's result; once only. `done` is its progress at the end, in the unit in
/// which it was told on the way.
///
/// # Errors
/// `Cancelled` if another invocation was faster; the database's.
pub(crate) async fn succeed(
    transaction: &Transaction<'_>,
    run_id: &str,
    step: &str,
    done: i64,
    stats: &Stats,
    square: &Counters,
    output: &impl Serialize,
) -> Result<(), SyncError> {
    let result =
        serde_json::to_value(output).map_err(|error| SyncError::Internal(error.to_string()))?;
    let first =
        store::succeed_step(transaction, run_id, step, done, stats, square, &result).await?;
    if !first {
        return Err(SyncError::Cancelled(format!(
            "Another invocation of the {step} step has committed its result."
        )));
    }
    tracing::info!(run_id, step, output = %stats::logged(&result), "step done");
    Ok(())
}

/// The result that an earlier call of the same step committed.
pub(crate) async fn earlier_result<O: DeserializeOwned>(
    client: &Object,
    run_id: &str,
    step: &str,
) -> Result<Option<O>, SyncError> {
    let record = store::step(client, run_id, step).await?;
    record
        .filter(|record| record.status == "succeeded")
        .and_then(|record| record.result)
        .map(|result| {
            serde_json::from_value(result).map_err(|error| SyncError::Internal(error.to_string()))
        })
        .transpose()
}

/// The run, if it may still be worked on: it is under way, or it was redriven.
async fn resume(client: &Object, input: &StepInput) -> Result<Run, SyncError> {
    let Some(run) = store::find(client, &input.run_id).await? else {
        return Err(SyncError::input("run_id", "names no run"));
    };
    if matches!(run.status.as_str(), "queued" | "running") {
        return Ok(run);
    }
    // Another call of the redriven execution may have said so before this one.
    let is_redriven = input.redrive_count > run.redrive_count;
    if is_redriven && store::set_running(client, &run.run_id, None, input.redrive_count).await? {
        return Ok(run);
    }
    Err(SyncError::Cancelled(format!(
        "Run {} has ended ({}), so this step did nothing. Start a new run.",
        run.run_id, run.status
    )))
}

impl StepContext<'_> {
    async fn drive<O>(
        &self,
        step: Step,
        progress: Option<(&Progress, &Square)>,
        work: impl Future<Output = Result<O, SyncError>>,
    ) -> Result<O, SyncError> {
        let asking = Asking::new(self.database, &self.square, &self.run.run_id);
        let work = asking.share_during(work);
        let databases = (self.database, &self.env.database);
        let until = (step, self.deadline);
        let result = drive(databases, &self.lease, until, progress, work).await;
        asking.leave().await;
        result
    }

    /// Opens the transaction that applies the step.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin<'c>(&self, client: &'c mut Object) -> Result<Transaction<'c>, SyncError> {
        begin(client).await
    }

    /// Commits the step's data, statistics and lease check together.
    ///
    /// # Errors
    /// `LeaseLost` if the run may not write any more; the database's.
    pub async fn commit(
        &self,
        transaction: Transaction<'_>,
        scope: &'static str,
        stats: Stats,
        warnings: Vec<String>,
    ) -> Result<StepOutput, SyncError> {
        let output = self.output(scope, stats, warnings);
        self.commit_as(transaction, &output, &output).await?;
        Ok(output)
    }

    /// Ends a step that only stages: what it read is applied by `publish`.
    ///
    /// # Errors
    /// As `commit`.
    pub async fn leave_staged(
        &self,
        transaction: Transaction<'_>,
        staged: StagedStep,
        warnings: Vec<String>,
    ) -> Result<StepOutput, SyncError> {
        let scope = if staged.listed_all {
            "reconcile"
        } else {
            "delta"
        };
        let output = StepOutput {
            staged: Some(Box::new(staged)),
            ..self.output(scope, Stats::new(), warnings)
        };
        let (run_id, stats, square) = (&self.run.run_id, &output.stats, &output.square);
        let (step, done) = (self.step, self.progress.done());
        succeed(&transaction, run_id, step, done, stats, square, &output).await?;
        lease::fence(&transaction, &self.lease).await?;
        transaction.commit().await?;
        Ok(output)
    }

    /// The same run, for applying what another step has staged.
    pub(crate) fn for_attempt(&self, attempt: i64) -> StepContext<'_> {
        StepContext {
            env: self.env,
            run: self.run.clone(),
            lease: self.lease.clone(),
            attempt,
            deadline: self.deadline,
            square: self.square.clone(),
            progress: Progress::default(),
            is_redriven: self.is_redriven,
            database: self.database,
            step: self.step,
            started: self.started,
        }
    }

    /// Whether the step of no other part comes before this one in its run.
    pub(crate) fn is_first(&self) -> bool {
        let parts = self.run.request.parts();
        parts.first().is_some_and(|part| part.name() == self.step)
    }

    /// As `commit`, with an answer that says more than the step's figures.
    ///
    /// # Errors
    /// As `commit`.
    pub(crate) async fn commit_as(
        &self,
        transaction: Transaction<'_>,
        figures: &StepOutput,
        output: &impl Serialize,
    ) -> Result<(), SyncError> {
        let (run_id, stats, square) = (&self.run.run_id, &figures.stats, &figures.square);
        let (step, done) = (self.step, self.progress.done());
        succeed(&transaction, run_id, step, done, stats, square, output).await?;
        lease::fence(&transaction, &self.lease).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) fn output(
        &self,
        scope: &'static str,
        stats: Stats,
        warnings: Vec<String>,
    ) -> StepOutput {
        let elapsed = self.started.elapsed();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        StepOutput {
            run_id: self.run.run_id.clone(),
            step: self.step.to_owned(),
            scope: scope.to_owned(),
            rows_per_second: stats::per_second(&stats, millis),
            stats,
            square: self.square.counters(),
            duration_ms: millis,
            warnings: text::within_limits(warnings),
            notes: text::note(self.square.cleaned()).into_iter().collect(),
            staged: None,
        }
    }

    fn log_failure(&self, error: &SyncError) {
        tracing::error!(
            run_id = self.run.run_id,
            step = self.step,
            attempt = self.attempt,
            name = error.name(),
            %error,
            "step failed"
        );
    }

    /// Records the failure; if the step's result was committed after all (a lost
    /// answer to the commit, a twin invocation), that is the result.
    async fn failed<O: DeserializeOwned>(&self, error: SyncError) -> Result<O, SyncError> {
        self.log_failure(&error);
        match timeout(LAST_WORD, self.record_failure(&error)).await {
            Ok(Ok(Some(output))) => return Ok(output),
            Ok(Ok(None)) => {}
            Ok(Err(second)) => {
                tracing::warn!(name = second.name(), error = %second, "failure not recorded");
            }
            Err(_) => tracing::warn!("failure not recorded in time"),
        }
        Err(error)
    }

    async fn record_failure<O: DeserializeOwned>(
        &self,
        error: &SyncError,
    ) -> Result<Option<O>, SyncError> {
        let client = self.database.client().await?;
        let run_id = self.run.run_id.as_str();
        let earlier = earlier_result(&client, run_id, self.step).await?;
        if earlier.is_none() {
            let (name, message) = (error.name(), error.to_string());
            let square = self.square.counters();
            store::fail_step(&client, run_id, self.step, name, &message, Some(&square)).await?;
        }
        Ok(earlier)
    }
}
