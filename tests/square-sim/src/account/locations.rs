//! The merchant's locations, kept as the JSON that Square would give. Square
//! never takes one off the list; the simulator can, because a sync must cope
//! with it.

use serde_json::Value;

/// A location and whether the list still has it.
#[derive(Debug)]
pub(crate) struct Location {
    /// Empty for raw JSON without an id.
    pub(crate) id: String,
    pub(crate) json: Value,
    /// Taken off the list through the control interface.
    pub(crate) removed: bool,
}

/// All locations, in the order in which they came to be.
#[derive(Debug, Default)]
pub(crate) struct Locations {
    all: Vec<Location>,
}

impl Locations {
    /// Adds the location, or replaces the one with its id.
    pub(crate) fn put(&mut self, json: Value) {
        let id = json
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let location = Location {
            id,
            json,
            removed: false,
        };
        match self
            .all
            .iter_mut()
            .find(|known| !known.id.is_empty() && known.id == location.id)
        {
            Some(known) => *known = location,
            None => self.all.push(location),
        }
    }

    /// The currency of a location, on the list or not.
    pub(crate) fn currency(&self, id: &str) -> Option<&str> {
        let known = self.all.iter().find(|location| location.id == id)?;
        known.json.get("currency")?.as_str()
    }

    /// Takes a location off the list; true if it was on it.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let found = self
            .all
            .iter_mut()
            .find(|location| location.id == id && !location.removed);
        found.is_some_and(|location| {
            location.removed = true;
            true
        })
    }

    /// The list as Square gives it: by name.
    pub(crate) fn listed(&self) -> Vec<&Location> {
        let mut listed: Vec<_> = self
            .all
            .iter()
            .filter(|location| !location.removed)
            .collect();
        listed.sort_by_key(|location| location.json.get("name").and_then(Value::as_str));
        listed
    }

    /// A location by its id, on the list or not.
    pub(crate) fn get(&self, id: &str) -> Option<&Location> {
        self.all.iter().find(|location| location.id == id)
    }

    /// Ids on the list, oldest first.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.all
            .iter()
            .filter(|location| !location.removed && !location.id.is_empty())
            .map(|location| location.id.as_str())
            .collect()
    }

    /// How many there have ever been.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Ids taken off the list.
    pub(crate) fn removed(&self) -> impl Iterator<Item = &str> {
        self.all
            .iter()
            .filter(|location| location.removed)
            .map(|location| location.id.as_str())
    }
}
