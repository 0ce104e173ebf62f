//! Counters: what clients have asked, so that tests can hold them to a budget.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde::Serialize;

/// Bodies kept for each endpoint.
const BODIES_KEPT: usize = 20;
/// Characters kept of each body.
const BODY_LENGTH: usize = 2_000;
/// Requests whose times are kept.
const ARRIVALS_KEPT: usize = 10_000;

/// What was asked and answered since the last clearing.
#[derive(Debug, Serialize)]
pub(crate) struct Counters {
    /// Requests by endpoint.
    requests: BTreeMap<String, u64>,
    /// Answers by endpoint and status; dropped connections count as 500.
    statuses: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Bytes of bodies sent, as they went over the wire.
    bytes: u64,
    /// The most requests that were being answered at one moment.
    largest_parallelism: usize,
    /// The last request bodies by endpoint, oldest first.
    bodies: BTreeMap<String, VecDeque<String>>,
    #[serde(skip)]
    began: Instant,
    /// When the last requests came, in microseconds from the beginning, oldest first.
    #[serde(skip)]
    pub(crate) arrivals: VecDeque<u64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bytes: 0,
            largest_parallelism: 0,
            bodies: BTreeMap::new(),
            began: Instant::now(),
            arrivals: VecDeque::new(),
        }
    }
}

impl Counters {
    pub(crate) fn arrival(&mut self, path: &str, body: &[u8], in_flight: usize) {
        *self.requests.entry(path.to_owned()).or_default() += 1;
        if self.arrivals.len() == ARRIVALS_KEPT {
            self.arrivals.pop_front();
        }
        let micros = u64::try_from(self.began.elapsed().as_micros());
        self.arrivals.push_back(micros.unwrap_or(u64::MAX));
        self.largest_parallelism = self.largest_parallelism.max(in_flight);
        let bodies = self.bodies.entry(path.to_owned()).or_default();
        if bodies.len() == BODIES_KEPT {
            bodies.pop_front();
        }
        bodies.push_back(
            String::from_utf8_lossy(body)
                .chars()
                .take(BODY_LENGTH)
                .collect(),
        );
    }

    pub(crate) fn departure(&mut self, path: &str, status: u16, bytes: u64) {
        *self
            .statuses
            .entry(path.to_owned())
            .or_default()
            .entry(status)
            .or_default() += 1;
        self.bytes += bytes;
    }
}
