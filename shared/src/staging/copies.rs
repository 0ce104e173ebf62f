//! Which objects were staged twice: most lists give each one once, or a few of them once
//! more, and then no pass over all of them has to look for copies.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher;

use bytes::BytesMut;
use tokio_postgres::types::Type;

use super::column::Column;
use super::table::Table;

/// Remembered at most of a table, in 16 bytes each.
const REMEMBERED_MAX: usize = 1_000_000;

/// Objects that came twice, at most.
const TWICE_MAX: usize = 10_000;

/// What was staged of each table.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// None once any row of a table may be a copy.
    staged: HashMap<&'static str, Option<Staged>>,
    hasher: RandomState,
    buffer: BytesMut,
}

#[derive(Debug, Default)]
struct Staged {
    /// Hashes of the keys.
    keys: HashSet<u64>,
    /// The first columns of the keys that came again.
    twice: BTreeSet<String>,
}

/// The rows among which copies may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Among {
    Nothing,
    /// Those with these values in the first column of their key.
    These(Vec<String>),
    All,
}

impl Copies {
    /// These rows are staged as well.
    pub(crate) fn add<R>(&mut self, table: &'static Table, columns: &[&[Column<R>]], rows: &[R]) {
        let columns = || columns.iter().copied().flatten();
        let key: Vec<&Column<R>> = table
            .key
            .iter()
            .filter_map(|name| columns().find(|column| column.name == *name))
            .collect();
        if key.len() != table.key.len() {
            self.may_be(table);
        }
        let new = || Some(Staged::default());
        let Some(staged) = self.staged.entry(table.name).or_insert_with(new) else {
            return;
        };
        let is_known = staged.keys.len() + rows.len() <= REMEMBERED_MAX
            && rows.iter().all(|row| {
                self.buffer.clear();
                let written = key.iter().all(|column| {
                    let value = (column.value)(row);
                    let is_written = value.to_sql_checked(&Type::TEXT, &mut self.buffer).is_ok();
                    self.buffer.extend_from_slice(&[END]);
                    is_written
                });
                if written && !staged.keys.insert(self.hasher.hash_one(&self.buffer)) {
                    let first = self.buffer[..].split(|byte| *byte == END).next();
                    let first = String::from_utf8_lossy(first.unwrap_or_default());
                    staged.twice.insert(first.into_owned());
                }
                written && staged.twice.len() <= TWICE_MAX
            });
        if !is_known {
            self.may_be(table);
        }
    }

    /// Rows of the table have come from elsewhere.
    pub(crate) fn may_be(&mut self, table: &Table) {
        self.staged.insert(table.name, None);
    }

    /// The rows of the table's staging among which some may be copies of others.
    pub(crate) fn among(&self, table: &Table) -> Among {
        match self.staged.get(table.name) {
            None => Among::Nothing,
            Some(None) => Among::All,
            Some(Some(staged)) if staged.twice.is_empty() => Among::Nothing,
            Some(Some(staged)) => Among::These(staged.twice.iter().cloned().collect()),
        }
    }
}

/// No text has this byte, so that keys' parts stay apart.
const END: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::store::INVENTORY;
    use crate::staging::column::column;

    struct Row([&'static str; 3]);

    const COLUMNS: [Column<Row>; 3] = [
        column("variation_id", |row: &Row| &row.0[0]),
        column("location_id", |row: &Row| &row.0[1]),
        column("state", |row: &Row| &row.0[2]),
    ];

    #[test]
    fn a_key_that_comes_twice_is_seen_and_parts_of_it_are_not() {
        let mut copies = Copies::default();
        let mut add = |rows: &[Row]| {
            copies.add(&INVENTORY, &[&COLUMNS], rows);
            copies.among(&INVENTORY)
        };
        for once in [
            &[][..],
            &[Row(["V", "L", "IN_STOCK"]), Row(["V", "L", "SOLD"])],
            &[Row(["VL", "", "IN_STOCK"]), Row(["", "VL", "IN_STOCK"])],
        ] {
            assert_eq!(add(once), Among::Nothing);
        }
        let these = |ids: &[&str]| Among::These(ids.iter().map(|id| (*id).to_owned()).collect());
        let again = [Row(["W", "L", "SOLD"]), Row(["V", "L", "SOLD"])];
        assert_eq!(add(&again), these(&["V"]));
        assert_eq!(add(&[Row(["X", "L", "SOLD"])]), these(&["V"]));
        assert_eq!(add(&again), these(&["V", "W"]));
    }

    #[test]
    fn where_many_came_twice_all_are_looked_at() {
        #[derive(Clone)]
        struct Numbered(String);
        const BY_NUMBER: [Column<Numbered>; 3] = [
            column("variation_id", |row: &Numbered| &row.0),
            column("location_id", |_| &"L"),
            column("state", |_| &"SOLD"),
        ];
        let mut copies = Copies::default();
        let rows: Vec<Numbered> = (0..=TWICE_MAX)
            .map(|number| Numbered(number.to_string()))
            .collect();
        copies.add(&INVENTORY, &[&BY_NUMBER], &rows);
        copies.add(&INVENTORY, &[&BY_NUMBER], &rows[1..]);
        assert!(matches!(copies.among(&INVENTORY), Among::These(ids) if ids.len() == TWICE_MAX));
        copies.add(&INVENTORY, &[&BY_NUMBER], &rows[..1]);
        assert_eq!(copies.among(&INVENTORY), Among::All);
    }

    #[test]
    fn rows_from_elsewhere_and_rows_without_their_keys_may_be_copies() {
        let mut copies = Copies::default();
        assert_eq!(copies.among(&INVENTORY), Among::Nothing);
        copies.may_be(&INVENTORY);
        assert_eq!(copies.among(&INVENTORY), Among::All);

        let mut copies = Copies::default();
        copies.add(&INVENTORY, &[&COLUMNS[..2]], &[Row(["V", "L", "SOLD"])]);
        assert_eq!(copies.among(&INVENTORY), Among::All);
    }
}
