//! Each call's share of the account's request limit.
//!
//! `SQUARE_MAX_REQUESTS_PER_SECOND` is the account's, whatever asks: a window of an
//! import, the hourly sync beside it. So each call that asks Square has a row in
//! `square_askers`, from its first request to its end, and renews it every few
//! seconds: its share is one part in as many as there are rows. One that comes new
//! gets, until the others have noticed, no more than keeps all together at one and
//! a half times the limit. The first step's one question is not counted.

use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use crate::error::SyncError;
use crate::postgres::Database;
use crate::square::Square;

/// The interval at which a call looks how many ask besides it.
const RENEWAL: Duration = Duration::from_secs(2);
/// The time that a share lasts without being renewed: the call has died.
const LASTS: Duration = Duration::from_secs(20);
/// The most that all shares may add up to until everybody has looked again.
const ALL_MAX: f64 = 1.5;

/// A call that may ask Square.
pub(super) struct Asking<'a> {
    database: &'a Database,
    square: &'a Square,
    run_id: &'a str,
    /// Names its row; none before its first request.
    id: OnceCell<i64>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(database: &'a Database, square: &'a Square, run_id: &'a str) -> Self {
        Self {
            database,
            square,
            run_id,
            id: OnceCell::new(),
        }
    }

    /// Works, with a share as soon as the work wants one.
    ///
    /// # Errors
    /// The work's; the database's, if no share could be had or kept.
    pub(super) async fn share_during<O>(
        &self,
        work: impl Future<Output = Result<O, SyncError>>,
    ) -> Result<O, SyncError> {
        tokio::select! {
            result = work => result,
            error = self.keep() => Err(error),
        }
    }

    /// Gives the share back; what cannot be given back now runs out by itself.
    pub(super) async fn leave(&self) {
        let Some(id) = self.id.get() else { return };
        let left = timeout(RENEWAL, async {
            let client = self.database.client().await?;
            client.execute(LEAVE, &[id]).await?;
            Ok::<_, SyncError>(())
        });
        if !matches!(left.await, Ok(Ok(()))) {
            tracing::warn!("a share of the request limit was not given back");
        }
    }

    /// Renews the share until it cannot be any more.
    async fn keep(&self) -> SyncError {
        self.square.asks().await;
        let mut renewed: Option<Instant> = None;
        loop {
            let silent = || SyncError::DatabaseUnavailable {
                detail: format!("it has not answered for {} s", LASTS.as_secs()),
            };
            match timeout(LASTS, self.renew())
                .await
                .unwrap_or_else(|_| Err(silent()))
            {
                Ok(share) => {
                    self.square.set_share(share);
                    renewed = Some(Instant::now());
                }
                // The others no longer reckon with this call, or never did.
                Err(error) if renewed.is_none_or(|at| at.elapsed() >= LASTS) => return error,
                Err(error) => {
                    tracing::warn!(name = error.name(), %error, "share not renewed");
                }
            }
            sleep(RENEWAL).await;
        }
    }

    /// Looks who else asks, and says for which share this call does from now on.
    async fn renew(&self) -> Result<f64, SyncError> {
        let id = self.id.get_or_try_init(async || new_id()).await?;
        let mut client = self.database.client().await?;
        let transaction = client.transaction().await?;
        // One after the other, or several that come at once would not see each other.
        transaction
            .batch_execute("lock table square_askers in share row exclusive mode")
            .await?;
        let rows = transaction.query(OTHERS, &[id]).await?;
        let others: Vec<f64> = rows.iter().map(|row| row.get(0)).collect();
        let share = share(&others);
        let seconds = LASTS.as_secs_f64();
        transaction
            .execute(RENEW, &[id, &self.run_id, &share, &seconds])
            .await?;
        transaction.commit().await?;
        Ok(share)
    }
}

/// One part of as many as there are askers; less as long as the others, by what they
/// knew when they last looked, leave too little of what all may have together. Then
/// it is half of what is left, so that there is something for the next one too.
fn share(others: &[f64]) -> f64 {
    let Ok(count) = u32::try_from(others.len()) else {
        return 0.0;
    };
    if count == 0 {
        return 1.0;
    }
    let fair = f64::from(count + 1).recip();
    let left = ALL_MAX - others.iter().sum::<f64>();
    fair.min(left / 2.0).max(0.0)
}

fn new_id() -> Result<i64, SyncError> {
    let random = getrandom::u64().map_err(|error| SyncError::Internal(error.to_string()))?;
    Ok(random.cast_signed())
}

/// The others' shares; those of the dead are dropped. Parameter: own id.
const OTHERS: &str = "
    with dead as (delete from square_askers where expires_at <= clock_timestamp())
    select share from square_askers
    where asker_id <> $1 and expires_at > clock_timestamp()";

/// Parameters: id, run id, share, seconds that it lasts.
const RENEW: &str = "
    insert into square_askers (asker_id, run_id, share, expires_at)
    values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
    on conflict (asker_id) do update
        set share = excluded.share, expires_at = excluded.expires_at";

/// Parameter: id.
const LEAVE: &str = "delete from square_askers where asker_id = $1";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 3] = [OTHERS, RENEW, LEAVE];

#[cfg(test)]
mod tests {
    use super::*;

    /// Askers by their shares; one looks again, or comes new.
    fn look(askers: &mut Vec<f64>, index: usize) {
        let mut others = askers.clone();
        if index < others.len() {
            others.remove(index);
            askers[index] = share(&others);
        } else {
            askers.push(share(&others));
        }
    }

    fn sum(askers: &[f64]) -> f64 {
        askers.iter().sum()
    }

    #[test]
    fn one_alone_has_the_whole_limit_and_two_have_half_each() {
        let mut askers = Vec::new();
        look(&mut askers, 0);
        assert_eq!(askers, [1.0]);
        look(&mut askers, 1);
        assert!(askers[1] > 0.0 && sum(&askers) <= ALL_MAX);
        look(&mut askers, 0);
        look(&mut askers, 1);
        assert_eq!(askers, [0.5, 0.5]);
        askers.pop();
        look(&mut askers, 0);
        assert_eq!(askers, [1.0], "the whole limit is used again");
    }

    #[test]
    fn however_many_come_at_once_all_have_something_and_never_too_much() {
        for count in 1..=41_u32 {
            let mut askers = vec![1.0];
            for index in 1..=usize::try_from(count).unwrap() {
                look(&mut askers, index);
                assert!(sum(&askers) <= ALL_MAX, "{askers:?}");
                assert!(askers[index] > 0.0);
            }
            // A heartbeat later, in whatever order.
            for index in (0..askers.len()).rev() {
                look(&mut askers, index);
                assert!(sum(&askers) <= ALL_MAX, "{askers:?}");
            }
            assert!(sum(&askers) <= 1.0 + 1e-9, "{askers:?}");
            for _ in 0..20 {
                (0..askers.len()).for_each(|index| look(&mut askers, index));
            }
            let fair = f64::from(count + 1).recip();
            assert!(
                askers.iter().all(|share| (share - fair).abs() < 1e-9),
                "{askers:?}"
            );
        }
    }

    #[test]
    fn whoever_goes_in_between_leaves_no_more_than_there_is() {
        let mut askers = Vec::new();
        for step in 0..500_usize {
            match step % 7 {
                3 | 5 if askers.len() > 1 => {
                    askers.remove(step % askers.len());
                }
                0 | 1 | 4 => {
                    let next = askers.len();
                    look(&mut askers, next);
                }
                _ => {
                    let index = step % askers.len().max(1);
                    look(&mut askers, index);
                }
            }
            assert!(sum(&askers) <= ALL_MAX + 1e-9, "{askers:?}");
        }
    }
}
