//! The locations step: the whole list each time, because Square has no time of
//! change for a location and no page for the list.

pub mod rows;
pub mod store;
pub mod zones;

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::GenericClient;

use crate::env::Env;
use crate::error::SyncError;
use crate::postgres::ledger::Ledger;
use crate::postgres::table::clear_staging;
use crate::quarantine;
use crate::run::stats::{StagedStep, StepOutput};
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::square::Square;
use crate::text::Texts;
use rows::LocationRow;
use store::LOCATIONS;

/// Brings `locations` to what Square lists.
///
/// # Errors
/// Square's, the database's, `StepTimeout`, `LeaseLost`, `Cancelled`, `DeletionGuard`.
pub async fn sync(
    env: &Env,
    input: StepInput,
    lambda_deadline: Instant,
) -> Result<StepOutput, SyncError> {
    let step = Step {
        name: "locations",
        timeout: env.settings.location_sync_timeout,
        timeout_setting: "LOCATION_SYNC_TIMEOUT",
        lambda_deadline,
    };
    step::perform(env, input, step, work).await
}

/// The ids of the locations that Square lists, each of which has its row after
/// this. For steps that need them without the locations step: rows that are there
/// stay as they are.
///
/// # Errors
/// Square's, the database's.
pub(crate) async fn ensure(
    square: &Square,
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Vec<String>, SyncError> {
    let page = square.list_locations().await?;
    let mut texts = Texts::default();
    let rows: Vec<LocationRow> = (1..)
        .zip(page.objects)
        .map(|(seq, location)| LocationRow::new(location, seq, &mut texts))
        .collect();
    store::add_missing(client, &rows, run_id).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Locations that wait in staging.
pub(crate) struct Staged {
    pub(crate) ids: Vec<String>,
    /// Square listed one that cannot be read.
    is_broken: bool,
}

impl Staged {
    /// Whether these are all that Square lists; an account always has one.
    pub(crate) fn are_all(&self) -> bool {
        !self.is_broken && !self.ids.is_empty()
    }
}

/// Stages the locations that Square lists, for a step that needs them without the
/// locations step and writes nothing yet: it adds those that are not there when it
/// applies what it has staged.
///
/// # Errors
/// Square's, the database's.
pub(crate) async fn stage(
    square: &Square,
    client: &Object,
    attempt: i64,
    ledger: &mut Ledger,
) -> Result<Staged, SyncError> {
    let page = square.list_locations().await?;
    let mut texts = Texts::default();
    let rows: Vec<LocationRow> = (1..)
        .zip(page.objects)
        .map(|(seq, location)| LocationRow::new(location, seq, &mut texts))
        .collect();
    LOCATIONS.copy_in(client, attempt, &rows, ledger).await?;
    LOCATIONS.dedupe(client, attempt, ledger).await?;
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(Staged {
        ids,
        is_broken: !page.broken.is_empty(),
    })
}

async fn work(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let page = context.square.list_locations().await?;
    context.progress.add(page.objects.len() + page.broken.len());
    let mut texts = Texts::default();
    let rows: Vec<LocationRow> = (1..)
        .zip(page.objects)
        .map(|(seq, location)| LocationRow::new(location, seq, &mut texts))
        .collect();
    let broken = page
        .broken
        .into_iter()
        .map(|broken| ("locations", broken))
        .collect();

    let mut client = context.env.database.client().await?;
    let attempt = context.attempt;
    clear_staging(&client, &[&LOCATIONS], false).await?;
    let mut ledger = Ledger::default();
    LOCATIONS
        .copy_in(&client, attempt, &rows, &mut ledger)
        .await?;
    let key = ["id"];
    quarantine::stage_broken(&**client, attempt, &mut texts, &key, broken, &mut ledger).await?;
    LOCATIONS.dedupe(&client, attempt, &mut ledger).await?;
    let unknown_zones = zones::warning(&**client, &rows).await?;

    let transaction = context.begin(&mut client).await?;
    ledger.verify(&transaction, attempt).await?;
    let warnings = texts.warning().into_iter().chain(unknown_zones).collect();
    if context.run.request.stages_only() {
        let staged = StagedStep {
            attempt,
            rows: ledger,
            listed_all: true,
            position: None,
        };
        return context.leave_staged(transaction, staged, warnings).await;
    }
    let counts = store::apply(context, &transaction).await?;
    let stats = BTreeMap::from([("locations".to_owned(), counts)]);
    context
        .commit(transaction, "reconcile", stats, warnings)
        .await
}
