//! The catalog step: categories, items and variations.
//!
//! Normally only what changed since Square's own `latest_time` of the last run is
//! asked for, less an overlap, tombstones included. A reconcile lists everything, one list a type
//! side by side, and then what changed meanwhile: Square promises no snapshot, so
//! an object may slip between two pages.

pub(crate) mod columns;
pub mod rows;
pub mod statements;
pub mod store;
pub mod tables;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::env::Env;
use crate::error::SyncError;
use crate::locations;
use crate::run::stats::StepOutput;
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::square::{
    BatchRetrieveCatalogObjects, CatalogObject, Page, SearchCatalogObjects, read_ahead, read_object,
};
use crate::staging::intake::{Intake, List};
use crate::times::Now;
use rows::{Arrivals, CatalogRows};
use tables::{CATEGORIES, ITEMS, TABLES, VARIATIONS};

/// `begin_time` leaves out objects of that very moment, and the search may find an
/// object a moment later than the time that it carries.
pub(crate) const LIST: List = List {
    name: "catalog",
    overlap: SignedDuration::from_mins(2),
};

const TYPES: [&str; 3] = ["CATEGORY", "ITEM", "ITEM_VARIATION"];

/// Brings the catalog's tables to what Square has.
///
/// # Errors
/// Square's, the database's, `StepTimeout`, `LeaseLost`, `Cancelled`, `DeletionGuard`.
pub async fn sync(
    env: &Env,
    input: StepInput,
    lambda_deadline: Instant,
) -> Result<StepOutput, SyncError> {
    let step = Step {
        name: "catalog",
        timeout: env.settings.catalog_sync_timeout,
        timeout_setting: "CATALOG_SYNC_TIMEOUT",
        lambda_deadline,
    };
    step::perform(env, input, step, work).await
}

async fn work(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let mut intake = Intake::open(context, &TABLES, Some(&LIST)).await?;
    locations::ensure_merchant(context, &intake.client).await?;
    let mut reader = Reader::new(&mut intake);
    if reader.intake.lists_all {
        reader.list_all().await?;
        reader.ask_for_absent().await?;
    } else {
        reader.replay().await?;
        reader.list_changes(reader.intake.since()).await?;
    }
    let newest = reader.told.time();
    store::complete(&mut intake).await?;
    if context.run.request.stages_only() {
        intake.wants_inventory = store::wants_inventory(&mut intake).await?;
    }
    let tables = TABLES.map(|table| table.name);
    intake.end(newest, Vec::new(), &tables, store::apply).await
}

/// Reads lists into staging.
struct Reader<'a, 'c> {
    intake: &'a mut Intake<'c>,
    arrivals: Arrivals,
    told: Told,
}

/// The catalog's own time, as lists have told it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    /// `latest_time`.
    said: Option<Timestamp>,
    /// The newest change of an object.
    seen: Option<Timestamp>,
}

impl Told {
    /// Takes in a page of a list: the list stands for the earliest that any of its
    /// pages says.
    fn hear(&mut self, page: &Page<CatalogObject>, now: Now) {
        self.said = match (self.said, now.known(page.latest_time)) {
            (Some(before), Some(said)) => Some(before.min(said)),
            (before, said) => before.or(said),
        };
        let changes = page.objects.iter();
        let seen = changes.filter_map(|object| now.known(object.updated_at));
        self.seen = self.seen.max(seen.max());
    }

    /// Takes in a list that began later.
    fn go_on(&mut self, later: Self) {
        self.said = self.said.max(later.said);
        self.seen = self.seen.max(later.seen);
    }

    /// The catalog's `latest_time`, or the newest change if Square does not say.
    fn time(self) -> Option<Timestamp> {
        self.said.or(self.seen)
    }
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(intake: &'a mut Intake<'c>) -> Self {
        Self {
            intake,
            arrivals: Arrivals::given(),
            told: Told::default(),
        }
    }

    /// Stages what waits in quarantine once more: for its parent, or for a release
    /// that can read it.
    async fn replay(&mut self) -> Result<(), SyncError> {
        for table in TABLES {
            self.intake.replay(table).await?;
        }
        let data_types = TABLES.map(|table| table.data_type);
        let mut arrivals = Arrivals::again();
        loop {
            let waiting = self.intake.next_unreadable(&data_types).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let mut rows = CatalogRows::default();
            for payload in &waiting {
                if let Ok(object) = read_object(payload) {
                    rows.add(object, &mut arrivals);
                }
            }
            // What is broken within them waits already.
            rows.broken.clear();
            self.stage_rows(rows).await?;
        }
    }

    /// Everything, then what changed since the listing began or the last run
    /// read, whichever is earlier: the latter brings the tombstones.
    async fn list_all(&mut self) -> Result<(), SyncError> {
        let lists = TYPES.map(|kind| self.request(vec![kind], None));
        let begun = self.read(lists.into()).await?;
        self.arrivals.have_been_listed();
        let since = match (self.intake.since(), begun) {
            (Some(last), Some(begun)) => Some(last.min(begun)),
            (last, begun) => last.or(begun),
        };
        let Some(since) = since else {
            return Ok(());
        };
        self.list_changes(since.checked_sub(LIST.overlap).ok())
            .await
    }

    /// Asks Square for what the listing lacks, by its ids: it may only have slipped.
    async fn ask_for_absent(&mut self) -> Result<(), SyncError> {
        for table in [&CATEGORIES, &ITEMS, &VARIATIONS] {
            if !self.intake.has_absent(table, "id").await? {
                continue;
            }
            loop {
                let object_ids = self.intake.next_absent().await?;
                if object_ids.is_empty() {
                    break;
                }
                let request = BatchRetrieveCatalogObjects {
                    object_ids,
                    include_deleted_objects: true,
                };
                let square = &self.intake.context.square;
                match square.batch_retrieve_catalog_objects(&request).await {
                    Ok(page) => self.stage(page).await?,
                    // Without an answer the listing's word counts.
                    Err(error @ SyncError::SquareRejected { .. }) => {
                        tracing::warn!(%error, "absent objects were not asked for");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Reads what changed after `begin_time`.
    async fn list_changes(&mut self, begin_time: Option<Timestamp>) -> Result<(), SyncError> {
        let list = self.request(TYPES.to_vec(), begin_time);
        self.read(vec![list]).await?;
        Ok(())
    }

    fn request(
        &self,
        object_types: Vec<&'static str>,
        begin_time: Option<Timestamp>,
    ) -> SearchCatalogObjects {
        SearchCatalogObjects {
            object_types,
            include_deleted_objects: begin_time.is_some(),
            begin_time,
            limit: self.intake.context.env.settings.catalog_batch_size,
        }
    }

    /// Reads lists side by side; returns the catalog's time when they began.
    async fn read(
        &mut self,
        requests: Vec<SearchCatalogObjects>,
    ) -> Result<Option<Timestamp>, SyncError> {
        let square = &self.intake.context.square;
        let concurrency = requests.len();
        let lists = requests
            .into_iter()
            .map(|request| square.search_catalog_objects(request))
            .collect();
        let mut pages = read_ahead(lists, concurrency);
        let mut told = Told::default();
        while let Some(page) = pages.next().await? {
            told.hear(&page, self.intake.now);
            self.stage(page).await?;
        }
        self.told.go_on(told);
        Ok(told.time())
    }

    async fn stage(&mut self, page: Page<CatalogObject>) -> Result<(), SyncError> {
        let progress = &self.intake.context.progress;
        progress.add(page.objects.len() + page.broken.len());
        let mut rows = CatalogRows::default();
        for object in page.objects {
            rows.add(object, &mut self.arrivals);
        }
        for broken in page.broken {
            rows.add_broken(broken, &mut self.arrivals);
        }
        self.stage_rows(rows).await
    }

    async fn stage_rows(&mut self, rows: CatalogRows) -> Result<(), SyncError> {
        self.intake
            .copy(&CATEGORIES, columns::STAGED_CATEGORIES, &rows.categories)
            .await?;
        self.intake
            .copy(&ITEMS, columns::STAGED_ITEMS, &rows.items)
            .await?;
        self.intake
            .copy(&VARIATIONS, columns::STAGED_VARIATIONS, &rows.variations)
            .await?;
        let (broken, default_type) = (rows.broken, ITEMS.data_type);
        self.intake.set_aside(&["id"], broken, default_type).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of 2020.
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_577_836_800 + second).unwrap()
    }

    /// Returns what a list told whose pages said and held these seconds, at second 100.
    fn told(pages: &[(Option<i64>, &[i64])]) -> Told {
        let mut told = Told::default();
        for (said, changes) in pages {
            let objects = changes.iter().map(|second| CatalogObject {
                updated_at: Some(at(*second)),
                ..CatalogObject::default()
            });
            let page = Page {
                objects: objects.collect(),
                broken: Vec::new(),
                latest_time: said.map(at),
            };
            told.hear(&page, Now::at(at(100)));
        }
        told
    }

    #[test]
    fn once_a_page_has_said_the_catalogs_time_no_objects_time_counts() {
        for (pages, time) in [
            (&[(Some(50), &[10, 20][..])][..], Some(50)),
            (&[(Some(50), &[10][..]), (None, &[60][..])], Some(50)),
            (&[(None, &[60][..]), (Some(50), &[10][..])], Some(50)),
            (&[(Some(50), &[][..]), (Some(55), &[][..])], Some(50)),
            (&[(None, &[60][..]), (None, &[10][..])], Some(60)),
            (&[(None, &[][..])], None),
            // Times still to come are none.
            (&[(Some(101), &[10, 101][..])], Some(10)),
            (&[(Some(101), &[][..]), (Some(100), &[99][..])], Some(100)),
            (&[(None, &[200][..])], None),
        ] {
            assert_eq!(told(pages).time(), time.map(at), "{pages:?}");
        }
    }

    #[test]
    fn a_later_list_may_leave_out_what_an_earlier_one_said() {
        let mut whole = told(&[(Some(50), &[10])]);
        whole.go_on(told(&[(None, &[60])]));
        assert_eq!(whole.time(), Some(at(50)));
        whole.go_on(told(&[(Some(70), &[])]));
        assert_eq!(whole.time(), Some(at(70)));
    }
}
