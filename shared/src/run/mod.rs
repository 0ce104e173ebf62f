//! Runs: what was asked, who may write, what each step did.
//!
//! A run is one execution of the state machine. Its record, its steps' records
//! and its lease live in PostgreSQL, beside the data they guard.

pub mod console;
pub mod freshness;
pub mod lease;
pub mod ledger;
pub mod metrics;
pub mod progress;
pub mod request;
pub mod resumed;
pub mod share;
pub mod start;
pub mod stats;
pub mod step;
pub mod store;
pub mod summary;
pub mod watermark;
