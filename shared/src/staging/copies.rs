//! Whether any object was staged twice: most lists give each one once, and then no pass
//! over all of them has to look for copies.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::BytesMut;
use tokio_postgres::types::Type;

use super::column::Column;
use super::table::Table;

/// Remembered at most of a table, in 16 bytes each.
const REMEMBERED_MAX: usize = 1_000_000;

/// What was staged of each table, by hashes of the keys.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// None once a table may have copies.
    seen: HashMap<&'static str, Option<HashSet<u64>>>,
    hasher: RandomState,
    buffer: BytesMut,
}

impl Copies {
    /// These rows are staged as well.
    pub(crate) fn add<R>(&mut self, table: &'static Table, columns: &[&[Column<R>]], rows: &[R]) {
        let columns = || columns.iter().copied().flatten();
        let key: Vec<&Column<R>> = columns()
            .filter(|column| table.key.contains(&column.name))
            .collect();
        if key.len() != table.key.len() {
            self.may_be(table);
        }
        let Some(seen) = self
            .seen
            .entry(table.name)
            .or_insert_with(|| Some(HashSet::new()))
        else {
            return;
        };
        let is_once = seen.len() + rows.len() <= REMEMBERED_MAX
            && rows.iter().all(|row| {
                self.buffer.clear();
                let written = key.iter().all(|column| {
                    let value = (column.value)(row);
                    // No text has this byte, so that keys' parts stay apart.
                    self.buffer.extend_from_slice(&[0xff]);
                    value.to_sql_checked(&Type::TEXT, &mut self.buffer).is_ok()
                });
                written && seen.insert(self.hasher.hash_one(&self.buffer))
            });
        if !is_once {
            self.may_be(table);
        }
    }

    /// Rows of the table have come from elsewhere.
    pub(crate) fn may_be(&mut self, table: &Table) {
        self.seen.insert(table.name, None);
    }

    /// Whether the table's staging may have two copies of an object.
    pub(crate) fn may_have(&self, table: &Table) -> bool {
        self.seen.get(table.name).is_some_and(Option::is_none)
    }
}

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
            copies.may_have(&INVENTORY)
        };
        assert!(!add(&[]));
        assert!(!add(&[
            Row(["V", "L", "IN_STOCK"]),
            Row(["V", "L", "SOLD"])
        ]));
        assert!(!add(&[
            Row(["VL", "", "IN_STOCK"]),
            Row(["", "VL", "IN_STOCK"])
        ]));
        assert!(add(&[Row(["W", "L", "SOLD"]), Row(["V", "L", "SOLD"])]));
        assert!(add(&[Row(["X", "L", "SOLD"])]));
    }

    #[test]
    fn rows_from_elsewhere_and_rows_without_their_keys_may_be_copies() {
        let mut copies = Copies::default();
        assert!(!copies.may_have(&INVENTORY));
        copies.may_be(&INVENTORY);
        assert!(copies.may_have(&INVENTORY));

        let mut copies = Copies::default();
        copies.add(&INVENTORY, &[&COLUMNS[..2]], &[Row(["V", "L", "SOLD"])]);
        assert!(copies.may_have(&INVENTORY));
    }
}
