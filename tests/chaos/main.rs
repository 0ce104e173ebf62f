//! Seeded histories: an account, a database and the functions between them, to which
//! anything happens in any order; after each event the rules hold (`held`), and in the
//! end the tables are what Square has (`end`).
//!
//! Everything random comes from the history's seed. Where PostgreSQL's sessions and
//! Square's answers run side by side, their order is the machine's, so that a seed
//! repeats a history, but not every interleaving.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends where something is not as expected, and this one prints its own results"
)]

mod attempt;
mod change;
mod end;
mod event;
mod execution;
mod fenced;
mod held;
mod history;
mod known;
mod local_aws;
mod many;
mod mishap;
mod planted;
mod play;
mod reader;
mod rows;
mod runs;
mod shrink;
mod square;
mod story;
mod tree;
mod world;

#[path = "../support"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod support {
    pub(crate) mod account;
    pub(crate) mod cloud;
    pub(crate) mod database;
    pub(crate) mod patience;
    pub(crate) mod run;
    pub(crate) mod tables;
}

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// The name under which `cargo test` knows it.
const NAME: &str = "whatever_happens_in_sixty_histories_the_rules_hold";

/// Histories of `cargo test`: half of them always the same, half by the sources.
const HALF: u64 = 30;

/// Plays seeded histories. Without arguments, those of `make test`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Play so many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Histories at once; most of their time is waiting.
    #[arg(long)]
    jobs: Option<usize>,
    /// Replay one seed, and print each event.
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the events of these numbers out of it, as a shorter story says.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    without: Vec<usize>,
    /// Only say which seed fails, and look for no shorter story.
    #[arg(long, hide = true)]
    hunt: bool,
    /// Try whether the defects under tests/planted are found, or those whose names
    /// contain this.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    planted: Option<String>,
    /// Play them in the local AWS, with the real state machines and functions, one after
    /// the other; with --seed that one alone.
    #[arg(long, conflicts_with_all = ["seeds", "planted", "jobs"])]
    local_aws: bool,
    /// So long.
    #[arg(long, default_value_t = 30, requires = "local_aws")]
    minutes: u64,
    #[command(flatten)]
    of_cargo: OfCargo,
}

/// What `cargo test` hands to each of its tests, whether it is meant for them or not.
#[derive(Debug, clap::Args)]
struct OfCargo {
    #[arg(hide = true)]
    filters: Vec<String>,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    no_capture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
}

impl OfCargo {
    fn wants_it(&self) -> bool {
        let is_named = |filter: &String| {
            if self.exact {
                filter == NAME
            } else {
                NAME.contains(filter.as_str())
            }
        };
        let is_wanted = self.filters.is_empty() || self.filters.iter().any(is_named);
        is_wanted && !self.ignored && !self.skip.iter().any(is_named)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.of_cargo.list {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if !arguments.of_cargo.wants_it() {
        return ExitCode::SUCCESS;
    }
    // The control's HTTP client wants a crypto library, even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What a history's assertion says is told with its story.
    std::panic::set_hook(Box::new(|_| {}));
    let jobs = arguments
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(4, |cores| cores.get() * 4));
    if let Some(name) = &arguments.planted {
        let is_found = planted::try_all(name, jobs);
        return if is_found {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let is_sound = runtime.block_on(run(&arguments, jobs));
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(arguments: &Arguments, jobs: usize) -> bool {
    play::prepare().await;
    if arguments.local_aws {
        let minutes = Duration::from_secs(60 * arguments.minutes);
        return many::in_local_aws(arguments.seed, arguments.from, minutes).await;
    }
    if let Some(seed) = arguments.seed {
        return many::replay(seed, &arguments.without).await;
    }
    if let Some(seeds) = arguments.seeds {
        let seeds = arguments.from..arguments.from.saturating_add(seeds);
        return many::play(seeds.collect(), jobs, arguments.hunt).await;
    }
    let chosen = tree::number();
    let seeds = (1..=HALF).chain((0..HALF).map(|number| chosen.wrapping_add(number)));
    let is_sound = planted::all_fit() && many::play(seeds.collect(), jobs, arguments.hunt).await;
    println!("test {NAME} ... {}", if is_sound { "ok" } else { "FAILED" });
    is_sound
}
