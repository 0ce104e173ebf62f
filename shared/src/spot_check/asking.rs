//! Square's copies of what was drawn, as rows.

use std::collections::{BTreeMap, HashMap, HashSet};

use deadpool_postgres::{GenericClient, Object};
use futures::TryStreamExt;
use jiff::Timestamp;

use super::sample::Sample;
use crate::catalog::rows::{Arrivals, CatalogRows, VariationRow};
use crate::error::SyncError;
use crate::inventory::rows::CountRow;
use crate::inventory::{self, store::INVENTORY};
use crate::locations;
use crate::locations::rows::LocationRow;
use crate::orders;
use crate::orders::rows::OrderRows;
use crate::postgres;
use crate::run::step::StepContext;
use crate::square::{
    BatchRetrieveCatalogObjects, BatchRetrieveInventoryCounts, BatchRetrieveOrders, Broken, Page,
};
use crate::staging::quarantine::Aside;

/// Ids that one question names: as many as Square takes for objects, and few enough for
/// counts that an answer is not endless.
const OBJECTS_MAX: usize = 1_000;
const COUNTED_MAX: usize = 500;

/// What Square gave.
#[derive(Debug)]
pub(super) struct Given {
    /// The database's time before Square was asked.
    pub(super) asked_at: Timestamp,
    pub(super) locations: Vec<LocationRow>,
    pub(super) catalog: CatalogRows,
    pub(super) counts: Vec<CountRow>,
    pub(super) orders: Vec<OrderRows>,
    /// The ids of what cannot be read: that waits in quarantine, and nothing is known of it.
    pub(super) unreadable: HashSet<String>,
}

impl Given {
    /// Asks Square for exactly these.
    ///
    /// # Errors
    /// One of the `Square…` errors; the database's.
    pub(super) async fn ask(
        context: &StepContext<'_>,
        client: &Object,
        sample: &Sample,
    ) -> Result<Self, SyncError> {
        let mut given = Self {
            asked_at: postgres::now(client).await?.moment(),
            locations: Vec::new(),
            catalog: CatalogRows::default(),
            counts: Vec::new(),
            orders: Vec::new(),
            unreadable: HashSet::new(),
        };
        if !sample.locations.is_empty() {
            given.ask_for_locations(context, client).await?;
        }
        given.ask_for_objects(context, sample.objects()).await?;
        let counted: Vec<String> = sample.counted.iter().cloned().collect();
        given.ask_for_counts(context, counted).await?;
        if !sample.orders.is_empty() {
            let currencies = orders::store::locations(client).await?;
            let ids: Vec<String> = sample.orders.iter().cloned().collect();
            given.ask_for_orders(context, ids, &currencies).await?;
        }
        Ok(given)
    }

    async fn ask_for_locations(
        &mut self,
        context: &StepContext<'_>,
        client: &impl GenericClient,
    ) -> Result<(), SyncError> {
        let page = locations::listed(&context.square, client).await?;
        count(context, &page);
        self.set_aside(&["id"], page.broken);
        self.locations = locations::numbered(page.objects);
        Ok(())
    }

    async fn ask_for_objects(
        &mut self,
        context: &StepContext<'_>,
        ids: Vec<String>,
    ) -> Result<(), SyncError> {
        let mut arrivals = Arrivals::given();
        for ids in ids.chunks(OBJECTS_MAX) {
            let request = BatchRetrieveCatalogObjects {
                object_ids: ids.to_vec(),
                include_deleted_objects: true,
            };
            let page = context.square.batch_retrieve_catalog_objects(&request);
            let page = page.await?;
            count(context, &page);
            for object in page.objects {
                self.catalog.add(object, &mut arrivals);
            }
            for broken in page.broken {
                self.catalog.add_broken(broken, &mut arrivals);
            }
        }
        let broken = std::mem::take(&mut self.catalog.broken);
        let broken = broken.into_iter().map(|(_, broken)| broken);
        self.set_aside(&["id"], broken);
        let variations = std::mem::take(&mut self.catalog.variations);
        self.catalog.variations = newest(variations);
        Ok(())
    }

    async fn ask_for_counts(
        &mut self,
        context: &StepContext<'_>,
        ids: Vec<String>,
    ) -> Result<(), SyncError> {
        let mut counts = BTreeMap::new();
        for ids in ids.chunks(COUNTED_MAX) {
            let request = BatchRetrieveInventoryCounts {
                catalog_object_ids: ids.to_vec(),
                limit: context.env.settings.inventory_batch_size,
                ..BatchRetrieveInventoryCounts::default()
            };
            let mut pages = context.square.batch_retrieve_inventory_counts(request);
            while let Some(page) = pages.try_next().await? {
                count(context, &page);
                self.set_aside(&inventory::KEY_FIELDS, page.broken);
                for count in page.objects.into_iter().filter(inventory::is_of_variation) {
                    let row = CountRow::new(count, 0);
                    let key = [&row.variation_id, &row.location_id, &row.state].map(String::clone);
                    // A list that starts over gives it again, later.
                    counts.insert(key, row);
                }
            }
        }
        self.counts = counts.into_values().collect();
        Ok(())
    }

    async fn ask_for_orders(
        &mut self,
        context: &StepContext<'_>,
        ids: Vec<String>,
        currencies: &HashMap<String, Option<String>>,
    ) -> Result<(), SyncError> {
        for ids in ids.chunks(BatchRetrieveOrders::IDS_MAX) {
            let order_ids = ids.to_vec();
            let request = BatchRetrieveOrders { order_ids };
            let page = context.square.batch_retrieve_orders(&request).await?;
            count(context, &page);
            self.set_aside(&["id"], page.broken);
            for given in page.objects {
                let location_id = given.order.location_id.as_ref();
                let currency = location_id.and_then(|id| currencies.get(id)?.as_deref());
                match OrderRows::new(given, currency) {
                    Ok(rows) => self.orders.push(rows),
                    Err(broken) => self.set_aside(&["id"], [broken]),
                }
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, key_fields: &[&str], broken: impl IntoIterator<Item = Broken>) {
        let asides = broken.into_iter();
        let asides = asides.map(|broken| Aside::broken(INVENTORY.data_type, key_fields, broken));
        self.unreadable
            .extend(asides.filter_map(|aside| aside.object_id));
    }
}

fn count<T>(context: &StepContext<'_>, page: &Page<T>) {
    let progress = &context.progress;
    progress.add(page.objects.len() + page.broken.len());
}

/// One copy of each variation: it comes by its own id and within its item.
fn newest(variations: Vec<VariationRow>) -> Vec<VariationRow> {
    let rank = |row: &VariationRow| (row.is_deleted, row.version, row.item_id.is_some());
    let mut newest: BTreeMap<String, VariationRow> = BTreeMap::new();
    for row in variations {
        match newest.get(&row.id) {
            Some(other) if rank(other) >= rank(&row) => {}
            _ => {
                newest.insert(row.id.clone(), row);
            }
        }
    }
    newest.into_values().collect()
}
