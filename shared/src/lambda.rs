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
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{Instrument, Span, error_span};
use tracing_subscriber::filter::LevelFilter;

use crate::error::SyncError;

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

tokio::task_local! {
    /// Whether the work at hand uses secrets that were read for an earlier event.
    static IS_KEPT: bool;
}

/// Whether an error of the work at hand is not its last word: the secrets are read
/// anew, and the work is done once more.
#[must_use]
pub fn is_tried_anew(error: &SyncError) -> bool {
    is_refusal(error) && IS_KEPT.try_with(|is_kept| *is_kept).unwrap_or(false)
}

/// What a function works with, kept from event to event: until a secret in it
/// may be no longer the right one.
struct Kept<E>(Mutex<Option<Arc<E>>>);

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self(Mutex::const_new(None))
    }
}

impl<E> Kept<E> {
    /// Works, once more with fresh secrets if those kept from before were refused.
    async fn work<O>(
        &self,
        prepare: impl AsyncFn() -> Result<E, SyncError>,
        work: impl AsyncFn(Arc<E>) -> Result<O, SyncError>,
    ) -> Result<O, SyncError> {
        let (env, is_fresh) = self.take(&prepare).await?;
        let result = IS_KEPT.scope(!is_fresh, work(env)).await;
        let Err(error) = &result else { return result };
        if !may_be_about_secrets(error) {
            return result;
        }
        self.0.lock().await.take();
        // What is away is away; the state machine waits before it tries again, and
        // then the secrets are read anew.
        if is_fresh || !is_refusal(error) {
            return result;
        }
        tracing::warn!(%error, "the secrets are read anew");
        let (env, _) = self.take(&prepare).await?;
        work(env).await
    }

    /// What is kept, or a new one; and whether it is new.
    async fn take(
        &self,
        prepare: &impl AsyncFn() -> Result<E, SyncError>,
    ) -> Result<(Arc<E>, bool), SyncError> {
        let mut kept = self.0.lock().await;
        if let Some(env) = &*kept {
            return Ok((env.clone(), false));
        }
        let env = Arc::new(prepare().await?);
        *kept = Some(env.clone());
        Ok((env, true))
    }
}

/// Whether Square refuses the token, or what it wants with it.
fn is_refusal(error: &SyncError) -> bool {
    matches!(
        error,
        SyncError::SquareUnauthorized { .. } | SyncError::SquareForbidden { .. }
    )
}

/// Whether the access token or the database's URL may have been replaced. Square may
/// answer to a dead token with any error, and an old database may be down, locked or
/// outdated; so only what has nothing to do with either is left out.
fn may_be_about_secrets(error: &SyncError) -> bool {
    !matches!(
        error,
        SyncError::InputInvalid { .. }
            | SyncError::LeaseLost { .. }
            | SyncError::RunInProgress { .. }
            | SyncError::DeletionGuard { .. }
            | SyncError::Cancelled(_)
    )
}

/// What every line of an invocation's log says: whose it is, and where to look
/// further. Of the highest level, so that no filter takes it away.
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

/// One JSON line per event on standard output, where CloudWatch picks it up.
/// `RUST_LOG` is the least important level that is written; `info` if it is none.
pub fn start_logging() {
    let level = std::env::var("RUST_LOG").ok();
    let level = level.and_then(|level| level.parse::<LevelFilter>().ok());
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .json()
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .with_span_list(false)
        .try_init();
}

/// The wall-clock deadline on the monotonic clock that timers use.
fn instant(deadline: SystemTime) -> Instant {
    let left = deadline
        .duration_since(SystemTime::now())
        .unwrap_or(Duration::ZERO);
    Instant::now() + left
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn unauthorized() -> SyncError {
        SyncError::SquareUnauthorized {
            endpoint: "GET /v2/locations".into(),
            detail: "no".into(),
        }
    }

    /// Reads a secret that is another one each time.
    struct Vault(AtomicU32);

    impl Vault {
        fn read(&self) -> u32 {
            self.0.fetch_add(1, Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_secret_that_was_replaced_is_read_anew_and_the_work_done() {
        let (kept, vault) = (Kept::default(), Vault(AtomicU32::new(0)));
        let ask = async |wanted: u32| {
            let work = async |secret: Arc<u32>| {
                if *secret == wanted {
                    Ok(*secret)
                } else {
                    Err(unauthorized())
                }
            };
            kept.work(async || Ok(vault.read()), work).await
        };
        assert_eq!(ask(0).await.unwrap(), 0);
        assert_eq!(ask(0).await.unwrap(), 0, "kept");
        assert_eq!(ask(1).await.unwrap(), 1, "read anew");
        // One that is wrong in the vault too is not asked for again and again.
        assert_eq!(ask(7).await.unwrap_err().name(), "SquareUnauthorized");
        assert_eq!(vault.0.load(Ordering::Relaxed), 3);
    }

    fn of_square(name: &str) -> SyncError {
        let (endpoint, detail) = ("POST /v2/catalog/search".to_owned(), "no".to_owned());
        match name {
            "SquareForbidden" => SyncError::SquareForbidden {
                endpoint,
                scope: "ITEMS_READ".into(),
            },
            "SquareRateLimited" => SyncError::SquareRateLimited {
                endpoint,
                attempts: 10,
            },
            "SquareRejected" => SyncError::SquareRejected {
                endpoint,
                status: 400,
                detail,
            },
            "SquareMalformed" => SyncError::SquareMalformed { endpoint, detail },
            _ => SyncError::SquareUnavailable {
                endpoint,
                detail,
                attempts: 10,
            },
        }
    }

    /// A token that has expired is answered with 500, or otherwise, at some endpoints.
    #[tokio::test]
    async fn whatever_hides_a_replaced_secret_the_next_call_reads_it_anew() {
        for name in [
            "SquareUnavailable",
            "SquareRateLimited",
            "SquareRejected",
            "SquareMalformed",
        ] {
            let (kept, vault) = (Kept::default(), Vault(AtomicU32::new(0)));
            let call = async |is_dead: bool| {
                let work = async |secret: Arc<u32>| {
                    if is_dead && *secret == 0 {
                        Err(of_square(name))
                    } else {
                        Ok(*secret)
                    }
                };
                kept.work(async || Ok(vault.read()), work).await
            };
            assert_eq!(call(false).await.unwrap(), 0);
            // Square may really be away: the state machine waits before the next call.
            assert_eq!(call(true).await.unwrap_err().name(), name);
            assert_eq!(call(true).await.unwrap(), 1, "{name}");
            assert_eq!(call(true).await.unwrap(), 1, "kept");
        }
    }

    #[tokio::test]
    async fn a_permission_that_was_granted_to_the_new_token_is_found_at_once() {
        let (kept, vault) = (Kept::default(), Vault(AtomicU32::new(0)));
        kept.work(async || Ok(vault.read()), async |_| Ok(()))
            .await
            .unwrap();
        let last_words = AtomicU32::new(0);
        let work = async |secret: Arc<u32>| {
            let error = of_square("SquareForbidden");
            if *secret > 0 {
                return Ok(());
            }
            let is_last = !is_tried_anew(&error);
            last_words.fetch_add(u32::from(is_last), Ordering::Relaxed);
            Err(error)
        };
        kept.work(async || Ok(vault.read()), work).await.unwrap();
        assert_eq!(last_words.load(Ordering::Relaxed), 0);
        assert!(!is_tried_anew(&unauthorized()), "outside of a function");
    }

    #[tokio::test]
    async fn what_has_nothing_to_do_with_secrets_drops_nothing() {
        let (kept, vault) = (Kept::default(), Vault(AtomicU32::new(0)));
        for _ in 0..3 {
            let work = async |_: Arc<u32>| -> Result<(), SyncError> {
                Err(SyncError::input("run_id", "names no run"))
            };
            let result = kept.work(async || Ok(vault.read()), work).await;
            assert_eq!(result.unwrap_err().name(), "InputInvalid");
        }
        assert_eq!(vault.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_not_tried_twice_but_next_time_asked_anew() {
        let (kept, vault) = (Kept::default(), Vault(AtomicU32::new(0)));
        let calls = AtomicU32::new(0);
        for _ in 0..2 {
            let work = async |_: Arc<u32>| -> Result<(), SyncError> {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(SyncError::DatabaseUnavailable {
                    detail: "no".into(),
                })
            };
            let result = kept.work(async || Ok(vault.read()), work).await;
            assert_eq!(result.unwrap_err().name(), "DatabaseUnavailable");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert_eq!(vault.0.load(Ordering::Relaxed), 2);
    }
}
