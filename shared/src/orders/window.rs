//! One window of the import: its orders by their time of creation, page by page.
//!
//! The place is a time, not Square's cursor, which dies within minutes. It is
//! part of what is read again after an interruption, since more orders may have
//! been made in the same moment; those that were read are remembered, so that
//! none is counted twice.

use deadpool_postgres::{Object, Transaction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outage::{self, CutOff};
use super::page::{Batch, Figures, Given, Sorter};
use super::place::Place;
use super::types::{LINE_ITEMS, ORDERS};
use super::{spans, store};
use crate::env::Env;
use crate::error::SyncError;
use crate::run::lease;
use crate::run::request::Request;
use crate::run::resumed::Resumed;
use crate::run::stats::{StepOutput, total};
use crate::run::step::{self, Step, StepContext, StepInput, hand_over_at};
use crate::square::{Counters, OrderTime, SearchOrders, read_ahead};
use crate::text;

/// The window's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    pub run_id: String,
    pub window_id: i64,
    /// Whether it is read to its end; else it is to be called again.
    pub done: bool,
    /// Orders that this call has read.
    pub orders: i64,
    /// Whether an outage has ended the import. No further call reads the window;
    /// the next import does.
    pub cut_off: bool,
    /// The outage's error.
    #[serde(flatten)]
    pub outage: Option<CutOff>,
}

/// The note of the import's calls in their step's record.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Note {
    windows: Windows,
    /// Characters that PostgreSQL cannot hold and that were taken out.
    cleaned: u64,
}

/// The number of windows, and of those that are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Windows {
    done: i64,
    total: i64,
}

/// The answer of the whole step.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    step: StepOutput,
    windows: Windows,
}

/// Sums up what the import's calls did, all together.
pub(super) fn summary(resumed: &Resumed<Note>, run_id: &str) -> Summary {
    Summary {
        step: StepOutput {
            notes: text::note(resumed.note.cleaned).into_iter().collect(),
            ..resumed.output(run_id, "orders", "history", Vec::new())
        },
        windows: resumed.note.windows,
    }
}

/// A row of `sync_order_windows`.
struct Window {
    id: i64,
    location_ids: Vec<String>,
    begins_at: Timestamp,
    ends_at: Timestamp,
    /// Whether it brings orders of times still to come, too.
    is_open: bool,
    place: Place,
    done: bool,
}

pub(super) async fn read(
    env: &Env,
    input: StepInput,
    step: Step,
    window_id: i64,
) -> Result<Output, SyncError> {
    let called = input.clone();
    let work = async |context: &StepContext<'_>| work(context, &called, window_id).await;
    match step::perform_part(env, input, step, work).await {
        Ok(output) => Ok(output),
        Err(error) => {
            let outage = outage::failed(env, &called, window_id, error).await?;
            Ok(Output::cut_off(&called.run_id, window_id, outage))
        }
    }
}

async fn work(
    context: &StepContext<'_>,
    input: &StepInput,
    window_id: i64,
) -> Result<Output, SyncError> {
    let mut client = context.env.database.client().await?;
    let window = Window::load(&client, &context.run.run_id, window_id).await?;
    if window.done {
        return Ok(window.output(context, true, 0));
    }
    if let Some(outage) = outage::cut_off(&client, input, window_id).await? {
        tracing::warn!(window_id, name = outage.error, "the import is cut off");
        return Ok(Output::cut_off(&input.run_id, window_id, outage));
    }
    let mut reading = Reading::new(context, &client, window).await?;
    let limit = context.env.settings.orders_batch_size;
    let end = reading.window.end(&context.run.request);
    let request = reading.window.request(end, limit);
    let mut pages = read_ahead(vec![context.square.search_orders(request)], 1);
    let hand_over = hand_over_at(context.deadline);
    let mut orders = 0;
    loop {
        let page = tokio::select! {
            page = pages.next() => page?,
            // At least one page a call, or it would never end.
            () = tokio::time::sleep_until(hand_over), if orders > 0 => {
                return Ok(reading.window.output(context, false, orders));
            }
        };
        let Some(page) = page else {
            let done = reading.finish(&mut client).await?;
            return Ok(reading.window.output(context, done, orders));
        };
        let batch = reading.sorter.sort(page, |order| {
            // The end belongs to the window that begins with it. Whatever else an order
            // says of its time: Square gives it in this window, and in no other.
            order.created_at != Some(end)
        });
        let Some(counted) = reading.commit(&mut client, &batch).await? else {
            // Another invocation has read on meanwhile: let the next call see.
            return Ok(reading.window.output(context, false, orders));
        };
        orders += counted;
        if tokio::time::Instant::now() >= hand_over && orders > 0 {
            return Ok(reading.window.output(context, false, orders));
        }
    }
}

impl Output {
    fn cut_off(run_id: &str, window_id: i64, outage: CutOff) -> Self {
        Self {
            run_id: run_id.to_owned(),
            window_id,
            done: false,
            orders: 0,
            cut_off: true,
            outage: Some(outage),
        }
    }
}

impl Window {
    async fn load(client: &Object, run_id: &str, window_id: i64) -> Result<Self, SyncError> {
        let row = client
            .query_opt(
                "select location_ids, begins_at, ends_at, is_open, place, place_ids,
                     done_at is not null as done
                 from sync_order_windows where window_id = $1 and run_id = $2",
                &[&window_id, &run_id],
            )
            .await?;
        let Some(row) = row else {
            return Err(SyncError::input("window_id", "names no window of this run"));
        };
        Ok(Self {
            id: window_id,
            location_ids: row.get("location_ids"),
            begins_at: row.get("begins_at"),
            ends_at: row.get("ends_at"),
            is_open: row.get("is_open"),
            place: Place::new(row.get("place"), &row.get::<_, Vec<String>>("place_ids")),
            done: row.get("done"),
        })
    }

    /// Where what is read ends; the end itself is no part of it. An open window ends with
    /// what was asked for, at the latest: its own end is only how far it is done.
    fn end(&self, asked: &Request) -> Timestamp {
        if self.is_open {
            asked.to.unwrap_or(Timestamp::MAX).min(spans::FUTURE_ENDS)
        } else {
            self.ends_at
        }
    }

    fn request(&self, end: Timestamp, limit: u32) -> SearchOrders {
        SearchOrders::ascending(
            self.location_ids.clone(),
            OrderTime::CreatedAt,
            Some(self.place.at.unwrap_or(self.begins_at)),
            Some(end),
            limit,
        )
    }

    fn output(&self, context: &StepContext<'_>, done: bool, orders: i64) -> Output {
        Output {
            run_id: context.run.run_id.clone(),
            window_id: self.id,
            done,
            orders,
            cut_off: false,
            outage: None,
        }
    }

    /// Returns what another invocation would have changed: the place, and the number of
    /// ids at it.
    fn standing(&self) -> (Option<Timestamp>, i32) {
        let ids = i32::try_from(self.place.counted().len()).unwrap_or(i32::MAX);
        (self.place.at, ids)
    }

    /// Moves the place on past a page. A time outside of the window says nothing of it.
    fn advance(&mut self, batch: &Batch) {
        let (begins_at, ends_at) = (self.begins_at, self.ends_at);
        let created_at = |given: &Given| {
            given
                .created_at
                .filter(|time| (begins_at..ends_at).contains(time))
        };
        self.place.pass(batch, created_at);
    }
}

/// A window while one call reads it.
struct Reading<'a> {
    context: &'a StepContext<'a>,
    window: Window,
    sorter: Sorter,
    /// The requests to Square that the step's record has been told of.
    told: Counters,
    cleaned: u64,
}

impl<'a> Reading<'a> {
    async fn new(
        context: &'a StepContext<'a>,
        client: &Object,
        window: Window,
    ) -> Result<Self, SyncError> {
        let mut sorter = Sorter::new(client).await?;
        sorter.has_counted(&window.place.counted());
        Ok(Self {
            context,
            window,
            sorter,
            told: Counters::default(),
            cleaned: 0,
        })
    }

    /// Writes a page with its place and its figures; returns how many orders it
    /// counted, or nothing if another invocation was faster.
    async fn commit(
        &mut self,
        client: &mut Object,
        batch: &Batch,
    ) -> Result<Option<i64>, SyncError> {
        let run_id = &self.context.run.run_id;
        let mut transaction = self.context.begin(client).await?;
        // A page that is lost to a crash is lost together with its place. What
        // says that the window is done reaches the disk after all its pages.
        transaction
            .batch_execute("set local synchronous_commit = off")
            .await?;
        let figures = batch.write(&mut transaction, run_id).await?;
        let before = self.window.standing();
        self.window.advance(batch);
        let Some(resumed) = self.note(&transaction, before, &figures, false).await? else {
            return Ok(None);
        };
        self.save(&transaction, &resumed).await?;
        transaction.commit().await?;
        Ok(Some(figures.orders.given()))
    }

    /// The window is read; with the last one, so is the step. Returns false if
    /// another invocation has read on meanwhile.
    async fn finish(&mut self, client: &mut Object) -> Result<bool, SyncError> {
        let run_id = &self.context.run.run_id;
        let transaction = self.context.begin(client).await?;
        let (before, nothing) = (self.window.standing(), Figures::default());
        let Some(resumed) = self.note(&transaction, before, &nothing, true).await? else {
            return Ok(false);
        };
        let windows = resumed.note.windows;
        if windows.done == windows.total {
            let beside = self.context.env.database.client().await?;
            let written = total([&resumed.stats]).written();
            store::analyze_beside(&transaction, &beside, written).await?;
            let output = summary(&resumed, run_id);
            let (stats, square) = (&resumed.stats, &resumed.square);
            let done = resumed.given(ORDERS);
            step::succeed(&transaction, run_id, "orders", done, stats, square, &output).await?;
        } else {
            self.save(&transaction, &resumed).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes the window's place and adds to the step's record, for which windows
    /// wait on each other: last of all, so that it is not for long.
    async fn note(
        &mut self,
        transaction: &Transaction<'_>,
        (place, place_ids): (Option<Timestamp>, i32),
        figures: &Figures,
        done: bool,
    ) -> Result<Option<Resumed<Note>>, SyncError> {
        let run_id = &self.context.run.run_id;
        lease::fence(transaction, &self.context.lease).await?;
        let moved = transaction
            .execute(
                MOVE_PLACE,
                &[
                    &self.window.id,
                    &self.window.place.at,
                    &self.window.place.counted(),
                    &done,
                    &place,
                    &place_ids,
                ],
            )
            .await?;
        if moved == 0 {
            return Ok(None);
        }
        let mut resumed: Resumed<Note> = Resumed::load(transaction, run_id, "orders").await?;
        resumed.count(ORDERS, &figures.orders);
        resumed.count(LINE_ITEMS, &figures.lines);
        resumed.asked(&self.context.square.counters(), &mut self.told);
        let cleaned = self.context.square.cleaned();
        resumed.note.cleaned += cleaned - self.cleaned;
        self.cleaned = cleaned;
        let row = transaction
            .query_one(
                "select count(done_at), count(*) from sync_order_windows where run_id = $1",
                &[&run_id],
            )
            .await?;
        resumed.note.windows = Windows {
            done: row.get(0),
            total: row.get(1),
        };
        Ok(Some(resumed))
    }

    /// Writes the step's record, with an estimate of how many orders there are:
    /// as many more as the part of the windows' time that is still to be read.
    async fn save(
        &self,
        transaction: &Transaction<'_>,
        resumed: &Resumed<Note>,
    ) -> Result<(), SyncError> {
        let run_id = &self.context.run.run_id;
        let row = transaction.query_one(DONE_SHARE, &[&run_id]).await?;
        let share: Option<f64> = row.get(0);
        let done = resumed.given(ORDERS);
        let total = share.and_then(|share| estimate(done, share));
        resumed
            .save(transaction, run_id, "orders", done, total)
            .await
    }
}

/// Moves a window on from where this call found it. Parameters: window, new place,
/// its ids, whether the window is done, old place, number of its ids.
const MOVE_PLACE: &str = "
    update sync_order_windows set place = $2, place_ids = $3,
        done_at = case when $4 then now() end, error_name = null, error_message = null,
        moved_at = clock_timestamp(), failures = 0, failing_since = null
    where window_id = $1 and done_at is null
        and place is not distinct from $5 and cardinality(place_ids) = $6";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 2] = [MOVE_PLACE, DONE_SHARE];

/// The share of the import's time, over all its locations, that has been read.
/// Parameter: run id.
const DONE_SHARE: &str = "
    with windows as (
        select cardinality(location_ids) * extract(epoch from ends_at - begins_at) as whole,
            cardinality(location_ids) * extract(epoch from
                case when done_at is null then coalesce(place, begins_at) else ends_at end
                - begins_at) as done
        from sync_order_windows where run_id = $1)
    select (sum(done) / nullif(sum(whole), 0))::float8 from windows";

fn estimate(done: i64, share: f64) -> Option<i64> {
    // Too early to tell.
    if share < 0.01 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate; casts from floats saturate"
    )]
    let total = (done as f64 / share.min(1.0)).round() as i64;
    Some(total.max(done))
}

#[cfg(test)]
mod tests {
    use super::estimate;

    #[test]
    fn the_whole_is_estimated_from_the_part_that_is_read() {
        assert_eq!(estimate(100, 0.0), None);
        assert_eq!(estimate(100, 0.25), Some(400));
        assert_eq!(estimate(100, 1.0), Some(100));
    }
}
