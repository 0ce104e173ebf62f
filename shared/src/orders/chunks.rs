//! From when fresh orders are asked for: each location's watermark, and which
//! locations are asked for together.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::spans::{self, HISTORY_BEGINS};
use crate::error::SyncError;
use crate::run::step::StepContext;
use crate::square::SearchOrders;

/// Orders may show up a moment after the time they carry.
pub(crate) const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
/// Square lets tills sell offline for three days.
pub(super) const LOOK_BACK: SignedDuration = SignedDuration::from_hours(4 * 24);

/// Up to ten locations, asked for together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) location_ids: Vec<String>,
    /// None for locations that were never imported.
    pub(super) position: Option<Timestamp>,
    pub(super) start_at: Timestamp,
    pub(super) looks_back: bool,
    /// What was changed before should have been brought already; none where nothing can
    /// be told.
    #[serde(default)]
    pub(super) expected_before: Option<Timestamp>,
    /// Square has refused it once; it is asked for again after all others.
    #[serde(default)]
    pub(super) put_off: bool,
}

/// A location's watermark.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) position: Timestamp,
    settled: bool,
    /// Whether the look-back is due.
    due: bool,
    /// Whether what a look-back finds is drift.
    pub(super) counts_drift: bool,
    /// From when on deltas have brought all orders; none where that is not known.
    pub(super) fresh_since: Option<Timestamp>,
}

impl Chunk {
    /// The names of its locations' watermarks.
    pub(super) fn lists(&self) -> Vec<String> {
        self.location_ids.iter().map(|id| list_of(id)).collect()
    }
}

/// The name of a location's watermark.
pub(crate) fn list_of(location_id: &str) -> String {
    format!("orders:{location_id}")
}

/// Every location's watermark.
pub(super) async fn marks(
    context: &StepContext<'_>,
    client: &impl GenericClient,
) -> Result<BTreeMap<String, Mark>, SyncError> {
    let look_back_after = context.env.settings.reconcile_after.as_secs_f64();
    let rows = client
        .query(
            "select substr(list, 8) as location_id, position, settled, counts_drift,
                 fresh_since, reconciled_at is null
                     or reconciled_at < now() - make_interval(secs => $1) as due
             from sync_watermarks where list like 'orders:%' and position is not null",
            &[&look_back_after],
        )
        .await?;
    let mark = |row: &tokio_postgres::Row| Mark {
        position: row.get("position"),
        settled: row.get("settled"),
        due: row.get::<_, bool>("due") || context.run.request.reconcile,
        counts_drift: row.get("counts_drift"),
        fresh_since: row.get("fresh_since"),
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
        let can_tell = looks_back && own.iter().all(|mark| mark.counts_drift);
        let expected = position.filter(|_| can_tell);
        Chunk {
            location_ids: ids.to_vec(),
            position,
            start_at: start_at.unwrap_or(HISTORY_BEGINS),
            looks_back,
            expected_before: expected.and_then(|position| position.checked_sub(OVERLAP).ok()),
            put_off: false,
        }
    });
    let new = new.chunks(SearchOrders::LOCATIONS_MAX).map(|ids| Chunk {
        location_ids: ids.to_vec(),
        position: None,
        start_at: HISTORY_BEGINS,
        looks_back: true,
        expected_before: None,
        put_off: false,
    });
    known.chain(new).collect()
}

/// Positions that are still to come say nothing of what was read: those locations go
/// on after the newest of their orders that are there, with a look-back.
const HEAL: &str = "
    update sync_watermarks w set settled = false, counts_drift = false,
        reconciled_at = null, position = (
        select max(o.updated_at) from orders o
        where o.location_id = substr(w.list, 8) and o.updated_at <= now())
    where w.list like 'orders:%' and w.position > now()";

/// Parameters: locations, run id.
const LEAVE_OUT: &str = "
    insert into sync_watermarks (list, kept_fresh, updated_by_run)
    select 'orders:' || id, false, $2 from unnest($1::text[]) as given (id)
    where not exists (select from sync_watermarks where list like 'orders:%')
    on conflict (list) do nothing";

/// Parameters: list, position, run id.
const BEGIN: &str = "
    insert into sync_watermarks as w (list, position, fresh_since, settled, updated_by_run)
    select $1, known.at, known.at, false, $3 from (
        select case when $2::timestamptz > now() then now() else $2 end as at) known
    on conflict (list) do update set position = coalesce(w.position, excluded.position),
        fresh_since = case when w.position is null then excluded.fresh_since
            else w.fresh_since end,
        kept_fresh = true";

const LEFT_OUT: &str = "
    select substr(list, 8) from sync_watermarks where list like 'orders:%' and not kept_fresh";

/// Watermarks never move back, nor into times still to come. Parameters: lists,
/// position, run id.
pub(super) const ADVANCE: &str = "
    insert into sync_watermarks as w (list, position, settled, updated_by_run)
    select list, least($2::timestamptz, now()), false, $3 from unnest($1::text[]) as given (list)
    on conflict (list) do update set position = excluded.position,
        settled = false, updated_by_run = excluded.updated_by_run
        where w.position is null or w.position < excluded.position or w.position > now()";

/// The lists are read to their end. A position is settled once the time before it was
/// read again after it had rested. Parameters: lists, whether nothing new came, whether
/// the look-back is done, run id, up to which moment positions have rested, from when on
/// all was read, if this was a first reading.
pub(super) const SETTLE: &str = "
    insert into sync_watermarks as w (list, settled, reconciled_at, counts_drift, fresh_since, updated_by_run)
    select list, false, case when $3 then now() end, $3, $6::timestamptz, $4 from unnest($1::text[]) as given (list)
    on conflict (list) do update set
        settled = $2 and coalesce(w.position < $5::timestamptz, false),
        reconciled_at = coalesce(excluded.reconciled_at, w.reconciled_at),
        counts_drift = w.counts_drift or $3,
        fresh_since = coalesce(excluded.fresh_since, w.fresh_since), kept_fresh = true, updated_by_run = excluded.updated_by_run";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 6] = [HEAL, LEAVE_OUT, BEGIN, LEFT_OUT, ADVANCE, SETTLE];

/// Mends watermarks that lie in the future; returns how many there were.
///
/// # Errors
/// The database's.
pub(super) async fn heal(client: &impl GenericClient) -> Result<u64, SyncError> {
    Ok(client.execute(HEAL, &[]).await?)
}

/// Notes locations where no orders have been read yet: scheduled runs leave them out
/// until their orders have been, and thereby know later ones from them. Returns how
/// many were noted.
///
/// # Errors
/// The database's.
pub(super) async fn leave_out(
    client: &impl GenericClient,
    location_ids: &[String],
    run_id: &str,
) -> Result<u64, SyncError> {
    Ok(client.execute(LEAVE_OUT, &[&location_ids, &run_id]).await?)
}

/// The locations that scheduled runs leave out.
///
/// # Errors
/// The database's.
pub(super) async fn left_out(client: &impl GenericClient) -> Result<BTreeSet<String>, SyncError> {
    let rows = client.query(LEFT_OUT, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Has scheduled runs keep a location's orders fresh, from that moment on unless they
/// have begun. None where Square has no order yet.
///
/// # Errors
/// The database's.
pub(super) async fn begin_at(
    client: &impl GenericClient,
    location_id: &str,
    position: Option<Timestamp>,
    run_id: &str,
) -> Result<(), SyncError> {
    let position = position.map(spans::floor);
    client
        .execute(BEGIN, &[&list_of(location_id), &position, &run_id])
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
            counts_drift: true,
            fresh_since: None,
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
