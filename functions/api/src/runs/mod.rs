//! Starting, showing and stopping runs.
//!
//! `starts` is the way of a start, whatever its kind; each kind has a file before it
//! that reads its request: `complete_sync`, `historical_orders`, `migration`,
//! `spot_check`, and `backups` for a restore. `history` reads and stops runs, which `view`
//! shapes as JSON. Both close runs that ended unseen, with `settle`. Statements on the
//! record of runs are in `store`, those on what the tables hold in `contents`, and those
//! that tell how right that is in `trust`; `amount` is what is told of large tables.

pub(crate) mod amount;
pub(crate) mod backups;
pub(crate) mod complete_sync;
pub(crate) mod contents;
pub(crate) mod historical_orders;
pub(crate) mod history;
pub(crate) mod migration;
mod settle;
pub(crate) mod spot_check;
pub(crate) mod starts;
pub mod store;
pub(crate) mod trust;
pub(crate) mod view;

/// Every statement by its name, for the test that prepares them all.
#[must_use]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    let all = [
        store::statements(),
        contents::statements(),
        trust::statements(),
    ];
    all.concat()
}
