//! Runs and figures in words, for the templates.

use super::moment::Moment;
use crate::runs::amount::Amount;
use crate::runs::contents::{Backup, Quarantined};
use crate::runs::view::{CountsView, RunView, StepView};

/// A row of the table of results.
pub(crate) struct ResultRow {
    pub(crate) name: String,
    pub(crate) figures: Vec<String>,
}

impl RunView {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "queued" | "running")
    }

    /// Whether it did nothing, or made way: its warning is the reason, and no trouble.
    pub(crate) fn is_skipped(&self) -> bool {
        self.status == "skipped"
    }

    /// Whether it stopped because it would have deleted suspiciously much.
    pub(crate) fn is_guarded(&self) -> bool {
        let error = self.error.as_ref();
        error.is_some_and(|error| error.name == "DeletionGuard")
    }

    /// Whether it writes every row, also as it is.
    pub(crate) fn rewrites(&self) -> bool {
        self.mode == "full_refresh"
    }

    /// Names the run in two or three words.
    pub(crate) fn title(&self) -> String {
        let what = match (self.kind.as_str(), self.mode.as_str()) {
            ("complete_sync", "full_refresh") => "Full refresh",
            ("complete_sync", _) => "Sync",
            ("historical_orders", _) => "Orders history",
            ("migration", _) => "Migration",
            ("restore", _) => "Restore",
            ("spot_check", _) => "Spot check",
            (other, _) => other,
        };
        if self.dry_run {
            format!("{what}, preview")
        } else {
            what.to_owned()
        }
    }

    /// The person who asked for it, and by which way; the schedule is both.
    pub(crate) fn by(&self) -> String {
        if self.requested_by == self.trigger {
            self.trigger.clone()
        } else {
            format!("{} ({})", self.requested_by, self.trigger)
        }
    }

    pub(crate) fn queued(&self) -> Moment {
        Moment::new(self.queued_at)
    }

    /// The same in words, for headings.
    pub(crate) fn queued_day(&self) -> Moment {
        Moment::in_words(self.queued_at)
    }

    pub(crate) fn took(&self) -> Option<String> {
        self.duration_ms.map(duration)
    }

    /// The words for a screen reader whenever it changes.
    pub(crate) fn spoken(&self) -> String {
        let step = self.steps.iter().find(|step| step.status == "running");
        match step {
            Some(step) if self.is_open() => format!("{}: {}", self.title(), step.name()),
            _ => format!("{}: {}", self.title(), self.status),
        }
    }

    /// Each data type's figures, and their sum.
    pub(crate) fn results(&self) -> Vec<ResultRow> {
        let tells_drift = self.tells_drift();
        let row = |name: &str, counts: &CountsView| ResultRow {
            name: spaced(name),
            figures: [
                counts.created,
                counts.updated,
                counts.deleted,
                counts.unchanged,
                counts.quarantined,
            ]
            .into_iter()
            .map(number)
            .chain(tells_drift.then(|| {
                let drift = counts.drift.as_ref();
                drift.map_or_else(String::new, |drift| number(drift.total()))
            }))
            .collect(),
        };
        let mut rows: Vec<ResultRow> = self
            .steps
            .iter()
            .flat_map(|step| &step.stats)
            .map(|(name, counts)| row(name, counts))
            .collect();
        if let (Some(totals), false) = (&self.totals, rows.is_empty()) {
            rows.push(row("total", totals));
        }
        rows
    }

    /// Whether any listing of its could tell what deltas had missed.
    pub(crate) fn tells_drift(&self) -> bool {
        let mut stats = self.steps.iter().flat_map(|step| &step.stats);
        stats.any(|(_, counts)| counts.drift.is_some())
    }

    /// Created, updated and deleted.
    pub(crate) fn changed(&self) -> i64 {
        self.totals
            .as_ref()
            .map_or(0, |totals| totals.created + totals.updated + totals.deleted)
    }

    pub(crate) fn changed_text(&self) -> String {
        number(self.changed())
    }

    /// The records of all types together, and what was asked of Square. How fast that
    /// was, each step tells in its own unit.
    pub(crate) fn effort(&self) -> String {
        let records: i64 = self.totals.as_ref().map_or(0, |totals| {
            totals.created + totals.updated + totals.unchanged + totals.quarantined
        });
        let asked: u64 = self.steps.iter().map(|step| step.square.requests).sum();
        let (records, requests) = (count(records, "record"), count(whole(asked), "request"));
        if self.kind == "spot_check" {
            // It has brought none.
            return format!("{requests} to Square");
        }
        format!("{records}, {requests} to Square")
    }
}

impl StepView {
    pub(crate) fn name(&self) -> String {
        spaced(&self.step)
    }

    /// The part done and the whole; no first figure while the second is unknown.
    pub(crate) fn bar(&self) -> (Option<i64>, i64) {
        match self.progress.windows {
            Some(windows) if windows.total > 0 && self.progress.total.is_none() => {
                (Some(windows.done), windows.total)
            }
            _ => match self.progress.total {
                Some(total) if total > 0 => (Some(self.progress.done.min(total)), total),
                _ => (None, 1),
            },
        }
    }

    /// Progress, speed, the time left, and what went wrong on the way.
    pub(crate) fn facts(&self) -> String {
        let mut words = Vec::new();
        let progress = &self.progress;
        match progress.total {
            Some(total) if total > 0 => {
                words.push(format!(
                    "{} of {} read",
                    number(progress.done),
                    number(total)
                ));
            }
            _ if progress.done > 0 => words.push(format!("{} read", number(progress.done))),
            _ => {}
        }
        if let Some(windows) = progress.windows {
            let (done, total) = (number(windows.done), number(windows.total));
            words.push(format!("window {done} of {total}"));
        }
        if let Some(ms) = self.duration_ms {
            let speed = progress.done * 1_000 / ms.max(1);
            if speed > 0 {
                words.push(format!("{} a second", number(speed)));
            }
            words.push(duration(ms));
        }
        if let Some(seconds) = progress.seconds_left {
            words.push(format!("about {} left", span(seconds)));
        }
        let square = self.square;
        if square.requests > 0 {
            words.push(count(whole(square.requests), "request"));
        }
        if square.retries > 0 {
            words.push(format!("{} repeated", number(whole(square.retries))));
        }
        if square.rate_limited > 0 {
            let times = count(whole(square.rate_limited), "time");
            words.push(format!("{times} told to slow down"));
        }
        words.join(" · ")
    }
}

impl Backup {
    /// When it was replaced, in words.
    pub(crate) fn replaced(&self) -> Moment {
        Moment::in_words(self.created_at)
    }

    pub(crate) fn facts(&self) -> String {
        let rows: i64 = self.rows.values().sum();
        format!(
            "{} ago · {} · {}",
            span(self.age_seconds),
            count(rows, "row"),
            size(self.bytes)
        )
    }
}

impl Quarantined {
    pub(crate) fn since(&self) -> Moment {
        Moment::new(self.first_seen_at)
    }
}

/// A duration in milliseconds, as exactly as it says something.
pub(crate) fn duration(ms: i64) -> String {
    match ms {
        1..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => span(ms / 1_000),
    }
}

/// The two largest units of whole seconds.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..0 => "0 s".to_owned(),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A number with its thousands apart.
pub(crate) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// An amount, and whether it is one to the letter.
pub(crate) fn amount(amount: Amount) -> String {
    match amount {
        Amount::Exactly(count) => number(count),
        Amount::About(count) => format!("about {}", number(count)),
        Amount::MoreThan(count) => format!("more than {}", number(count)),
    }
}

/// So many of what is called like one of them.
pub(crate) fn count(amount: i64, unit: &str) -> String {
    let ending = if amount == 1 { "" } else { "s" };
    format!("{} {unit}{ending}", number(amount))
}

/// A number of Square's counters, as all others are.
fn whole(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

/// A size in bytes, in the unit that says something.
fn size(bytes: i64) -> String {
    if bytes < 1_000_000 {
        format!("{} kB", number((bytes + 999) / 1_000))
    } else {
        format!("{} MB", number(bytes / 1_000_000))
    }
}

/// A name as the first word of something.
pub(crate) fn capital(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

pub(crate) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::view;

    #[test]
    fn numbers_and_durations_read_well() {
        for (figure, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ] {
            assert_eq!(number(figure), text);
        }
        assert_eq!(amount(Amount::Exactly(1_000)), "1,000");
        assert_eq!(amount(Amount::About(12_345)), "about 12,345");
        assert_eq!(amount(Amount::MoreThan(1_000)), "more than 1,000");
        for (ms, text) in [
            (-5_000, "0 s"),
            (0, "0 s"),
            (1, "1 ms"),
            (49, "49 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (1_550, "1.5 s"),
            (9_999, "9.9 s"),
            (10_000, "10 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (3_725_000, "1 h 2 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
        // Whole seconds are told as such.
        assert_eq!(["0 s", "1 s", "9 s"], [0, 1, 9].map(span));
    }

    #[test]
    fn one_is_called_otherwise_than_many() {
        for (amount, text) in [
            (0, "0 records"),
            (1, "1 record"),
            (2, "2 records"),
            (12_345, "12,345 records"),
        ] {
            assert_eq!(count(amount, "record"), text);
        }
        for (bytes, text) in [
            (0, "0 kB"),
            (1, "1 kB"),
            (812_000, "812 kB"),
            (1_000_000, "1 MB"),
            (2_345_678_901, "2,345 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_run_has_no_speed_and_a_step_none_below_one() {
        let mut run = view::tests::succeeded("sync-1", "incremental");
        assert_eq!(run.effort(), "7 records, 2 requests to Square");
        let step = &mut run.steps[0];
        step.square.rate_limited = 1;
        let words = "3 of 3 read · 61 a second · 49 ms · 2 requests · 1 time told to slow down";
        assert_eq!(step.facts(), words);
        step.duration_ms = Some(3_001);
        assert!(!step.facts().contains("a second"), "{}", step.facts());
    }
}
