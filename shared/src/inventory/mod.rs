//! The inventory step: counts per variation, location and state.
//!
//! Normally only counts that changed since the newest one of the last run are
//! asked for. A reconcile lists everything: small accounts in one list, larger
//! ones location by location side by side, as Square lists them at that moment. Square gives the newest first, so a
//! count that changes while it is listed moves to a page that was read; asking
//! for the changes once more at the end finds it.

pub(crate) mod columns;
pub mod rows;
pub mod store;

use deadpool_postgres::Object;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::env::Env;
use crate::error::SyncError;
use crate::locations::{self, Staged as StagedLocations};
use crate::part::Part;
use crate::run::stats::StepOutput;
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::square::{
    BatchRetrieveInventoryCounts, Broken, InventoryCount, Page, read_ahead, read_object,
};
use crate::staging::intake::{Intake, List};
use rows::CountRow;
use store::INVENTORY;

/// Counts may show up a moment after the time they carry.
pub(crate) const LIST: List = List {
    name: "inventory",
    overlap: SignedDuration::from_mins(2),
};

/// The fields of a count that make its key.
pub(crate) const KEY_FIELDS: [&str; 3] = ["catalog_object_id", "location_id", "state"];

/// Pages of the one list for all locations, before a large account is split.
const UNSPLIT_PAGES: u32 = 10;

/// Brings `catalog_inventory` to what Square counts.
///
/// # Errors
/// Square's, the database's, `StepTimeout`, `LeaseLost`, `Cancelled`, `DeletionGuard`.
pub async fn sync(
    env: &Env,
    input: StepInput,
    lambda_deadline: Instant,
) -> Result<StepOutput, SyncError> {
    let step = Step {
        name: "inventory",
        timeout: env.settings.inventory_sync_timeout,
        timeout_setting: "INVENTORY_SYNC_TIMEOUT",
        lambda_deadline,
    };
    step::perform(env, input, step, work).await
}

async fn work(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let mut intake = Intake::open(context, &[&INVENTORY], Some(&LIST)).await?;
    locations::ensure_merchant(context, &intake.client).await?;
    intake.lists_all |= staged_catalog_asks(context, &intake.client).await?;
    let mut reader = Reader::new(&mut intake);
    if reader.intake.lists_all {
        reader.list_all().await?;
        reader.ask_for_absent().await?;
    } else {
        reader.replay().await?;
        reader.list(vec![], reader.intake.since()).await?;
    }
    let newest = reader.newest;
    intake.analyze(&[&INVENTORY]).await?;
    intake.keep_one_copy(&INVENTORY).await?;
    intake
        .end(newest, Vec::new(), &store::WRITTEN, store::apply)
        .await
}

/// Whether this run's catalog asks for all counts, where it is staged only: else its
/// step has told the watermark.
async fn staged_catalog_asks(
    context: &StepContext<'_>,
    client: &Object,
) -> Result<bool, SyncError> {
    let (run_id, step) = (&context.run.run_id, Part::Catalog.name());
    let output: Option<StepOutput> = step::earlier_result(client, run_id, step).await?;
    let staged = output.and_then(|output| output.staged);
    Ok(staged.is_some_and(|staged| staged.wants_inventory))
}

/// The reach of the one list for all locations.
enum Unsplit {
    /// To its end, within one page.
    All,
    /// To its end; the newest count when it began.
    Changing(Option<Timestamp>),
    /// Not to its end.
    Large(Option<Timestamp>),
}

/// Reads lists into staging.
struct Reader<'a, 'c> {
    intake: &'a mut Intake<'c>,
    seq: i64,
    newest: Option<Timestamp>,
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(intake: &'a mut Intake<'c>) -> Self {
        Self {
            intake,
            seq: 0,
            newest: None,
        }
    }

    /// Stages what waits in quarantine once more: for its parent, or for a release
    /// that can read it.
    async fn replay(&mut self) -> Result<(), SyncError> {
        self.intake.replay(&INVENTORY).await?;
        loop {
            let waiting = self.intake.next_unreadable(&[INVENTORY.data_type]).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let readable: Vec<CountRow> = waiting
                .iter()
                .filter_map(|payload| read_object::<InventoryCount>(payload).ok())
                .filter(is_of_variation)
                .map(|count| CountRow::new(count, 0))
                .collect();
            self.intake
                .copy(&INVENTORY, columns::STAGED, &readable)
                .await?;
        }
    }

    /// Asks Square for what the listing lacks, by the variations: it may only have
    /// slipped.
    async fn ask_for_absent(&mut self) -> Result<(), SyncError> {
        if !self.intake.has_absent(&INVENTORY, "variation_id").await? {
            return Ok(());
        }
        loop {
            let catalog_object_ids = self.intake.next_absent().await?;
            if catalog_object_ids.is_empty() {
                return Ok(());
            }
            let request = BatchRetrieveInventoryCounts {
                catalog_object_ids,
                ..self.request(vec![], None)
            };
            match self.read(request).await {
                Ok(()) => {}
                // Without an answer the listing's word counts.
                Err(error @ SyncError::SquareRejected { .. }) => {
                    tracing::warn!(%error, "absent counts were not asked for");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Everything, and then what changed since it began.
    async fn list_all(&mut self) -> Result<(), SyncError> {
        let parts = self.intake.context.run.request.parts();
        let locations = if parts.contains(&Part::Locations) {
            None
        } else {
            // No step of this run has brought those that counts refer to.
            Some(self.locations().await?)
        };
        let begun = match self.intake.position() {
            // What the last run read up to was there before this one began.
            Some(position) if self.is_large().await? => Some(position),
            _ => match self.list_unsplit().await? {
                Unsplit::All => return Ok(()),
                Unsplit::Changing(begun) => return self.list_changes(begun).await,
                Unsplit::Large(begun) => begun,
            },
        };
        let locations = match locations {
            Some(locations) => locations,
            None => self.locations().await?,
        };
        if locations.are_all() {
            self.list_by_location(locations.ids).await?;
        } else {
            self.list(vec![], None).await?;
        }
        self.list_changes(begun).await
    }

    /// Whether the table already holds more than the one list may have pages for.
    async fn is_large(&self) -> Result<bool, SyncError> {
        let limit = self.intake.context.env.settings.inventory_batch_size;
        let rows = i64::from(limit) * i64::from(UNSPLIT_PAGES);
        let client = &self.intake.client;
        Ok(client.query_one(store::KNOWN, &[&rows]).await?.get(0))
    }

    /// One list for all locations, as far as it goes.
    async fn list_unsplit(&mut self) -> Result<Unsplit, SyncError> {
        let square = &self.intake.context.square;
        let list = square.batch_retrieve_inventory_counts(self.request(vec![], None));
        let mut pages = read_ahead(vec![list], 1);
        let mut begun = None;
        for page_count in 0..UNSPLIT_PAGES {
            let Some(page) = pages.next().await? else {
                // A list of one page cannot have changed between its pages.
                return Ok(if page_count > 1 {
                    Unsplit::Changing(begun)
                } else {
                    Unsplit::All
                });
            };
            self.stage(page).await?;
            begun = begun.or(self.newest);
        }
        Ok(Unsplit::Large(begun))
    }

    async fn locations(&mut self) -> Result<StagedLocations, SyncError> {
        locations::stage(self.intake).await
    }

    async fn list_by_location(&mut self, ids: Vec<String>) -> Result<(), SyncError> {
        let square = &self.intake.context.square;
        let lists = ids
            .into_iter()
            .map(|id| square.batch_retrieve_inventory_counts(self.request(vec![id], None)))
            .collect();
        let concurrency = self.intake.context.env.settings.square_concurrency;
        let mut pages = read_ahead(lists, usize::try_from(concurrency).unwrap_or(1));
        loop {
            match pages.next().await {
                Ok(Some(page)) => self.stage(page).await?,
                Ok(None) => return Ok(()),
                // One location must not keep the counts of all others out.
                Err(error @ SyncError::SquareRejected { .. }) => {
                    tracing::warn!(%error, "counts are listed for all locations at once");
                    drop(pages);
                    return self.list(vec![], None).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn list_changes(&mut self, begun: Option<Timestamp>) -> Result<(), SyncError> {
        let since = begun.and_then(|begun| begun.checked_sub(LIST.overlap).ok());
        self.list(vec![], since).await
    }

    async fn list(
        &mut self,
        location_ids: Vec<String>,
        updated_after: Option<Timestamp>,
    ) -> Result<(), SyncError> {
        self.read(self.request(location_ids, updated_after)).await
    }

    async fn read(&mut self, request: BatchRetrieveInventoryCounts) -> Result<(), SyncError> {
        let list = self
            .intake
            .context
            .square
            .batch_retrieve_inventory_counts(request);
        let mut pages = read_ahead(vec![list], 1);
        while let Some(page) = pages.next().await? {
            self.stage(page).await?;
        }
        Ok(())
    }

    fn request(
        &self,
        location_ids: Vec<String>,
        updated_after: Option<Timestamp>,
    ) -> BatchRetrieveInventoryCounts {
        BatchRetrieveInventoryCounts {
            location_ids,
            updated_after,
            limit: self.intake.context.env.settings.inventory_batch_size,
            ..BatchRetrieveInventoryCounts::default()
        }
    }

    async fn stage(&mut self, page: Page<InventoryCount>) -> Result<(), SyncError> {
        let progress = &self.intake.context.progress;
        progress.add(page.objects.len() + page.broken.len());
        let mut rows = Vec::with_capacity(page.objects.len());
        for count in page.objects.into_iter().filter(is_of_variation) {
            self.seq += 1;
            self.newest = self.newest.max(self.intake.now.known(count.calculated_at));
            rows.push(CountRow::new(count, self.seq));
        }
        self.intake.copy(&INVENTORY, columns::STAGED, &rows).await?;
        self.set_aside(page.broken).await
    }

    async fn set_aside(&mut self, broken: Vec<Broken>) -> Result<(), SyncError> {
        let data_type = INVENTORY.data_type;
        let broken = broken.into_iter();
        let broken = broken.map(|broken| (Some(data_type), broken)).collect();
        self.intake.set_aside(&KEY_FIELDS, broken, data_type).await
    }
}

/// Square for Restaurants counts items as well, which no table here is for.
pub(crate) fn is_of_variation(count: &InventoryCount) -> bool {
    count.catalog_object_type.as_deref() != Some("ITEM")
}
