//! Drift of orders: what a look-back brings although Square changed it so long ago that
//! it should have come before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use deadpool_postgres::Transaction;

use super::rows::OrderRow;
use super::store::{self, Fate};
use super::types::{LINE_ITEMS, ORDERS};
use crate::error::SyncError;
use crate::run::stats::{Drift, Stats};
use crate::staging::drift::{self, NAMED_MAX};

/// The drift of one page.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) orders: Drift,
    pub(super) lines: Drift,
    pub(super) named: Named,
}

/// The first that have drifted of each data type, with what of them differed.
pub(super) type Named = BTreeMap<String, Vec<String>>;

impl Found {
    /// Sums up what became of these orders, all of them late: orders by their own rows,
    /// those of returns and of tenders, lines by theirs. A line that Square no longer has
    /// is a difference of its order's.
    pub(super) fn of(late: &HashSet<&str>, fates: &BTreeMap<String, Fate>) -> Self {
        let mut found = Self::default();
        for (id, fate) in fates.iter().filter(|(id, _)| late.contains(id.as_str())) {
            if fate.order.created > 0 {
                found.orders.created += 1;
                found.lines.created += fate.lines.created;
                found.name(ORDERS, id, "missing");
                continue;
            }
            let mut what = BTreeSet::new();
            for one in &fate.differences {
                if one.table == store::LINES.name && one.what != store::EXTRA {
                    let (column, what) = if one.is_missing {
                        (&mut found.lines.created, "missing")
                    } else {
                        (&mut found.lines.updated, one.what.as_str())
                    };
                    *column += 1;
                    found.name(LINE_ITEMS, &one.id, what);
                } else if one.table == store::ORDERS.name {
                    what.insert(one.what.as_str());
                } else {
                    what.insert(one.table);
                }
            }
            if !what.is_empty() {
                found.orders.updated += 1;
                let what: Vec<&str> = what.into_iter().collect();
                found.name(ORDERS, id, &what.join(", "));
            }
        }
        found
    }

    fn name(&mut self, data_type: &str, id: &str, what: &str) {
        let named = self.named.entry(data_type.to_owned()).or_default();
        if named.len() < NAMED_MAX {
            named.push(format!("{id} ({what})"));
        }
    }
}

/// Adds names, as many as a warning has room for.
pub(super) fn add(named: &mut Named, more: Named) {
    for (data_type, more) in more {
        let named = named.entry(data_type).or_default();
        let room = NAMED_MAX.saturating_sub(named.len());
        named.extend(more.into_iter().take(room));
    }
}

/// The sentences about what has drifted.
pub(super) fn warnings(stats: &Stats, named: &Named) -> Vec<String> {
    let warnings = stats.iter().filter_map(|(data_type, counts)| {
        let named = named.get(data_type).map_or(&[][..], Vec::as_slice);
        drift::warning(data_type, counts.drift?, named)
    });
    warnings.collect()
}

/// Those of these orders that wait in quarantine: Square gave them before.
///
/// # Errors
/// The database's.
pub(super) async fn waiting(
    transaction: &Transaction<'_>,
    ids: &[&str],
) -> Result<HashSet<String>, SyncError> {
    let rows = transaction.query(WAITING, &[&ids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Parameter: ids.
const WAITING: &str = "
    select object_id from sync_quarantine
    where data_type = 'orders' and resolved_at is null and object_id = any ($1)";

/// Those of these orders, which are not here, that need not be: they were made where no
/// import has read, and last changed before deltas began to bring their location's.
///
/// # Errors
/// The database's.
pub(super) async fn never_read(
    transaction: &Transaction<'_>,
    missing: &[&OrderRow],
) -> Result<Vec<String>, SyncError> {
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = missing.iter().map(|order| order.id.as_str()).collect();
    let locations: Vec<Option<&str>> = missing
        .iter()
        .map(|order| order.location_id.as_deref())
        .collect();
    let created: Vec<_> = missing.iter().map(|order| order.created_at).collect();
    let updated: Vec<_> = missing.iter().map(|order| order.updated_at).collect();
    let rows = transaction
        .query(NEVER_READ, &[&ids, &locations, &created, &updated])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Parameters: ids, and of each its location, when it was made and when it was changed.
const NEVER_READ: &str = "
    select given.id
    from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
            as given (id, location_id, created_at, updated_at)
        left join sync_watermarks mark on mark.list = 'orders:' || given.location_id
    where not coalesce(given.updated_at >= mark.fresh_since, false)
        and not exists (
            select from sync_order_windows read
            where read.done_at is not null and given.location_id = any (read.location_ids)
                and given.created_at >= read.begins_at and given.created_at < read.ends_at)";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 2] = [WAITING, NEVER_READ];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::store::Difference;

    fn difference(table: &'static str, id: &str, what: &str) -> Difference {
        Difference {
            order_id: "O1".to_owned(),
            table,
            id: id.to_owned(),
            is_missing: what.is_empty(),
            what: what.to_owned(),
        }
    }

    #[test]
    fn what_differs_counts_where_it_is() {
        let mut new = Fate::default();
        (new.order.created, new.lines.created) = (1, 3);
        let changed = Fate {
            differences: vec![
                difference("orders", "O1", "state, version"),
                difference("order_tenders", "O1:T", "amount"),
                difference("order_line_items", "O1:a", "quantity"),
                difference("order_line_items", "O1:b", ""),
                difference("order_line_items", "O1:c", store::EXTRA),
            ],
            ..Fate::default()
        };
        let fates = BTreeMap::from([
            ("O0".to_owned(), new),
            ("O1".to_owned(), changed.clone()),
            ("O2".to_owned(), Fate::default()),
            ("O3".to_owned(), changed),
        ]);
        let found = Found::of(&HashSet::from(["O0", "O1", "O2"]), &fates);
        assert_eq!((found.orders.created, found.orders.updated), (1, 1));
        assert_eq!((found.lines.created, found.lines.updated), (4, 1));
        let orders = [
            "O0 (missing)",
            "O1 (order_line_items, order_tenders, state, version)",
        ];
        assert_eq!(found.named[ORDERS], orders);
        assert_eq!(
            found.named[LINE_ITEMS],
            ["O1:a (quantity)", "O1:b (missing)"]
        );
    }
}
