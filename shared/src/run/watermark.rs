//! The position up to which each list has been read, in Square's own times.
//!
//! A position is read back with an overlap, because changes of the same moment,
//! or slow to appear, may come after it. Once the overlap has been read again, by a
//! run that began after its end, the position is settled, and an idle account costs
//! one empty page.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};

use crate::error::SyncError;
use crate::times::{Now, floor};

/// The state in which the last run left a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermark {
    /// None before the first run.
    pub position: Option<Timestamp>,
    pub settled: bool,
    /// Whether everything is to be listed again.
    pub reconcile_due: bool,
    /// Whether what a whole listing finds and no delta has brought is drift.
    pub counts_drift: bool,
}

impl Watermark {
    /// Reads the list's watermark; `reconcile_after` is the age from which
    /// everything is listed again. A position that is still to come says nothing of
    /// what was read, so everything is.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(
        client: &impl GenericClient,
        list: &str,
        reconcile_after: Duration,
    ) -> Result<Self, SyncError> {
        let row = client
            .query_opt(
                "select case when position <= now() then position end as position, settled,
                     counts_drift and not reconcile_wanted as counts_drift,
                     reconcile_wanted or reconciled_at is null
                     or reconciled_at < now() - make_interval(secs => $2)
                     or coalesce(position > now(), false) as due
                 from sync_watermarks where list = $1",
                &[&list, &reconcile_after.as_secs_f64()],
            )
            .await?;
        Ok(row.map_or(
            Self {
                reconcile_due: true,
                ..Self::default()
            },
            |row| Self {
                position: row.get("position"),
                settled: row.get("settled"),
                reconcile_due: row.get("due"),
                counts_drift: row.get("counts_drift"),
            },
        ))
    }

    /// The time from which to ask for changes.
    #[must_use]
    pub fn start(&self, overlap: SignedDuration) -> Option<Timestamp> {
        let position = self.position?;
        if self.settled {
            Some(position)
        } else {
            Some(position.checked_sub(overlap).unwrap_or(position))
        }
    }

    /// The watermark after a run that began to ask at `now` and whose newest answer
    /// was of `newest`.
    #[must_use]
    pub fn advance(&self, newest: Option<Timestamp>, now: Now, overlap: SignedDuration) -> Self {
        let position = self.position.max(now.known(newest).map(floor));
        let rested = position.is_some_and(|position| position < now.rested_since(overlap));
        Self {
            position,
            settled: rested && position == self.position,
            reconcile_due: false,
            // From one listing of everything to the next, deltas are to bring it all.
            counts_drift: true,
        }
    }

    /// Writes the watermark, in the transaction that applies what was read: never
    /// ahead of the database's clock, where it would pass over what changes until
    /// then.
    ///
    /// # Errors
    /// The database's.
    pub async fn save(
        &self,
        client: &impl GenericClient,
        list: &str,
        reconciled: bool,
        run_id: &str,
    ) -> Result<(), SyncError> {
        client
            .execute(
                "insert into sync_watermarks as w
                     (list, position, settled, reconciled_at, counts_drift, updated_by_run)
                 values ($1, case when $2::timestamptz > now() then now() else $2 end, $3,
                     case when $4 then now() end, $4 and $6, $5)
                 on conflict (list) do update set position = excluded.position,
                     settled = excluded.settled,
                     reconciled_at = coalesce(excluded.reconciled_at, w.reconciled_at),
                     reconcile_wanted = w.reconcile_wanted and not $4,
                     counts_drift = case when $4 then $6 else w.counts_drift end,
                     updated_by_run = excluded.updated_by_run",
                &[
                    &list,
                    &self.position,
                    &self.settled,
                    &reconciled,
                    &run_id,
                    &self.counts_drift,
                ],
            )
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::sample::Numbers;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const OVERLAP: SignedDuration = SignedDuration::from_secs(60);

    fn advanced(mark: &Watermark, newest: &str, now: &str) -> Watermark {
        mark.advance(Some(at(newest)), Now::at(at(now)), OVERLAP)
    }

    #[test]
    fn a_new_position_is_read_back_with_its_overlap_until_that_has_passed() {
        let (ten, eleven) = ("2026-01-01T00:10:00Z", "2026-01-01T00:11:00Z");
        let first = advanced(&Watermark::default(), ten, "2026-01-01T00:10:01Z");
        assert_eq!(first.start(OVERLAP), Some(at("2026-01-01T00:09:00Z")));
        // So soon after it, something may still show up before it.
        let soon = advanced(&first, ten, eleven);
        assert_eq!(soon.start(OVERLAP), Some(at("2026-01-01T00:09:00Z")));
        let later = advanced(&soon, ten, "2026-01-01T00:11:01Z");
        assert_eq!(later.start(OVERLAP), Some(at(ten)));
        let moved = advanced(&later, eleven, "2026-01-02T00:00:00Z");
        assert_eq!(moved.start(OVERLAP), Some(at(ten)));
    }

    #[test]
    fn a_position_never_moves_back_nor_into_times_to_come() {
        let mark = Watermark {
            position: Some(at("2026-01-01T00:10:00Z")),
            settled: false,
            ..Watermark::default()
        };
        for newest in ["2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z"] {
            let moved = advanced(&mark, newest, "2026-01-01T00:20:00Z");
            assert_eq!(moved.position, mark.position, "{newest}");
        }
    }

    #[test]
    fn whatever_times_come_a_settled_position_has_rested() {
        let mut numbers = Numbers(7);
        let mut settled = 0;
        for _ in 0..2_000 {
            let mut mark = Watermark::default();
            let mut moment = at("2026-11-28T12:00:00Z");
            for _ in 0..8 {
                moment +=
                    SignedDuration::from_micros(i64::try_from(numbers.below(90_000_000)).unwrap());
                let (now, before) = (Now::at(moment), mark.clone());
                mark = mark.advance(numbers.time(moment), now, OVERLAP);
                assert!(
                    mark.position >= before.position && now.known(mark.position) == mark.position
                );
                if mark.settled {
                    assert!(mark.position == before.position);
                    assert!(mark.position.unwrap() < moment - OVERLAP);
                    settled += 1;
                }
            }
        }
        assert!(settled > 100, "{settled}");
    }
}
