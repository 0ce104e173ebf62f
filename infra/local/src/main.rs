//! The terminal's side of the local stack: `make run`, `make sync` and `make
//! token` end here.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use local::api::{ImportRequest, SpotCheckRequest, SyncRequest, Wanted};
use local::bench::{Measured, Plan};

#[derive(Parser)]
#[command(name = "local", about = "The local stack of Square Sync")]
struct Cli {
    /// The directory of stack.json and the logs
    #[arg(long, env = "STACK_DIR", default_value = ".local", global = true)]
    stack_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the stack, sync once, and stay until Ctrl-C
    Run(Run),
    /// Ask the running stack for a sync, an import or a migration, and show it
    Sync(Sync),
    /// Print a fresh bearer token for the running stack's API
    Token,
    /// Measure each kind of run, on a large account and on one of half its size
    Bench(Bench),
    /// Measure how the functions start, and how much memory they take
    Measure,
}

#[derive(Args)]
struct Run {
    /// Do not sync right away
    #[arg(long)]
    no_first_sync: bool,
    /// The port of the API and the local AWS; 4600 or else any free one by default
    #[arg(long, env = "PORT")]
    port: Option<u16>,
    /// End when the process that started this one is gone, as `make` may be
    #[arg(long)]
    end_with_parent: bool,
    /// Arguments for the simulated account, such as '--items 20000'
    #[arg(long, env = "SIM_ARGS", default_value = "")]
    sim_args: String,
}

#[derive(Args)]
struct Sync {
    /// Rebuild the copy and swap it in
    #[arg(long)]
    full_refresh: bool,
    /// List everything again and mark what Square no longer has
    #[arg(long)]
    reconcile: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The data types to sync, such as catalog,inventory
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Go on even if much would be deleted
    #[arg(long)]
    allow_mass_deletion: bool,
    /// Compare a sample of the rows with Square, and change nothing
    #[arg(long, conflicts_with_all = COMPLETE_SYNC, conflicts_with_all = IMPORT, conflicts_with = "migrate")]
    spot_check: bool,
    /// Objects of each kind that a spot check draws
    #[arg(long, requires = "spot_check", conflicts_with_all = COMPLETE_SYNC, conflicts_with_all = IMPORT)]
    sample: Option<u32>,
    /// A second request with the same key is the first one again
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Import all orders of the past
    #[arg(long, conflicts_with_all = COMPLETE_SYNC)]
    historical_orders: bool,
    /// Import orders created from this day or time on, such as 2024-01-01
    #[arg(long, requires = "historical_orders", conflicts_with_all = COMPLETE_SYNC)]
    from: Option<String>,
    /// Import orders created before this day or time
    #[arg(long, requires = "historical_orders", conflicts_with_all = COMPLETE_SYNC)]
    to: Option<String>,
    /// Import the orders of these locations, such as L1,L2
    #[arg(long, value_delimiter = ',', requires = "historical_orders", conflicts_with_all = COMPLETE_SYNC)]
    location_ids: Vec<String>,
    /// Bring the schema up to this release and derive the order tables anew
    #[arg(long, conflicts_with_all = COMPLETE_SYNC, conflicts_with_all = IMPORT, conflicts_with = "idempotency_key")]
    migrate: bool,
}

#[derive(Args)]
struct Bench {
    /// Take accounts a tenth as large
    #[arg(long)]
    quick: bool,
    /// Measure these runs alone, such as idle,delta; what they need runs unmeasured
    #[arg(long, value_delimiter = ',')]
    only: Vec<Measured>,
    /// Say how long each step took
    #[arg(long)]
    explain: bool,
}

impl From<Bench> for Plan {
    fn from(bench: Bench) -> Self {
        Self {
            quick: bench.quick,
            only: bench.only,
            explain: bench.explain,
        }
    }
}

/// Options that only a complete sync takes.
const COMPLETE_SYNC: [&str; 5] = [
    "full_refresh",
    "reconcile",
    "dry_run",
    "only",
    "allow_mass_deletion",
];

/// Options that only an import takes. That the others require `historical_orders` does
/// not keep them from standing beside what it conflicts with: clap then waives it.
const IMPORT: [&str; 4] = ["historical_orders", "from", "to", "location_ids"];

impl From<Sync> for Wanted {
    fn from(sync: Sync) -> Self {
        if sync.migrate {
            return Self::Migration;
        }
        if sync.spot_check {
            return Self::SpotCheck(SpotCheckRequest {
                sample: sync.sample,
                idempotency_key: sync.idempotency_key,
            });
        }
        if sync.historical_orders {
            return Self::Import(ImportRequest {
                from: sync.from,
                to: sync.to,
                location_ids: sync.location_ids,
                idempotency_key: sync.idempotency_key,
            });
        }
        Self::Sync(SyncRequest {
            full_refresh: sync.full_refresh,
            only: sync.only,
            reconcile: sync.reconcile,
            dry_run: sync.dry_run,
            allow_mass_deletion: sync.allow_mass_deletion,
            idempotency_key: sync.idempotency_key,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(run) => commands::run(cli.stack_dir, run).await,
        Command::Sync(sync) => commands::sync(&cli.stack_dir, &sync.into()).await,
        Command::Token => commands::token(&cli.stack_dir).await,
        Command::Bench(bench) => {
            local::bench::bench(&cli.stack_dir, &bench.into(), commands::say).await
        }
        Command::Measure => local::measure::measure(&cli.stack_dir, commands::say).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn wanted(arguments: &str) -> Result<Wanted, clap::Error> {
        let line = format!("local sync {arguments}");
        match Cli::try_parse_from(line.split_whitespace())?.command {
            Command::Sync(sync) => Ok(sync.into()),
            _ => unreachable!("the line says sync"),
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_bench_measures_what_is_named() {
        let plan = |arguments: &str| -> Option<Plan> {
            let line = format!("local bench {arguments}");
            match Cli::try_parse_from(line.split_whitespace()).ok()?.command {
                Command::Bench(bench) => Some(bench.into()),
                _ => unreachable!("the line says bench"),
            }
        };
        let all = plan("").unwrap();
        assert!(all.only.is_empty() && !all.quick && !all.explain);
        let some = plan("--quick --only idle,first-load --explain --only delta").unwrap();
        let named = [Measured::Idle, Measured::FirstLoad, Measured::Delta];
        assert_eq!(some.only, named);
        assert!(some.quick && some.explain);
        assert!(plan("--only idel").is_none() && plan("--orders 5").is_none());
    }

    #[test]
    fn each_kind_of_run_has_its_own_arguments() {
        assert_eq!(wanted("--only orders").unwrap().name(), "sync");
        assert_eq!(wanted("--migrate").unwrap().name(), "migration");
        let Wanted::SpotCheck(check) = wanted("--spot-check --sample 7").unwrap() else {
            panic!("it is a spot check");
        };
        assert_eq!(check.sample, Some(7));
        assert!(wanted("--sample 7").is_err());
        assert!(wanted("--spot-check --migrate").is_err());
        let Wanted::Import(import) =
            wanted("--historical-orders --from 2024-01-01 --location-ids A,B").unwrap()
        else {
            panic!("it is an import");
        };
        assert_eq!(import.from.as_deref(), Some("2024-01-01"));
        assert_eq!(import.location_ids, ["A", "B"]);
        let sync = [
            "--full-refresh",
            "--reconcile",
            "--dry-run",
            "--only orders",
            "--allow-mass-deletion",
        ];
        let import = ["--from 2024-01-01", "--to 2024-01-01", "--location-ids A"];
        assert!(wanted("--migrate --historical-orders").is_err());
        for other in sync {
            for kind in ["--historical-orders", "--migrate", "--spot-check"] {
                let wrong = format!("{kind} {other}");
                assert!(wanted(&wrong).is_err(), "{wrong}");
            }
        }
        for limit in import {
            for other in sync.into_iter().chain(["", "--migrate", "--spot-check"]) {
                let wrong = format!("{other} {limit}");
                assert!(wanted(&wrong).is_err(), "{wrong}");
            }
        }
    }
}
