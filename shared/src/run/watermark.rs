//! How far each list has been read, in Square's own times.
//!
//! A position is read back with an overlap, because changes of the same moment,
//! or slow to appear, may come after it. Once the overlap has been read again
//! the position is settled, and an idle account costs one empty page.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::GenericClient;

use crate::error::SyncError;

/// Where the last run left a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermark {
    /// None before the first run.
    pub position: Option<Timestamp>,
    pub settled: bool,
    /// Whether everything is to be listed again.
    pub reconcile_due: bool,
}

impl Watermark {
    /// Reads the list's watermark; `reconcile_after` is the age from which
    /// everything is listed again.
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
                "select position, settled, reconcile_wanted or reconciled_at is null
                     or reconciled_at < now() - make_interval(secs => $2) as due
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

    /// The watermark after a run whose newest answer was of `newest`.
    #[must_use]
    pub fn advance(&self, newest: Option<Timestamp>) -> Self {
        let position = self.position.max(newest);
        Self {
            position,
            settled: self.position.is_some() && position == self.position,
            reconcile_due: false,
        }
    }

    /// Writes the watermark, in the transaction that applies what was read. A time
    /// still to come, which one wrong object in a list is enough for, is taken for
    /// now: a watermark ahead of Square would pass over what changes until then.
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
                     (list, position, settled, reconciled_at, updated_by_run)
                 values ($1, least($2::timestamptz, now()), $3 and $2::timestamptz <= now(),
                     case when $4 then now() end, $5)
                 on conflict (list) do update set position = excluded.position,
                     settled = excluded.settled,
                     reconciled_at = coalesce(excluded.reconciled_at, w.reconciled_at),
                     reconcile_wanted = w.reconcile_wanted and not $4,
                     updated_by_run = excluded.updated_by_run",
                &[&list, &self.position, &self.settled, &reconciled, &run_id],
            )
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_new_position_is_read_back_with_its_overlap_once() {
        let overlap = SignedDuration::from_secs(60);
        let first = Watermark::default().advance(Some(at("2026-01-01T00:10:00Z")));
        assert_eq!(first.start(overlap), Some(at("2026-01-01T00:09:00Z")));
        let second = first.advance(Some(at("2026-01-01T00:10:00Z")));
        assert_eq!(second.start(overlap), Some(at("2026-01-01T00:10:00Z")));
        let third = second.advance(Some(at("2026-01-01T00:11:00Z")));
        assert_eq!(third.start(overlap), Some(at("2026-01-01T00:10:00Z")));
    }

    #[test]
    fn a_position_never_moves_back() {
        let mark = Watermark {
            position: Some(at("2026-01-01T00:10:00Z")),
            settled: false,
            reconcile_due: false,
        };
        assert_eq!(mark.advance(None).position, mark.position);
        let older = mark.advance(Some(at("2025-01-01T00:00:00Z")));
        assert_eq!(older.position, mark.position);
    }
}
