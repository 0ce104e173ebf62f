//! What may still be on its way here: Square changed it after the place up to which its
//! list has been read, less the time within which a list may tell of it late.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use jiff::{SignedDuration, Timestamp};

use crate::error::SyncError;
use crate::part::Part;
use crate::run::freshness;
use crate::{catalog, inventory, orders};

const POSITIONS: &str = "select list, position from sync_watermarks";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 1] = [POSITIONS];

/// How far each list has been read.
#[derive(Debug, Default)]
pub(super) struct Positions {
    lists: HashMap<String, Option<Timestamp>>,
    /// Locations are listed whole and have no position: when they were.
    locations: Option<Timestamp>,
}

impl Positions {
    /// Reads them as of the moment at which the transaction sees the rows.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn load(transaction: &Transaction<'_>) -> Result<Self, SyncError> {
        let lists = transaction.query(POSITIONS, &[]).await?;
        let fresh = freshness::read(transaction).await?.into_iter();
        let mut locations = fresh.filter(|one| one.data_type == Part::Locations.name());
        Ok(Self {
            lists: lists.iter().map(|row| (row.get(0), row.get(1))).collect(),
            locations: locations.next().and_then(|one| one.as_of),
        })
    }

    fn of(&self, list: &str) -> Option<Timestamp> {
        self.lists.get(list).copied().flatten()
    }

    /// Whether a location that was made then may not have come yet. Square does not say
    /// when one was changed.
    pub(super) fn has_yet_to_bring_location(&self, created_at: Option<Timestamp>) -> bool {
        is_in_flight(created_at, self.locations, catalog::LIST.overlap)
    }

    /// Whether what the catalog says of that time may not have come yet.
    pub(super) fn has_yet_to_bring_object(&self, updated_at: Option<Timestamp>) -> bool {
        let list = &catalog::LIST;
        is_in_flight(updated_at, self.of(list.name), list.overlap)
    }

    /// The same of counts.
    pub(super) fn has_yet_to_bring_count(&self, calculated_at: Option<Timestamp>) -> bool {
        let list = &inventory::LIST;
        is_in_flight(calculated_at, self.of(list.name), list.overlap)
    }

    /// The same of the orders of a location.
    pub(super) fn has_yet_to_bring_order(
        &self,
        location_id: Option<&str>,
        updated_at: Option<Timestamp>,
    ) -> bool {
        let position = location_id.and_then(|id| self.of(&orders::list_of(id)));
        is_in_flight(updated_at, position, orders::OVERLAP)
    }
}

/// Nothing has come yet of a list that was never read.
fn is_in_flight(
    time: Option<Timestamp>,
    position: Option<Timestamp>,
    overlap: SignedDuration,
) -> bool {
    let Some(position) = position else {
        return true;
    };
    let brought = position.checked_sub(overlap).unwrap_or(position);
    time.is_some_and(|time| time >= brought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_than_the_position_less_the_overlap_is_on_its_way() {
        let at = |second: i64| Timestamp::from_second(1_577_836_800 + second).ok();
        for (time, position, expected) in [
            (at(100), at(100), true),
            (at(90), at(100), true),
            (at(89), at(100), false),
            (at(1_000), at(100), true),
            (None, at(100), false),
            (at(1), None, true),
            (None, None, true),
        ] {
            let found = is_in_flight(time, position, SignedDuration::from_secs(10));
            assert_eq!(found, expected, "{time:?} {position:?}");
        }
    }
}
