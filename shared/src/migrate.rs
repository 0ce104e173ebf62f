//! The migration: the schema brought up to this release, and then the order
//! tables derived anew from what is stored. Square is not asked.

use deadpool_postgres::Object;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::SyncError;
use crate::orders::{Rederived, Rederiving};
use crate::postgres::{Database, schema};
use crate::run::stats::Stats;
use crate::run::step::{self, Step, StepInput};
use crate::run::store::{Run, start_step};
use crate::run::{lease, lease::Lease};
use crate::square::Counters;

/// A call may take as long as Lambda allows, less what it needs to say so.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(890);

/// The input from the state machine.
#[derive(Debug, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    pub step: StepInput,
    pub work: Work,
}

/// The work to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Apply the migrations that the database lacks.
    Schema,
    /// Derive the order tables anew, as far as time allows.
    Rederive,
}

/// The answer, of one shape for each kind of work.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Output {
    Schema(Schema),
    Rederive(Rederived),
}

/// A release may read more of Square than the one before: what the next whole listing
/// changes is no drift.
const FORGIVE: &str = "update sync_watermarks set counts_drift = false where counts_drift";

/// From which version the schema came to which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub run_id: String,
    pub from_version: i64,
    pub to_version: i64,
}

/// Does the work that the state machine asks for.
///
/// # Errors
/// The database's, `StepTimeout`, `LeaseLost`, `Cancelled`.
pub async fn handle(
    database: &Database,
    input: Input,
    lambda_deadline: Instant,
) -> Result<Output, SyncError> {
    let name = match input.work {
        Work::Schema => "migrate",
        Work::Rederive => "rederive",
    };
    let step = Step {
        name,
        timeout: TIMEOUT,
        timeout_setting: "the function's time-out",
        lambda_deadline,
    };
    let deadline = step.deadline();
    let client = database.client().await?;
    if let Some(output) = earlier_result(&client, &input).await? {
        return Ok(output);
    }
    let (run, lease) = step::enter(&client, &input.step).await?;
    start_step(&client, &run.run_id, name, true).await?;
    drop(client);
    let of_run = database.for_run(&run.run_id, deadline)?;
    let job = Job {
        database: &of_run,
        run,
        lease,
        deadline,
    };
    let work = Box::pin(async {
        match input.work {
            Work::Schema => job.migrate().await.map(Output::Schema),
            Work::Rederive => job.rederiving().work().await.map(Output::Rederive),
        }
    });
    let databases = (database, &of_run);
    let result = step::drive(databases, &job.lease, (step, deadline), None, work).await;
    if let Err(error) = &result {
        let run_id = job.run.run_id.as_str();
        tracing::error!(run_id, step = name, name = error.name(), %error, "step failed");
    }
    result
}

async fn earlier_result(client: &Object, input: &Input) -> Result<Option<Output>, SyncError> {
    let run_id = &input.step.run_id;
    Ok(match input.work {
        Work::Schema => step::earlier_result(client, run_id, "migrate")
            .await?
            .map(Output::Schema),
        Work::Rederive => step::earlier_result(client, run_id, "rederive")
            .await?
            .map(Output::Rederive),
    })
}

/// One call's work.
struct Job<'a> {
    /// Over sessions that end with the call.
    database: &'a Database,
    run: Run,
    lease: Lease,
    deadline: Instant,
}

impl Job<'_> {
    async fn migrate(&self) -> Result<Schema, SyncError> {
        let mut client = self.database.client().await?;
        let from_version = schema::found(&client).await?;
        schema::upgrade(self.database).await?;
        let output = Schema {
            run_id: self.run.run_id.clone(),
            from_version,
            to_version: schema::found(&client).await?,
        };
        let transaction = step::begin(&mut client).await?;
        transaction.execute(FORGIVE, &[]).await?;
        let (stats, square) = (Stats::new(), Counters::default());
        let run_id = &self.run.run_id;
        step::succeed(&transaction, run_id, "migrate", 0, &stats, &square, &output).await?;
        lease::fence(&transaction, &self.lease).await?;
        transaction.commit().await?;
        Ok(output)
    }

    fn rederiving(&self) -> Rederiving<'_> {
        Rederiving {
            database: self.database,
            run_id: &self.run.run_id,
            lease: &self.lease,
            deadline: self.deadline,
        }
    }
}
