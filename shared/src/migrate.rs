//! The migration: the schema brought up to this release, and then the order
//! tables derived anew from `orders.raw`, because a release may read more out of
//! an order than the one before. Square is not asked.
//!
//! Deriving goes over all orders by their ids, batch by batch. Each batch commits
//! with its place, and rows that come out equal are not touched: a run that is
//! stopped loses nothing, and a second one finds little to do.

use deadpool_postgres::Object;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::SyncError;
use crate::orders::hand_over_at;
use crate::orders::page::Intake;
use crate::orders::rows::OrderRows;
use crate::orders::store::{self as orders, Origin};
use crate::orders::waiting::Waiting;
use crate::postgres::{Database, schema};
use crate::run::part::Draft;
use crate::run::stats::{Counts, Stats, StepOutput, total};
use crate::run::step::{self, Step, StepInput};
use crate::run::store::{Run, begin_part};
use crate::run::{lease, lease::Lease};
use crate::square::{Counters, Order};

/// Orders a batch: as many as fit a short transaction and little memory.
const BATCH: i64 = 1_000;

/// A call may take as long as Lambda allows, less what it needs to say so.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(890);

/// What the state machine hands over.
#[derive(Debug, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    pub step: StepInput,
    pub work: Work,
}

/// What is to be done.
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

/// From which version the schema came to which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub run_id: String,
    pub from_version: i64,
    pub to_version: i64,
}

/// What became of the order tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rederived {
    #[serde(flatten)]
    pub step: StepOutput,
    /// Whether all orders were gone over; else it is to be called again.
    pub done: bool,
}

/// What the calls note for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The id of the last order that was gone over.
    place: Option<String>,
    /// How many orders there were when it began.
    total: Option<i64>,
    /// Orders that this release cannot read; their rows stay as they are.
    unreadable: i64,
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
    begin_part(&**client, &run.run_id, name).await?;
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
            Work::Rederive => job.rederive().await.map(Output::Rederive),
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
        let (stats, square) = (Stats::new(), Counters::default());
        let run_id = &self.run.run_id;
        step::succeed(&transaction, run_id, "migrate", &stats, &square, &output).await?;
        lease::fence(&*transaction, &self.lease).await?;
        transaction.commit().await?;
        Ok(output)
    }

    async fn rederive(&self) -> Result<Rederived, SyncError> {
        let mut client = self.database.client().await?;
        let run_id = &self.run.run_id;
        let currencies = orders::locations(&client).await?;
        let hand_over = hand_over_at(self.deadline);
        loop {
            let transaction = step::begin(&mut client).await?;
            // Here rather than at the end: a second invocation of this step has
            // to wait, and then goes on from where this one has come.
            lease::fence(&*transaction, &self.lease).await?;
            let mut draft: Draft<Note> = Draft::load(&*transaction, run_id, "rederive").await?;
            if draft.is_done {
                // Its answer is there for the call that follows.
                return Ok(rederived(&draft, run_id, false));
            }
            let orders_count = match draft.note.total {
                Some(count) => count,
                None => transaction.query_one(COUNT, &[]).await?.get(0),
            };
            draft.note.total = Some(orders_count);
            orders::ACCESS.enter(&*transaction).await?;
            let rows = transaction
                .query(
                    NEXT,
                    &[&draft.note.place.as_deref().unwrap_or_default(), &BATCH],
                )
                .await?;
            let Some(last) = rows.last() else {
                drop(rows);
                drop(transaction);
                return self.try_waiting(&mut client, hand_over).await;
            };
            let place = last.get(0);
            let mut page = Vec::with_capacity(rows.len());
            for row in &rows {
                let source: &str = row.get(1);
                let Ok(order) = serde_json::from_str::<Order>(source) else {
                    draft.note.unreadable += 1;
                    continue;
                };
                let location_id = order.location_id.as_ref();
                let currency = location_id.and_then(|id| currencies.get(id)?.as_deref());
                page.push(OrderRows::derive(order, source, currency));
            }
            drop(rows);
            let fates = orders::apply(&transaction, Origin::Raw, &page, run_id).await?;
            for fate in fates.values() {
                draft.count("orders", &fate.order);
                draft.count("line_items", &fate.lines);
            }
            draft.note.place = Some(place);
            let done = draft.stats.get("orders").map_or(0, Counts::given);
            draft
                .save(
                    &*transaction,
                    run_id,
                    "rederive",
                    done,
                    Some(orders_count.max(done)),
                )
                .await?;
            transaction.commit().await?;
            if Instant::now() >= hand_over {
                return Ok(rederived(&draft, run_id, false));
            }
        }
    }

    /// Ends the step with the orders in quarantine: this release may read more of them
    /// than the one that set them aside.
    async fn try_waiting(
        &self,
        client: &mut Object,
        hand_over: Instant,
    ) -> Result<Rederived, SyncError> {
        let run_id = &self.run.run_id;
        let (mut intake, mut waiting) = (Intake::new(client).await?, Waiting::default());
        loop {
            let batch = waiting.next(client, &mut intake).await?;
            let mut transaction = step::begin(client).await?;
            lease::fence(&*transaction, &self.lease).await?;
            let mut draft: Draft<Note> = Draft::load(&*transaction, run_id, "rederive").await?;
            if draft.is_done {
                return Ok(rederived(&draft, run_id, false));
            }
            let Some(batch) = batch else {
                let written = total([&draft.stats]).written();
                orders::analyze(&transaction, written).await?;
                let output = rederived(&draft, run_id, true);
                let (stats, square) = (&draft.stats, &draft.square);
                step::succeed(&transaction, run_id, "rederive", stats, square, &output).await?;
                transaction.commit().await?;
                return Ok(output);
            };
            let figures = batch.write(&mut transaction, run_id).await?;
            draft.count("orders", &figures.orders);
            draft.count("line_items", &figures.lines);
            let done = draft.stats.get("orders").map_or(0, Counts::given);
            draft
                .save(&*transaction, run_id, "rederive", done, None)
                .await?;
            transaction.commit().await?;
            if Instant::now() >= hand_over {
                return Ok(rederived(&draft, run_id, false));
            }
        }
    }
}

fn rederived(draft: &Draft<Note>, run_id: &str, done: bool) -> Rederived {
    let mut warnings = Vec::new();
    if draft.note.unreadable > 0 {
        warnings.push(format!(
            "{} order(s) cannot be read by this release; their rows stay as they were.",
            draft.note.unreadable
        ));
    }
    Rederived {
        step: draft.output(run_id, "rederive", "rederive", warnings),
        done,
    }
}

/// By a column that no index has: so the table is read, and read in its own order.
const COUNT: &str = "select count(is_return) from orders";

/// The next orders by their ids. Parameters: the last id gone over, or an empty
/// text, and how many.
const NEXT: &str = "select id, raw::text from orders where id > $1 order by id limit $2";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 2] = [COUNT, NEXT];
