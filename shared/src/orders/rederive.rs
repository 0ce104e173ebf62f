//! The order tables derived anew from `orders.raw`, because a release may read more
//! out of an order than the one before. Square is not asked.
//!
//! It goes over all orders by their ids, batch by batch. Each batch commits with its
//! place, and rows that come out equal are not touched: a run that is stopped loses
//! nothing, and a second one finds little to do.

use std::collections::HashSet;

use deadpool_postgres::Object;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::page::Sorter;
use super::rows::OrderRows;
use super::store::{self, Origin};
use super::waiting::Waiting;
use crate::error::SyncError;
use crate::postgres::Database;
use crate::run::lease::{self, Lease};
use crate::run::resumed::Resumed;
use crate::run::stats::{StepOutput, total};
use crate::run::step::{self, hand_over_at};
use crate::square::Order;

/// Orders a batch: as many as fit a short transaction and little memory.
const BATCH: i64 = 1_000;

/// The result of deriving the order tables anew.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rederived {
    #[serde(flatten)]
    pub step: StepOutput,
    /// Whether all orders were gone over; else it is to be called again.
    pub done: bool,
}

/// The note of the calls for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The id of the last order that was gone over.
    place: Option<String>,
    /// The number of orders when it began.
    total: Option<i64>,
    /// Orders that this release cannot read; their rows stay as they are.
    unreadable: i64,
}

/// One call's work.
pub(crate) struct Rederiving<'a> {
    /// Over sessions that end with the call.
    pub(crate) database: &'a Database,
    pub(crate) run_id: &'a str,
    pub(crate) lease: &'a Lease,
    pub(crate) deadline: Instant,
}

impl Rederiving<'_> {
    /// Goes over the orders, as far as time allows.
    ///
    /// # Errors
    /// The database's, `LeaseLost`.
    pub(crate) async fn work(&self) -> Result<Rederived, SyncError> {
        let mut client = self.database.client().await?;
        let run_id = self.run_id;
        let currencies = store::locations(&client).await?;
        let hand_over = hand_over_at(self.deadline);
        loop {
            let transaction = step::begin(&mut client).await?;
            // Here rather than at the end: a second invocation of this step has
            // to wait, and then goes on from where this one has come.
            lease::fence(&transaction, self.lease).await?;
            let mut resumed: Resumed<Note> =
                Resumed::load(&transaction, run_id, "rederive").await?;
            if resumed.is_done {
                // Its answer is there for the call that follows.
                return Ok(rederived(&resumed, run_id, false));
            }
            let orders_count = match resumed.note.total {
                Some(count) => count,
                None => transaction.query_one(COUNT, &[]).await?.get(0),
            };
            resumed.note.total = Some(orders_count);
            store::ACCESS.enter(&transaction).await?;
            let rows = transaction
                .query(
                    NEXT,
                    &[&resumed.note.place.as_deref().unwrap_or_default(), &BATCH],
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
                    resumed.note.unreadable += 1;
                    continue;
                };
                let location_id = order.location_id.as_ref();
                let currency = location_id.and_then(|id| currencies.get(id)?.as_deref());
                match OrderRows::derive(order, source, currency) {
                    Ok(rows) => page.push(rows),
                    Err(_) => resumed.note.unreadable += 1,
                }
            }
            drop(rows);
            let page: Vec<&OrderRows> = page.iter().collect();
            let fates =
                store::apply(&transaction, Origin::Raw, &page, run_id, &HashSet::new()).await?;
            for fate in fates.values() {
                resumed.count("orders", &fate.order);
                resumed.count("line_items", &fate.lines);
            }
            resumed.note.place = Some(place);
            let done = resumed.given("orders");
            resumed
                .save(
                    &transaction,
                    run_id,
                    "rederive",
                    done,
                    Some(orders_count.max(done)),
                )
                .await?;
            transaction.commit().await?;
            if Instant::now() >= hand_over {
                return Ok(rederived(&resumed, run_id, false));
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
        let run_id = self.run_id;
        let (mut sorter, mut waiting) = (Sorter::new(client).await?, Waiting::default());
        loop {
            let batch = waiting.next(client, &mut sorter).await?;
            let mut transaction = step::begin(client).await?;
            lease::fence(&transaction, self.lease).await?;
            let mut resumed: Resumed<Note> =
                Resumed::load(&transaction, run_id, "rederive").await?;
            if resumed.is_done {
                return Ok(rederived(&resumed, run_id, false));
            }
            let Some(batch) = batch else {
                let written = total([&resumed.stats]).written();
                store::analyze(&transaction, written).await?;
                let output = rederived(&resumed, run_id, true);
                let (stats, square) = (&resumed.stats, &resumed.square);
                let done = resumed.given("orders");
                step::succeed(
                    &transaction,
                    run_id,
                    "rederive",
                    done,
                    stats,
                    square,
                    &output,
                )
                .await?;
                transaction.commit().await?;
                return Ok(output);
            };
            let figures = batch.write(&mut transaction, run_id).await?;
            resumed.count("orders", &figures.orders);
            resumed.count("line_items", &figures.lines);
            let done = resumed.given("orders");
            resumed
                .save(&transaction, run_id, "rederive", done, None)
                .await?;
            transaction.commit().await?;
            if Instant::now() >= hand_over {
                return Ok(rederived(&resumed, run_id, false));
            }
        }
    }
}

fn rederived(resumed: &Resumed<Note>, run_id: &str, done: bool) -> Rederived {
    let mut warnings = Vec::new();
    if resumed.note.unreadable > 0 {
        warnings.push(format!(
            "{} order(s) cannot be read by this release; their rows stay as they were.",
            resumed.note.unreadable
        ));
    }
    Rederived {
        step: resumed.output(run_id, "rederive", "rederive", warnings),
        done,
    }
}

/// By a column that no index has: so the table is read, and read in its own order.
const COUNT: &str = "select count(is_return) from orders";

/// The next orders by their ids. Parameters: the last id gone over, or an empty
/// text, and how many.
const NEXT: &str = "select id, raw::text from orders where id > $1 order by id limit $2";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 2] = [COUNT, NEXT];
