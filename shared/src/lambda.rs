//! The edge to the Lambda runtime, the same for every step.
//!
//! Events come as plain JSON and are decoded here, because a decoding error
//! inside the runtime would reach the state machine under the runtime's own type
//! name instead of `InputInvalid`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Instrument, Span, Subscriber, error_span};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::error::SyncError;
use crate::kept::Kept;

/// Whether this process has yet to see its first event.
static COLD: AtomicBool = AtomicBool::new(true);

/// Serves a function of that name until the process ends. `prepare` makes what it
/// works with; the handler gets that, the event, and the moment at which Lambda
/// will end the invocation.
///
/// # Errors
/// The runtime's, if it cannot be reached.
pub async fn serve<E, I, O>(
    name: &'static str,
    prepare: impl AsyncFn() -> Result<E, SyncError> + Copy,
    handler: impl AsyncFn(&E, I, Instant) -> Result<O, SyncError> + Copy,
) -> Result<(), lambda_runtime::Error>
where
    E: Send + Sync + 'static,
    I: DeserializeOwned,
    O: Serialize,
{
    start_logging();
    // On the first event rather than here, so that a missing setting fails the
    // state under its own name; kept from event to event.
    let kept = &Kept::default();
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let span = span(name, &event.payload, &event.context);
        let deadline = instant(event.context.deadline());
        let work = async move {
            let once = async |env: Arc<E>| {
                let input = serde_json::from_value(event.payload.clone())
                    .map_err(|error| SyncError::input("event", error.to_string()))?;
                handler(&env, input, deadline).await
            };
            let output = kept.work(prepare, once).await?;
            serde_json::to_value(output).map_err(|error| SyncError::Internal(error.to_string()))
        };
        // Boxed, because the runtime moves the future about.
        Box::pin(work).instrument(span).await
    }))
    .await
}

/// Returns the span that says in every line of an invocation's log whose it is, and
/// where to look further. Of the highest level, so that no filter takes it away.
fn span(function: &str, payload: &Value, context: &Context) -> Span {
    // A state's input names the run one way, EventBridge's event another.
    let text = |ours: &str, events: &str| {
        let value = payload.get(ours).or_else(|| payload.pointer(events));
        value.and_then(Value::as_str)
    };
    let attempt = payload.get("attempt").and_then(Value::as_i64);
    error_span!(
        "invocation",
        step = text("step", "").unwrap_or(function),
        run_id = text("run_id", "/detail/name"),
        execution_arn = text("execution_arn", "/detail/executionArn"),
        attempt,
        request_id = context.request_id,
        trace_id = context.xray_trace_id,
        cold_start = COLD.swap(false, Ordering::Relaxed),
    )
}

/// Our crates, whose log lines `RUST_LOG` is about.
const OURS: [&str; 11] = [
    "shared",
    "api",
    "preflight",
    "locations",
    "catalog",
    "inventory",
    "publish",
    "orders",
    "migrate",
    "spot_check",
    "finish",
];

/// One JSON line per event on standard output, where CloudWatch picks it up.
/// `RUST_LOG` is the least important level that is written; `info` if it is none.
pub fn start_logging() {
    let level = std::env::var("RUST_LOG").ok();
    let level = level.and_then(|level| level.parse::<LevelFilter>().ok());
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(log(
        level.unwrap_or(LevelFilter::INFO),
        std::io::stdout,
    ));
}

/// Returns what writes the log from that level on. Below `info` it is only ever our
/// own lines that are written: the runtime's and the clients' hold whole events,
/// requests and answers, with the tokens, cookies and secrets in them.
fn log<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let theirs = level.min(LevelFilter::INFO);
    let is_written = FilterFn::new(move |metadata| {
        let limit = if is_ours(metadata.target()) {
            level
        } else {
            theirs
        };
        *metadata.level() <= limit
    });
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .with_span_list(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(is_written.with_max_level_hint(level)))
}

/// Whether a log line is of one of our crates, not only of one with such a beginning.
fn is_ours(target: &str) -> bool {
    let crate_name = target.split("::").next().unwrap_or_default();
    OURS.contains(&crate_name)
}

/// The wall-clock deadline on the monotonic clock that timers use.
fn instant(deadline: SystemTime) -> Instant {
    let left = deadline
        .duration_since(SystemTime::now())
        .unwrap_or(Duration::ZERO);
    Instant::now() + left
}

#[cfg(test)]
mod tests;
