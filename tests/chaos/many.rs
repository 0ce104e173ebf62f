//! Many histories at once, with a bar; and the story of the first that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};

use crate::attempt::{self, Failure, attempt};
use crate::history::{self, History};
use crate::local_aws::LocalAws;
use crate::planted::FOUND;
use crate::shrink::shrink;

/// Plays these seeds, until one fails; returns whether none did. A hunt only says which.
pub(crate) async fn play(seeds: Vec<u64>, jobs: usize, is_hunt: bool) -> bool {
    let began = Instant::now();
    let bar = bar(seeds.len());
    let mut played = 0_u32;
    let mut histories = stream::iter(seeds)
        .map(|seed| async move { (seed, attempt(history::of(seed), false).await) })
        .buffer_unordered(jobs.max(1));
    let mut first = None;
    while let Some((seed, result)) = histories.next().await {
        played += 1;
        bar.inc(1);
        bar.set_message(per_minute(played, began.elapsed()));
        if let Err(failure) = result {
            first = Some((seed, failure));
            break;
        }
    }
    drop(histories);
    bar.finish_and_clear();
    println!(
        "{played} histories, {}",
        per_minute(played, began.elapsed())
    );
    let Some((seed, failure)) = first else {
        return true;
    };
    if is_hunt {
        println!("{FOUND} {seed}: {}", failure.why);
        return false;
    }
    println!(
        "seed {seed} fails: {}\nLooking for a shorter story of it …",
        failure.why
    );
    let whole = history::of(seed);
    let (shortest, failure) = shrink(whole.clone(), failure).await;
    tell(&whole, &shortest, &failure);
    false
}

/// Plays one seed aloud, without some of its events.
pub(crate) async fn replay(seed: u64, without: &[usize]) -> bool {
    let mut history = history::of(seed);
    let mut number = 0;
    history.events.retain(|_| {
        number += 1;
        !without.contains(&number)
    });
    println!("seed {seed}: {}", beginning(&history));
    match attempt(history, true).await {
        Ok(()) => {
            println!("All is well.");
            true
        }
        Err(failure) => {
            println!("It fails: {}", failure.why);
            false
        }
    }
}

/// Plays one history after the other in the local AWS, until time is up or one fails;
/// returns whether none did.
pub(crate) async fn in_local_aws(seed: Option<u64>, from: u64, length: Duration) -> bool {
    let aws = match LocalAws::start().await {
        Ok(aws) => Arc::new(aws),
        Err(error) => {
            println!("The local AWS does not start: {error}");
            return false;
        }
    };
    let began = Instant::now();
    let bar = ProgressBar::new(length.as_secs());
    let template = "{wide_bar} {pos} of {len} seconds, {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap());
    let mut played = 0_u64;
    let mut is_sound = true;
    while is_sound && (played == 0 || seed.is_none() && began.elapsed() < length) {
        let history = history::within_local_aws(seed.unwrap_or(from + played));
        bar.set_message(format!("{played} histories, seed {} …", history.seed));
        bar.set_position(began.elapsed().as_secs().min(length.as_secs()));
        let played_one = attempt::in_local_aws(&history, seed.is_some(), &aws).await;
        played += 1;
        if let Err(failure) = played_one {
            is_sound = false;
            bar.finish_and_clear();
            println!("seed {}: {}", history.seed, beginning(&history));
            for line in &failure.story {
                println!("{line}");
            }
            println!(
                "It fails: {}\nTo see it again: make chaos ARGS='--local-aws --seed {}'",
                failure.why, history.seed
            );
        }
    }
    bar.finish_and_clear();
    println!(
        "{played} histories in the local AWS, {}",
        per_minute(u32::try_from(played).unwrap_or(u32::MAX), began.elapsed())
    );
    if let Ok(aws) = Arc::try_unwrap(aws) {
        aws.stop().await;
    }
    is_sound
}

fn beginning(history: &History) -> String {
    let clock = if history.is_of_now {
        "of now"
    } else {
        "of months ago"
    };
    let schema = if history.is_outdated {
        ", in a database of the release before"
    } else {
        ""
    };
    format!("an account {clock}{schema}, {}", history.account)
}

fn tell(whole: &History, shortest: &History, failure: &Failure) {
    println!("\n{}", beginning(shortest));
    for line in &failure.story {
        println!("{line}");
    }
    println!("It fails: {}", failure.why);
    let left_out = whole.events.iter().enumerate();
    let left_out = left_out.filter(|(_, event)| !shortest.events.contains(event));
    let left_out: Vec<String> = left_out.map(|(at, _)| (at + 1).to_string()).collect();
    let without = if left_out.is_empty() {
        String::new()
    } else {
        format!(" --without {}", left_out.join(","))
    };
    println!(
        "To see it again: make chaos ARGS='--seed {}{without}'",
        whole.seed
    );
}

fn bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX));
    let style =
        ProgressStyle::with_template("{wide_bar} {pos} of {len} histories, {msg}, {eta} left");
    bar.set_style(style.unwrap());
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

fn per_minute(played: u32, elapsed: Duration) -> String {
    let minutes = elapsed.as_secs_f64() / 60.0;
    format!("{:.0} a minute", f64::from(played) / minutes.max(1e-9))
}
