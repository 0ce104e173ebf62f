//! The environment that a warm function keeps from event to event, and drops when a
//! secret in it may have been replaced.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::SyncError;

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

/// The environment of a function, kept from event to event: until a secret in it may be
/// no longer the right one.
pub(crate) struct Kept<E>(Mutex<Option<Arc<E>>>);

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self(Mutex::const_new(None))
    }
}

impl<E> Kept<E> {
    /// Works, once more with fresh secrets if those kept from before were refused.
    ///
    /// # Errors
    /// The work's, and those of `prepare`.
    pub(crate) async fn work<O>(
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

    /// Returns the one that is kept, or a new one; and whether it is new.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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
