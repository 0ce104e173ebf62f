//! Counts into PostgreSQL.

use tokio_postgres::Transaction;

use crate::error::SyncError;
use crate::guard;
use crate::postgres::table::Table;
use crate::quarantine;
use crate::run::stats::Counts;
use crate::run::step::StepContext;

/// `catalog_inventory`.
pub const INVENTORY: Table = Table {
    name: "catalog_inventory",
    data_type: "inventory",
    key: &["variation_id", "location_id", "state"],
    columns: &[
        "variation_id",
        "location_id",
        "state",
        "quantity",
        "calculated_at",
        "is_deleted",
        "deleted_at",
    ],
    staging_only: &[],
    version: "calculated_at",
    rank: "coalesce(@.calculated_at, '-infinity'::timestamptz), @.seq",
    has_tombstones: false,
};

/// The locations that Square knows. One that it no longer lists is inactive here
/// and must not be asked for; what it listed last is still in staging.
pub const LISTED_LOCATIONS: &str = "
    select id from locations
    where status is distinct from 'INACTIVE'
        or id in (select id from staging.locations)
        or not exists (select from staging.locations)
    order by id";

/// The locations that the step before has staged.
pub const STAGED_LOCATIONS: &str = "select distinct id from staging.locations order by id";

/// Counts whose variation or location Square never gave. Parameter: attempt.
pub const QUARANTINE_COUNTS: &str = "
    with orphans as (
        delete from staging.catalog_inventory s
        where s.attempt = $1 and (
            not exists (select from catalog_variations v where v.id = s.variation_id)
            or not exists (select from locations l where l.id = s.location_id))
        returning s.*)
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable)
    select attempt, seq, 'inventory', variation_id || ':' || location_id || ':' || state,
        format('Variation %s or location %s is not known.', variation_id, location_id),
        to_jsonb(orphans) - array['attempt', 'seq'], true
    from orphans";

/// Square may go on counting a deleted variation: such a count stays marked, as
/// the variation is. Parameter: attempt.
pub const FOLLOW_DELETED_VARIATIONS: &str = "
    update staging.catalog_inventory s set is_deleted = true, deleted_at = v.deleted_at
    from catalog_variations v
    where s.attempt = $1 and v.id = s.variation_id and v.is_deleted";

/// One row for each change that this transaction has just made.
pub const KEEP_HISTORY: &str = "
    insert into catalog_inventory_history
        (variation_id, location_id, state, calculated_at, quantity)
    select variation_id, location_id, state, calculated_at, quantity
    from catalog_inventory
    where last_changed_at = now() and calculated_at is not null
    on conflict do nothing";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 5] = [
    LISTED_LOCATIONS,
    STAGED_LOCATIONS,
    QUARANTINE_COUNTS,
    FOLLOW_DELETED_VARIATIONS,
    KEEP_HISTORY,
];

/// Applies what was staged.
pub(crate) async fn apply(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    listed_all: bool,
) -> Result<Counts, SyncError> {
    let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
    transaction.execute(QUARANTINE_COUNTS, &[&attempt]).await?;
    transaction
        .execute(FOLLOW_DELETED_VARIATIONS, &[&attempt])
        .await?;
    let staged: i64 = transaction
        .query_one(&INVENTORY.staged_sql(), &[&attempt])
        .await?
        .get(0);
    let written = INVENTORY
        .upsert(transaction, &INVENTORY.upsert_sql(), attempt, run_id)
        .await?;
    let mut counts = Counts::new(staged, written);
    if counts.created + counts.updated > 0 {
        transaction.execute(KEEP_HISTORY, &[]).await?;
    }
    if listed_all {
        let marked = transaction
            .execute(
                &INVENTORY.mark_deleted_sql(),
                &[&attempt, &run_id, &listed_all],
            )
            .await?;
        counts.deleted = i64::try_from(marked).unwrap_or(i64::MAX);
    }
    counts.quarantined = quarantine::count(transaction, attempt, "inventory").await?;
    quarantine::settle(transaction, &INVENTORY, attempt, run_id, listed_all).await?;
    let (deleted, created) = (counts.deleted, counts.created);
    guard::check(
        context,
        transaction,
        INVENTORY.name,
        "not is_deleted",
        deleted,
        created,
    )
    .await?;
    Ok(counts)
}
