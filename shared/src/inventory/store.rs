//! Counts into PostgreSQL.

use deadpool_postgres::Transaction;

use super::columns::COLUMNS;
use crate::error::SyncError;
use crate::locations;
use crate::postgres::plan::Access;
use crate::run::stats::Stats;
use crate::run::step::StepContext;
use crate::staging::apply;
use crate::staging::column::names;
use crate::staging::drift::Expected;
use crate::staging::guard;
use crate::staging::quarantine;
use crate::staging::table::{History, Table};

/// `catalog_inventory`.
pub const INVENTORY: Table = Table {
    name: "catalog_inventory",
    data_type: "inventory",
    key: &["variation_id", "location_id", "state"],
    columns: &names(&COLUMNS),
    staging_only: &[],
    version: "calculated_at",
    changed_at: Some("calculated_at"),
    rank: &["coalesce(calculated_at, '-infinity'::timestamptz)", "seq"],
    has_tombstones: false,
    live: "not @.is_deleted",
    is_object: true,
    parents: &[
        ("variation_id", "catalog_variations"),
        ("location_id", "locations"),
    ],
    held_by: None,
    vouched: None,
    history: Some(History {
        name: "catalog_inventory_history",
        columns: &[
            "variation_id",
            "location_id",
            "state",
            "calculated_at",
            "quantity",
        ],
    }),
};

/// The tables that this step writes.
pub(crate) const WRITTEN: [&str; 2] = ["catalog_inventory", "catalog_inventory_history"];

/// Whether there are more counts than that. Parameter: how many.
pub(super) const KNOWN: &str = "
    select exists (select from catalog_inventory where not is_deleted offset $1::bigint)";

/// Counts whose variation or location Square never gave. Parameter: attempt.
fn quarantine_counts(access: Access) -> String {
    format!(
        "
    with orphans as (
        delete from staging.catalog_inventory where ctid = any (array(
            select s.ctid from staging.catalog_inventory s
            {variations}
            {locations}
            where s.attempt = $1 and (v.id is null or l.id is null)))
        returning *)
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable)
    select attempt, seq, 'inventory', variation_id || ':' || location_id || ':' || state,
        format('Variation %s or location %s is not known.', variation_id, location_id),
        to_jsonb(orphans) - array['attempt', 'seq'], true
    from orphans",
        variations = access.left_join("catalog_variations", "v", "v.id = s.variation_id"),
        locations = access.left_join("locations", "l", "l.id = s.location_id"),
    )
}

/// Square may go on counting a deleted variation: such a count stays marked, as
/// the variation is. Parameter: attempt.
fn follow_deleted_variations(access: Access) -> String {
    format!(
        "
    update staging.catalog_inventory c set is_deleted = true, deleted_at = followed.deleted_at
    from (
        select s.ctid as at, v.deleted_at from staging.catalog_inventory s
        {variations}
        where s.attempt = $1 and v.is_deleted) followed
    where c.ctid = followed.at",
        variations = access.join("catalog_variations", "v", "v.id = s.variation_id"),
    )
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements() -> Vec<String> {
    let by_access = |access| [quarantine_counts(access), follow_deleted_variations(access)];
    let mut statements = vec![KNOWN.to_owned()];
    statements.extend([Access::Sets, Access::LookUps].map(by_access).concat());
    statements
}

/// Applies what was staged, and returns what became of it.
pub(crate) async fn apply(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    lists_all: bool,
    expected: &mut Expected,
) -> Result<Stats, SyncError> {
    let (attempt, run_id) = (context.attempt, context.run.run_id.as_str());
    let access = Access::of(lists_all);
    access.enter_anew(transaction).await?;
    if lists_all {
        locations::store::add_staged(transaction, attempt, run_id).await?;
    }
    for statement in [quarantine_counts(access), follow_deleted_variations(access)] {
        transaction.execute(&statement, &[&attempt]).await?;
    }
    let upserted = apply::upsert(context, transaction, &INVENTORY, access, expected).await?;
    let mut counts = upserted.counts;
    if lists_all && !upserted.was_empty {
        counts.deleted = apply::mark_deleted(context, transaction, &INVENTORY, access).await?;
    }
    quarantine::settle(transaction, &INVENTORY, attempt, run_id, access).await?;
    guard::check(context, transaction, &INVENTORY, &counts).await?;
    Ok(Stats::from([("inventory".to_owned(), counts)]))
}
