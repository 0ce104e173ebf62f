//! The mail about a run that has ended, for somebody who has other things to do:
//! what failed, why, what it means for the data, and what to do.

use std::fmt::Write;

use jiff::Timestamp;

use super::advice;
use crate::run::console;
use crate::run::request::Trigger;
use crate::run::stats;
use crate::run::summary::Summary;

/// Longest subject that SNS takes: "less than 100 characters".
const SUBJECT_CHARS: usize = 99;

/// Why there is a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    Failed,
    TimedOut,
    Stopped,
    Succeeded,
    /// The first success after failures.
    Recovered,
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One line of ASCII.
    pub subject: String,
    pub body: String,
}

/// Writes the mail. `page` is the address of the admin page.
pub(crate) fn compose(occasion: Occasion, run: &Summary, page: Option<&str>) -> Mail {
    let what = title(run);
    let mut body = String::new();
    let subject = match occasion {
        Occasion::Failed | Occasion::TimedOut => {
            failed(&mut body, occasion, run);
            let failure = run.failure.as_ref();
            let name = failure.map_or("", |failure| failure.name.as_str());
            match failure.map(|failure| failure.step.as_str()) {
                Some("") | None => format!("{what} failed: {name}"),
                Some(step) => format!("{what} failed at {step}: {name}"),
            }
        }
        Occasion::Stopped => {
            stopped(&mut body, run);
            format!("{what} was stopped")
        }
        Occasion::Succeeded => {
            succeeded(&mut body, run);
            format!("{what} succeeded")
        }
        Occasion::Recovered => {
            recovered(&mut body, run);
            format!("{what} works again")
        }
    };
    links(&mut body, run, page);
    Mail {
        subject: one_line(&format!("Square Sync: {subject}")),
        body,
    }
}

fn failed(body: &mut String, occasion: Occasion, run: &Summary) {
    let (name, message, step) = run.failure.as_ref().map_or(("", "", ""), |failure| {
        (
            failure.name.as_str(),
            failure.message.as_str(),
            failure.step.as_str(),
        )
    });
    let how = match occasion {
        Occasion::TimedOut => "ran out of time",
        _ => "failed",
    };
    let at = if step.is_empty() {
        String::new()
    } else {
        format!(" at the step {step}")
    };
    put(body, &format!("{}, {}, {how}{at}.", title(run), by(run)));
    if run.failures_before > 0 {
        let since = run.failing_since.map(time).unwrap_or_default();
        let before = run.failures_before;
        put(
            body,
            &format!("It had failed {before} times in a row before, since {since}."),
        );
    }
    section(body, "What happened", &format!("{name}: {message}"));
    section(body, "What it means for the data", &kept(run));
    ages(body, run);
    section(body, "What to do", advice::for_error(name));
    if is_scheduled(run) {
        put(
            body,
            "As long as it goes on failing in this way, every sixth failure is told.",
        );
    }
}

fn stopped(body: &mut String, run: &Summary) {
    let who = run.stopped_by.as_deref().map_or(
        "in the Step Functions console or through the API".to_owned(),
        |who| format!("by {who}"),
    );
    put(
        body,
        &format!("{}, {}, was stopped {who}.", title(run), by(run)),
    );
    section(body, "What it means for the data", &kept(run));
    ages(body, run);
    section(
        body,
        "What to do",
        "Nothing, if that was meant. The schedule goes on; a run of any other kind is started \
again from the admin page.",
    );
}

fn succeeded(body: &mut String, run: &Summary) {
    put(body, &format!("{}, {}, succeeded.", title(run), by(run)));
    figures(body, run);
    ages(body, run);
}

fn recovered(body: &mut String, run: &Summary) {
    let since = run.failing_since.map(time).unwrap_or_default();
    let times = match run.failures_before {
        1 => "once".to_owned(),
        times => format!("{times} times in a row"),
    };
    put(
        body,
        &format!(
            "{}, {}, succeeded after it had failed {times} since {since}. There is nothing left to do.",
            title(run),
            by(run)
        ),
    );
    figures(body, run);
    ages(body, run);
}

/// Describes what a run that did not end well leaves behind.
fn kept(run: &Summary) -> String {
    let text = match (run.kind.as_str(), run.mode.as_str()) {
        _ if run.dry_run => "It was a preview and was not to change anything.",
        ("complete_sync", "full_refresh") => {
            "The account was not replaced: the tables hold what they held before, whole."
        }
        ("complete_sync", _) => {
            "Each step applies everything or nothing. The steps before this one have applied what \
they read; the tables of this step and of those after it are as they were, whole but older."
        }
        ("historical_orders", _) => {
            "Every order that was read is kept. The next import reads only what is missing."
        }
        ("migration", _) => {
            "Each migration applies wholly or not at all. Syncs wait until the schema is up to date."
        }
        _ => "No backup was put back: the tables hold what they held before, whole.",
    };
    text.to_owned()
}

/// Writes how old each data type is.
fn ages(body: &mut String, run: &Summary) {
    if run.freshness.is_empty() {
        put(body, "The database could not be asked how old the data is.");
        return;
    }
    for fresh in &run.freshness {
        let name = &fresh.data_type;
        let line = match fresh.as_of.zip(fresh.age_seconds) {
            Some((as_of, age)) => format!("  {name:<10} {} old, as of {}", span(age), time(as_of)),
            None => format!("  {name:<10} never synced"),
        };
        let _ = writeln!(body, "{line}");
    }
}

fn figures(body: &mut String, run: &Summary) {
    heading(body, "Figures");
    for (data_type, counts) in stats::in_order(&run.stats) {
        let _ = writeln!(
            body,
            "  {data_type:<10} {} created, {} updated, {} deleted, {} unchanged, {} quarantined",
            counts.created, counts.updated, counts.deleted, counts.unchanged, counts.quarantined
        );
    }
    let _ = writeln!(body, "  {} requests to Square", run.square.requests);
    for (title, texts) in [("Warnings", &run.warnings), ("Notes", &run.notes)] {
        if !texts.is_empty() {
            heading(body, title);
        }
        for text in texts {
            let _ = writeln!(body, "  {text}");
        }
    }
    heading(body, "How old the data is");
}

fn links(body: &mut String, run: &Summary, page: Option<&str>) {
    heading(body, "Where to look");
    let id = &run.run_id;
    if let Some(page) = page {
        let _ = writeln!(body, "  Page     {page}/admin/sync/runs/{id}");
    }
    if let Some(url) = run.execution_arn.as_deref().and_then(console::url) {
        let _ = writeln!(body, "  Console  {url}");
    }
    let started = run.started_at.map(time).unwrap_or_default();
    let took = run
        .duration_ms
        .map(|ms| span(ms / 1_000))
        .unwrap_or_default();
    let _ = writeln!(body, "  Run      {id}, started {started}, took {took}");
    let _ = writeln!(
        body,
        "\ninfra/RUNBOOK.md explains every error by its name, and every alarm."
    );
}

/// Names the run in a few words.
fn title(run: &Summary) -> &'static str {
    match (run.kind.as_str(), run.mode.as_str()) {
        _ if run.dry_run => "A preview",
        ("complete_sync", "full_refresh") => "The full refresh",
        ("complete_sync", _) => "The sync",
        ("historical_orders", _) => "The import of past orders",
        ("migration", _) => "The migration",
        ("spot_check", _) => "The spot check",
        _ => "The restore",
    }
}

fn by(run: &Summary) -> String {
    if is_scheduled(run) {
        "started by the schedule".to_owned()
    } else {
        format!("started by {}", run.requested_by)
    }
}

fn is_scheduled(run: &Summary) -> bool {
    run.trigger == Trigger::Schedule.name()
}

fn put(body: &mut String, paragraph: &str) {
    let _ = writeln!(body, "{paragraph}");
}

fn heading(body: &mut String, heading: &str) {
    let _ = writeln!(body, "\n{heading}");
}

fn section(body: &mut String, title: &str, text: &str) {
    heading(body, title);
    put(body, text);
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A time span in its two largest units.
fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// SNS refuses a subject with anything else in it.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|char| if matches!(char, ' '..='~') { char } else { '?' })
        .take(SUBJECT_CHARS)
        .collect()
}
