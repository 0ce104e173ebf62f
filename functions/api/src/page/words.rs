//! Runs and figures in words, for the templates.

use super::moment::Moment;
use crate::runs::store::{Amount, Backup, Quarantined};
use crate::runs::view::{CountsView, RunView, StepView};

/// A row of the table of results.
pub(crate) struct ResultRow {
    pub(crate) name: String,
    pub(crate) figures: [String; 5],
}

impl RunView {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "queued" | "running")
    }

    /// Whether it stopped because it would have deleted suspiciously much.
    pub(crate) fn is_guarded(&self) -> bool {
        let error = self.error.as_ref();
        error.is_some_and(|error| error.name == "DeletionGuard")
    }

    /// Names the run in two or three words.
    pub(crate) fn title(&self) -> String {
        let what = match (self.kind.as_str(), self.mode.as_str()) {
            ("complete_sync", "full_refresh") => "Full refresh",
            ("complete_sync", _) => "Sync",
            ("historical_orders", _) => "Orders history",
            ("migration", _) => "Migration",
            ("restore", _) => "Restore",
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
        let row = |name: &str, counts: &CountsView| ResultRow {
            name: spaced(name),
            figures: [
                counts.created,
                counts.updated,
                counts.deleted,
                counts.unchanged,
                counts.quarantined,
            ]
            .map(number),
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

    /// Created, updated and deleted.
    pub(crate) fn changed(&self) -> i64 {
        self.totals
            .as_ref()
            .map_or(0, |totals| totals.created + totals.updated + totals.deleted)
    }

    pub(crate) fn changed_text(&self) -> String {
        number(self.changed())
    }

    /// Records, their speed, and what was asked of Square.
    pub(crate) fn speed(&self) -> String {
        let records: i64 = self.totals.as_ref().map_or(0, |totals| {
            totals.created + totals.updated + totals.unchanged + totals.quarantined
        });
        let asked: u64 = self.steps.iter().map(|step| step.square.requests).sum();
        let mut words = vec![format!("{} records", number(records))];
        if let Some(ms) = self.duration_ms.filter(|ms| *ms > 0) {
            words.push(format!("{} a second", number(records * 1_000 / ms)));
        }
        words.push(format!("{} to Square", requests(asked)));
        words.join(", ")
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
            words.push(format!("window {} of {}", windows.done, windows.total));
        }
        if let Some(ms) = self.duration_ms {
            if progress.done > 0 && ms > 0 {
                words.push(format!("{} a second", number(progress.done * 1_000 / ms)));
            }
            words.push(duration(ms));
        }
        if let Some(seconds) = progress.seconds_left {
            words.push(format!("about {} left", span(seconds)));
        }
        let square = self.square;
        if square.requests > 0 {
            words.push(requests(square.requests));
        }
        if square.retries > 0 {
            words.push(format!("{} repeated", square.retries));
        }
        if square.rate_limited > 0 {
            words.push(format!("{} times told to slow down", square.rate_limited));
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
            "{} ago · {} rows · {} MB",
            span(self.age_seconds),
            number(rows),
            number(self.bytes / 1_000_000)
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

fn requests(count: u64) -> String {
    match count {
        1 => "1 request".to_owned(),
        _ => format!("{count} requests"),
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
}
