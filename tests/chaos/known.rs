//! Everything that Square ever had: each state of each object, as far as the driver saw
//! it. It looks after every change that it makes; only of several changes that waited
//! for requests of one run, the states in between are not known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::rows::{self, Row};

/// What Square ever had.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// States of objects, by table.
    states: BTreeMap<&'static str, BTreeSet<String>>,
    /// Keys of objects, by table.
    keys: BTreeMap<&'static str, BTreeSet<String>>,
    /// Whether a state was missed.
    is_partial: bool,
    changes_made: usize,
}

/// A row as a text. What Square no longer lists is inactive here, and only here.
fn state(table: &str, row: &Map<String, Value>) -> String {
    let mut row = row.clone();
    if table == "locations" {
        row.remove("status");
    }
    Value::Object(row).to_string()
}

impl Known {
    /// Takes in the account as it is, after so many of the changes that waited.
    pub(crate) fn learn(&mut self, truth: &Value, changes_made: usize) {
        // The states before and after one change are known.
        self.is_partial |= changes_made > self.changes_made + 1;
        self.changes_made = changes_made;
        for table in rows::tables() {
            let states = self.states.entry(table.name).or_default();
            let keys = self.keys.entry(table.name).or_default();
            for (key, row) in rows::of_truth(truth, &table) {
                states.insert(state(table.name, &row));
                keys.insert(key);
            }
        }
    }

    /// From now on the truth leaves out what hangs on an object that cannot be read.
    pub(crate) fn lose_sight(&mut self) {
        self.is_partial = true;
    }

    /// Says which row Square never had.
    pub(crate) fn judge(&self, rows: &[Row]) -> Result<(), String> {
        for row in rows {
            let table = row.table.as_str();
            let knows = |set: &BTreeMap<&'static str, BTreeSet<String>>, what: &str| {
                set.get(table).is_some_and(|set| set.contains(what))
            };
            if !self.is_partial && !knows(&self.keys, &row.key) {
                return Err(format!("Square never had {table} {}", row.key));
            }
            if !self.is_partial && !knows(&self.states, &state(table, &row.data)) {
                let data = Value::Object(row.data.clone());
                return Err(format!("Square never had {table} {} so: {data}", row.key));
            }
        }
        Ok(())
    }
}
