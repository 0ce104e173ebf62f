//! The locations step: the whole list each time, because Square has no time of
//! change for a location and no page for the list.

pub(crate) mod columns;
pub mod rows;
pub mod store;
pub mod zones;

use deadpool_postgres::{GenericClient, Object, Transaction};
use tokio::time::Instant;

use crate::env::Env;
use crate::error::SyncError;
use crate::merchant;
use crate::run::lease;
use crate::run::stats::StepOutput;
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::square::{Location, Page, Square};
use crate::staging::intake::Intake;
use crate::staging::quarantine::Aside;
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
/// this, or waits in quarantine if it cannot be read. For steps that need them
/// without the locations step: rows that are there stay as they are.
///
/// # Errors
/// Square's, the database's, `LeaseLost`.
pub(crate) async fn ensure(
    context: &StepContext<'_>,
    client: &mut Object,
) -> Result<Vec<String>, SyncError> {
    let page = listed(&context.square, client).await?;
    let mut rows = numbered(page.objects);
    let mut ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let known = store::known(client, &ids).await?;
    rows.retain(|row| !known.contains(&row.id));
    let broken = page.broken.into_iter();
    let mut asides: Vec<Aside> = broken
        .map(|broken| Aside::broken(LOCATIONS.data_type, &["id"], broken))
        .collect();
    ids.extend(asides.iter().filter_map(|aside| aside.object_id.clone()));
    if rows.is_empty() && asides.is_empty() {
        return Ok(ids);
    }
    let run_id = &context.run.run_id;
    let mut transaction = context.begin(client).await?;
    for row in &rows {
        let savepoint = transaction.savepoint("location").await?;
        match store::add_missing(&savepoint, row, run_id).await? {
            None => savepoint.commit().await?,
            Some(sqlstate) => {
                savepoint.rollback().await?;
                asides.push(Aside::refused(&LOCATIONS, row, &sqlstate)?);
            }
        }
    }
    for aside in asides {
        aside.keep(&transaction, run_id).await?;
    }
    lease::fence(&transaction, &context.lease).await?;
    transaction.commit().await?;
    Ok(ids)
}

/// Locations that wait in staging.
pub(crate) struct Staged {
    pub(crate) ids: Vec<String>,
    /// Square listed one that cannot be read.
    is_broken: bool,
}

impl Staged {
    /// Whether these are all that Square lists.
    pub(crate) fn are_all(&self) -> bool {
        !self.is_broken
    }
}

/// Stages the locations that Square lists, for a step that needs them without the
/// locations step and writes nothing yet: it adds those that are not there when it
/// applies what it has staged.
///
/// # Errors
/// Square's, the database's.
pub(crate) async fn stage(intake: &mut Intake<'_>) -> Result<Staged, SyncError> {
    let page = listed(&intake.context.square, &intake.client).await?;
    let rows = numbered(page.objects);
    let refused = intake.copy(&LOCATIONS, columns::STAGED, &rows).await?;
    let is_broken = !page.broken.is_empty() || refused > 0;
    intake.keep_one_copy(&LOCATIONS).await?;
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(Staged { ids, is_broken })
}

/// In Square's order, which tells two copies apart.
pub(crate) fn numbered(locations: Vec<Location>) -> Vec<LocationRow> {
    let rows = (1..).zip(locations);
    rows.map(|(seq, location)| LocationRow::new(location, seq))
        .collect()
}

/// Sees to it in a redriven step, whose run has passed preflight long ago, that the
/// access token is still of the merchant whose data is stored.
///
/// # Errors
/// `ConfigInvalid` if it is not; Square's, the database's.
pub(crate) async fn ensure_merchant(
    context: &StepContext<'_>,
    client: &Object,
) -> Result<(), SyncError> {
    if context.is_redriven {
        listed(&context.square, client).await?;
    }
    Ok(())
}

/// The locations that Square lists. An account always has one, its main location.
/// They must be of the merchant whose data is stored, whoever has put another token
/// into the secret since the run began.
pub(crate) async fn listed(
    square: &Square,
    client: &impl GenericClient,
) -> Result<Page<Location>, SyncError> {
    let page = square.list_locations().await?;
    if page.objects.is_empty() && page.broken.is_empty() {
        return Err(SyncError::SquareMalformed {
            endpoint: "/v2/locations".to_owned(),
            detail: "it names no location at all".to_owned(),
        });
    }
    let merchants = page.objects.iter();
    let merchants = merchants.filter_map(|location| location.merchant_id.as_deref());
    let merchants: Vec<&str> = merchants.collect();
    merchant::ensure_of_locations(square, client, &merchants).await?;
    Ok(page)
}

async fn work(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let mut intake = Intake::open(context, &[&LOCATIONS], None).await?;
    let page = listed(&context.square, &intake.client).await?;
    context.progress.add(page.objects.len() + page.broken.len());
    let rows = numbered(page.objects);
    let data_type = LOCATIONS.data_type;
    let broken = page.broken.into_iter();
    let broken = broken.map(|broken| (Some(data_type), broken)).collect();
    intake.copy(&LOCATIONS, columns::STAGED, &rows).await?;
    intake.set_aside(&["id"], broken, data_type).await?;
    intake.keep_one_copy(&LOCATIONS).await?;
    let unknown_zones = zones::warning(&intake.client, &rows).await?;
    let warnings = unknown_zones.into_iter().collect();
    let apply = async |context: &StepContext<'_>, transaction: &Transaction<'_>, _, _: &mut _| {
        store::apply(context, transaction).await
    };
    intake.end(None, warnings, &[LOCATIONS.name], apply).await
}
