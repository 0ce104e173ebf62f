//! The simulated Square account as a program.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use square_sim::Config;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// A simulated Square account on a loopback port. Prints its URL, and ends when
/// its standard input closes or a signal comes.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Decides every id, name, price and moment
    #[arg(long, default_value_t = Config::default().seed)]
    seed: u64,
    /// Locations
    #[arg(long, default_value_t = Config::default().locations)]
    locations: usize,
    /// Categories
    #[arg(long, default_value_t = Config::default().categories)]
    categories: usize,
    /// Items
    #[arg(long, default_value_t = Config::default().items)]
    items: usize,
    /// Variations, at most 250 an item
    #[arg(long, default_value_t = Config::default().variations)]
    variations: usize,
    /// Inventory counts
    #[arg(long, default_value_t = Config::default().counts)]
    counts: usize,
    /// Orders
    #[arg(long, default_value_t = Config::default().orders)]
    orders: usize,
    /// The access token to accept
    #[arg(long, default_value_t = Config::default().token)]
    token: String,
    /// Never give more objects a page than this
    #[arg(long)]
    page_limit_cap: Option<usize>,
    /// How long a cursor lives
    #[arg(long, default_value_t = Config::default().cursor_ttl_seconds)]
    cursor_ttl_seconds: u64,
    /// Do not compress answers
    #[arg(long)]
    no_gzip: bool,
    /// Leave out enum values and fields that Square's schemas lack
    #[arg(long)]
    no_drift: bool,
    /// Give no short or empty pages
    #[arg(long)]
    no_ragged_pages: bool,
    /// Go on when the standard input closes
    #[arg(long)]
    stay: bool,
}

impl Options {
    fn config(&self) -> Config {
        Config {
            seed: self.seed,
            locations: self.locations,
            categories: self.categories,
            items: self.items,
            variations: self.variations,
            counts: self.counts,
            orders: self.orders,
            token: self.token.clone(),
            page_limit_cap: self.page_limit_cap,
            cursor_ttl_seconds: self.cursor_ttl_seconds,
            gzip: !self.no_gzip,
            drift: !self.no_drift,
            ragged_pages: !self.no_ragged_pages,
            ..Config::default()
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "square-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let running = square_sim::start(options.config(), ("127.0.0.1", options.port))?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", running.url())?;
        out.flush()?;
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = input_closed(), if !options.stay => {}
    }
    drop(running);
    // Reading the standard input blocks a thread that nothing can wake.
    std::process::exit(0)
}

/// Returns once the parent has closed its end of our standard input.
async fn input_closed() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 256];
    while matches!(input.read(&mut ignored).await, Ok(1..)) {}
}
