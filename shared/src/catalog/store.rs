//! The catalog into PostgreSQL.
//!
//! Categories, then items, then variations, because each refers to the one
//! before. What hangs on a row goes with it: an item's categories, a variation's
//! overrides, and with a deleted variation its counts.

use deadpool_postgres::Transaction;

use super::statements;
use super::tables::{CATEGORIES, ITEM_CATEGORIES, ITEMS, OVERRIDES, TABLES, VARIATIONS};
use crate::error::SyncError;
use crate::inventory::store::INVENTORY;
use crate::postgres::plan::Access;
use crate::run::stats::{Counts, Stats};
use crate::run::step::StepContext;
use crate::staging::apply;
use crate::staging::drift::Expected;
use crate::staging::guard;
use crate::staging::intake::Intake;
use crate::staging::quarantine;
use crate::staging::table::Table;

/// Applies what was staged, and returns what became of it.
pub(crate) async fn apply(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    lists_all: bool,
    expected: &mut Expected,
) -> Result<Stats, SyncError> {
    let access = Access::of(lists_all);
    access.enter_anew(transaction).await?;
    for statement in statements::deleted_asides() {
        transaction.execute(&statement, &[&context.attempt]).await?;
    }
    let mut stats = Stats::new();
    let categories = apply_objects(context, transaction, &CATEGORIES, access, expected).await?;
    stats.insert("categories".to_owned(), categories);
    let items = apply_items(context, transaction, access, expected).await?;
    stats.insert("items".to_owned(), items);
    let (variations, inventory) = apply_variations(context, transaction, access, expected).await?;
    stats.insert("variations".to_owned(), variations);
    if inventory.deleted > 0 {
        stats.insert("inventory".to_owned(), inventory);
    }
    transaction
        .execute(&statements::settle_overrides(access), &[&context.attempt])
        .await?;
    for table in TABLES {
        let run_id = context.run.run_id.as_str();
        quarantine::settle(transaction, table, context.attempt, run_id, access).await?;
    }
    Ok(stats)
}

/// Leaves one copy of each object in staging, ready to be applied.
pub(super) async fn complete(intake: &mut Intake<'_>) -> Result<(), SyncError> {
    let attempt = intake.context.attempt;
    intake.analyze(&[&CATEGORIES, &ITEMS, &VARIATIONS]).await?;
    intake.keep_one_copy(&CATEGORIES).await?;
    intake.keep_one_copy(&ITEMS).await?;
    let drop_outdated = statements::DROP_OUTDATED_HELD;
    let outdated = intake.client.execute(drop_outdated, &[&attempt]).await?;
    intake.ledger.removed(VARIATIONS.name, outdated);
    let complete_item_ids = statements::complete_item_ids(intake.access());
    intake
        .client
        .execute(&complete_item_ids, &[&attempt])
        .await?;
    intake.keep_one_copy(&VARIATIONS).await
}

/// Whether applying what is staged will ask for all counts to be listed.
pub(super) async fn wants_inventory(intake: &mut Intake<'_>) -> Result<bool, SyncError> {
    let (access, attempt) = (intake.access(), intake.context.attempt);
    let transaction = intake.client.transaction().await?;
    access.enter_anew(&transaction).await?;
    let sql = statements::wants_inventory(access);
    let row = transaction.query_one(&sql, &[&attempt]).await?;
    Ok(row.get(0))
}

async fn apply_objects(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    access: Access,
    expected: &mut Expected,
) -> Result<Counts, SyncError> {
    let upserted = apply::upsert(context, transaction, table, access, expected).await?;
    let mut counts = upserted.counts;
    if !upserted.was_empty {
        counts.deleted = apply::mark_deleted(context, transaction, table, access).await?;
    }
    guard::check(context, transaction, table, &counts).await?;
    Ok(counts)
}

async fn apply_items(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    access: Access,
    expected: &mut Expected,
) -> Result<Counts, SyncError> {
    let mut counts = apply_objects(context, transaction, &ITEMS, access, expected).await?;
    let attempt = context.attempt;
    transaction
        .execute(&statements::stage_item_categories(access), &[&attempt])
        .await?;
    let tables = (&ITEMS, &ITEM_CATEGORIES);
    expected
        .count_children(context, transaction, tables, &mut counts)
        .await?;
    apply::write(context, transaction, &ITEM_CATEGORIES, access).await?;
    transaction
        .execute(&statements::drop_item_categories(access), &[&attempt])
        .await?;
    Ok(counts)
}

/// The figures of the variations, and of the counts that went with them.
async fn apply_variations(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    access: Access,
    expected: &mut Expected,
) -> Result<(Counts, Counts), SyncError> {
    let attempt = context.attempt;
    for statement in [
        statements::follow_deleted_items(access),
        statements::quarantine_variations(access),
        statements::want_inventory(access),
    ] {
        transaction.execute(&statement, &[&attempt]).await?;
    }
    let upserted = apply::upsert(context, transaction, &VARIATIONS, access, expected).await?;
    let mut variations = upserted.counts;
    for statement in [
        statements::drop_outdated_replays(access),
        statements::stage_overrides(access),
        statements::quarantine_overrides(access),
    ] {
        transaction.execute(&statement, &[&attempt]).await?;
    }
    let tables = (&VARIATIONS, &OVERRIDES);
    expected
        .count_children(context, transaction, tables, &mut variations)
        .await?;
    apply::write(context, transaction, &OVERRIDES, access).await?;
    transaction
        .execute(&statements::drop_overrides(access), &[&attempt])
        .await?;
    let run_id = context.run.run_id.as_str();
    let marked = transaction
        .query_one(&statements::mark_variations(access), &[&attempt, &run_id])
        .await?;
    variations.deleted = marked.get("variations");
    let inventory = Counts {
        deleted: marked.get("inventory"),
        ..Counts::default()
    };
    guard::check(context, transaction, &VARIATIONS, &variations).await?;
    guard::check(context, transaction, &INVENTORY, &inventory).await?;
    let unsaid = marked.get("unsaid_inventory");
    guard::check_unsaid(context, transaction, &INVENTORY, unsaid).await?;
    Ok((variations, inventory))
}
