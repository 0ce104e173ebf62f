//! The schedule as the template set it: in words, and when the next sync starts by
//! itself.

mod cron;

use jiff::{SignedDuration, Timestamp};

/// The schedule of `SCHEDULE_EXPRESSION`, `SCHEDULE_TIMEZONE` and `SCHEDULE_STATE`, and
/// whether the two beside it are at work: of the reconcile, by
/// `RECONCILE_SCHEDULE_STATE`, and of the orders' look-back, by
/// `ORDER_LOOK_BACK_SCHEDULE_STATE`.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    expression: Option<String>,
    /// An IANA name; none is UTC. Rates do not care.
    zone: Option<String>,
    enabled: bool,
    reconciles: bool,
    looks_back: bool,
}

impl Schedule {
    /// Reads the variables; without them nothing is scheduled.
    #[must_use]
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| {
            let text = lookup(name).map(|text| text.trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let enabled = |name: &str| given(name).is_none_or(|state| state == "ENABLED");
        Self {
            expression: given("SCHEDULE_EXPRESSION"),
            zone: given("SCHEDULE_TIMEZONE"),
            enabled: enabled("SCHEDULE_STATE"),
            reconciles: enabled("RECONCILE_SCHEDULE_STATE"),
            looks_back: enabled("ORDER_LOOK_BACK_SCHEDULE_STATE"),
        }
    }

    /// Whether anything starts by itself.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.at_work().is_some()
    }

    /// `rate(1 hour)` reads as "every hour"; a cron expression stays one, and names the
    /// zone of its hours, for all others here are the reader's. The other two schedules
    /// are named where they are in another state.
    #[must_use]
    pub fn words(&self) -> String {
        if self.expression.is_none() {
            return "off".to_owned();
        }
        let own = match self.at_work() {
            None => "off".to_owned(),
            Some(expression) => match within(expression, "rate").and_then(count_and_unit) {
                Some(("1", unit)) => format!("every {unit}"),
                Some((count, unit)) => format!("every {count} {unit}"),
                None => format!("{expression} in {}", self.zone()),
            },
        };
        let others = [
            ("reconcile", self.reconciles),
            ("look-back", self.looks_back),
        ];
        let others = others
            .into_iter()
            .filter(|(_, is_on)| *is_on != self.enabled);
        let others = others.map(|(name, is_on)| {
            let state = if is_on { "on" } else { "off" };
            format!("{name} {state}")
        });
        [own]
            .into_iter()
            .chain(others)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// When the next sync starts by itself; none if nothing does, or if it cannot
    /// be told. `last` is when the schedule last wanted one.
    #[must_use]
    pub fn next(&self, now: Timestamp, last: Option<Timestamp>) -> Option<Timestamp> {
        let expression = self.at_work()?;
        if let Some(rate) = within(expression, "rate") {
            return after(last?, period(rate)?, now);
        }
        cron::next(within(expression, "cron")?, self.zone(), now)
    }

    fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or("UTC")
    }

    fn at_work(&self) -> Option<&str> {
        self.expression.as_deref().filter(|_| self.enabled)
    }
}

/// The text between `name(` and `)`.
fn within<'a>(expression: &'a str, name: &str) -> Option<&'a str> {
    let rest = expression.strip_prefix(name)?.strip_prefix('(')?;
    rest.strip_suffix(')')
}

fn count_and_unit(rate: &str) -> Option<(&str, &str)> {
    rate.trim().split_once(' ')
}

fn period(rate: &str) -> Option<SignedDuration> {
    let (count, unit) = count_and_unit(rate)?;
    let count: i64 = count.parse().ok().filter(|count| *count > 0)?;
    let seconds = match unit.trim().trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    Some(SignedDuration::from_secs(count.checked_mul(seconds)?))
}

/// The first moment after `now` that is whole periods after `last`: a schedule
/// that was off, or whose runs were lost, keeps its beat.
fn after(last: Timestamp, period: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let missed = now
        .duration_since(last)
        .as_secs()
        .div_euclid(period.as_secs());
    let periods = i32::try_from(missed.max(0) + 1).ok()?;
    last.checked_add(period.checked_mul(periods)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(expression: &str, zone: &str, state: &str) -> Schedule {
        Schedule::read(|name| match name {
            "SCHEDULE_EXPRESSION" => Some(expression.to_owned()),
            "SCHEDULE_TIMEZONE" => Some(zone.to_owned()),
            _ => Some(state.to_owned()),
        })
    }

    #[test]
    fn a_schedule_reads_as_it_works() {
        let words = |expression: &str, state: &str| schedule(expression, "UTC", state).words();
        assert_eq!(words("rate(1 hour)", "ENABLED"), "every hour");
        assert_eq!(words("rate(15 minutes)", "ENABLED"), "every 15 minutes");
        let cron = "cron(0 6 * * ? *)";
        assert_eq!(words(cron, "ENABLED"), "cron(0 6 * * ? *) in UTC");
        assert_eq!(words("rate(1 hour)", "DISABLED"), "off");
        assert_eq!(words("", "ENABLED"), "off");
        for (zone, words) in [
            ("Europe/Berlin", "cron(0 6 * * ? *) in Europe/Berlin"),
            // As it is where none is given.
            ("", "cron(0 6 * * ? *) in UTC"),
        ] {
            assert_eq!(schedule(cron, zone, "ENABLED").words(), words);
        }
    }

    #[test]
    fn each_schedule_that_is_in_another_state_is_named() {
        let words = |states: [&str; 3]| {
            let schedule = Schedule::read(|name| {
                let text = match name {
                    "SCHEDULE_EXPRESSION" => "rate(1 hour)",
                    "SCHEDULE_STATE" => states[0],
                    "RECONCILE_SCHEDULE_STATE" => states[1],
                    "ORDER_LOOK_BACK_SCHEDULE_STATE" => states[2],
                    _ => return None,
                };
                Some(text.to_owned())
            });
            schedule.words()
        };
        let (on, off) = ("ENABLED", "DISABLED");
        for (states, wanted) in [
            ([on, on, on], "every hour"),
            ([off, off, off], "off"),
            ([on, off, on], "every hour, reconcile off"),
            ([on, off, off], "every hour, reconcile off, look-back off"),
            ([off, on, off], "off, reconcile on"),
        ] {
            assert_eq!(words(states), wanted);
        }
    }

    #[test]
    fn the_next_run_by_rate_keeps_the_beat_of_the_last() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let next = |expression: &str, last: Option<&str>, now: &str| {
            let next = schedule(expression, "", "ENABLED").next(at(now), last.map(at));
            next.map(|next| next.to_string())
        };
        let last = Some("2026-11-26T10:00:00Z");
        for (expression, now, wanted) in [
            (
                "rate(1 hour)",
                "2026-11-26T10:00:00Z",
                "2026-11-26T11:00:00Z",
            ),
            (
                "rate(1 hour)",
                "2026-11-26T10:59:59Z",
                "2026-11-26T11:00:00Z",
            ),
            (
                "rate(1 hour)",
                "2026-11-26T11:00:00Z",
                "2026-11-26T12:00:00Z",
            ),
            // It was off for a while.
            (
                "rate(1 hour)",
                "2026-11-28T07:20:00Z",
                "2026-11-28T08:00:00Z",
            ),
            (
                "rate(15 minutes)",
                "2026-11-26T10:16:00Z",
                "2026-11-26T10:30:00Z",
            ),
            (
                "rate(2 days)",
                "2026-11-26T12:00:00Z",
                "2026-11-28T10:00:00Z",
            ),
            // The database's clock and ours differ.
            (
                "rate(1 hour)",
                "2026-11-26T09:59:58Z",
                "2026-11-26T11:00:00Z",
            ),
        ] {
            assert_eq!(
                next(expression, last, now).as_deref(),
                Some(wanted),
                "{now}"
            );
        }
        for expression in [
            "rate(0 hours)",
            "rate(1 week)",
            "rate(hour)",
            "rate(-1 hours)",
            "at(2026-12-01T00:00:00)",
            "1 hour",
        ] {
            assert_eq!(
                next(expression, last, "2026-11-26T10:20:00Z"),
                None,
                "{expression}"
            );
        }
        assert_eq!(next("rate(1 hour)", None, "2026-11-26T10:20:00Z"), None);
    }

    #[test]
    fn what_is_off_has_no_next_run() {
        let now = "2026-11-26T10:20:00Z".parse().unwrap();
        for expression in ["rate(1 hour)", "cron(0 6 * * ? *)"] {
            assert!(
                schedule(expression, "", "ENABLED")
                    .next(now, Some(now))
                    .is_some()
            );
            assert!(
                schedule(expression, "", "DISABLED")
                    .next(now, Some(now))
                    .is_none()
            );
        }
    }
}
