//! From when fresh orders are asked for: each location's watermark, and which
//! locations are asked for together.

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::GenericClient;

use super::plan::HISTORY_BEGINS;
use super::spans;
use crate::error::SyncError;
use crate::run::step::StepContext;
use crate::square::SearchOrders;

/// Orders may show up a moment after the time they carry.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
/// Square lets tills sell offline for three days.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(4 * 24);

/// Up to ten locations, asked for together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) location_ids: Vec<String>,
    /// None for locations that were never imported.
    pub(super) position: Option<Timestamp>,
    pub(super) start_at: Timestamp,
    pub(super) looks_back: bool,
}

/// A location's watermark.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    position: Timestamp,
    settled: bool,
    /// Whether the look-back is due.
    due: bool,
}

impl Chunk {
    /// The names of its locations' watermarks.
    pub(super) fn lists(&self) -> Vec<String> {
        self.location_ids.iter().map(|id| list_of(id)).collect()
    }
}

fn list_of(location_id: &str) -> String {
    format!("orders:{location_id}")
}

/// Every location's watermark.
pub(super) async fn marks(
    context: &StepContext<'_>,
    client: &Object,
) -> Result<BTreeMap<String, Mark>, SyncError> {
    let look_back_after = context.env.settings.reconcile_after.as_secs_f64();
    let rows = client
        .query(
            "select substr(list, 8) as location_id, position, settled,
                 reconciled_at is null
                     or reconciled_at < now() - make_interval(secs => $1) as due
             from sync_watermarks where list like 'orders:%' and position is not null",
            &[&look_back_after],
        )
        .await?;
    let mark = |row: &tokio_postgres::Row| Mark {
        position: row.get("position"),
        settled: row.get("settled"),
        due: row.get::<_, bool>("due") || context.run.request.reconcile,
    };
    Ok(rows
        .iter()
        .map(|row| (row.get("location_id"), mark(row)))
        .collect())
}

/// Chunks of locations by their ids; those that were never imported apart, for
/// they have to be read from the beginning.
pub(super) fn chunks(location_ids: Vec<String>, marks: &BTreeMap<String, Mark>) -> Vec<Chunk> {
    let (known, new): (Vec<_>, Vec<_>) = location_ids
        .into_iter()
        .partition(|id| marks.contains_key(id));
    let known = known.chunks(SearchOrders::LOCATIONS_MAX).map(|ids| {
        let own: Vec<&Mark> = ids.iter().filter_map(|id| marks.get(id)).collect();
        let position = own.iter().map(|mark| mark.position).min();
        let looks_back = own.iter().any(|mark| mark.due);
        let back = if looks_back {
            LOOK_BACK
        } else if own.iter().all(|mark| mark.settled) {
            SignedDuration::ZERO
        } else {
            OVERLAP
        };
        let start_at = position.and_then(|position| position.checked_sub(back).ok());
        Chunk {
            location_ids: ids.to_vec(),
            position,
            start_at: start_at.unwrap_or(HISTORY_BEGINS),
            looks_back,
        }
    });
    let new = new.chunks(SearchOrders::LOCATIONS_MAX).map(|ids| Chunk {
        location_ids: ids.to_vec(),
        position: None,
        start_at: HISTORY_BEGINS,
        looks_back: true,
    });
    known.chain(new).collect()
}

/// Lets fresh orders of a location begin at that moment, unless they have begun.
///
/// # Errors
/// The database's.
pub(super) async fn begin_at(
    client: &impl GenericClient,
    location_id: &str,
    position: Timestamp,
    run_id: &str,
) -> Result<(), SyncError> {
    client
        .execute(
            "insert into sync_watermarks as w (list, position, settled, updated_by_run)
             values ($1, $2, false, $3)
             on conflict (list) do update set position = excluded.position
                 where w.position is null",
            &[&list_of(location_id), &spans::floor(position), &run_id],
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(position: &str, settled: bool, due: bool) -> Mark {
        Mark {
            position: position.parse().unwrap(),
            settled,
            due,
        }
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_chunk_begins_at_its_earliest_watermark_less_what_is_read_again() {
        for (b, start_at) in [
            (
                mark("2026-01-02T00:00:00Z", true, false),
                "2026-01-01T00:00:00Z",
            ),
            (
                mark("2026-01-02T00:00:00Z", false, false),
                "2025-12-31T23:50:00Z",
            ),
            (
                mark("2026-01-02T00:00:00Z", true, true),
                "2025-12-28T00:00:00Z",
            ),
        ] {
            let marks = BTreeMap::from([
                ("A".to_owned(), mark("2026-01-01T00:00:00Z", true, false)),
                ("B".to_owned(), b),
            ]);
            let chunks = chunks(ids(&["A", "B"]), &marks);
            assert_eq!(chunks.len(), 1);
            assert_eq!(chunks[0].start_at.to_string(), start_at);
        }
    }

    #[test]
    fn a_new_location_does_not_drag_the_others_back() {
        let known: Vec<String> = (0..11).map(|n| format!("K{n:02}")).collect();
        let marks = known
            .iter()
            .map(|id| (id.clone(), mark("2026-01-01T00:00:00Z", true, false)))
            .collect();
        let all = [known, ids(&["N"])].concat();
        let chunks = chunks(all, &marks);
        let sizes: Vec<usize> = chunks
            .iter()
            .map(|chunk| chunk.location_ids.len())
            .collect();
        assert_eq!(sizes, [10, 1, 1]);
        assert_eq!(chunks[2].start_at, HISTORY_BEGINS);
        assert_eq!(chunks[2].position, None);
    }
}
