//! The inventory step: counts per variation, location and state.
//!
//! Normally only counts that changed since the newest one of the last run are
//! asked for. A reconcile lists everything: small accounts in one list, larger
//! ones location by location side by side, as Square lists them at that moment. Square gives the newest first, so a
//! count that changes while it is listed moves to a page that was read; asking
//! for the changes once more at the end finds it.

pub mod rows;
pub mod store;

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::env::Env;
use crate::error::SyncError;
use crate::locations::{self, Staged as StagedLocations};
use crate::part::Part;
use crate::postgres::{self, plan};
use crate::run::ledger::Ledger;
use crate::run::stats::{StagedStep, StepOutput};
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::run::watermark::Watermark;
use crate::square::{
    BatchRetrieveInventoryCounts, Broken, InventoryCount, Page, read_ahead, read_object,
};
use crate::staging::absence::Absent;
use crate::staging::load::clear_staging;
use crate::staging::quarantine;
use crate::text;
use crate::times::Now;
use rows::CountRow;
use store::INVENTORY;

pub(crate) const LIST: &str = "inventory";

/// Counts may show up a moment after the time they carry.
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);

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
    let mut client = context.env.database.client().await?;
    locations::ensure_merchant(context, &client).await?;
    let reconcile_after = context.env.settings.reconcile_after;
    let watermark = Watermark::load(&**client, LIST, reconcile_after).await?;
    let request = &context.run.request;
    let listed_all = watermark.reconcile_due
        || request.reconcile
        || request.full_refresh
        || staged_catalog_asks(context, &client).await?;

    clear_staging(&client, &[&INVENTORY], request.stages_only()).await?;
    let now = postgres::now(&**client).await?;
    let mut reader = Reader::new(context, &client, now);
    if listed_all {
        reader.list_all(&watermark).await?;
        reader.ask_for_absent().await?;
    } else {
        reader.replay().await?;
        reader.list(vec![], watermark.start(OVERLAP)).await?;
    }
    let Staged {
        newest,
        ledger,
        warnings,
    } = reader.finish().await?;

    let transaction = context.begin(&mut client).await?;
    ledger.verify(&transaction, context.attempt).await?;
    if request.stages_only() {
        let staged = StagedStep {
            attempt: context.attempt,
            rows: ledger,
            listed_all,
            position: watermark.advance(newest, now, OVERLAP).position,
            wants_inventory: false,
        };
        return context.leave_staged(transaction, staged, warnings).await;
    }
    let counts = store::apply(context, &transaction, listed_all).await?;
    plan::analyze(&*transaction, &store::WRITTEN, counts.written()).await?;
    let run_id = &context.run.run_id;
    watermark
        .advance(newest, now, OVERLAP)
        .save(&*transaction, LIST, listed_all, run_id)
        .await?;
    let scope = if listed_all { "reconcile" } else { "delta" };
    let stats = BTreeMap::from([("inventory".to_owned(), counts)]);
    context.commit(transaction, scope, stats, warnings).await
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

/// What the lists left in staging.
struct Staged {
    newest: Option<Timestamp>,
    ledger: Ledger,
    warnings: Vec<String>,
}

/// How far the one list for all locations went.
enum Unsplit {
    /// To its end, within one page.
    All,
    /// To its end; the newest count when it began.
    Changing(Option<Timestamp>),
    /// Not to its end.
    Large(Option<Timestamp>),
}

/// Reads lists into staging.
struct Reader<'a> {
    context: &'a StepContext<'a>,
    client: &'a Object,
    seq: i64,
    /// When this step began to ask.
    now: Now,
    newest: Option<Timestamp>,
    ledger: Ledger,
}

impl<'a> Reader<'a> {
    fn new(context: &'a StepContext<'a>, client: &'a Object, now: Now) -> Self {
        Self {
            context,
            client,
            seq: 0,
            now,
            newest: None,
            ledger: Ledger::default(),
        }
    }

    /// Stages what waits in quarantine once more: for its parent, or for a release
    /// that can read it.
    async fn replay(&mut self) -> Result<(), SyncError> {
        let (client, attempt) = (self.client, self.context.attempt);
        INVENTORY.replay(client, attempt, &mut self.ledger).await?;
        let mut number = 0;
        loop {
            let data_types = [INVENTORY.data_type];
            let waiting = quarantine::unreadable_after(&***client, &data_types, number).await?;
            let Some((last, _)) = waiting.last() else {
                return Ok(());
            };
            number = *last;
            let readable = waiting
                .iter()
                .filter_map(|(_, payload)| read_object::<InventoryCount>(payload).ok())
                .filter(is_of_variation)
                .map(|count| CountRow::new(count, 0))
                .collect();
            self.stage_rows(readable, Vec::new()).await?;
        }
    }

    /// Asks Square for what the listing lacks, by the variations: it may only have
    /// slipped.
    async fn ask_for_absent(&mut self) -> Result<(), SyncError> {
        let (context, client) = (self.context, self.client);
        let Some(absent) = Absent::of(context, client, &INVENTORY, "variation_id").await? else {
            return Ok(());
        };
        loop {
            let catalog_object_ids = absent.next().await?;
            if catalog_object_ids.is_empty() {
                return Ok(());
            }
            let request = BatchRetrieveInventoryCounts {
                catalog_object_ids,
                ..self.request(vec![], None)
            };
            match self.read(request).await {
                Ok(_) => {}
                // Without an answer the listing's word counts.
                Err(error @ SyncError::SquareRejected { .. }) => {
                    tracing::warn!(%error, "absent counts were not asked for");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Everything, and then what changed since it began.
    async fn list_all(&mut self, watermark: &Watermark) -> Result<(), SyncError> {
        let parts = self.context.run.request.parts();
        let locations = if parts.contains(&Part::Locations) {
            None
        } else {
            // No step of this run has brought those that counts refer to.
            Some(self.locations().await?)
        };
        let begun = match watermark.position {
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
        let limit = self.context.env.settings.inventory_batch_size;
        let rows = i64::from(limit) * i64::from(UNSPLIT_PAGES);
        Ok(self.client.query_one(store::KNOWN, &[&rows]).await?.get(0))
    }

    /// One list for all locations, as far as it goes.
    async fn list_unsplit(&mut self) -> Result<Unsplit, SyncError> {
        let square = &self.context.square;
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
        let (square, attempt) = (&self.context.square, self.context.attempt);
        locations::stage(square, self.client, attempt, &mut self.ledger).await
    }

    async fn list_by_location(&mut self, ids: Vec<String>) -> Result<(), SyncError> {
        let square = &self.context.square;
        let lists = ids
            .into_iter()
            .map(|id| square.batch_retrieve_inventory_counts(self.request(vec![id], None)))
            .collect();
        let concurrency = self.context.env.settings.square_concurrency;
        let mut pages = read_ahead(lists, usize::try_from(concurrency).unwrap_or(1));
        while let Some(page) = pages.next().await? {
            self.stage(page).await?;
        }
        Ok(())
    }

    async fn list_changes(&mut self, begun: Option<Timestamp>) -> Result<(), SyncError> {
        let since = begun.and_then(|begun| begun.checked_sub(OVERLAP).ok());
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
        let list = self.context.square.batch_retrieve_inventory_counts(request);
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
            limit: self.context.env.settings.inventory_batch_size,
            ..BatchRetrieveInventoryCounts::default()
        }
    }

    async fn stage(&mut self, page: Page<InventoryCount>) -> Result<(), SyncError> {
        self.context
            .progress
            .add(page.objects.len() + page.broken.len());
        let mut rows = Vec::with_capacity(page.objects.len());
        for count in page.objects.into_iter().filter(is_of_variation) {
            self.seq += 1;
            self.newest = self.newest.max(self.now.known(count.calculated_at));
            rows.push(CountRow::new(count, self.seq));
        }
        self.stage_rows(rows, page.broken).await
    }

    async fn stage_rows(
        &mut self,
        rows: Vec<CountRow>,
        broken: Vec<Broken>,
    ) -> Result<(), SyncError> {
        let (client, attempt, ledger) = (self.client, self.context.attempt, &mut self.ledger);
        let refused = INVENTORY.copy_in(client, attempt, &rows, ledger).await?;
        quarantine::stage_refused(&***client, attempt, refused, ledger).await?;
        let (key, data_type) = (
            ["catalog_object_id", "location_id", "state"],
            INVENTORY.data_type,
        );
        let broken = broken.into_iter();
        let broken = broken.map(|broken| (Some(data_type), broken)).collect();
        quarantine::stage_broken(&***client, attempt, &key, broken, data_type, ledger).await
    }

    /// Leaves one copy of each count in staging, ready to be applied.
    async fn finish(self) -> Result<Staged, SyncError> {
        let (client, attempt, mut ledger) = (self.client, self.context.attempt, self.ledger);
        INVENTORY.analyze(&***client).await?;
        INVENTORY.dedupe(client, attempt, &mut ledger).await?;
        let cleaned = text::warning(self.context.square.cleaned());
        let mut warnings: Vec<String> = cleaned.into_iter().collect();
        warnings.extend(quarantine::unnamed_warning(&***client, attempt).await?);
        Ok(Staged {
            newest: self.newest,
            ledger,
            warnings,
        })
    }
}

/// Square for Restaurants counts items as well, which no table here is for.
fn is_of_variation(count: &InventoryCount) -> bool {
    count.catalog_object_type.as_deref() != Some("ITEM")
}
