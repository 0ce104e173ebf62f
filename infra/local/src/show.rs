//! A run as it goes: a bar for each step on a terminal, plain lines elsewhere,
//! so that a log file holds no escape codes.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::api::{Progress, Run, Step};

/// The interval at which plain lines tell of a step that goes on.
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
    /// Chooses what fits the standard streams.
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
        bar.set_message(format!("{}{}", windows(&progress), left(&progress)));
        bar.enable_steady_tick(Duration::from_millis(120));
    }
}

/// Gives the bar the looks that fit what is known of the step.
fn dress(bar: &ProgressBar, step: &Step) {
    if let Ok(style) = ProgressStyle::with_template(template(step)) {
        bar.set_style(style);
    }
}

fn template(step: &Step) -> &'static str {
    if is_over(step) {
        return "  {prefix} {msg}";
    }
    let progress = step.progress.unwrap_or_default();
    match (progress.total, progress.windows) {
        (Some(_), Some(_)) => {
            "{spinner} {prefix} {bar:32} {human_pos} of about {human_len} orders  {elapsed}{msg}"
        }
        (Some(_), None) => "{spinner} {prefix} {bar:32} {human_pos} of {human_len}  {elapsed}{msg}",
        (None, Some(_)) => "{spinner} {prefix} {human_pos} orders  {elapsed}{msg}",
        (None, None) => "{spinner} {prefix} {human_pos}  {elapsed}{msg}",
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
        let duration = step.duration_ms.map(duration);
        return match duration {
            Some(duration) => format!("{} in {duration}", step.status),
            None => step.status.clone(),
        };
    }
    let progress = step.progress.unwrap_or_default();
    let (windows, objects, left) = (windows(&progress), objects(&progress), left(&progress));
    format!("{}{windows}{objects}{left}", step.status)
}

/// The windows of an import.
fn windows(progress: &Progress) -> String {
    progress.windows.map_or_else(String::new, |windows| {
        format!(", {} of {} windows", windows.done, windows.total)
    })
}

/// Says what was read so far. The number of an import's orders is an estimate.
fn objects(progress: &Progress) -> String {
    match (progress.done, progress.total, progress.windows) {
        (done, Some(total), Some(_)) => format!(", {done} of about {total} orders"),
        (done, None, Some(_)) => format!(", {done} orders"),
        (done, Some(total), None) => format!(", {done} of {total}"),
        (0, None, None) => String::new(),
        (done, None, None) => format!(", {done}"),
    }
}

/// Says how long the step will still take.
fn left(progress: &Progress) -> String {
    progress.seconds_left.map_or_else(String::new, |seconds| {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        match (hours, minutes) {
            (0, 0) => format!(", {seconds} s left"),
            (0, _) => format!(", {minutes} min {} s left", seconds % 60),
            _ => format!(", {hours} h {minutes} min left"),
        }
    })
}

/// Returns a duration as people read it: in milliseconds below a second.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
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
            "running, 12 of 70 windows, 4500 of about 20000 orders, 1 min 35 s left"
        );
        step.status = "succeeded".to_owned();
        step.duration_ms = Some(12_345);
        assert_eq!(summary(&step), "succeeded in 12.3 s");
        step.duration_ms = Some(49);
        assert_eq!(summary(&step), "succeeded in 49 ms");
        assert_eq!([0, 999, 1_000].map(duration), ["0 ms", "999 ms", "1.0 s"]);
    }

    #[test]
    fn the_time_left_is_told_no_finer_than_it_is_known() {
        let told = |seconds| {
            left(&Progress {
                seconds_left: Some(seconds),
                ..Progress::default()
            })
        };
        assert_eq!(told(35), ", 35 s left");
        assert_eq!(told(60), ", 1 min 0 s left");
        assert_eq!(told(3_661), ", 1 h 1 min left");
        assert_eq!(left(&Progress::default()), "");
    }

    #[test]
    fn whatever_is_known_of_a_step_has_its_bar() {
        let windows = Some(Windows::default());
        for status in ["running", "succeeded"] {
            for (total, windows) in [
                (None, None),
                (Some(1), None),
                (None, windows),
                (Some(1), windows),
            ] {
                let step = Step {
                    status: status.to_owned(),
                    progress: Some(Progress {
                        total,
                        windows,
                        ..Progress::default()
                    }),
                    ..Step::default()
                };
                assert!(ProgressStyle::with_template(template(&step)).is_ok());
            }
        }
    }
}
