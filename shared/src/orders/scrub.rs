//! The scrub: after the nightly look-back, a part of the past is read again from Square and
//! compared, so that all of it comes round every `SCRUB_DAYS`. What differs is healed like
//! any other page, and is drift.
//!
//! The run yields from here on: whatever else is to start takes its lease, and what was not
//! read to its end waits for the next night.

use std::collections::BTreeMap;

use deadpool_postgres::{GenericClient, Object, Transaction};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::chunks::{self, LOOK_BACK, Mark, OVERLAP};
use super::page::{Batch, Figures, Given};
use super::place::Place;
use super::reading::Reading;
use super::round::{self, Left, Piece, Scrub, Verified};
use super::spans::{self, Span, floor};
use crate::error::SyncError;
use crate::part::Part;
use crate::run::request::Trigger;
use crate::run::step::StepContext;
use crate::square::{OrderTime, SearchOrders, read_ahead};
use crate::times::Now;

/// What deltas have brought since the import joins the history in parts of this length.
const JOINS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How a call's part of it ended.
pub(super) enum Ended {
    Done,
    /// The next call goes on.
    HandsOver,
}

/// Whether the run is the nightly look-back, and the past is to be read again at all.
fn is_wanted(context: &StepContext<'_>) -> bool {
    let request = &context.run.request;
    request.trigger == Trigger::Schedule
        && request.only.as_deref() == Some(&[Part::Orders])
        && context.env.settings.scrub_days > 0
}

/// The night's work, if there is any: planned before the look-back, of which nothing that it
/// brings is old.
///
/// # Errors
/// The database's.
pub(super) async fn plan(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    listed: &[String],
    now: Now,
) -> Result<Option<Scrub>, SyncError> {
    if !is_wanted(context) {
        return Ok(None);
    }
    let marks = chunks::marks(context, transaction).await?;
    join(context, transaction, &marks).await?;
    let windows = windows(transaction, listed).await?;
    let days = context.env.settings.scrub_days;
    let pieces = round::tonight(windows, days, now.moment()).into_iter();
    let left = pieces.map(|piece| Left {
        expected_before: expected_before(&piece.location_ids, &marks),
        piece,
    });
    Ok(Some(Scrub {
        left: left.collect(),
    }))
}

/// The time before which deltas should have brought all changes at these locations; none
/// where nothing can be told of one of them.
fn expected_before(location_ids: &[String], marks: &BTreeMap<String, Mark>) -> Option<Timestamp> {
    let own: Option<Vec<&Mark>> = location_ids.iter().map(|id| marks.get(id)).collect();
    let own = own.filter(|own| own.iter().all(|mark| mark.counts_drift))?;
    let earliest = own.iter().map(|mark| mark.position).min()?;
    earliest.checked_sub(OVERLAP).ok()
}

/// Joins to the history what deltas have brought of each location and no window holds, as
/// far as look-backs no longer reach.
async fn join(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    marks: &BTreeMap<String, Mark>,
) -> Result<(), SyncError> {
    let mut done: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for row in transaction.query(DONE, &[]).await? {
        let span = Span {
            from: row.get(1),
            to: row.get(2),
        };
        done.entry(row.get(0)).or_default().push(span);
    }
    let joining = marks.iter().filter_map(|(location_id, mark)| {
        let brought = Span {
            from: floor(mark.fresh_since?),
            to: floor(mark.position.checked_sub(LOOK_BACK).ok()?),
        };
        let done = done.get(location_id).map_or(&[][..], Vec::as_slice);
        let mut missing = spans::missing(brought, done);
        missing.retain(|span| span.to.duration_since(span.from) >= JOINS);
        Some((location_id.clone(), missing))
    });
    let joining = joining.collect();
    for window in spans::windows(joining) {
        transaction
            .execute(
                JOIN,
                &[
                    &context.run.run_id,
                    &window.location_ids,
                    &window.span.from,
                    &window.span.to,
                ],
            )
            .await?;
    }
    Ok(())
}

/// What was read of the history of locations that Square lists. A window of others cannot
/// be asked for.
async fn windows(
    client: &impl GenericClient,
    listed: &[String],
) -> Result<Vec<Verified>, SyncError> {
    let rows = client.query(WINDOWS, &[]).await?;
    let windows = rows.iter().map(|row| {
        let mut location_ids: Vec<String> = row.get("location_ids");
        location_ids.retain(|id| listed.contains(id));
        Verified {
            window_id: row.get("window_id"),
            location_ids,
            span: Span {
                from: row.get("begins_at"),
                to: row.get("ends_at"),
            },
            at: row.get("verified_at"),
        }
    });
    Ok(windows
        .filter(|window| !window.location_ids.is_empty())
        .collect())
}

impl Reading<'_> {
    /// Reads on, until all of the night's pieces are read or the next call is to go on.
    ///
    /// # Errors
    /// Square's, the database's, `LeaseLost`.
    pub(super) async fn scrub(
        &mut self,
        client: &mut Object,
        listed: &[String],
        hand_over: Instant,
    ) -> Result<Ended, SyncError> {
        let mut orders = 0;
        while let Some(Left {
            piece,
            expected_before,
        }) = self.next_piece()
        {
            if !self.note.scrub_yields && !self.begin_to_yield(client).await? {
                return Ok(Ended::HandsOver);
            }
            let mut location_ids = piece.location_ids.clone();
            location_ids.retain(|id| listed.contains(id));
            let request = SearchOrders::ascending(
                location_ids.clone(),
                OrderTime::CreatedAt,
                Some(self.note.place.unwrap_or(piece.from)),
                Some(piece.to),
                self.context.env.settings.orders_batch_size,
            );
            let is_there = !location_ids.is_empty();
            let list = is_there.then(|| self.context.square.search_orders(request));
            let mut pages = read_ahead(list.into_iter().collect(), 1);
            let mut is_whole = is_there;
            loop {
                let page = match pages.next().await {
                    Ok(Some(page)) => page,
                    Ok(None) => break,
                    // One location that Square refuses must not keep the rest from its turn.
                    Err(SyncError::SquareRejected { .. }) => {
                        tracing::warn!(window_id = piece.window_id, "not read again: refused");
                        is_whole = false;
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let batch = self
                    .sorter
                    .sort(page, |order| order.created_at != Some(piece.to));
                let Some(counted) = self
                    .commit_past(client, (&piece, expected_before), &batch)
                    .await?
                else {
                    return Ok(Ended::HandsOver);
                };
                orders += counted;
                if orders > 0 && Instant::now() >= hand_over {
                    return Ok(Ended::HandsOver);
                }
            }
            if !self.finish_piece(client, &piece, is_whole).await? {
                return Ok(Ended::HandsOver);
            }
        }
        Ok(Ended::Done)
    }

    fn next_piece(&self) -> Option<Left> {
        self.note.scrub.as_ref()?.left.first().cloned()
    }

    /// From here on the run makes way for every other.
    async fn begin_to_yield(&mut self, client: &mut Object) -> Result<bool, SyncError> {
        self.note.scrub_yields = true;
        let transaction = self.context.begin(client).await?;
        if self
            .record(&transaction, &Figures::default())
            .await?
            .is_none()
        {
            return Ok(false);
        }
        let run_id = &self.context.run.run_id;
        transaction.execute(YIELD, &[run_id]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Writes a page of the past with its place.
    async fn commit_past(
        &mut self,
        client: &mut Object,
        (piece, expected): (&Piece, Option<Timestamp>),
        batch: &Batch,
    ) -> Result<Option<i64>, SyncError> {
        let run_id = &self.context.run.run_id;
        let mut transaction = self.context.begin(client).await?;
        let figures = batch
            .write_expected(&mut transaction, run_id, expected)
            .await?;
        let within = piece.from..piece.to;
        let created_at = |given: &Given| given.created_at.filter(|time| within.contains(time));
        self.place.pass(batch, created_at);
        self.note.place = self.place.at;
        self.note.place_ids = self.place.counted();
        if self.record(&transaction, &figures).await?.is_none() {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(figures.orders.given()))
    }

    /// The piece is read; its window says so, if all of it could be.
    async fn finish_piece(
        &mut self,
        client: &mut Object,
        piece: &Piece,
        is_whole: bool,
    ) -> Result<bool, SyncError> {
        if let Some(scrub) = &mut self.note.scrub {
            scrub.left.remove(0);
        }
        self.note.place = None;
        self.note.place_ids = Vec::new();
        self.place = Place::new(None, &[]);
        let transaction = self.context.begin(client).await?;
        if is_whole {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&piece.window_id, &piece.from, &piece.to];
            transaction.execute(VERIFY_PART, &values).await?;
            transaction.execute(VERIFY, &values).await?;
        }
        if self
            .record(&transaction, &Figures::default())
            .await?
            .is_none()
        {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// What was read of each location's history.
const DONE: &str = "
    select unnest(location_ids), begins_at, ends_at from sync_order_windows
    where done_at is not null";

/// Parameters: run id, locations, from, to.
const JOIN: &str = "
    insert into sync_order_windows (run_id, location_ids, begins_at, ends_at, done_at)
    values ($1, $2, $3, $4, now())";

const WINDOWS: &str = "
    select window_id, location_ids, begins_at, ends_at,
        coalesce(verified_at, done_at) as verified_at
    from sync_order_windows where done_at is not null";

/// Parameter: run id.
const YIELD: &str = "update sync_runs set yields = true where run_id = $1";

/// A part of a window becomes one of its own, if it is still the beginning of it.
/// Parameters: window, from, to.
const VERIFY_PART: &str = "
    with rest as (
        update sync_order_windows set begins_at = $3, place = null, place_ids = '{}'
        where window_id = $1 and begins_at = $2 and ends_at > $3 and done_at is not null
        returning run_id, location_ids, done_at)
    insert into sync_order_windows
        (run_id, location_ids, begins_at, ends_at, done_at, verified_at)
    select run_id, location_ids, $2, $3, done_at, now() from rest";

/// The same of a whole window.
const VERIFY: &str = "
    update sync_order_windows set verified_at = now()
    where window_id = $1 and begins_at = $2 and ends_at = $3 and done_at is not null";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 6] = [DONE, JOIN, WINDOWS, YIELD, VERIFY_PART, VERIFY];
