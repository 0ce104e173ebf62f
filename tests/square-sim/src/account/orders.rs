//! The account's orders. Seeded ones are made anew whenever they are asked for,
//! from their number alone; all that is kept is when and where they were, in
//! indexes by each time that searches sort by. So a million orders cost a few
//! dozen megabytes. Changed and raw orders are kept as JSON.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::moment::{self, Nanos};
use crate::seed::orders::{self, Brief, Plan};

/// The times that orders are searched and sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Created,
    Updated,
    Closed,
}

/// When and where an order was, and in what state it is.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) location: usize,
    pub(crate) state: Box<str>,
    created_at: Option<Nanos>,
    updated_at: Option<Nanos>,
    closed_at: Option<Nanos>,
}

/// All orders.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    plan: Plan,
    entries: Vec<Entry>,
    kept: HashMap<usize, Value>,
    locations: Vec<Box<str>>,
    created: BTreeSet<(Nanos, usize)>,
    updated: BTreeSet<(Nanos, usize)>,
    closed: BTreeSet<(Nanos, usize)>,
}

impl Orders {
    /// The seeded orders of a plan.
    pub(crate) fn seeded(plan: Plan) -> Self {
        let mut orders = Self {
            locations: plan.locations.clone(),
            ..Self::default()
        };
        let times = |time: fn(&Brief) -> Option<Nanos>| -> BTreeSet<(Nanos, usize)> {
            let brief = |number| time(&orders::brief(&plan, number).0).map(|at| (at, number));
            (0..plan.count).filter_map(brief).collect()
        };
        orders.created = times(|brief| Some(brief.created_at));
        orders.updated = times(|brief| Some(brief.updated_at));
        orders.closed = times(|brief| brief.closed_at);
        orders.entries = (0..plan.count)
            .map(|number| Entry::of(&orders::brief(&plan, number).0))
            .collect();
        orders.plan = plan;
        orders
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entry(&self, number: usize) -> &Entry {
        &self.entries[number]
    }

    /// The place of a location in [`Entry::location`], if orders know it.
    pub(crate) fn location(&self, id: &str) -> Option<usize> {
        self.locations.iter().position(|known| &**known == id)
    }

    /// The index by a time.
    pub(crate) fn by(&self, by: By) -> &BTreeSet<(Nanos, usize)> {
        match by {
            By::Created => &self.created,
            By::Updated => &self.updated,
            By::Closed => &self.closed,
        }
    }

    /// Writes an order as Square gives it.
    pub(crate) fn write(&self, number: usize, out: &mut Vec<u8>) {
        let written = match self.kept.get(&number) {
            Some(json) => serde_json::to_writer(&mut *out, json),
            None => orders::write(&self.plan, number, out),
        };
        debug_assert!(written.is_ok(), "an order is plain data");
    }

    /// An order's JSON.
    pub(crate) fn json(&self, number: usize) -> Value {
        let mut text = Vec::new();
        self.write(number, &mut text);
        serde_json::from_slice(&text).unwrap_or(Value::Null)
    }

    /// The number of the order with that id.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        let kept = self
            .kept
            .iter()
            .find(|(_, json)| json["id"] == id)
            .map(|(&number, _)| number);
        kept.or_else(|| {
            let number = orders::number_in(id).filter(|number| *number < self.plan.count)?;
            (!self.kept.contains_key(&number) && orders::id(&self.plan, number) == id)
                .then_some(number)
        })
    }

    /// Adds an order, or replaces the one with its id.
    pub(crate) fn put(&mut self, json: Value) -> usize {
        let known = json
            .get("id")
            .and_then(Value::as_str)
            .and_then(|id| self.find(id));
        let number = known.unwrap_or(self.entries.len());
        let entry = Entry::read(&json, self.place_of(&json));
        if let Some(old) = known.map(|number| self.entries[number].clone()) {
            for (index, at) in self.indexes().into_iter().zip(old.times()) {
                at.map(|at| index.remove(&(at, number)));
            }
            self.entries[number] = entry.clone();
        } else {
            self.entries.push(entry.clone());
        }
        for (index, at) in self.indexes().into_iter().zip(entry.times()) {
            at.map(|at| index.insert((at, number)));
        }
        self.kept.insert(number, json);
        number
    }

    fn place_of(&mut self, json: &Value) -> usize {
        let id = json
            .get("location_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.location(id).unwrap_or_else(|| {
            self.locations.push(id.into());
            self.locations.len() - 1
        })
    }

    fn indexes(&mut self) -> [&mut BTreeSet<(Nanos, usize)>; 3] {
        [&mut self.created, &mut self.updated, &mut self.closed]
    }

    /// When an order last changed.
    pub(crate) fn newest(&self) -> Nanos {
        self.updated.last().map_or(Nanos::MIN, |&(at, _)| at)
    }
}

impl Entry {
    fn of(brief: &Brief) -> Self {
        Self {
            location: brief.location,
            state: brief.state.into(),
            created_at: Some(brief.created_at),
            updated_at: Some(brief.updated_at),
            closed_at: brief.closed_at,
        }
    }

    fn read(json: &Value, location: usize) -> Self {
        let time = |field: &str| {
            json.get(field)
                .and_then(Value::as_str)
                .and_then(moment::parse)
        };
        Self {
            location,
            state: json
                .get("state")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .into(),
            created_at: time("created_at"),
            updated_at: time("updated_at"),
            closed_at: time("closed_at"),
        }
    }

    fn times(&self) -> [Option<Nanos>; 3] {
        [self.created_at, self.updated_at, self.closed_at]
    }
}
