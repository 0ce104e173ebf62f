//! Orders that wait in quarantine: for their location, or for a release that can
//! read them. Every run that writes orders tries them again, and so does a migration.

use deadpool_postgres::Object;

use super::page::{Batch, Sorter};
use super::rows::OrderRows;
use crate::error::SyncError;
use crate::square::OrderWithSource;

/// Orders tried again at a time.
const BATCH: i64 = 1_000;

/// Goes over the waiting orders once, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The number in quarantine of the last that was tried.
    number: i64,
}

impl Waiting {
    /// The next of them that can be read and whose location is there; none when all
    /// have been tried. A batch may be empty.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn next(
        &mut self,
        client: &Object,
        sorter: &mut Sorter,
    ) -> Result<Option<Batch>, SyncError> {
        let rows = client.query(NEXT, &[&self.number, &BATCH]).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.number = last.get(0);
        let orders = rows.iter().filter_map(|row| {
            // One that this release cannot read stays where it is.
            let source = serde_json::from_str(row.get(1)).ok()?;
            let given = OrderWithSource::read(source).ok()?;
            OrderRows::new(given.clone(), None).is_ok().then_some(given)
        });
        Ok(Some(sorter.sort_waiting(orders.collect())))
    }
}

/// Parameters: the number to go on from, how many.
const NEXT: &str = "
    select id, coalesce(payload #>> '{}', 'null') from sync_quarantine
    where data_type = 'orders' and resolved_at is null and id > $1
        and (not replayable or payload ->> 'location_id' in (select id from locations))
    order by id limit $2";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 1] = [NEXT];
