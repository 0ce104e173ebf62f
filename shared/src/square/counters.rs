//! The cost of a step's requests to Square, for its statistics.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The requests of one step so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Requests sent, repeated ones included.
    pub requests: u64,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Bytes of the answers' bodies as they came over the wire, compressed.
    pub bytes: u64,
    /// Pages of lists that were read.
    pub pages: u64,
}

impl Counters {
    /// Adds another's figures.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.retries += other.retries;
        self.rate_limited += other.rate_limited;
        self.bytes += other.bytes;
        self.pages += other.pages;
    }

    /// Returns what came since `before`, an earlier reading of the same counters.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            retries: self.retries.saturating_sub(before.retries),
            rate_limited: self.rate_limited.saturating_sub(before.rate_limited),
            bytes: self.bytes.saturating_sub(before.bytes),
            pages: self.pages.saturating_sub(before.pages),
        }
    }
}

/// The same while requests are under way.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) rate_limited: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) pages: AtomicU64,
    /// Characters that PostgreSQL cannot hold.
    pub(super) cleaned: AtomicU64,
}

impl Tally {
    pub(super) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            requests: read(&self.requests),
            retries: read(&self.retries),
            rate_limited: read(&self.rate_limited),
            bytes: read(&self.bytes),
            pages: read(&self.pages),
        }
    }
}

/// Adds to a counter. The counters are independent, so no ordering is needed.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
