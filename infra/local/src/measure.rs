//! `make measure`: how long each function takes to start cold, how much memory it
//! held at most, and how large the archive is that Lambda loads.
//!
//! A cold start here is what Lambda calls init and the first call: a new process,
//! its runtime, its settings with the secrets in them. The call itself is one that
//! ends there, on an input that names no run.

use std::path::Path;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table};
use serde_json::json;

use crate::api::{Api, ImportRequest, SyncRequest, Wanted};
use crate::deploy::STACK;
use crate::error::StackError;
use crate::http;
use crate::stack::{Options, Stack};

/// Cold starts of each function.
const STARTS: usize = 20;

/// Measures every function on a stack of its own, and says the table.
///
/// # Errors
/// The error that kept the stack from standing, its API from answering, or a function
/// from starting.
pub async fn measure(stack_dir: &Path, say: impl Fn(&str)) -> Result<bool, StackError> {
    let options = Options::quiet(stack_dir.join("measure"));
    let checkout = crate::Checkout::find()?;
    let (root, functions) = (checkout.root(), checkout.functions()?);
    let stack = Stack::start(options).await?;
    let mut table = Table::new();
    table.set_header([
        "function",
        "zip",
        "cold start",
        "slowest",
        "warm call",
        "memory",
        "when idle",
    ]);
    let idle: Vec<Starts> = starts(&stack, &functions, &say).await?;
    work(&stack, &say).await?;
    for (function, starts) in functions.iter().zip(idle) {
        table.add_row([
            function.clone(),
            archive(root, function),
            millis(starts.cold_median),
            millis(starts.cold_max),
            millis(starts.warm_median),
            mib(peak_memory(&stack, function)),
            mib(starts.memory_kib),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    say(&table.to_string());
    stack.stop().await;
    Ok(true)
}

struct Starts {
    cold_median: Duration,
    cold_max: Duration,
    warm_median: Duration,
    /// Of a process that has done nothing but start.
    memory_kib: u64,
}

async fn starts(
    stack: &Stack,
    functions: &[String],
    say: &impl Fn(&str),
) -> Result<Vec<Starts>, StackError> {
    let mut all = Vec::new();
    for function in functions {
        say(&format!("Starting {function} {STARTS} times"));
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            end_processes(stack, function).await?;
            cold.push(call(stack, function).await?);
            warm.push(call(stack, function).await?);
        }
        cold.sort();
        warm.sort();
        all.push(Starts {
            cold_median: middle(&cold),
            cold_max: cold.last().copied().unwrap_or_default(),
            warm_median: middle(&warm),
            memory_kib: peak_memory(stack, function),
        });
    }
    Ok(all)
}

/// A sync, an import, a refresh and a migration, so that every function has worked.
async fn work(stack: &Stack, say: &impl Fn(&str)) -> Result<(), StackError> {
    let file = stack.file();
    let api = Api::new(&file.api_url, &file.bearer_token, stack.aws().clone());
    let refresh = SyncRequest {
        full_refresh: true,
        ..SyncRequest::default()
    };
    for wanted in [
        Wanted::Sync(SyncRequest::default()),
        Wanted::Import(ImportRequest::default()),
        Wanted::Sync(refresh),
        Wanted::Migration,
    ] {
        say(&format!("Working: {}", wanted.name()));
        let started = api.start(&wanted).await?;
        api.follow(&started, |_| {}).await?;
    }
    Ok(())
}

/// One call of the function, however it ends.
async fn call(stack: &Stack, function: &str) -> Result<Duration, StackError> {
    let begun = Instant::now();
    let request = if function == "api" {
        http::client().get(format!("{}/healthz", stack.file().api_url))
    } else {
        let endpoint = stack.aws().endpoint();
        let url = format!("{endpoint}/2015-03-31/functions/{STACK}-{function}/invocations");
        http::client().post(url).json(&json!({}))
    };
    http::succeed(function, request).await?;
    Ok(begun.elapsed())
}

async fn end_processes(stack: &Stack, function: &str) -> Result<(), StackError> {
    for process in processes(stack, function) {
        tokio::process::Command::new("kill")
            .args(["-9", &process.to_string()])
            .status()
            .await
            .map_err(StackError::io("while ending a function's process"))?;
    }
    while !processes(stack, function).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn processes(stack: &Stack, function: &str) -> Vec<u32> {
    let name = format!("{STACK}-{function}");
    let all = stack.aws().processes().into_iter();
    all.filter(|process| process.function == name)
        .map(|process| process.pid)
        .collect()
}

fn peak_memory(stack: &Stack, function: &str) -> u64 {
    let name = format!("{STACK}-{function}");
    let all = stack.aws().processes().into_iter();
    all.filter(|process| process.function == name)
        .map(|process| process.peak_memory_kib)
        .max()
        .unwrap_or(0)
}

/// The archive that `make release` has built, if it has.
fn archive(root: &Path, function: &str) -> String {
    let path = root.join(format!("target/lambda/{function}/bootstrap.zip"));
    std::fs::metadata(path).map_or_else(
        |_| "not built".to_owned(),
        |file| {
            let kilobytes = u32::try_from(file.len() / 1_000).unwrap_or(u32::MAX);
            format!("{:.2} MB", f64::from(kilobytes) / 1_000.0)
        },
    )
}

fn middle(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1_000.0)
}

fn mib(kib: u64) -> String {
    format!("{} MiB", kib / 1_024)
}
