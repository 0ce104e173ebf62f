//! A step's heartbeat: it tells how far the step is, at most once a second, and
//! keeps the lease while the step works.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::lease::{self, Lease};
use super::stats;
use super::store;
use crate::error::SyncError;
use crate::postgres::Database;
use crate::square::Square;

const BEAT: Duration = Duration::from_secs(1);
/// Also how soon a step notices by itself that its run was stopped.
const RENEWAL: Duration = Duration::from_secs(5);

/// Objects read so far, of how many. Counted by the work, read by the heartbeat.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicI64,
    total: AtomicI64,
}

impl Progress {
    /// That many more objects were read.
    pub fn add(&self, objects: usize) {
        let objects = stats::count(objects);
        self.done.fetch_add(objects, Ordering::Relaxed);
    }

    /// Sets how many objects there probably are; 0 for unknown.
    pub fn expect(&self, objects: i64) {
        self.total.store(objects, Ordering::Relaxed);
    }

    /// Objects read so far.
    #[must_use]
    pub fn done(&self) -> i64 {
        self.done.load(Ordering::Relaxed)
    }

    fn total(&self) -> Option<i64> {
        let total = self.total.load(Ordering::Relaxed);
        // An estimate that was passed tells nothing any more.
        Some(total).filter(|total| *total > 0 && *total >= self.done())
    }
}

/// Beats until the lease is lost; without `progress`, which parts of a step tell
/// page by page, the lease is all it keeps. A database that is away for a
/// moment is not an end, because the lease lasts longer and the work notices by itself.
pub(super) async fn beat(
    database: &Database,
    lease: &Lease,
    step: &str,
    progress: Option<(&Progress, &Square)>,
) -> SyncError {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = -1;
    let mut renewed = Instant::now();
    loop {
        beats.tick().await;
        let done = progress.map_or(told, |(progress, _)| progress.done());
        let renewal_due = renewed.elapsed() >= RENEWAL;
        if done == told && !renewal_due {
            continue;
        }
        let result = async {
            let client = database.client().await?;
            if let Some((progress, square)) = progress {
                let (total, counters) = (progress.total(), square.counters());
                store::set_progress(&client, &lease.run_id, step, done, total, &counters).await?;
            }
            if renewal_due {
                lease::renew(&client, lease).await?;
            }
            Ok(())
        }
        .await;
        match result {
            Ok(()) => {
                told = done;
                if renewal_due {
                    renewed = Instant::now();
                }
            }
            Err(error @ SyncError::LeaseLost { .. }) => return error,
            Err(error) => tracing::warn!(name = error.name(), %error, "heartbeat missed"),
        }
    }
}
