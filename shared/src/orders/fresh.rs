//! Fresh orders: what was updated since the last run, oldest change first.
//!
//! Each location has its watermark, and the locations of a chunk are asked for
//! together from the earliest of theirs; the watermark moves with each page. The
//! time before it is read once more after it has moved, because orders may show
//! up a moment late, and once a day the last four days, because sales of a till
//! that was offline may come three days late. A location without a position has no
//! orders here yet: they are read from the beginning. Scheduled runs leave out the
//! locations that no import has read; one that is newer than the import is read.

use deadpool_postgres::{Object, Transaction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::anew::Anew;
use super::chunks::{self, Chunk, OVERLAP};
use super::late::{self, Named};
use super::page::{Batch, Figures, Given, LINE_ITEMS, ORDERS, Sorter};
use super::place::Place;
use super::waiting::Waiting;
use super::{spans, store};
use crate::env::Env;
use crate::error::SyncError;
use crate::part::Part;
use crate::postgres;
use crate::run::lease;
use crate::run::request::Trigger;
use crate::run::resumed::Resumed;
use crate::run::stats::{StepOutput, total};
use crate::run::step::{self, Step, StepContext, StepInput, hand_over_at};
use crate::square::{Counters, OrderTime, SearchOrders, read_ahead};
use crate::times::Now;
use crate::{locations, text};

/// The step's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    #[serde(flatten)]
    pub step: StepOutput,
    /// Whether everything is read; else it is to be called again.
    pub done: bool,
}

/// The note of the step's calls for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// None before the first page, and in a note of an older release.
    #[serde(default)]
    plan: Option<Plan>,
    /// Batches of waiting orders that were tried again.
    #[serde(default)]
    tried: u64,
    /// Whether what cannot be read was asked for anew.
    #[serde(default)]
    has_asked: bool,
    /// Chunks that are read to their end.
    chunks: usize,
    /// The place of the chunk after them: all orders updated before are in.
    place: Option<Timestamp>,
    /// Orders that are counted and may come again from there.
    place_ids: Vec<String>,
    /// The newest change that the chunk has brought.
    #[serde(default)]
    newest: Option<Timestamp>,
    /// Whether a page of that chunk held a newer change than was known.
    moved: bool,
    /// Characters that PostgreSQL cannot hold and that were taken out.
    cleaned: u64,
    /// Some of what has drifted.
    #[serde(default)]
    drifted: Named,
}

/// The work that the step's first call has found. Later calls keep to it: watermarks
/// move with each page, so they would group the locations anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    /// When it began to ask.
    asked_at: Now,
    chunks: Vec<Chunk>,
}

pub(super) async fn sync(env: &Env, input: StepInput, step: Step) -> Result<Output, SyncError> {
    let client = env.database.client().await?;
    if let Some(output) = step::earlier_result(&client, &input.run_id, step.name).await? {
        return Ok(output);
    }
    drop(client);
    step::perform_part(env, input, step, work).await
}

async fn work(context: &StepContext<'_>) -> Result<Output, SyncError> {
    let mut client = context.env.database.client().await?;
    let listed = listed(context, &mut client).await?;
    let resumed: Resumed<Note> = Resumed::load(&client, &context.run.run_id, "orders").await?;
    let (note, mut plan) = match resumed.note.plan.clone() {
        Some(plan) => (resumed.note.clone(), plan),
        None => begin(context, &mut client, &listed, &resumed.note).await?,
    };
    let mut reading = Reading {
        context,
        sorter: Sorter::new(&client).await?,
        told: Counters::default(),
        cleaned: 0,
        place: Place::new(note.place, &note.place_ids),
        stored: resumed.note,
        note,
    };
    reading.sorter.has_counted(&reading.note.place_ids);
    if !reading.replay(&mut client, &plan).await? {
        return reading.hand_over(&client).await;
    }
    let hand_over = hand_over_at(context.deadline);
    let mut orders = 0;
    while let Some(mut chunk) = plan.chunks.get(reading.note.chunks).cloned() {
        let is_last = reading.note.chunks + 1 == plan.chunks.len();
        // One that Square has stopped to list since must not be asked for, and is not
        // read.
        chunk.location_ids.retain(|id| listed.contains(id));
        let is_there = !chunk.location_ids.is_empty();
        let request = SearchOrders::ascending(
            chunk.location_ids.clone(),
            OrderTime::UpdatedAt,
            Some(reading.note.place.unwrap_or(chunk.start_at)),
            None,
            context.env.settings.orders_batch_size,
        );
        let list = is_there.then(|| context.square.search_orders(request));
        let mut pages = read_ahead(list.into_iter().collect(), 1);
        let mut is_refused = false;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                // It must not keep the orders of all others out.
                Err(SyncError::SquareRejected { .. })
                    if chunk.location_ids.len() > 1 || !chunk.put_off && !is_last =>
                {
                    is_refused = true;
                    break;
                }
                Err(error) => return Err(error),
            };
            let batch = reading.sorter.sort(page, |_| true);
            let Some(counted) = reading.commit(&mut client, &chunk, &batch).await? else {
                return reading.hand_over(&client).await;
            };
            orders += counted;
            // At least one order a call, or it would never end.
            if orders > 0 && tokio::time::Instant::now() >= hand_over {
                return reading.hand_over(&client).await;
            }
        }
        if is_refused {
            if !reading.put_off(&mut client, &mut plan).await? {
                return reading.hand_over(&client).await;
            }
            continue;
        }
        match reading.finish(&mut client, &plan, &chunk, is_last).await? {
            Finished::Chunk => {}
            Finished::Step(output) => return Ok(*output),
            Finished::ByAnother => return reading.hand_over(&client).await,
        }
    }
    // There is no location at all.
    match reading.close(&mut client).await? {
        Finished::Step(output) => Ok(*output),
        _ => reading.hand_over(&client).await,
    }
}

/// The step's first call: what is to be read, and the note that says so. A note of an
/// older release says only that a call came before: what that one has read, the
/// watermarks tell.
async fn begin(
    context: &StepContext<'_>,
    client: &mut Object,
    listed: &[String],
    before: &Note,
) -> Result<(Note, Plan), SyncError> {
    let asked_at = postgres::now(client).await?;
    let (run_id, is_scheduled) = (&context.run.run_id, is_scheduled(context));
    let transaction = context.begin(client).await?;
    let mut noted = chunks::heal(&transaction).await?;
    if !is_scheduled {
        noted += chunks::leave_out(&transaction, listed, run_id).await?;
    }
    if noted > 0 {
        lease::fence(&transaction, &context.lease).await?;
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    let mut location_ids = listed.to_vec();
    if is_scheduled {
        let left_out = chunks::left_out(client).await?;
        location_ids.retain(|id| !left_out.contains(id));
    }
    let marks = chunks::marks(context, client).await?;
    let plan = Plan {
        asked_at,
        chunks: chunks::chunks(location_ids, &marks),
    };
    let note = Note {
        plan: Some(plan.clone()),
        place_ids: before.place_ids.clone(),
        cleaned: before.cleaned,
        ..Note::default()
    };
    Ok((note, plan))
}

fn is_scheduled(context: &StepContext<'_>) -> bool {
    context.run.request.trigger == Trigger::Schedule
}

/// The locations to ask for. The locations step of this run has just listed them.
async fn listed(context: &StepContext<'_>, client: &mut Object) -> Result<Vec<String>, SyncError> {
    let parts = context.run.request.parts();
    let mut ids: Vec<String> = if parts.contains(&Part::Locations) {
        let rows = client.query(locations::store::LISTED, &[]).await?;
        rows.iter().map(|row| row.get(0)).collect()
    } else {
        locations::ensure(context, client).await?
    };
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Fresh orders while one call reads them.
struct Reading<'a> {
    context: &'a StepContext<'a>,
    sorter: Sorter,
    told: Counters,
    cleaned: u64,
    /// The place of the chunk that is being read.
    place: Place,
    /// The note in the step's record, unless another invocation has changed it.
    stored: Note,
    note: Note,
}

/// The part of the work that came to its end.
enum Finished {
    Chunk,
    Step(Box<Output>),
    /// Another invocation of this step has read on meanwhile.
    ByAnother,
}

impl Reading<'_> {
    /// Tries orders again that wait in quarantine, and with a look-back asks anew for
    /// those that cannot be read. Returns false if another invocation has read on
    /// meanwhile.
    async fn replay(&mut self, client: &mut Object, plan: &Plan) -> Result<bool, SyncError> {
        let mut waiting = Waiting::default();
        while let Some(batch) = waiting.next(client, &mut self.sorter).await? {
            if !self.write_waiting(client, &batch).await? {
                return Ok(false);
            }
        }
        // A location without orders has no position, and seems new in every run.
        let looks_back = |chunk: &Chunk| chunk.looks_back && chunk.position.is_some();
        if self.note.has_asked || !plan.chunks.iter().any(looks_back) {
            return Ok(true);
        }
        let (square, run_id) = (&self.context.square, &self.context.run.run_id);
        let mut anew = Anew::load(client, square, run_id).await?;
        while let Some(page) = anew.next().await {
            let batch = self.sorter.sort_asked(page);
            if !self.write_waiting(client, &batch).await? {
                return Ok(false);
            }
        }
        self.note.has_asked = true;
        Ok(true)
    }

    async fn write_waiting(
        &mut self,
        client: &mut Object,
        batch: &Batch,
    ) -> Result<bool, SyncError> {
        let mut transaction = self.context.begin(client).await?;
        let figures = batch
            .write(&mut transaction, &self.context.run.run_id)
            .await?;
        self.note.tried += 1;
        if self.record(&transaction, &figures).await?.is_none() {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Writes a page, and moves the chunk's watermarks with it. Returns how many orders
    /// it counted, or nothing if another invocation has read on meanwhile.
    async fn commit(
        &mut self,
        client: &mut Object,
        chunk: &Chunk,
        batch: &Batch,
    ) -> Result<Option<i64>, SyncError> {
        let mut transaction = self.context.begin(client).await?;
        let (run_id, expected) = (&self.context.run.run_id, chunk.expected_before);
        let figures = batch
            .write_expected(&mut transaction, run_id, expected)
            .await?;
        self.advance(batch, chunk);
        if let Some(place) = self.note.place {
            self.move_watermarks(&transaction, chunk, place).await?;
        }
        if self.record(&transaction, &figures).await?.is_none() {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(figures.orders.given()))
    }

    /// Moves the place on past a page. An order that was changed just now may still be
    /// listed by the change before: what it says of its time counts at the list's end.
    fn advance(&mut self, batch: &Batch, chunk: &Chunk) {
        let now = self.sorter.now;
        let known = |given: &Given| now.known(given.updated_at);
        let newest = batch.newest(known).map(spans::floor);
        self.note.moved |= newest > chunk.position;
        self.note.newest = self.note.newest.max(newest);
        let can_be = chunk.start_at..now.rested_since(OVERLAP);
        self.place.pass(batch, |given| {
            known(given).filter(|time| can_be.contains(time))
        });
        self.note.place = self.place.at;
        self.note.place_ids = self.place.counted();
    }

    async fn move_watermarks(
        &self,
        transaction: &Transaction<'_>,
        chunk: &Chunk,
        position: Timestamp,
    ) -> Result<(), SyncError> {
        let run_id = &self.context.run.run_id;
        transaction
            .execute(ADVANCE, &[&chunk.lists(), &position, run_id])
            .await?;
        Ok(())
    }

    /// Adds to the step's record, unless another invocation has.
    async fn record(
        &mut self,
        transaction: &Transaction<'_>,
        figures: &Figures,
    ) -> Result<Option<Resumed<Note>>, SyncError> {
        let run_id = &self.context.run.run_id;
        lease::fence(transaction, &self.context.lease).await?;
        let mut resumed: Resumed<Note> = Resumed::load(transaction, run_id, "orders").await?;
        if resumed.is_done || resumed.note != self.stored {
            return Ok(None);
        }
        resumed.count(ORDERS, &figures.orders);
        resumed.count(LINE_ITEMS, &figures.lines);
        late::add(&mut self.note.drifted, figures.drifted.clone());
        resumed.asked(&self.context.square.counters(), &mut self.told);
        let cleaned = self.context.square.cleaned();
        self.note.cleaned += cleaned - self.cleaned;
        self.cleaned = cleaned;
        resumed.note = self.note.clone();
        self.stored = self.note.clone();
        let done = resumed.given(ORDERS);
        resumed
            .save(transaction, run_id, "orders", done, None)
            .await?;
        Ok(Some(resumed))
    }

    /// Leaves a chunk that Square refuses for the end: its locations one by one, for it
    /// may be for one of them; the refusal of one alone is the step's. Returns false if
    /// another invocation has read on meanwhile.
    async fn put_off(&mut self, client: &mut Object, plan: &mut Plan) -> Result<bool, SyncError> {
        let chunk = plan.chunks.remove(self.note.chunks);
        let put_off = chunk.location_ids.len() == 1;
        let start_at = self.note.place.unwrap_or(chunk.start_at);
        plan.chunks
            .extend(chunk.location_ids.iter().map(|id| Chunk {
                location_ids: vec![id.clone()],
                start_at,
                put_off,
                ..chunk.clone()
            }));
        self.note = Note {
            plan: Some(plan.clone()),
            has_asked: self.note.has_asked,
            chunks: self.note.chunks,
            cleaned: self.note.cleaned,
            drifted: std::mem::take(&mut self.note.drifted),
            ..Note::default()
        };
        self.place = Place::new(None, &[]);
        let transaction = self.context.begin(client).await?;
        let recorded = self.record(&transaction, &Figures::default()).await?;
        transaction.commit().await?;
        Ok(recorded.is_some())
    }

    /// The chunk is read to its end; with the last one, so is the step.
    async fn finish(
        &mut self,
        client: &mut Object,
        plan: &Plan,
        chunk: &Chunk,
        is_last: bool,
    ) -> Result<Finished, SyncError> {
        let run_id = &self.context.run.run_id;
        let transaction = self.context.begin(client).await?;
        if let Some(newest) = self.note.newest {
            self.move_watermarks(&transaction, chunk, newest).await?;
        }
        let lists = chunk.lists();
        let (settled, rested_since) = (!self.note.moved, plan.asked_at.rested_since(OVERLAP));
        transaction
            .execute(
                SETTLE,
                &[&lists, &settled, &chunk.looks_back, run_id, &rested_since],
            )
            .await?;
        self.note = Note {
            plan: self.note.plan.take(),
            has_asked: self.note.has_asked,
            chunks: self.note.chunks + 1,
            cleaned: self.note.cleaned,
            drifted: std::mem::take(&mut self.note.drifted),
            ..Note::default()
        };
        self.place = Place::new(None, &[]);
        let Some(resumed) = self.record(&transaction, &Figures::default()).await? else {
            return Ok(Finished::ByAnother);
        };
        let finished = if is_last {
            Finished::Step(Box::new(self.succeed(&transaction, &resumed).await?))
        } else {
            Finished::Chunk
        };
        transaction.commit().await?;
        Ok(finished)
    }

    async fn close(&mut self, client: &mut Object) -> Result<Finished, SyncError> {
        let transaction = self.context.begin(client).await?;
        let Some(resumed) = self.record(&transaction, &Figures::default()).await? else {
            return Ok(Finished::ByAnother);
        };
        let output = self.succeed(&transaction, &resumed).await?;
        transaction.commit().await?;
        Ok(Finished::Step(Box::new(output)))
    }

    async fn succeed(
        &self,
        transaction: &Transaction<'_>,
        resumed: &Resumed<Note>,
    ) -> Result<Output, SyncError> {
        let run_id = &self.context.run.run_id;
        store::analyze(transaction, total([&resumed.stats]).written()).await?;
        let output = self.output(resumed, true);
        let (stats, square) = (&resumed.stats, &resumed.square);
        let done = resumed.given(ORDERS);
        step::succeed(transaction, run_id, "orders", done, stats, square, &output).await?;
        Ok(output)
    }

    async fn hand_over(&self, client: &Object) -> Result<Output, SyncError> {
        let run_id = &self.context.run.run_id;
        let resumed = Resumed::load(client, run_id, "orders").await?;
        Ok(self.output(&resumed, false))
    }

    fn output(&self, resumed: &Resumed<Note>, done: bool) -> Output {
        let run_id = &self.context.run.run_id;
        let warnings = late::warnings(&resumed.stats, &resumed.note.drifted);
        Output {
            step: StepOutput {
                notes: text::note(resumed.note.cleaned).into_iter().collect(),
                ..resumed.output(run_id, "orders", "delta", warnings)
            },
            done,
        }
    }
}

/// Watermarks never move back, nor into times still to come. Parameters: lists,
/// position, run id.
const ADVANCE: &str = "
    insert into sync_watermarks as w (list, position, settled, updated_by_run)
    select list, least($2::timestamptz, now()), false, $3 from unnest($1::text[]) as given (list)
    on conflict (list) do update set position = excluded.position,
        settled = false, updated_by_run = excluded.updated_by_run
        where w.position is null or w.position < excluded.position or w.position > now()";

/// The lists are read to their end. A position is settled once the time before it was
/// read again after it had rested. Parameters: lists, whether nothing new came, whether
/// the look-back is done, run id, up to which moment positions have rested.
const SETTLE: &str = "
    insert into sync_watermarks as w (list, settled, reconciled_at, counts_drift, updated_by_run)
    select list, false, case when $3 then now() end, $3, $4 from unnest($1::text[]) as given (list)
    on conflict (list) do update set
        settled = $2 and coalesce(w.position < $5::timestamptz, false),
        reconciled_at = coalesce(excluded.reconciled_at, w.reconciled_at),
        counts_drift = w.counts_drift or $3, kept_fresh = true, updated_by_run = excluded.updated_by_run";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 2] = [ADVANCE, SETTLE];
