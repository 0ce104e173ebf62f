//! Times that come from outside, and how far they are believed.
//!
//! Square's times say how far a list has been read, and one till whose clock is a
//! year ahead is enough for a time of next year. So a time that is still to come by
//! the database's clock is no evidence: it moves no watermark, no place and no
//! window's end. Our clock only delays, by having something read again; it never
//! has anything passed over.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The database's now, taken before Square was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Now(Timestamp);

/// Older than Square itself: 2000.
const OLDEST: Timestamp = Timestamp::constant(946_684_800, 0);

/// How far ahead of the database's clock Square's own may go: which of two copies is the
/// newer one is not decided by that difference.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// The same in SQL.
pub(crate) const SOON: &str = "(now() + interval '5 minutes')";

impl Now {
    /// That moment of the database's clock.
    #[must_use]
    pub fn at(moment: Timestamp) -> Self {
        Self(moment)
    }

    /// The moment itself.
    #[must_use]
    pub fn moment(self) -> Timestamp {
        self.0
    }

    /// The time, unless it is still to come or older than anything at Square.
    #[must_use]
    pub fn known(self, time: Option<Timestamp>) -> Option<Timestamp> {
        time.filter(|time| (OLDEST..=self.0).contains(time))
    }

    /// The time, where one copy may be newer than another by it.
    #[must_use]
    pub(crate) fn ranked(self, time: Option<Timestamp>) -> Option<Timestamp> {
        let soon = self.0.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        Self(soon).known(time)
    }

    /// Up to which moment a position has rested by now: whatever was to show up under
    /// an earlier time has had the overlap to do so.
    #[must_use]
    pub fn rested_since(self, overlap: SignedDuration) -> Timestamp {
        self.0.checked_sub(overlap).unwrap_or(Timestamp::MIN)
    }
}

/// The moment in PostgreSQL's microseconds, no later than it was.
#[must_use]
pub fn floor(time: Timestamp) -> Timestamp {
    let micros = time.as_nanosecond().div_euclid(1_000);
    Timestamp::from_nanosecond(micros * 1_000).unwrap_or(time)
}

/// The first of PostgreSQL's microseconds after the moment.
#[must_use]
pub fn after(time: Timestamp) -> Timestamp {
    let next = floor(time).checked_add(SignedDuration::from_micros(1));
    next.unwrap_or(time)
}

/// Times of every sort, the same in every run.
#[cfg(test)]
pub(crate) mod sample {
    use jiff::Timestamp;

    /// A row of numbers that look random.
    pub(crate) struct Numbers(pub(crate) u64);

    impl Numbers {
        pub(crate) fn below(&mut self, end: u64) -> u64 {
            // Marsaglia's xorshift.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }

        /// A time: long ago, about `now` to the nanosecond, far ahead, or none.
        pub(crate) fn time(&mut self, now: Timestamp) -> Option<Timestamp> {
            let near = |nanos: u64| {
                let nanos = i128::from(nanos) + now.as_nanosecond() - 2_000;
                Timestamp::from_nanosecond(nanos).unwrap_or(now)
            };
            let second = |from: i64, length: u64, at: u64| {
                Timestamp::from_second(from + i64::try_from(at % length).unwrap()).unwrap_or(now)
            };
            let at = self.below(u64::MAX);
            match self.below(9) {
                0 => None,
                1 => Some(now),
                2 => Some(Timestamp::MIN),
                3 => Some(Timestamp::MAX),
                // The year 1, as what is not set.
                4 => "0001-01-01T00:00:00Z".parse().ok(),
                5 | 6 => Some(near(at % 4_000)),
                // From 2018 to 2050, and some days about now.
                7 => Some(second(1_514_764_800, 1_000_000_000, at)),
                _ => Some(second(now.as_second() - 400_000, 800_000, at)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::Numbers;
    use super::*;

    #[test]
    fn whatever_time_comes_nothing_known_is_later_than_now_or_older_than_square() {
        let mut numbers = Numbers(42);
        let mut seen = (0, 0);
        for _ in 0..10_000 {
            let moment = numbers.time("2026-11-28T12:00:00.123456Z".parse().unwrap());
            let Some(moment) = moment else { continue };
            let now = Now::at(moment);
            let time = numbers.time(moment);
            let ranked = now.ranked(time);
            assert!(ranked == time || time.is_some_and(|time| time > moment || time < OLDEST));
            assert!(now.known(time).is_none() || ranked == time);
            match now.known(time) {
                Some(known) => {
                    assert!(OLDEST <= known && known <= moment && time == Some(known));
                    assert!(floor(known) <= known && known <= after(known));
                    seen.0 += 1;
                }
                None => {
                    assert!(time.is_none_or(|time| time > moment || time < OLDEST));
                    seen.1 += 1;
                }
            }
            assert!(now.rested_since(SignedDuration::from_mins(2)) <= moment);
        }
        assert!(seen.0 > 1_000 && seen.1 > 1_000, "{seen:?}");
    }

    #[test]
    fn moments_are_held_in_microseconds_and_never_later() {
        let time: Timestamp = "2026-01-01T00:00:00.123456789Z".parse().unwrap();
        assert_eq!(floor(time).to_string(), "2026-01-01T00:00:00.123456Z");
        assert_eq!(after(time).to_string(), "2026-01-01T00:00:00.123457Z");
    }
}
