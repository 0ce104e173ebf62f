//! The import's plan: what of the wanted orders no earlier import has read, cut
//! into windows.
//!
//! The import ends where Square's newest change stood when it was planned, whatever
//! was asked for, and fresh orders begin there: nothing that is made or changed
//! meanwhile is missed. Our own clock only says which times are still to come.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::{GenericClient, Object, Transaction};
use futures::StreamExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::anew::Anew;
use super::chunks;
use super::page::{Batch, Sorter};
use super::spans::{self, Span, Window};
use super::types::{LINE_ITEMS, ORDERS};
use super::waiting::Waiting;
use super::window;
use crate::env::Env;
use crate::error::SyncError;
use crate::run::lease;
use crate::run::request::Request;
use crate::run::resumed::Resumed;
use crate::run::stats::{Stats, StepOutput};
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::square::{OrderTime, SearchOrders, Square};
use crate::text::shorten;
use crate::times::Now;
use crate::{locations, postgres};

/// The windows to be read, for the state machine's Map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    #[serde(flatten)]
    pub step: StepOutput,
    /// The number of windows that may be read side by side.
    pub concurrency: u32,
    pub windows: Vec<Planned>,
}

/// A window, as the console shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub window_id: i64,
    /// `2018-01-01 to 2018-04-02, 10 locations from L1`
    pub window: String,
}

pub(super) async fn plan(env: &Env, input: StepInput, step: Step) -> Result<Output, SyncError> {
    step::perform(env, input, step, work).await
}

async fn work(context: &StepContext<'_>) -> Result<Output, SyncError> {
    let mut client = context.env.database.client().await?;
    let (run_id, request) = (&context.run.run_id, &context.run.request);
    let now = postgres::now(&client).await?;
    let listed = locations::ensure(context, &mut client).await?;
    try_waiting(context, &mut client).await?;
    let mut location_ids = wanted(listed.clone(), request.location_ids.as_ref())?;
    let (newest, refused) = newest_changes(&context.square, &location_ids, now).await?;
    location_ids.retain(|id| !refused.contains(id));
    let mut warnings = warnings(request, now);
    if !refused.is_empty() {
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        warnings.push(format!(
            "Square refuses the orders of {}, so none of theirs was imported.",
            shorten(&refused.join(", "))
        ));
    }

    let transaction = context.begin(&mut client).await?;
    lease::fence(&transaction, &context.lease).await?;
    transaction.execute(CUT, &[]).await?;
    let windows = match wanted_span(request, &newest) {
        Some((span, is_open)) => {
            let open_end = is_open.then_some(span.to);
            let missing = missing(&transaction, span, open_end, &location_ids).await?;
            let windows = spans::windows(missing);
            close_unfinished(&transaction).await?;
            write(&transaction, run_id, windows, open_end).await?
        }
        None => {
            close_unfinished(&transaction).await?;
            Vec::new()
        }
    };
    chunks::heal(&transaction).await?;
    chunks::leave_out(&transaction, &listed, run_id).await?;
    for location_id in &location_ids {
        let time = newest.get(location_id).copied();
        chunks::begin_at(&transaction, location_id, time, run_id).await?;
    }
    if windows.is_empty() {
        let resumed = Resumed::<window::Note>::load(&transaction, run_id, "orders").await?;
        let output = window::summary(&resumed, run_id);
        let (stats, square) = (&resumed.stats, &resumed.square);
        let done = resumed.given(ORDERS);
        step::succeed(&transaction, run_id, "orders", done, stats, square, &output).await?;
    }
    let output = Output {
        step: context.output("history", Stats::new(), warnings),
        concurrency: context.env.settings.historical_orders_concurrency,
        windows,
    };
    context
        .commit_as(transaction, &output.step, &output)
        .await?;
    Ok(output)
}

/// Tries the orders again that wait in quarantine, and asks anew for those that cannot
/// be read; the figures are the import's.
async fn try_waiting(context: &StepContext<'_>, client: &mut Object) -> Result<(), SyncError> {
    let (mut sorter, mut waiting) = (Sorter::new(client).await?, Waiting::default());
    while let Some(batch) = waiting.next(client, &mut sorter).await? {
        write_waiting(context, client, &batch).await?;
    }
    let mut anew = Anew::load(client, &context.square, &context.run.run_id).await?;
    while let Some(page) = anew.next().await {
        write_waiting(context, client, &sorter.sort_asked(page)).await?;
    }
    Ok(())
}

async fn write_waiting(
    context: &StepContext<'_>,
    client: &mut Object,
    batch: &Batch,
) -> Result<(), SyncError> {
    let run_id = &context.run.run_id;
    let mut transaction = context.begin(client).await?;
    let figures = batch.write(&mut transaction, run_id).await?;
    lease::fence(&transaction, &context.lease).await?;
    let mut resumed = Resumed::<window::Note>::load(&transaction, run_id, "orders").await?;
    resumed.count(ORDERS, &figures.orders);
    resumed.count(LINE_ITEMS, &figures.lines);
    let done = resumed.given(ORDERS);
    resumed
        .save(&transaction, run_id, "orders", done, None)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// The locations to import, of those that Square lists.
fn wanted(mut listed: Vec<String>, asked: Option<&Vec<String>>) -> Result<Vec<String>, SyncError> {
    listed.sort_unstable();
    listed.dedup();
    let Some(asked) = asked else {
        return Ok(listed);
    };
    if let Some(unknown) = asked.iter().find(|id| !listed.contains(id)) {
        let problem = format!("names {unknown}, which Square does not list");
        return Err(SyncError::input("location_ids", problem));
    }
    listed.retain(|id| asked.contains(id));
    Ok(listed)
}

/// A span that is still to come is more likely a slip than meant.
fn warnings(request: &Request, now: Now) -> Vec<String> {
    let from = request.from.filter(|from| *from > now.moment());
    from.map(|from| {
        format!(
            "Nothing was imported: {from}, from which on orders were asked for, is still to come."
        )
    })
    .into_iter()
    .collect()
}

/// When the newest change of any order at each location's chunk was; and the locations
/// that Square refuses, which must not keep out the others.
///
/// # Errors
/// Square's, its refusal too where it refuses all of them.
async fn newest_changes(
    square: &Square,
    location_ids: &[String],
    now: Now,
) -> Result<(BTreeMap<String, Timestamp>, BTreeSet<String>), SyncError> {
    let (mut newest, mut refused) = (BTreeMap::new(), BTreeSet::new());
    let mut chunks: Vec<&[String]> = location_ids.chunks(SearchOrders::LOCATIONS_MAX).collect();
    while let Some(chunk) = chunks.pop() {
        match newest_change(square, chunk, now).await {
            Ok(Some(time)) => newest.extend(chunk.iter().map(|id| (id.clone(), time))),
            Ok(None) => {}
            Err(SyncError::SquareRejected { .. }) if chunk.len() > 1 => {
                chunks.extend(chunk.chunks(1));
            }
            Err(error @ SyncError::SquareRejected { .. }) => {
                refused.extend(chunk.iter().cloned());
                if refused.len() == location_ids.len() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok((newest, refused))
}

/// When the newest change of any order at these locations was, as far as such a
/// moment can have been.
async fn newest_change(
    square: &Square,
    location_ids: &[String],
    now: Now,
) -> Result<Option<Timestamp>, SyncError> {
    // Only an order of a time still to come makes the second question necessary.
    for end_at in [None, Some(now.moment())] {
        let ids = location_ids.to_vec();
        let request = SearchOrders::newest(ids, OrderTime::UpdatedAt, end_at);
        let mut pages = square.search_orders(request);
        let mut newest = None;
        // Square may give empty pages before it gives the order.
        while newest.is_none()
            && let Some(page) = pages.next().await
        {
            let orders = page?.objects;
            newest = orders.iter().filter_map(|one| one.order.updated_at).max();
        }
        if newest.is_none() || now.known(newest).is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

/// Returns the span that is asked for, as far as it can be read: orders to come are not
/// read by having been asked for. And whether more was asked for, so that orders of
/// times still to come are wanted, too. None if there is nothing, or no location has
/// any order.
fn wanted_span(request: &Request, newest: &BTreeMap<String, Timestamp>) -> Option<(Span, bool)> {
    let end = spans::after(*newest.values().max()?);
    let asked = request.to.map(spans::floor);
    let span = Span {
        from: spans::floor(request.from.unwrap_or(spans::HISTORY_BEGINS)),
        to: asked.map_or(end, |asked| asked.min(end)),
    };
    let is_open = asked.is_none_or(|asked| asked > end);
    (span.from < span.to).then_some((span, is_open))
}

/// Returns the parts of the wanted span that each location lacks.
async fn missing(
    transaction: &Transaction<'_>,
    wanted: Span,
    open_end: Option<Timestamp>,
    location_ids: &[String],
) -> Result<BTreeMap<String, Vec<Span>>, SyncError> {
    let mut done: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    let rows = transaction
        .query(
            "select unnest(location_ids), begins_at,
                 case when done_at is null then place
                     when ends_at = $1 and not is_open then ends_at - interval '1 microsecond'
                     else ends_at end
             from sync_order_windows where done_at is not null or place is not null",
            &[&open_end],
        )
        .await?;
    for row in rows {
        let span = Span {
            from: row.get(1),
            to: row.get(2),
        };
        done.entry(row.get(0)).or_default().push(span);
    }
    let missing = location_ids.iter().map(|id| {
        let done = done.get(id).map_or(&[][..], Vec::as_slice);
        (id.clone(), spans::missing(wanted, done))
    });
    Ok(missing.collect())
}

/// Windows that reach beyond the moment when they were done, or beyond now: they are
/// done up to the newest order that they have brought.
const CUT: &str = "
    with wrong as (
        select w.ctid as at, found.newest
        from sync_order_windows w
        cross join lateral (
            select max(o.created_at) as newest from orders o
            where o.location_id = any (w.location_ids) and o.created_at >= w.begins_at
                and o.created_at < coalesce(w.done_at, now()) offset 0) found
        where w.ends_at > coalesce(w.done_at, now())),
    empty as (
        delete from sync_order_windows
        where ctid = any (array(select at from wrong where newest is null)))
    update sync_order_windows w
    set place = case when w.place > wrong.newest then wrong.newest else w.place end,
        ends_at = wrong.newest + interval '1 microsecond'
    from wrong where w.ctid = wrong.at and wrong.newest is not null";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 1] = [CUT];

/// Windows that an earlier import left: what they have read stays read.
async fn close_unfinished(client: &impl GenericClient) -> Result<(), SyncError> {
    client
        .batch_execute(
            "update sync_order_windows set ends_at = place, done_at = now()
             where done_at is null and place > begins_at;
             delete from sync_order_windows where done_at is null",
        )
        .await?;
    Ok(())
}

/// Records the windows of this import; those with that end are open.
async fn write(
    client: &impl GenericClient,
    run_id: &str,
    windows: Vec<Window>,
    open_end: Option<Timestamp>,
) -> Result<Vec<Planned>, SyncError> {
    let mut planned = Vec::with_capacity(windows.len());
    for window in windows {
        let row = client
            .query_one(
                "insert into sync_order_windows
                     (run_id, location_ids, begins_at, ends_at, is_open)
                 values ($1, $2, $3, $4, $5) returning window_id",
                &[
                    &run_id,
                    &window.location_ids,
                    &window.span.from,
                    &window.span.to,
                    &(open_end == Some(window.span.to)),
                ],
            )
            .await?;
        planned.push(Planned {
            window_id: row.get(0),
            window: label(&window),
        });
    }
    Ok(planned)
}

fn label(window: &Window) -> String {
    let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    let first = window.location_ids.first().map_or("", String::as_str);
    let locations = match window.location_ids.len() {
        1 => format!("location {first}"),
        count => format!("{count} locations from {first}"),
    };
    let (from, to) = (day(window.span.from), day(window.span.to));
    format!("{from} to {to}, {locations}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_that_square_does_not_list_is_named() {
        let listed = || vec!["B".to_owned(), "A".to_owned()];
        assert_eq!(wanted(listed(), None).unwrap(), ["A", "B"]);
        assert_eq!(
            wanted(listed(), Some(&vec!["B".to_owned()])).unwrap(),
            ["B"]
        );
        let error = wanted(listed(), Some(&vec!["C".to_owned()])).unwrap_err();
        assert_eq!(error.name(), "InputInvalid");
        assert!(error.to_string().contains("names C"), "{error}");
    }

    #[test]
    fn a_window_reads_well_in_the_console() {
        let window = Window {
            location_ids: vec!["L1".to_owned(), "L2".to_owned()],
            span: Span {
                from: spans::HISTORY_BEGINS,
                to: "2018-04-02T03:04:05Z".parse().unwrap(),
            },
        };
        assert_eq!(
            label(&window),
            "2018-01-01 to 2018-04-02, 2 locations from L1"
        );
    }
}
