//! The work of a step, in figures that add up.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ledger::Ledger;
use crate::part::Part;
use crate::square::Counters;

/// Counts of one data type's objects. Created, updated and unchanged make up what
/// Square gave, less what was quarantined; deleted counts rows newly marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub created: i64,
    pub updated: i64,
    pub deleted: i64,
    pub unchanged: i64,
    pub quarantined: i64,
    /// Those of them that are drift; none where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// Rows that only a whole listing or a look-back has brought, although Square changed
/// them so long ago that a delta should have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub created: i64,
    pub updated: i64,
    /// By tombstones: of the catalog alone.
    pub deleted: i64,
}

impl Drift {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.created + self.updated + self.deleted
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            created: self.created + other.created,
            updated: self.updated + other.updated,
            deleted: self.deleted + other.deleted,
        }
    }
}

impl Counts {
    /// `staged` live rows of which `written` were inserted or changed.
    #[must_use]
    pub fn new(staged: i64, written: Written) -> Self {
        Self {
            created: written.created,
            updated: written.updated,
            unchanged: staged - written.created - written.updated,
            ..Self::default()
        }
    }

    /// Adds another's figures.
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
        self.quarantined += other.quarantined;
        self.drift = match (self.drift, other.drift) {
            (Some(ours), Some(theirs)) => Some(ours.and(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// Rows that were written.
    #[must_use]
    pub fn written(&self) -> i64 {
        self.created + self.updated + self.deleted
    }

    /// Objects that Square gave.
    #[must_use]
    pub fn given(&self) -> i64 {
        self.created + self.updated + self.unchanged + self.quarantined
    }
}

/// The numbers of rows that a statement inserted and changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub created: i64,
    pub updated: i64,
}

/// A number of rows, as figures have it.
#[must_use]
pub fn count(rows: impl TryInto<i64>) -> i64 {
    rows.try_into().unwrap_or(i64::MAX)
}

/// Figures by data type: `locations`, `categories`, `items`, `variations`, `inventory`,
/// `orders`, `line_items`.
pub type Stats = BTreeMap<String, Counts>;

/// Returns the figures in the order of the steps.
#[must_use]
pub fn in_order(stats: &Stats) -> Vec<(&str, &Counts)> {
    let mut types: Vec<(&str, &Counts)> = stats
        .iter()
        .map(|(data_type, counts)| (data_type.as_str(), counts))
        .collect();
    types.sort_by_key(|(data_type, _)| Part::place_of(data_type));
    types
}

/// The figures of all types together.
#[must_use]
pub fn total<'a>(stats: impl IntoIterator<Item = &'a Stats>) -> Counts {
    let mut total = Counts::default();
    for counts in stats.into_iter().flat_map(BTreeMap::values) {
        total.add(counts);
    }
    total
}

/// The objects that were given, in each second.
#[must_use]
pub fn per_second(stats: &Stats, milliseconds: u64) -> u64 {
    let given: i64 = stats.values().map(Counts::given).sum();
    u64::try_from(given).unwrap_or(0).saturating_mul(1000) / milliseconds.max(1)
}

/// A step's answer: the state's output in the console, and the row in `sync_steps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepOutput {
    pub run_id: String,
    pub step: String,
    /// `delta`: what changed since the last run; `reconcile`: everything.
    pub scope: String,
    pub stats: Stats,
    pub square: Counters,
    pub duration_ms: u64,
    pub rows_per_second: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What it did of its own accord, for whoever wonders; nobody needs to act on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its rows that wait to be published, in a run whose steps only stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Box<StagedStep>>,
}

/// The rows that a step has left in staging for `publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedStep {
    /// Sets its rows in staging apart.
    pub attempt: i64,
    /// The number of rows, per table.
    pub rows: Ledger,
    /// Whether everything was listed, or only what changed.
    pub listed_all: bool,
    /// The position that the list's watermark will have.
    pub position: Option<Timestamp>,
    /// Whether what is staged asks for all counts to be listed.
    #[serde(default)]
    pub wants_inventory: bool,
    /// What Square changed before should have come with a delta.
    #[serde(default)]
    pub expected_before: Option<Timestamp>,
}

/// The part of a step's output that its log line has. A preview's has rows of the account
/// beside it, and those are in no log.
const LOGGED: [&str; 10] = [
    "scope",
    "stats",
    "square",
    "duration_ms",
    "rows_per_second",
    "warnings",
    "notes",
    "staged",
    "from_version",
    "to_version",
];

/// Returns what the log may have of a step's output.
pub(crate) fn logged(output: &Value) -> Value {
    let fields = output.as_object().into_iter().flatten();
    let logged = fields.filter(|(name, _)| LOGGED.contains(&name.as_str()));
    let logged = logged.map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(logged.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_stand_in_the_order_of_the_steps() {
        let names = [
            "line_items",
            "later",
            "inventory",
            "items",
            "locations",
            "categories",
        ];
        let stats = names.map(|name| (name.to_owned(), Counts::default()));
        let stats = Stats::from(stats);
        let ordered: Vec<&str> = in_order(&stats).into_iter().map(|(name, _)| name).collect();
        let wanted = [
            "locations",
            "categories",
            "items",
            "inventory",
            "line_items",
            "later",
        ];
        assert_eq!(ordered, wanted);
    }

    #[test]
    fn a_step_is_logged_without_rows() {
        let stats = json!({"locations": {"created": 1}});
        let output = json!({"run_id": "r", "stats": stats, "duration_ms": 12,
            "preview": {"locations": {"created": [{"business_email": "ada@example.com"}]}}});
        let wanted = json!({"stats": stats, "duration_ms": 12});
        assert_eq!(logged(&output), wanted);
    }
}
