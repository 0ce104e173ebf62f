//! One page of Square's orders on its way into the tables: what can be placed,
//! what is set aside, and which of it this run has not counted yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use deadpool_postgres::{Object, Transaction};
use jiff::Timestamp;

use super::late::{self, Found, Named};
use super::nameless::NamelessOrders;
use super::rows::{OrderRow, OrderRows};
use super::store::{self, Fate, Known, Origin};
use super::types::ORDERS;
use crate::error::SyncError;
use crate::postgres::{self, is_there_already, unstorable};
use crate::run::stats::{self, Counts};
use crate::square::{Broken, OrderWithSource, Page};
use crate::staging::quarantine::{self, Aside};
use crate::times::Now;

/// Remembered at most, in one call. A list seldom gives an order twice, and if it
/// does, soon after: it was changed meanwhile, or the list had to start over.
const SEEN_MAX: usize = 500_000;

/// Everything that one call knows while it takes in pages.
pub(crate) struct Sorter {
    /// Locations that orders may refer to, with their currencies.
    locations: HashMap<String, Option<String>>,
    nameless: NamelessOrders,
    /// Hashes of the ids that this run has counted.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// When this call began to ask.
    pub(crate) now: Now,
}

/// A page, sorted out.
#[derive(Default)]
pub(crate) struct Batch {
    rows: Vec<OrderRows>,
    asides: Vec<Aside>,
    /// All its orders, set aside or not, for the page is read either way: first those
    /// that cannot be read, then the others as the list gave them.
    given: Vec<Given>,
    /// The ids that are counted here for the first time, set aside or not.
    fresh: HashSet<String>,
    /// Orders that came without their ids before, by the ids of those here.
    named: Vec<(String, String)>,
    reason: Reason,
}

/// The reason why a batch's orders are here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reason {
    /// Square listed them.
    #[default]
    Listed,
    /// Square was asked for them, because they wait in quarantine.
    Asked,
    /// They are the very copies that wait.
    Waiting,
}

/// When an order was made and changed.
pub(crate) struct Given {
    /// Its id, or what it is counted by.
    pub(super) id: String,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
}

/// The latest times of a page's orders that can be read. One that cannot may name any
/// time, and what is passed over on its word is lost: it moves nothing beyond these.
/// On a page without any, the earliest time that several name must do.
struct Latest {
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

impl Latest {
    fn of(given: &[Given], broken: &[Broken]) -> Self {
        let earliest = |field| {
            let times = broken.iter().filter_map(|one| one.read(field));
            times.min().filter(|_| given.is_empty() && broken.len() > 1)
        };
        let created_at = given.iter().filter_map(|one| one.created_at).max();
        let updated_at = given.iter().filter_map(|one| one.updated_at).max();
        Self {
            created_at: created_at.or_else(|| earliest("created_at")),
            updated_at: updated_at.or_else(|| earliest("updated_at")),
        }
    }

    /// When the order was made and changed, as far as that can be believed.
    fn within(&self, broken: &Broken) -> (Option<Timestamp>, Option<Timestamp>) {
        let read = |field, latest: Option<Timestamp>| {
            let time: Option<Timestamp> = broken.read(field);
            time.filter(|time| Some(*time) <= latest)
        };
        (
            read("created_at", self.created_at),
            read("updated_at", self.updated_at),
        )
    }
}

/// The figures of a page.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) orders: Counts,
    pub(crate) lines: Counts,
    /// What of it has drifted, by data type.
    pub(super) drifted: Named,
}

impl Sorter {
    /// Reads what has to be known.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn new(client: &Object) -> Result<Self, SyncError> {
        let now = postgres::now(client).await?;
        Ok(Self {
            locations: store::locations(client).await?,
            nameless: NamelessOrders::load(client, now).await?,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            now,
        })
    }

    /// Takes for counted what an earlier call of this run has counted.
    pub(crate) fn has_counted(&mut self, ids: &[String]) {
        let hashes = ids.iter().map(|id| self.hasher.hash_one(id));
        self.seen.extend(hashes);
    }

    /// Sorts out orders that wait in quarantine.
    pub(crate) fn sort_waiting(&mut self, orders: Vec<OrderWithSource>) -> Batch {
        Batch {
            reason: Reason::Waiting,
            ..self.sort(Page::of(orders), |_| true)
        }
    }

    /// Sorts out what Square gives of orders that wait in quarantine.
    pub(crate) fn sort_asked(&mut self, page: Page<OrderWithSource>) -> Batch {
        Batch {
            reason: Reason::Asked,
            ..self.sort(page, |_| true)
        }
    }

    /// Sorts a page out. `is_wanted` tells whether an order belongs to what is read.
    pub(crate) fn sort(
        &mut self,
        page: Page<OrderWithSource>,
        is_wanted: impl Fn(&crate::square::Order) -> bool,
    ) -> Batch {
        let mut newest: BTreeMap<String, OrderWithSource> = BTreeMap::new();
        let mut readable = Vec::with_capacity(page.objects.len());
        for given in page.objects {
            if !is_wanted(&given.order) {
                continue;
            }
            readable.push(Given {
                id: given.order.id.clone(),
                created_at: given.order.created_at,
                updated_at: given.order.updated_at,
            });
            let rank = |one: &OrderWithSource| {
                let (time, version) = (one.order.updated_at, one.order.version);
                (self.now.ranked(time), time, version)
            };
            match newest.get(&given.order.id) {
                Some(other) if rank(other) > rank(&given) => {}
                _ => {
                    newest.insert(given.order.id.clone(), given);
                }
            }
        }
        let mut batch = Batch::default();
        for given in newest.into_values() {
            self.place(given, &mut batch);
        }
        let latest = Latest::of(&readable, &page.broken);
        for broken in page.broken {
            let (created_at, updated_at) = latest.within(&broken);
            let aside = Aside::broken(ORDERS, &["id"], broken);
            let id = aside.object_id.clone();
            let id = id.unwrap_or_else(|| aside.payload.clone());
            self.count(&id, &mut batch);
            batch.given.push(Given {
                id,
                created_at,
                updated_at,
            });
            batch.asides.push(aside);
        }
        batch.given.append(&mut readable);
        batch
    }

    fn place(&mut self, given: OrderWithSource, batch: &mut Batch) {
        self.count(&given.order.id, batch);
        let location_id = given.order.location_id.as_ref();
        let location = location_id.map(|id| (id, self.locations.get(id)));
        let Some((location_id, None)) = location else {
            let currency = location.and_then(|(_, currency)| currency?.as_deref());
            let waiting = self.nameless.copies_of(&given.order);
            let id = &given.order.id;
            batch
                .named
                .extend(waiting.map(|key| (id.clone(), key.to_owned())));
            match OrderRows::new(given, currency) {
                Ok(rows) => batch.rows.push(rows),
                Err(broken) => batch.asides.push(Aside::broken(ORDERS, &["id"], broken)),
            }
            return;
        };
        batch.asides.push(Aside {
            data_type: ORDERS,
            object_id: Some(given.order.id.clone()),
            reason: format!("Location {location_id} is not known."),
            payload: given.source.get().to_owned(),
            replayable: true,
        });
    }

    fn count(&mut self, id: &str, batch: &mut Batch) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        if self.seen.insert(self.hasher.hash_one(id)) {
            batch.fresh.insert(id.to_owned());
        }
    }
}

impl Batch {
    /// The newest of a time of the orders'.
    pub(crate) fn newest(&self, time: impl Fn(&Given) -> Option<Timestamp>) -> Option<Timestamp> {
        self.given.iter().filter_map(time).max()
    }

    /// All its orders, as the list gave them; those that cannot be read come first.
    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    /// Whether the order is counted here for the first time.
    pub(super) fn is_new(&self, id: &str) -> bool {
        self.fresh.contains(id)
    }

    /// A page of orders that were made at these times, all of them new.
    #[cfg(test)]
    pub(super) fn of_new(given: impl Iterator<Item = (String, Option<Timestamp>)>) -> Self {
        let mut batch = Self::default();
        for (id, created_at) in given {
            batch.fresh.insert(id.clone());
            batch.given.push(Given {
                id,
                created_at,
                updated_at: None,
            });
        }
        batch
    }

    /// Writes the page, and returns what it did.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn write(
        &self,
        transaction: &mut Transaction<'_>,
        run_id: &str,
    ) -> Result<Figures, SyncError> {
        self.write_expected(transaction, run_id, None).await
    }

    /// Writes the page, and returns what it did. What was changed before that time should
    /// have been brought already: where it was not, that is drift.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn write_expected(
        &self,
        transaction: &mut Transaction<'_>,
        run_id: &str,
        expected_before: Option<Timestamp>,
    ) -> Result<Figures, SyncError> {
        let known = self.known(transaction).await?;
        let late = self
            .late(transaction, known.as_ref(), expected_before)
            .await?;
        let (fates, refused) = self
            .apply(transaction, run_id, known.as_ref(), &late)
            .await?;
        let mut figures = Figures::default();
        if expected_before.is_some() {
            let found = Found::of(&late, &fates);
            figures.orders.drift = Some(found.orders);
            figures.lines.drift = Some(found.lines);
            figures.drifted = found.named;
        }
        for (id, fate) in &fates {
            if self.fresh.contains(id) {
                figures.orders.add(&fate.order);
                figures.lines.add(&fate.lines);
            } else {
                // It has been counted; what it has newly done to its lines has not.
                let unchanged = 0;
                figures.lines.add(&Counts {
                    unchanged,
                    ..fate.lines
                });
            }
        }
        // In one order, for the same reason as the tables' rows.
        let mut asides: Vec<&Aside> = self.asides.iter().chain(&refused).collect();
        asides.sort_by_key(|aside| &aside.object_id);
        for aside in asides {
            aside.keep(transaction, run_id).await?;
        }
        // An older copy than the table's does not stand for one that waits.
        let is_placed = |fate: &Fate| self.reason == Reason::Waiting || !fate.is_outdated;
        let named = self.named.iter();
        let named = named.filter(|(id, _)| fates.get(id).is_some_and(is_placed));
        let placed = fates.iter().filter(|(_, fate)| is_placed(fate));
        let placed = placed.map(|(id, _)| id).chain(named.map(|(_, key)| key));
        let placed: Vec<&str> = placed.map(String::as_str).collect();
        quarantine::resolve(transaction, ORDERS, &placed).await?;
        // What waits on has been counted by the run that it came in.
        if self.reason == Reason::Listed {
            let aside = self.fresh.iter().filter(|id| !fates.contains_key(*id));
            figures.orders.quarantined = stats::count(aside.count());
        }
        Ok(figures)
    }

    /// What the tables know of the page; none of one without orders, as idle accounts have.
    async fn known(&self, transaction: &Transaction<'_>) -> Result<Option<Known>, SyncError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        store::known(transaction, &self.rows).await.map(Some)
    }

    /// Those of its orders that should have been brought already. One that came before and
    /// could not be placed then was brought; one that is not here may be of a past that no
    /// import has read.
    async fn late(
        &self,
        transaction: &Transaction<'_>,
        known: Option<&Known>,
        expected_before: Option<Timestamp>,
    ) -> Result<HashSet<&str>, SyncError> {
        let (Some(before), Some(known)) = (expected_before, known) else {
            return Ok(HashSet::new());
        };
        let orders = self.rows.iter().map(|rows| &rows.order);
        let old = orders.filter(|order| order.updated_at.is_some_and(|time| time < before));
        let old: Vec<&OrderRow> = old.filter(|order| self.fresh.contains(&order.id)).collect();
        let ids: Vec<&str> = old.iter().map(|order| order.id.as_str()).collect();
        let mut not_late = late::waiting(transaction, &ids).await?;
        let missing = old.iter().filter(|order| !known.ids.contains(&order.id));
        let missing: Vec<&OrderRow> = missing.copied().collect();
        not_late.extend(late::never_read(transaction, &missing).await?);
        not_late.extend(self.named.iter().map(|(id, _)| id.clone()));
        Ok(ids
            .into_iter()
            .filter(|id| !not_late.contains(*id))
            .collect())
    }

    /// Applies the orders that are placed. One that PostgreSQL cannot hold is set
    /// aside alone: the page is tried in halves until it is found.
    async fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        run_id: &str,
        known: Option<&Known>,
        late: &HashSet<&str>,
    ) -> Result<(BTreeMap<String, Fate>, Vec<Aside>), SyncError> {
        let (mut fates, mut refused) = (BTreeMap::new(), Vec::new());
        let Some(known) = known else {
            return Ok((fates, refused));
        };
        let there = |rows: &&OrderRows| known.ids.contains(&rows.order.id);
        let (there, new): (Vec<_>, Vec<_>) = self.rows.iter().partition(there);
        let mut parts = vec![(true, new), (false, there)];
        parts.retain(|(_, part)| !part.is_empty());
        while let Some((is_new, part)) = parts.pop() {
            let savepoint = transaction.savepoint("part").await?;
            let applied = if is_new {
                store::insert(&savepoint, known, &part, run_id).await
            } else {
                store::apply(&savepoint, Origin::Square, &part, run_id, late).await
            };
            let error = match applied {
                Ok(applied) => {
                    savepoint.commit().await?;
                    fates.extend(applied);
                    continue;
                }
                Err(error) => error,
            };
            let sqlstate = unstorable(&error);
            savepoint.rollback().await?;
            match (sqlstate, &part[..]) {
                // Another call has brought one of them meanwhile.
                _ if is_new && is_there_already(&error) => parts.push((false, part)),
                (Some(sqlstate), [rows]) => refused.push(aside(rows, &sqlstate)),
                (Some(_), part) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push((is_new, second.to_vec()));
                    parts.push((is_new, first.to_vec()));
                }
                (None, _) => return Err(error),
            }
        }
        Ok((fates, refused))
    }
}

/// An order that PostgreSQL refused, as it came.
fn aside(rows: &OrderRows, sqlstate: &str) -> Aside {
    let raw = rows.order.raw.as_ref();
    Aside {
        data_type: ORDERS,
        object_id: Some(rows.order.id.clone()),
        reason: quarantine::unstorable(sqlstate),
        payload: raw.map_or_else(String::new, |raw| raw.0.get().to_owned()),
        replayable: false,
    }
}

#[cfg(test)]
mod tests {
    use crate::orders::types::{LINE_ITEMS, ORDERS};
    use crate::part::Part;

    #[test]
    fn the_data_types_of_orders_stand_where_figures_look_for_them() {
        assert_eq!(Part::Orders.data_types(), [ORDERS, LINE_ITEMS]);
    }
}
