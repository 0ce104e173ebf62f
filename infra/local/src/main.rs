//! The terminal's side of the local stack: `make run`, `make sync` and `make
//! token` end here.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use local::api::SyncRequest;

#[derive(Parser)]
#[command(name = "local", about = "The local stack of Square Sync")]
struct Cli {
    /// Where stack.json and the logs go
    #[arg(long, env = "STACK_DIR", default_value = ".local", global = true)]
    stack_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the stack, sync once, and stay until Ctrl-C
    Run(Run),
    /// Ask the running stack for a sync and show it
    Sync(Sync),
    /// Print a fresh bearer token for the running stack's API
    Token,
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
    /// A second request with the same key is the first one again
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl From<Sync> for SyncRequest {
    fn from(sync: Sync) -> Self {
        Self {
            full_refresh: sync.full_refresh,
            only: sync.only,
            reconcile: sync.reconcile,
            dry_run: sync.dry_run,
            allow_mass_deletion: sync.allow_mass_deletion,
            idempotency_key: sync.idempotency_key,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(run) => commands::run(cli.stack_dir, run).await,
        Command::Sync(sync) => commands::sync(&cli.stack_dir, &sync.into()).await,
        Command::Token => commands::token(&cli.stack_dir).await,
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
