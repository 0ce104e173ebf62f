//! The pace at which requests leave: evenly, at a rate that may change at any moment.
//!
//! Written by hand rather than with `governor`, whose limits are fixed when they
//! are made: the account's limit is shared with whoever else asks Square, and how
//! many these are changes while a step works.

use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{Instant, sleep_until};

/// A timer that rings late is made up for, but for no more than this.
const SLACK: Duration = Duration::from_millis(10);

/// The longest time between two requests, however small the rate.
const PERIOD_MAX: Duration = Duration::from_secs(60 * 60);

/// Lets requests leave one by one. In any time, no more leave than the rate gives
/// for that time and [`SLACK`], and one.
pub(super) struct Pace {
    /// Whoever holds it is next, first come, first served.
    queue: Mutex<Queue>,
    /// Requests a second; none leave while it is zero.
    per_second: watch::Sender<f64>,
    /// A request waits.
    asked: Notify,
}

/// When requests leave: arithmetic without a clock.
struct Queue {
    /// When the last one left, or could have left in time.
    last: Instant,
}

impl Queue {
    /// When the next one may leave.
    fn due(&self, per_second: f64) -> Instant {
        self.last + period(per_second)
    }

    /// One that was due leaves now.
    fn leave(&mut self, due: Instant, now: Instant) {
        let earliest = now.checked_sub(SLACK);
        self.last = earliest.map_or(due, |earliest| due.max(earliest));
    }
}

impl Pace {
    /// A pace of so many requests a second, of which the first has to wait as well:
    /// calls that follow each other are no faster than one.
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            queue: Mutex::new(Queue {
                last: Instant::now(),
            }),
            per_second: watch::Sender::new(per_second),
            asked: Notify::new(),
        }
    }

    /// Changes the rate, also for those that wait.
    pub(super) fn set(&self, per_second: f64) {
        self.per_second.send_replace(per_second);
    }

    /// Waits until a request wants to leave.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Waits until the next request may leave.
    pub(super) async fn turn(&self) {
        self.asked.notify_one();
        let mut queue = self.queue.lock().await;
        let mut rate = self.per_second.subscribe();
        let due = loop {
            let per_second = *rate.borrow_and_update();
            if per_second <= 0.0 {
                // The sender is ours, so it does not close.
                let _ = rate.changed().await;
                // What begins now has nothing saved up.
                queue.last = Instant::now();
                continue;
            }
            let due = queue.due(per_second);
            tokio::select! {
                () = sleep_until(due) => break due,
                _ = rate.changed() => {}
            }
        };
        queue.leave(due, Instant::now());
    }
}

fn period(per_second: f64) -> Duration {
    Duration::try_from_secs_f64(per_second.recip()).map_or(PERIOD_MAX, |it| it.min(PERIOD_MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The requests that leave until then, each as late after its turn as `late` says.
    fn leave_until(
        queue: &mut Queue,
        now: &mut Instant,
        end: Instant,
        per_second: f64,
        late: impl Fn(u32) -> Duration,
    ) -> u32 {
        let mut left = 0;
        loop {
            let due = queue.due(per_second);
            let at = due.max(*now) + late(left);
            if at > end {
                *now = end;
                return left;
            }
            queue.leave(due, at);
            *now = at;
            left += 1;
        }
    }

    #[test]
    fn as_many_leave_as_the_rate_says_and_late_timers_are_made_up_for() {
        for late in [0, 1, 9] {
            let start = Instant::now();
            let (mut queue, mut now) = (Queue { last: start }, start);
            let late = |_| Duration::from_millis(late);
            let left = leave_until(&mut queue, &mut now, start + SECOND * 10, 20.0, late);
            assert!((199..=200).contains(&left), "{left}");
        }
    }

    #[test]
    fn neither_an_idle_time_nor_a_slow_machine_is_made_up_for() {
        let start = Instant::now();
        let mut queue = Queue { last: start };
        let mut now = start + SECOND * 100;
        let end = now + SECOND;
        let left = leave_until(&mut queue, &mut now, end, 20.0, |_| Duration::ZERO);
        assert!((20..=21).contains(&left), "{left}");
        // Every tenth is half a second late.
        let late = |left: u32| SECOND / 2 * u32::from(left.is_multiple_of(10));
        let end = now + SECOND * 10;
        let left = leave_until(&mut queue, &mut now, end, 20.0, late);
        assert!((95..=115).contains(&left), "{left}");
    }

    #[tokio::test]
    async fn a_new_rate_holds_for_those_that_wait() {
        for slow in [0.0, 1e-3] {
            let pace = Arc::new(Pace::new(slow));
            let waiting = Arc::clone(&pace);
            let waiting = tokio::spawn(async move { waiting.turn().await });
            pace.asked().await;
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            pace.set(1_000.0);
            waiting.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_request_that_gives_up_lets_the_next_one_through() {
        let pace = Pace::new(0.0);
        let given_up = tokio::time::timeout(SECOND / 100, pace.turn()).await;
        assert!(given_up.is_err());
        pace.set(1_000.0);
        pace.turn().await;
    }

    #[test]
    fn any_rate_has_a_period() {
        assert_eq!(period(4.0), SECOND / 4);
        for tiny in [1e-9, f64::MIN_POSITIVE] {
            assert_eq!(period(tiny), PERIOD_MAX);
        }
    }
}
