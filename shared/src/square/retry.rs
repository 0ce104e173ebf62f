//! When a failed request is sent again, and how long to wait before.
//!
//! This is arithmetic without a clock, so that it can be tested by value. It is
//! written by hand rather than with `backon`: the wait depends on the answer
//! (`Retry-After`), on the time left (the request's budget, the step's deadline)
//! and on the kind of failure (unreadable answers get fewer attempts), and
//! `backon`'s jitter never goes below the full delay, which keeps clients that
//! failed together in step.

use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::refusal::Failure;

/// Time for a request with all its repetitions and waits.
pub const BUDGET: Duration = Duration::from_secs(40);

/// The limits on one request and its repetitions.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// Time for connecting, TLS included.
    pub(super) connect_timeout: Duration,
    /// Longest silence of Square before or within an answer. A large page may
    /// take longer as a whole, as long as it keeps coming.
    pub(super) read_timeout: Duration,
    /// As [`BUDGET`].
    pub(super) budget: Duration,
    pub(super) attempts_max: u32,
    /// Repetitions after an answer that is not Square's JSON. Few, because a
    /// wrong address or a proxy's page stays what it is.
    pub(super) malformed_retries_max: u32,
    /// Upper bound of the first wait; it doubles with each attempt.
    pub(super) backoff_base: Duration,
    pub(super) backoff_max: Duration,
    /// The longest `Retry-After` that is waited for in full.
    pub(super) retry_after_max: Duration,
    /// Pages of one list. Far above any account; it only ends a list that does not end.
    pub(super) page_count_max: u32,
    /// The number of times that a list starts over because its cursor expired.
    pub(super) restarts_max: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(20),
            budget: BUDGET,
            attempts_max: 10,
            malformed_retries_max: 2,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(8),
            retry_after_max: Duration::from_secs(30),
            page_count_max: 100_000,
            restarts_max: 2,
        }
    }
}

/// The next move after a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the request again after this wait.
    Retry(Duration),
    /// Enough attempts, or the failure is final.
    Spent,
    /// The wait would go past the time that is left.
    OutOfTime,
}

/// The failed attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) count: u32,
    malformed_count: u32,
}

impl Policy {
    /// Decides what follows on `failure`. `random` is uniform in 0..1, `left` the
    /// time until the request's budget or the step's deadline ends.
    pub(super) fn next(
        &self,
        attempts: &mut Attempts,
        failure: &Failure,
        left: Duration,
        random: f64,
    ) -> Next {
        attempts.count += 1;
        let retry_after = match failure {
            Failure::RateLimited { retry_after } | Failure::Unavailable { retry_after, .. } => {
                *retry_after
            }
            Failure::Malformed { .. } => {
                attempts.malformed_count += 1;
                if attempts.malformed_count > self.malformed_retries_max {
                    return Next::Spent;
                }
                None
            }
            Failure::Refused(_) | Failure::StaleCursor(_) => return Next::Spent,
        };
        if attempts.count >= self.attempts_max {
            return Next::Spent;
        }
        let at_least = retry_after
            .unwrap_or(Duration::ZERO)
            .min(self.retry_after_max);
        let wait = self.backoff(attempts.count, random).max(at_least);
        if wait < left {
            Next::Retry(wait)
        } else {
            Next::OutOfTime
        }
    }

    /// Exponential backoff with full jitter: anything from nothing to the bound,
    /// so that clients that were limited together do not come back together.
    fn backoff(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let bound = self
            .backoff_base
            .saturating_mul(1 << doublings)
            .min(self.backoff_max);
        bound.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// A number that is uniform in 0..1.
pub(super) fn random() -> f64 {
    // Without randomness the longest wait is the careful choice.
    getrandom::u32().map_or(1.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}

/// The wait that `Retry-After` asks for: seconds, or a date. `now` is our clock;
/// a wrong one costs at most `retry_after_max`.
pub(super) fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date in the past asks for no wait.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const PLENTY: Duration = Duration::from_secs(1000);

    fn waits(failure: &Failure, random: f64) -> (Vec<Duration>, Next) {
        let policy = Policy::default();
        let mut attempts = Attempts::default();
        let mut waits = Vec::new();
        loop {
            match policy.next(&mut attempts, failure, PLENTY, random) {
                Next::Retry(wait) => waits.push(wait),
                end => return (waits, end),
            }
        }
    }

    fn limited(retry_after: Option<u64>) -> Failure {
        let retry_after = retry_after.map(Duration::from_secs);
        Failure::RateLimited { retry_after }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_end() {
        let (longest, end) = waits(&Failure::unavailable("x"), 1.0);
        let milliseconds: Vec<_> = longest.iter().map(Duration::as_millis).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000];
        assert_eq!(milliseconds, expected);
        assert_eq!(end, Next::Spent);
    }

    #[test]
    fn jitter_covers_everything_below_the_bound() {
        let (shortest, _) = waits(&limited(None), 0.0);
        assert!(shortest.iter().all(Duration::is_zero));
        let (half, _) = waits(&limited(None), 0.5);
        assert_eq!(half[1], Duration::from_millis(500));
        assert!(
            (0..1000)
                .map(|_| random())
                .all(|r| (0.0..=1.0).contains(&r))
        );
    }

    #[test]
    fn retry_after_is_a_minimum_with_a_limit() {
        assert_eq!(waits(&limited(Some(7)), 0.0).0[0], Duration::from_secs(7));
        assert_eq!(waits(&limited(Some(1)), 1.0).0[4], Duration::from_secs(8));
        let (capped, _) = waits(&limited(Some(86_400)), 0.0);
        assert_eq!(capped[0], Duration::from_secs(30));
    }

    #[test]
    fn unreadable_answers_get_two_more_attempts() {
        let (waits, end) = waits(&Failure::malformed("x"), 0.0);
        assert_eq!((waits.len(), end), (2, Next::Spent));
    }

    #[test]
    fn a_wait_must_fit_into_the_time_that_is_left() {
        let policy = Policy::default();
        let next = |left| {
            let left = Duration::from_secs(left);
            policy.next(&mut Attempts::default(), &limited(Some(5)), left, 0.0)
        };
        assert_eq!(next(5), Next::OutOfTime);
        assert_eq!(next(6), Next::Retry(Duration::from_secs(5)));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now)
        };
        assert_eq!(read(" 12 "), Some(Duration::from_secs(12)));
        let date = read("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date, Some(Duration::from_secs(7)));
        let past = read("Sun, 06 Nov 1994 08:49:00 GMT");
        assert_eq!(past, Some(Duration::ZERO));
        for text in ["soon", "-5", "", "1.5"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
