//! Fresh orders: what was updated since the last run, oldest change first.
//!
//! Each location has its watermark, and the locations of a chunk are asked for
//! together from the earliest of theirs; the watermark moves with each page. The
//! time before it is read once more after it has moved, because orders may show
//! up a moment late, and once a day the last four days, because sales of a till
//! that was offline may come three days late. A location without a position has no
//! orders here yet: they are read from the beginning. Scheduled runs leave out the
//! locations that no import has read; one that is newer than the import is read.

use std::collections::BTreeSet;

use deadpool_postgres::{Object, Transaction};
use jiff::Timestamp;

use super::anew::Anew;
use super::chunks::{self, ADVANCE, Chunk, OVERLAP, SETTLE};
use super::page::{Batch, Figures, Given, Sorter};
use super::place::Place;
use super::reading::{Note, Output, Plan, Reading};
use super::scrub::{self, Ended};
use super::spans;
use super::waiting::Waiting;
use crate::env::Env;
use crate::error::SyncError;
use crate::locations;
use crate::part::Part;
use crate::postgres;
use crate::run::lease;
use crate::run::request::Trigger;
use crate::run::resumed::Resumed;
use crate::run::step::{self, Step, StepContext, StepInput, hand_over_at};
use crate::square::{Counters, OrderTime, SearchOrders, read_ahead};

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
        let ends_step = is_last && reading.note.scrub.is_none();
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
        match reading
            .finish(&mut client, &plan, &chunk, ends_step)
            .await?
        {
            Finished::Chunk => {}
            Finished::Step(output) => return Ok(*output),
            Finished::ByAnother => return reading.hand_over(&client).await,
        }
    }
    if let Ended::HandsOver = reading.scrub(&mut client, &listed, hand_over).await? {
        return reading.hand_over(&client).await;
    }
    match reading.close(&mut client).await? {
        Some(output) => Ok(output),
        None => reading.hand_over(&client).await,
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
    let left_out = if is_scheduled {
        chunks::left_out(&transaction).await?
    } else {
        BTreeSet::new()
    };
    let scrub = scrub::plan(context, &transaction, listed, asked_at).await?;
    if noted > 0 || scrub.is_some() {
        lease::fence(&transaction, &context.lease).await?;
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    let mut location_ids = listed.to_vec();
    location_ids.retain(|id| !left_out.contains(id));
    let marks = chunks::marks(context, client).await?;
    let plan = Plan {
        asked_at,
        chunks: chunks::chunks(location_ids, &marks),
    };
    let note = Note {
        plan: Some(plan.clone()),
        place_ids: before.place_ids.clone(),
        cleaned: before.cleaned,
        scrub,
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
            scrub: self.note.scrub.take(),
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
        ends_step: bool,
    ) -> Result<Finished, SyncError> {
        let run_id = &self.context.run.run_id;
        let transaction = self.context.begin(client).await?;
        if let Some(newest) = self.note.newest {
            self.move_watermarks(&transaction, chunk, newest).await?;
        }
        let lists = chunk.lists();
        let (settled, rested_since) = (!self.note.moved, plan.asked_at.rested_since(OVERLAP));
        let since = chunk.position.is_none().then_some(spans::HISTORY_BEGINS);
        transaction
            .execute(
                SETTLE,
                &[
                    &lists,
                    &settled,
                    &chunk.looks_back,
                    run_id,
                    &rested_since,
                    &since,
                ],
            )
            .await?;
        self.note = Note {
            plan: self.note.plan.take(),
            has_asked: self.note.has_asked,
            chunks: self.note.chunks + 1,
            cleaned: self.note.cleaned,
            drifted: std::mem::take(&mut self.note.drifted),
            scrub: self.note.scrub.take(),
            ..Note::default()
        };
        self.place = Place::new(None, &[]);
        let Some(resumed) = self.record(&transaction, &Figures::default()).await? else {
            return Ok(Finished::ByAnother);
        };
        let finished = if ends_step {
            Finished::Step(Box::new(self.succeed(&transaction, &resumed).await?))
        } else {
            Finished::Chunk
        };
        transaction.commit().await?;
        Ok(finished)
    }
}
