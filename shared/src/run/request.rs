//! The request for a run: by the schedule, by the API, or by hand in the console, where
//! `{}` must do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::SyncError;
use crate::part::Part;

/// The lease that guards locations, catalog and inventory.
pub const CATALOG_LEASE: &str = "catalog";
/// The lease that guards orders.
pub const ORDERS_LEASE: &str = "orders";

/// The most characters that an `idempotency_key` may have.
pub const KEY_CHARS_MAX: usize = 200;
/// Objects of each kind that a spot check draws, if the request does not say how many.
pub const SAMPLE_DEFAULT: u32 = 200;
/// The most that it may draw.
pub const SAMPLE_MAX: u32 = 2_000;
/// What the keys of schedules begin with: a character that no key of a request's own
/// may hold, so that nobody can take a schedule's key before it comes.
const SCHEDULED: &str = "\tschedule";

/// Leases that one run holds together, in the order of their names.
pub type LeaseNames = &'static [&'static str];

/// The kind of a run: one state machine each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The account as it is now, and what was ordered since the last run.
    #[default]
    CompleteSync,
    /// All orders of the past.
    HistoricalOrders,
    /// The schema brought up to this release, and order tables derived anew.
    Migration,
    /// A backup put back.
    Restore,
    /// A sample of the rows compared with Square's copies; it changes nothing.
    SpotCheck,
}

impl Kind {
    /// The name in `sync_runs`, in answers and in payloads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CompleteSync => "complete_sync",
            Self::HistoricalOrders => "historical_orders",
            Self::Migration => "migration",
            Self::Restore => "restore",
            Self::SpotCheck => "spot_check",
        }
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// `Internal` for a name that only a newer release knows.
    pub fn of(name: &str) -> Result<Self, SyncError> {
        let all = [
            Self::CompleteSync,
            Self::HistoricalOrders,
            Self::Migration,
            Self::Restore,
            Self::SpotCheck,
        ];
        all.into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SyncError::Internal(format!("this release knows no run of kind {name}")))
    }

    /// Returns the beginning of its runs' ids.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::CompleteSync => "sync",
            Self::HistoricalOrders => "orders",
            Self::Migration => "migration",
            Self::Restore => "restore",
            Self::SpotCheck => "spot",
        }
    }
}

/// The person or program that started the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A person, through the page or the console.
    #[default]
    Admin,
    /// The hourly schedule.
    Schedule,
    /// A script with a bearer token.
    Api,
}

impl Trigger {
    /// The name in `sync_runs` and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Schedule => "schedule",
            Self::Api => "api",
        }
    }
}

/// An execution's input. Unknown fields are refused: a misspelt one must not
/// start something else than was meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The state machine decides it, not the input.
    #[serde(skip)]
    pub kind: Kind,
    pub trigger: Trigger,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// When the schedule meant this run to start: a second delivery is known by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
    /// The data types to sync; none means a complete sync's own three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Part>>,
    /// List everything, whatever the last run's age.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reconcile: bool,
    /// Go on even if the deletion guard would stop the run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_mass_deletion: bool,
    /// Replace the whole account in one go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full_refresh: bool,
    /// Count and show what would change, and change nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The backup to put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// Import orders created from this time on; none means since 2018.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Import orders created before this time; none means up to Square's newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Import the orders of these locations; none means of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_ids: Option<Vec<String>>,
    /// How many objects of each kind a spot check draws; none means [`SAMPLE_DEFAULT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
    /// A second request with the same key is the first one again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl Request {
    /// Reads an execution's input.
    ///
    /// # Errors
    /// `InputInvalid` naming the field.
    pub fn parse(kind: Kind, input: Value) -> Result<Self, SyncError> {
        let input = if input.is_null() {
            Value::Object(serde_json::Map::new())
        } else {
            input
        };
        // A list would fill the fields one by one.
        if !input.is_object() {
            return Err(SyncError::input("execution input", "is no JSON object"));
        }
        let request: Self = serde_json::from_value(input)
            .map_err(|error| SyncError::input("execution input", error.to_string()))?;
        Self { kind, ..request }.checked()
    }

    /// The checks that types cannot express.
    ///
    /// # Errors
    /// `InputInvalid` naming the field.
    pub fn checked(self) -> Result<Self, SyncError> {
        for (field, is_set, kind) in [
            ("only", self.only.is_some(), Kind::CompleteSync),
            ("reconcile", self.reconcile, Kind::CompleteSync),
            (
                "allow_mass_deletion",
                self.allow_mass_deletion,
                Kind::CompleteSync,
            ),
            ("full_refresh", self.full_refresh, Kind::CompleteSync),
            ("dry_run", self.dry_run, Kind::CompleteSync),
            ("backup_id", self.backup_id.is_some(), Kind::Restore),
            ("from", self.from.is_some(), Kind::HistoricalOrders),
            ("to", self.to.is_some(), Kind::HistoricalOrders),
            (
                "location_ids",
                self.location_ids.is_some(),
                Kind::HistoricalOrders,
            ),
            ("sample", self.sample.is_some(), Kind::SpotCheck),
        ] {
            if is_set && kind != self.kind {
                let problem = format!("is no field of a {} run", self.kind.name());
                return Err(SyncError::input(field, problem));
            }
        }
        if self.only.as_ref().is_some_and(Vec::is_empty) {
            return Err(SyncError::input(
                "only",
                "is an empty list; leave it out to sync everything",
            ));
        }
        if self.full_refresh && self.parts() != Part::staged() {
            let problem = "names other data types than a refresh replaces, which is all but orders";
            return Err(SyncError::input("only", problem));
        }
        if self.dry_run && self.parts().contains(&Part::Orders) {
            let problem = "names orders, which are written page by page and cannot be previewed";
            return Err(SyncError::input("only", problem));
        }
        if self.kind == Kind::Restore && self.backup_id.is_none() {
            return Err(SyncError::input("backup_id", "is missing"));
        }
        if self.location_ids.as_ref().is_some_and(Vec::is_empty) {
            return Err(SyncError::input(
                "location_ids",
                "is an empty list; leave it out to import all locations",
            ));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(SyncError::input("to", "is not after from"));
        }
        if self
            .sample
            .is_some_and(|sample| !(1..=SAMPLE_MAX).contains(&sample))
        {
            let problem = format!("wants a whole number from 1 to {SAMPLE_MAX}");
            return Err(SyncError::input("sample", problem));
        }
        if let Some(key) = &self.idempotency_key {
            let is_key = (1..=KEY_CHARS_MAX).contains(&key.chars().count())
                && !key.chars().any(char::is_control);
            if !is_key {
                let problem = format!("wants 1 to {KEY_CHARS_MAX} printable characters");
                return Err(SyncError::input("idempotency_key", problem));
            }
        }
        Ok(self)
    }

    /// The parts to sync, in order.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        match (&self.only, self.kind) {
            (Some(only), _) => Part::ALL
                .into_iter()
                .filter(|part| only.contains(part))
                .collect(),
            (None, Kind::CompleteSync | Kind::SpotCheck) => Part::staged(),
            (None, Kind::HistoricalOrders) => vec![Part::Orders],
            (None, Kind::Migration | Kind::Restore) => Vec::new(),
        }
    }

    /// Every step of the run, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<&'static str> {
        let mut steps = vec!["preflight"];
        match self.kind {
            Kind::CompleteSync => {
                steps.extend(self.parts().into_iter().map(Part::name));
                if self.stages_only() {
                    steps.push("publish");
                }
            }
            Kind::Restore => steps.push("restore"),
            Kind::SpotCheck => steps.push("spot_check"),
            Kind::HistoricalOrders => steps.extend(["plan", "orders"]),
            Kind::Migration => steps.extend(["migrate", "rederive"]),
        }
        steps.push("finish");
        steps
    }

    /// Whether the steps only stage what they read, for `publish` to apply at once.
    #[must_use]
    pub fn stages_only(&self) -> bool {
        self.full_refresh || self.dry_run
    }

    /// Objects of each kind that a spot check draws.
    #[must_use]
    pub fn sample_size(&self) -> u32 {
        self.sample.unwrap_or(SAMPLE_DEFAULT)
    }

    /// `incremental` or `full_refresh`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        if self.full_refresh {
            "full_refresh"
        } else {
            "incremental"
        }
    }

    /// The leases that the run holds from its first step to its last. A refresh
    /// holds that of the orders too: they refer to the locations it replaces. A spot
    /// check writes no data and runs beside all others.
    #[must_use]
    pub fn leases(&self) -> LeaseNames {
        if self.kind == Kind::SpotCheck {
            return &[];
        }
        let all = matches!(self.kind, Kind::Migration | Kind::Restore);
        if all || self.full_refresh {
            return &[CATALOG_LEASE, ORDERS_LEASE];
        }
        match self.parts().as_slice() {
            [Part::Orders] => &[ORDERS_LEASE],
            [.., Part::Orders] => &[CATALOG_LEASE, ORDERS_LEASE],
            _ => &[CATALOG_LEASE],
        }
    }

    /// Whether the run makes way for any that does not: no kind of request asks for
    /// such a run yet.
    #[must_use]
    pub fn yields(&self) -> bool {
        false
    }

    /// The key by which a repeated request or delivery is known. Two schedules may
    /// mean the same moment, so a schedule's key says what it asks for as well.
    #[must_use]
    pub fn repeat_key(&self) -> Option<String> {
        if self.idempotency_key.is_some() {
            return self.idempotency_key.clone();
        }
        // Whoever does not fill the scheduler's placeholder in says nothing by it.
        let time = self.scheduled_time.as_deref()?;
        if time.starts_with('<') {
            return None;
        }
        let mut words = vec![SCHEDULED, time];
        words.extend(self.only.iter().flatten().map(|data_type| data_type.name()));
        words.extend(self.reconcile.then_some("reconcile"));
        Some(words.join(" "))
    }

    /// Whether another request asks for the same, whoever asks, and by which key.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.without_its_origin() == other.without_its_origin()
    }

    /// The request alone: what is asked for, in one order, and of whom it came left out.
    fn without_its_origin(&self) -> Self {
        let mut location_ids = self.location_ids.clone();
        if let Some(ids) = &mut location_ids {
            ids.sort();
            ids.dedup();
        }
        Self {
            trigger: Trigger::default(),
            requested_by: None,
            scheduled_time: None,
            idempotency_key: None,
            only: Some(self.parts()),
            sample: (self.kind == Kind::SpotCheck).then(|| self.sample_size()),
            location_ids,
            ..self.clone()
        }
    }

    /// Names the one who asked, for the history.
    #[must_use]
    pub fn requester(&self) -> &str {
        self.requested_by.as_deref().unwrap_or(match self.trigger {
            Trigger::Schedule => "schedule",
            Trigger::Admin | Trigger::Api => "console",
        })
    }
}

#[cfg(test)]
mod tests;
