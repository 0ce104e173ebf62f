//! A run as it goes: a bar for each step on a terminal, plain lines elsewhere,
//! so that a log file holds no escape codes.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::api::{Progress, Run, Step};

/// How often plain lines tell of a step that goes on.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows one run.
pub enum Show {
    /// On a terminal.
    Bars {
        all: MultiProgress,
        bars: BTreeMap<String, ProgressBar>,
    },
    /// Elsewhere.
    Lines {
        said: BTreeMap<String, (String, Instant)>,
    },
}

impl Default for Show {
    /// What fits the standard streams.
    fn default() -> Self {
        if std::io::stderr().is_terminal() && std::io::stdout().is_terminal() {
            Self::Bars {
                all: MultiProgress::new(),
                bars: BTreeMap::new(),
            }
        } else {
            Self::Lines {
                said: BTreeMap::new(),
            }
        }
    }
}

impl Show {
    /// Shows the run as it is now.
    pub fn update(&mut self, run: &Run) {
        for step in run.steps.iter().filter(|step| step.status != "pending") {
            match self {
                Self::Bars { all, bars } => {
                    let bar = bars.entry(step.step.clone()).or_insert_with(|| {
                        let bar =
                            ProgressBar::no_length().with_prefix(format!("{:<10}", step.step));
                        dress(&bar, step);
                        all.add(bar)
                    });
                    draw(bar, step);
                }
                Self::Lines { said } => say(said, step),
            }
        }
    }
}

fn draw(bar: &ProgressBar, step: &Step) {
    if bar.is_finished() {
        return;
    }
    dress(bar, step);
    let progress = step.progress.unwrap_or_default();
    if let Some(total) = progress.total {
        bar.set_length(total.max(progress.done));
    }
    bar.set_position(progress.done);
    if is_over(step) {
        bar.finish_with_message(summary(step));
    } else {
        bar.set_message(outlook(&progress));
        bar.enable_steady_tick(Duration::from_millis(120));
    }
}

/// Gives the bar the looks that fit what is known of the step.
fn dress(bar: &ProgressBar, step: &Step) {
    let total = step.progress.and_then(|progress| progress.total);
    let template = match (is_over(step), total) {
        (true, _) => "  {prefix} {msg}",
        (false, Some(_)) => {
            "{spinner} {prefix} {bar:32} {human_pos} of {human_len}  {elapsed}{msg}"
        }
        (false, None) => "{spinner} {prefix} {human_pos}  {elapsed}{msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

fn is_over(step: &Step) -> bool {
    step.status != "running"
}

fn say(said: &mut BTreeMap<String, (String, Instant)>, step: &Step) {
    let summary = summary(step);
    let due = match said.get(&step.step) {
        None => true,
        Some((before, _)) if *before == summary => false,
        Some((_, at)) => is_over(step) || at.elapsed() >= LINE_EVERY,
    };
    if due {
        let mut out = std::io::stdout().lock();
        // Nobody may be reading any more; the run goes on all the same.
        let _ = writeln!(out, "  {:<10} {summary}", step.step);
        said.insert(step.step.clone(), (summary, Instant::now()));
    }
}

/// A step in a few words.
fn summary(step: &Step) -> String {
    if is_over(step) {
        let duration = step.duration_ms.map(seconds);
        return match duration {
            Some(duration) => format!("{} in {duration}", step.status),
            None => step.status.clone(),
        };
    }
    let progress = step.progress.unwrap_or_default();
    let objects = match (progress.done, progress.total) {
        (done, Some(total)) => format!(", {done} of {total}"),
        (0, None) => String::new(),
        (done, None) => format!(", {done}"),
    };
    format!("{}{objects}{}", step.status, outlook(&progress))
}

/// The windows of an import, and how long it will still take.
fn outlook(progress: &Progress) -> String {
    let windows = progress.windows.map_or_else(String::new, |windows| {
        format!(", {} of {} windows", windows.done, windows.total)
    });
    let left = progress.seconds_left.map_or_else(String::new, |seconds| {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        match (hours, minutes) {
            (0, 0) => format!(", {seconds} s left"),
            (0, _) => format!(", {minutes} min {} s left", seconds % 60),
            _ => format!(", {hours} h {minutes} min left"),
        }
    });
    format!("{windows}{left}")
}

/// Milliseconds as people read them.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Windows;

    #[test]
    fn a_step_is_told_in_a_few_words() {
        let mut step = Step {
            step: "catalog".to_owned(),
            status: "running".to_owned(),
            progress: Some(Progress {
                done: 1000,
                total: Some(5000),
                ..Progress::default()
            }),
            ..Step::default()
        };
        assert_eq!(summary(&step), "running, 1000 of 5000");
        step.progress = Some(Progress {
            done: 1000,
            ..Progress::default()
        });
        assert_eq!(summary(&step), "running, 1000");
        step.progress = Some(Progress {
            done: 4_500,
            total: Some(20_000),
            seconds_left: Some(95),
            windows: Some(Windows {
                done: 12,
                total: 70,
            }),
        });
        assert_eq!(
            summary(&step),
            "running, 4500 of 20000, 12 of 70 windows, 1 min 35 s left"
        );
        step.status = "succeeded".to_owned();
        step.duration_ms = Some(12_345);
        assert_eq!(summary(&step), "succeeded in 12.3 s");
    }
}
