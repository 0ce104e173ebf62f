//! Putting a backup back, in one transaction. What it replaces becomes a backup
//! itself, and the next incremental run reconciles with Square.

use std::collections::BTreeMap;

use super::{backups, replace};
use crate::error::SyncError;
use crate::postgres::plan::Access;
use crate::run::stats::{Counts, Stats, StepOutput};
use crate::run::step::StepContext;

pub(super) async fn restore(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let mut client = context.env.database.client().await?;
    let run_id = &context.run.run_id;
    let backup_id = context.run.request.backup_id.as_deref().unwrap_or_default();
    let transaction = context.begin(&mut client).await?;
    let backup = backups::find(&transaction, backup_id).await?;
    let copy = replace::schema_of(run_id);
    Access::Sets.enter_anew(&transaction).await?;
    replace::copy_to(&transaction, &copy).await?;
    let removed = replace::empty(&transaction).await?;
    let mut inserted = replace::fill_from(&transaction, &backup).await?;
    let kept = replace::keep_needed_locations(&transaction, &copy, run_id).await?;
    *inserted.entry("locations").or_default() += kept;
    replace::rewind_lists(&transaction, &backup, run_id).await?;
    replace::analyze(&transaction).await?;
    backups::record(&transaction, &copy, run_id).await?;
    let stats = replaced(inserted, removed);
    context
        .commit(transaction, "restore", stats, Vec::new())
        .await
}

/// The figures of rows put in and taken out.
fn replaced(inserted: BTreeMap<&'static str, i64>, removed: BTreeMap<&'static str, i64>) -> Stats {
    let mut stats = Stats::new();
    for (data_type, rows) in inserted {
        stats.entry(data_type.to_owned()).or_default().created += rows;
    }
    for (data_type, rows) in removed {
        stats.entry(data_type.to_owned()).or_default().deleted += rows;
    }
    stats.retain(|_, counts| *counts != Counts::default());
    stats
}
