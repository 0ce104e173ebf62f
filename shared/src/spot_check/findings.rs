//! What a spot check finds, and how it is told.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sample::Sample;
use crate::staging::drift::NAMED_MAX;
use crate::{catalog, inventory, locations, orders};

/// Differences that the record names, and characters of a value: it is read with the
/// run, by whoever looks at it.
const DIFFER_MAX: usize = 100;

/// The record of a spot check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotCheck {
    /// Rows that were compared.
    pub compared: usize,
    /// Those of them that differ because their change at Square is still on its way.
    pub in_flight: usize,
    /// Rows that differ although no change is outstanding.
    pub rows_differ: usize,
    /// Their columns that differ, the first hundred.
    pub differ: Vec<Difference>,
}

/// A column of a row that is not as Square has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// The data type, or what hangs on one.
    #[serde(rename = "type")]
    pub row_type: String,
    /// The row's key, joined by colons.
    pub id: String,
    /// `id` where only one of both has the row.
    pub column: String,
    /// The value here, as text; none where it is null, or the row is missing.
    pub ours: Option<String>,
    /// The value at Square, likewise.
    pub square: Option<String>,
}

/// Where a difference was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The table.
    pub(super) table: &'static str,
    /// The object that Square is asked for to get the row.
    pub(super) owner: String,
    pub(super) difference: Difference,
}

/// What one comparison has found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) compared: usize,
    /// Types and ids of rows.
    pub(super) in_flight: BTreeSet<(String, String)>,
    pub(super) differ: Vec<Found>,
}

impl Findings {
    /// What differs, to be asked for once more.
    pub(super) fn doubtful(&self) -> Sample {
        let mut sample = Sample::default();
        for Found { table, owner, .. } in &self.differ {
            let ids = if *table == locations::store::LOCATIONS.name {
                &mut sample.locations
            } else if *table == catalog::tables::CATEGORIES.name {
                &mut sample.categories
            } else if [
                catalog::tables::ITEMS.name,
                catalog::tables::ITEM_CATEGORIES.name,
            ]
            .contains(table)
            {
                &mut sample.items
            } else if orders::store::TABLES.iter().any(|one| one.name == *table) {
                &mut sample.orders
            } else {
                if *table == inventory::store::INVENTORY.name {
                    sample.counted.insert(owner.clone());
                }
                &mut sample.variations
            };
            ids.insert(owner.clone());
        }
        sample
    }

    /// Takes the second look's word for what differs.
    pub(super) fn confirm(&mut self, second: Self) {
        let row = |found: &Found| {
            let Difference { row_type, id, .. } = &found.difference;
            (row_type.clone(), id.clone())
        };
        let doubted: BTreeSet<_> = self.differ.iter().map(row).collect();
        let in_flight = second.in_flight.into_iter();
        self.in_flight
            .extend(in_flight.filter(|row| doubted.contains(row)));
        self.differ = second.differ;
        self.differ.retain(|found| doubted.contains(&row(found)));
    }

    /// As it is kept.
    pub(super) fn told(self) -> SpotCheck {
        let differ = self.differ.into_iter().map(|found| found.difference);
        let mut differ: Vec<Difference> = differ.collect();
        let rows: BTreeSet<_> = differ.iter().map(|one| (&one.row_type, &one.id)).collect();
        let rows_differ = rows.len();
        differ.truncate(DIFFER_MAX);
        SpotCheck {
            compared: self.compared,
            in_flight: self.in_flight.len(),
            rows_differ,
            differ,
        }
    }
}

impl SpotCheck {
    /// The sentence about what differs, if anything does.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        if self.rows_differ == 0 {
            return None;
        }
        let mut rows: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for one in &self.differ {
            let columns = rows.entry((&one.row_type, &one.id)).or_default();
            columns.push(&one.column);
        }
        let named = rows.iter().take(NAMED_MAX);
        let named = named
            .map(|((row_type, id), columns)| format!("{row_type} {id} ({})", columns.join(", ")));
        let named: Vec<String> = named.collect();
        let more = match self.rows_differ.saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "{} of {} rows compared differ from Square although no change is outstanding: {}{more}. \
             A sync that lists everything sets locations, catalog and inventory right; the \
             runbook says what does so for orders.",
            self.rows_differ,
            self.compared,
            named.join(", "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &'static str, id: &str, column: &str) -> Found {
        Found {
            table,
            owner: id.to_owned(),
            difference: Difference {
                row_type: table.to_owned(),
                id: id.to_owned(),
                column: column.to_owned(),
                ours: Some("ours".to_owned()),
                square: None,
            },
        }
    }

    #[test]
    fn only_what_differs_twice_counts() {
        let mut findings = Findings {
            compared: 10,
            differ: vec![
                found("orders", "A", "state"),
                found("orders", "B", "state"),
                found("orders", "C", "state"),
            ],
            ..Findings::default()
        };
        assert_eq!(findings.doubtful().orders.len(), 3);
        let on_its_way = |id: &str| ("orders".to_owned(), id.to_owned());
        findings.confirm(Findings {
            compared: 3,
            in_flight: BTreeSet::from([on_its_way("B"), on_its_way("Z")]),
            differ: vec![found("orders", "C", "state"), found("orders", "Y", "state")],
        });
        let told = findings.told();
        assert_eq!(
            (told.compared, told.in_flight, told.rows_differ),
            (10, 1, 1)
        );
        let warning = told.warning().unwrap();
        assert!(warning.starts_with("1 of 10 rows"), "{warning}");
        assert!(warning.contains("orders C (state)."), "{warning}");
    }

    #[test]
    fn each_row_is_asked_for_by_what_holds_it() {
        let findings = Findings {
            differ: vec![
                found("locations", "L", "name"),
                found("catalog_categories", "C", "name"),
                found("catalog_item_categories", "I", "id"),
                found("catalog_variation_overrides", "V", "sold_out"),
                found("catalog_inventory", "W", "quantity"),
                found("order_tenders", "O", "amount"),
            ],
            ..Findings::default()
        };
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let expected = Sample {
            locations: ids(&["L"]),
            categories: ids(&["C"]),
            items: ids(&["I"]),
            variations: ids(&["V", "W"]),
            counted: ids(&["W"]),
            orders: ids(&["O"]),
        };
        assert_eq!(findings.doubtful(), expected);
    }

    #[test]
    fn the_record_names_a_hundred_and_counts_all() {
        let differ = (0..250).map(|row| found("orders", &row.to_string(), "raw"));
        let findings = Findings {
            compared: 300,
            differ: differ.collect(),
            ..Findings::default()
        };
        let told = findings.told();
        assert_eq!((told.rows_differ, told.differ.len()), (250, 100));
        assert!(told.warning().unwrap().contains(" and 240 more."));
        assert_eq!(SpotCheck::default().warning(), None);
    }
}
