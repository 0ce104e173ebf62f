//! The account itself: plain data with the few rules that hold it together,
//! such as a clock that only moves on and counts that vanish with their
//! variation. Seeding fills it, the control interface changes it, Square's
//! endpoints and the truth read it.

pub(crate) mod catalog;
pub(crate) mod counts;
pub(crate) mod locations;
pub(crate) mod orders;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::Value;

use crate::config::Config;
use crate::moment::{self, Nanos, SECOND};
use catalog::Catalog;
use counts::Counts;
use locations::Locations;
use orders::Orders;

/// One merchant's whole account.
#[derive(Debug)]
pub(crate) struct Account {
    /// What it was made from.
    pub(crate) config: Config,
    /// Square's own clock: the moment of the latest change.
    pub(crate) now: Nanos,
    /// Picks what the control interface leaves open.
    pub(crate) rng: Rng,
    pub(crate) merchant: Value,
    pub(crate) locations: Locations,
    pub(crate) catalog: Catalog,
    pub(crate) counts: Counts,
    pub(crate) orders: Orders,
}

impl Account {
    /// Moves the clock on by two to six seconds and gives the new moment, later
    /// than anything the account has seen, but for what is still to come even by the
    /// real clock, as a till with a wrong one has it. The steps are wide enough that a
    /// burst of changes leaves fewer than a hundred within five minutes.
    pub(crate) fn tick(&mut self) -> Nanos {
        let newest = [
            self.catalog.latest(),
            self.counts.newest(),
            self.orders.newest(),
        ];
        let real = moment::of(Timestamp::now()).unwrap_or(self.now);
        let seen = newest.into_iter().filter(|at| *at <= real);
        let at = seen.fold(self.now, Nanos::max);
        let digits = [SECOND / 100, SECOND / 1_000, SECOND / 1_000_000, 1];
        let unit = digits[self.rng.usize(..digits.len())];
        self.now = (at + self.rng.i64(2 * SECOND..6 * SECOND)).div_euclid(unit) * unit;
        self.now
    }
}
