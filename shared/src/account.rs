//! The definition of each part of the account, for all that goes over the parts:
//! refresh, backup, preview, guard, validation, freshness, the page and the tests.
//!
//! A part that says nothing here does not compile. README, *Adding a part*, names what
//! can still be forgotten, and what finds it.

use deadpool_postgres::Transaction;

use crate::error::SyncError;
use crate::part::Part;
use crate::run::stats::Stats;
use crate::run::step::StepContext;
use crate::square::{self, Endpoint};
use crate::staging::drift::Expected;
use crate::staging::table::Table;
use crate::{catalog, inventory, locations};

/// Its tables that a refresh replaces, in the order in which they refer to each
/// other. Orders are never replaced.
#[must_use]
pub fn tables(part: Part) -> Vec<&'static Table> {
    match part {
        Part::Locations => vec![&locations::store::LOCATIONS],
        Part::Catalog => catalog::tables::TABLES.to_vec(),
        Part::Inventory => vec![&inventory::store::INVENTORY],
        Part::Orders => Vec::new(),
    }
}

/// The tables of all parts, in the order in which they refer to each other.
#[must_use]
pub fn all_tables() -> Vec<&'static Table> {
    Part::ALL.into_iter().flat_map(tables).collect()
}

/// The tables whose rows are objects of a data type; the others hang on them.
#[must_use]
pub fn objects() -> Vec<&'static Table> {
    let tables = all_tables().into_iter();
    tables.filter(|table| table.is_object).collect()
}

/// The list whose watermark it keeps; none where it always lists everything, or keeps
/// one for each location.
#[must_use]
pub fn list(part: Part) -> Option<&'static str> {
    match part {
        Part::Catalog => Some(catalog::LIST.name),
        Part::Inventory => Some(inventory::LIST.name),
        Part::Locations | Part::Orders => None,
    }
}

/// The lists of all parts that keep one watermark.
#[must_use]
pub fn lists() -> Vec<&'static str> {
    Part::ALL.into_iter().filter_map(list).collect()
}

/// Returns the endpoint at which Square is asked for it.
#[must_use]
pub fn endpoint(part: Part) -> &'static Endpoint {
    match part {
        Part::Locations => &square::LIST_LOCATIONS,
        Part::Catalog => &square::SEARCH_CATALOG_OBJECTS,
        Part::Inventory => &square::BATCH_RETRIEVE_INVENTORY_COUNTS,
        Part::Orders => &square::SEARCH_ORDERS,
    }
}

/// Applies what its step has staged, as that step does in any run that publishes
/// nothing; `lists_all` if the step has listed everything. Of a preview, `expected` says
/// what deltas should have brought.
///
/// # Errors
/// The database's, `DeletionGuard`; `Internal` for a part that stages nothing.
pub(crate) async fn apply(
    part: Part,
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    lists_all: bool,
    expected: &mut Expected,
) -> Result<Stats, SyncError> {
    match part {
        Part::Locations => locations::store::apply(context, transaction).await,
        Part::Catalog => catalog::store::apply(context, transaction, lists_all, expected).await,
        Part::Inventory => inventory::store::apply(context, transaction, lists_all, expected).await,
        Part::Orders => Err(SyncError::Internal("orders stage nothing".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_data_types_are_those_of_its_tables_in_their_order() {
        for part in Part::staged() {
            let tables = tables(part).into_iter().filter(|table| table.is_object);
            let data_types: Vec<&str> = tables.map(|table| table.data_type).collect();
            assert_eq!(part.data_types(), data_types, "{}", part.name());
        }
    }
}
