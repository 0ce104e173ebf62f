//! Orders that could not be read, asked for anew: what was spoilt on its way to us
//! comes whole then. Nothing else asks for them again, unless they change at Square.
//! Every import does, and fresh orders do with their look-back.

use deadpool_postgres::Object;
use futures::TryStreamExt;
use jiff::Timestamp;

use crate::error::SyncError;
use crate::square::{
    BatchRetrieveOrders, Broken, OrderTime, OrderWithSource, Page, SearchOrders, Square,
};

/// Asked for in one run, with the most requests for those without an id: another
/// thousand of them in each.
const ORDERS_MAX: i64 = 1_000;
const NAMELESS_MAX: usize = 100;

/// The questions that are still to be asked.
pub(crate) struct Anew {
    square: Square,
    ids: Vec<String>,
    /// Of orders that came without their ids: where and when they were made.
    places: Vec<(String, Timestamp)>,
}

impl Anew {
    /// Reads what waits.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(
        client: &Object,
        square: &Square,
        run_id: &str,
    ) -> Result<Self, SyncError> {
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        for row in client.query(UNREADABLE, &[&run_id, &ORDERS_MAX]).await? {
            let broken = Broken {
                problem: String::new(),
                payload: row.get(0),
            };
            match broken.text("id").filter(|id| !id.is_empty()) {
                Some(id) => ids.push(id),
                None => places.extend(broken.text("location_id").zip(broken.read("created_at"))),
            }
        }
        places.sort_unstable();
        places.dedup();
        places.truncate(NAMELESS_MAX);
        Ok(Self {
            square: square.clone(),
            ids,
            places,
        })
    }

    /// What Square gives to the next question; none after the last. What it refuses
    /// waits on, as does what still cannot be read.
    ///
    /// # Errors
    /// Square's.
    pub(crate) async fn next(&mut self) -> Result<Option<Page<OrderWithSource>>, SyncError> {
        let page = if !self.ids.is_empty() {
            let rest = self.ids.len().saturating_sub(BatchRetrieveOrders::IDS_MAX);
            let order_ids = self.ids.split_off(rest);
            let request = BatchRetrieveOrders { order_ids };
            self.square.batch_retrieve_orders(&request).await
        } else if let Some((location_id, time)) = self.places.pop() {
            made_at(&self.square, location_id, time).await
        } else {
            return Ok(None);
        };
        match page {
            Ok(page) => Ok(Some(Page::of(page.objects))),
            Err(error @ SyncError::SquareRejected { .. }) => {
                tracing::warn!(%error, "orders that wait cannot be asked for");
                Ok(Some(Page::of(Vec::new())))
            }
            Err(error) => Err(error),
        }
    }
}

/// The orders of a location that were made at that moment.
async fn made_at(
    square: &Square,
    location_id: String,
    time: Timestamp,
) -> Result<Page<OrderWithSource>, SyncError> {
    let (at, by) = (Some(time), OrderTime::CreatedAt);
    let request = SearchOrders::ascending(vec![location_id], by, at, at, 1_000);
    let pages = square.search_orders(request).map_ok(|page| page.objects);
    Ok(Page::of(pages.try_concat().await?))
}

/// Others in each run, if there are too many. Parameters: run id, how many.
const UNREADABLE: &str = "
    select payload #>> '{}' from sync_quarantine
    where data_type = 'orders' and resolved_at is null and not replayable
    order by md5(id || $1::text) limit $2";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 1] = [UNREADABLE];
