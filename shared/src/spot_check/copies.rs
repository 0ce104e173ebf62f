//! Square's copies on their way into the temporary tables, each with the word whether its
//! change may still be on its way here.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::asking::Given;
use super::flight::Positions;
use super::sample::Sample;
use super::twin::{IN_FLIGHT, Twin};
use crate::catalog::columns as catalog_columns;
use crate::catalog::rows::{CategoryRow, ItemRow, VariationRow};
use crate::catalog::tables::{CATEGORIES, ITEM_CATEGORIES, ITEMS, OVERRIDES, VARIATIONS};
use crate::error::SyncError;
use crate::inventory;
use crate::inventory::rows::CountRow;
use crate::inventory::store::INVENTORY;
use crate::locations;
use crate::locations::rows::LocationRow;
use crate::locations::store::LOCATIONS;
use crate::orders::columns as order_columns;
use crate::orders::rows::OrderRows;
use crate::orders::store::{self, ORDERS};
use crate::postgres::unstorable;
use crate::staging::column::Column;
use crate::staging::page_table;

/// A row, and whether its change may be on its way.
type Copy<R> = (R, bool);

/// Square's copies of what was asked for.
pub(super) struct Copies {
    pub(super) asked_at: Timestamp,
    locations: Vec<Copy<LocationRow>>,
    categories: Vec<Copy<CategoryRow>>,
    items: Vec<Copy<ItemRow>>,
    variations: Vec<Copy<VariationRow>>,
    counts: Vec<Copy<CountRow>>,
    orders: Vec<Copy<OrderRows>>,
    /// The ids of what Square has given and no row can be compared with.
    unreadable: HashSet<String>,
}

impl Copies {
    pub(super) fn of(given: Given, positions: &Positions) -> Self {
        let object = |updated_at| positions.has_yet_to_bring_object(updated_at);
        Self {
            asked_at: given.asked_at,
            locations: told(given.locations, |row| {
                positions.has_yet_to_bring_location(row.created_at)
            }),
            categories: told(given.catalog.categories, |row| object(row.updated_at)),
            items: told(given.catalog.items, |row| object(row.updated_at)),
            variations: told(given.catalog.variations, |row| object(row.updated_at)),
            counts: told(given.counts, |row| {
                positions.has_yet_to_bring_count(row.calculated_at)
            }),
            orders: told(given.orders, |rows| {
                let order = &rows.order;
                positions.has_yet_to_bring_order(order.location_id.as_deref(), order.updated_at)
            }),
            unreadable: given.unreadable,
        }
    }

    /// The objects that may have rows in a table which Square does not give with them,
    /// and those of them whose change may be on its way.
    pub(super) fn held_by(&self, sample: &Sample, table: &str) -> (Vec<String>, Vec<String>) {
        let all = |ids: &std::collections::BTreeSet<String>| ids.iter().cloned().collect();
        let live_items = || self.items.iter().filter(|(row, _)| !row.is_deleted);
        let live_variations = || self.variations.iter().filter(|(row, _)| !row.is_deleted);
        let (mut asked, in_flight): (Vec<String>, _) = if table == LOCATIONS.name {
            (all(&sample.locations), Vec::new())
        } else if table == CATEGORIES.name {
            (all(&sample.categories), Vec::new())
        } else if table == ITEMS.name {
            (all(&sample.items), Vec::new())
        } else if table == ITEM_CATEGORIES.name {
            ids_of(live_items(), |row| &row.id)
        } else if table == VARIATIONS.name {
            (all(&sample.variations), Vec::new())
        } else if table == OVERRIDES.name {
            ids_of(live_variations(), |row| &row.id)
        } else if table == INVENTORY.name {
            let (_, in_flight) = ids_of(self.variations.iter(), |row| &row.id);
            (all(&sample.counted), in_flight)
        } else if table == ORDERS.name {
            (all(&sample.orders), Vec::new())
        } else {
            ids_of(self.orders.iter(), |rows| &rows.order.id)
        };
        asked.retain(|id| !self.unreadable.contains(id));
        (asked, in_flight)
    }

    /// As a statement takes it.
    pub(super) fn unreadable(&self) -> Vec<&str> {
        self.unreadable.iter().map(String::as_str).collect()
    }

    /// Copies them into the temporary tables. What PostgreSQL cannot store waits in
    /// quarantine, and nothing is known of it.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn stage(
        &mut self,
        transaction: &mut Transaction<'_>,
    ) -> Result<(), SyncError> {
        let mut refused = Vec::new();
        macro_rules! stage {
            ($rows:expr, $table:expr, $columns:expr, $id:expr) => {
                let twin = Twin::from(&$table);
                let put = async |transaction: &Transaction<'_>, part: &[Copy<_>]| {
                    let rows = part.iter().map(|(row, in_flight)| (row, in_flight));
                    copy_in(transaction, &twin, $columns, rows).await
                };
                refused.extend(stage(transaction, &$rows, put, $id).await?);
            };
        }
        stage!(
            self.locations,
            LOCATIONS,
            &[&locations::columns::COLUMNS[..]],
            |row| row.id.clone()
        );
        stage!(
            self.categories,
            CATEGORIES,
            &[&catalog_columns::CATEGORIES[..]],
            |row| row.id.clone()
        );
        stage!(
            self.items,
            ITEMS,
            &[
                &catalog_columns::ITEMS[..],
                &catalog_columns::ITEMS_IN_STAGING
            ],
            |row| row.id.clone()
        );
        stage!(
            self.variations,
            VARIATIONS,
            &[
                &catalog_columns::VARIATIONS[..],
                &catalog_columns::VARIATIONS_IN_STAGING
            ],
            |row| row.id.clone()
        );
        stage!(
            self.counts,
            INVENTORY,
            &[&inventory::columns::COLUMNS[..]],
            |row| { [&*row.variation_id, &row.location_id, &row.state].join(":") }
        );
        refused.extend(
            stage(transaction, &self.orders, put_orders, |rows| {
                rows.order.id.clone()
            })
            .await?,
        );
        self.unreadable.extend(refused);
        Ok(())
    }
}

fn told<R>(rows: Vec<R>, is_in_flight: impl Fn(&R) -> bool) -> Vec<Copy<R>> {
    let rows = rows.into_iter();
    rows.map(|row| {
        let in_flight = is_in_flight(&row);
        (row, in_flight)
    })
    .collect()
}

/// The ids of these, and of those that are in flight.
fn ids_of<'r, R: 'r>(
    copies: impl Iterator<Item = &'r Copy<R>>,
    id: impl Fn(&R) -> &String,
) -> (Vec<String>, Vec<String>) {
    let (mut all, mut in_flight) = (Vec::new(), Vec::new());
    for (row, is_in_flight) in copies {
        all.push(id(row).clone());
        if *is_in_flight {
            in_flight.push(id(row).clone());
        }
    }
    (all, in_flight)
}

/// Puts copies into the temporary tables, in halves where PostgreSQL cannot store one of
/// them; returns the ids of those.
async fn stage<R>(
    transaction: &mut Transaction<'_>,
    copies: &[Copy<R>],
    put: impl AsyncFn(&Transaction<'_>, &[Copy<R>]) -> Result<(), SyncError>,
    id: impl Fn(&R) -> String,
) -> Result<Vec<String>, SyncError> {
    let mut refused = Vec::new();
    let mut parts = vec![copies];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let savepoint = transaction.savepoint("part").await?;
        let Err(error) = put(&savepoint, part).await else {
            savepoint.commit().await?;
            continue;
        };
        savepoint.rollback().await?;
        match (unstorable(&error), part) {
            (None, _) => return Err(error),
            (Some(_), [(row, _)]) => refused.push(id(row)),
            (Some(_), part) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    Ok(refused)
}

async fn copy_in<'r, R: 'r>(
    transaction: &Transaction<'_>,
    twin: &Twin,
    columns: &[&[Column<R>]],
    rows: impl Iterator<Item = (&'r R, &'r bool)>,
) -> Result<(), SyncError> {
    let columns = || columns.iter().copied().flatten();
    let names: Vec<&str> = columns().map(|column| column.name).collect();
    let names = format!("{}, {IN_FLIGHT}", names.join(", "));
    let rows = rows.map(|(row, in_flight)| {
        let own = columns().map(|column| (column.value)(row));
        own.chain([in_flight as &(dyn ToSql + Sync)]).collect()
    });
    page_table::copy_in(transaction, &twin.copies(), &names, rows).await
}

/// An order with its parts, all or none of it.
async fn put_orders(
    transaction: &Transaction<'_>,
    part: &[Copy<OrderRows>],
) -> Result<(), SyncError> {
    let orders = part.iter().map(|(rows, told)| (&rows.order, told));
    let columns = &[&order_columns::ORDERS[..]];
    copy_in(transaction, &Twin::from(&ORDERS), columns, orders).await?;
    for (n, table) in store::PARTS.iter().enumerate() {
        let names = format!("{}, {IN_FLIGHT}", table.columns.join(", "));
        let rows = part.iter().flat_map(|(rows, told)| {
            store::part(rows, n).map(move |mut values| {
                values.push(told);
                values
            })
        });
        let copies = Twin::from(*table).copies();
        page_table::copy_in(transaction, &copies, &names, rows).await?;
    }
    Ok(())
}
