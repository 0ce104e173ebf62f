//! What a run was asked to do: by the schedule, by the API, or by hand in the
//! console, where `{}` must do.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::SyncError;

/// A data type that a complete sync can be limited to; also the step's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    Locations,
    Catalog,
    Inventory,
}

impl DataType {
    /// In the order in which they depend on each other.
    pub const ALL: [Self; 3] = [Self::Locations, Self::Catalog, Self::Inventory];

    /// The name in requests, steps and states' inputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Locations => "locations",
            Self::Catalog => "catalog",
            Self::Inventory => "inventory",
        }
    }
}

/// Who or what started the run.
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
    pub trigger: Trigger,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// When the schedule meant this run to start: a second delivery is known by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
    /// The data types to sync; none means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<DataType>>,
    /// List everything, whatever the last run's age.
    pub reconcile: bool,
    /// Go on even if the deletion guard would stop the run.
    pub allow_mass_deletion: bool,
    /// A second request with the same key is the first one again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl Request {
    /// Reads an execution's input.
    ///
    /// # Errors
    /// `InputInvalid` naming the field.
    pub fn parse(input: Value) -> Result<Self, SyncError> {
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
        request.checked()
    }

    /// The checks that types cannot express.
    ///
    /// # Errors
    /// `InputInvalid` naming the field.
    pub fn checked(self) -> Result<Self, SyncError> {
        if self.only.as_ref().is_some_and(Vec::is_empty) {
            return Err(SyncError::input(
                "only",
                "is an empty list; leave it out to sync everything",
            ));
        }
        if let Some(key) = &self.idempotency_key
            && (key.is_empty() || key.len() > 200)
        {
            return Err(SyncError::input(
                "idempotency_key",
                "wants 1 to 200 characters",
            ));
        }
        Ok(self)
    }

    /// The data types to sync, in order.
    #[must_use]
    pub fn data_types(&self) -> Vec<DataType> {
        let wanted = |kind: &DataType| self.only.as_ref().is_none_or(|only| only.contains(kind));
        DataType::ALL.into_iter().filter(wanted).collect()
    }

    /// Every step of the run, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<&'static str> {
        let mut steps = vec!["preflight"];
        steps.extend(self.data_types().into_iter().map(DataType::name));
        steps.push("finish");
        steps
    }

    /// The key by which a repeated request or delivery is known.
    #[must_use]
    pub fn repeat_key(&self) -> Option<String> {
        self.idempotency_key.clone().or_else(|| {
            self.scheduled_time
                .as_ref()
                .map(|time| format!("schedule {time}"))
        })
    }

    /// Who asked, for the history.
    #[must_use]
    pub fn requester(&self) -> &str {
        self.requested_by.as_deref().unwrap_or(match self.trigger {
            Trigger::Schedule => "schedule",
            Trigger::Admin | Trigger::Api => "console",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_input_typed_by_hand_is_a_whole_sync() {
        for input in [json!({}), Value::Null] {
            let request = Request::parse(input).unwrap();
            assert_eq!(
                request.steps(),
                ["preflight", "locations", "catalog", "inventory", "finish"]
            );
            assert_eq!(request.requester(), "console");
        }
    }

    #[test]
    fn only_keeps_the_order_whatever_was_written() {
        let request = Request::parse(json!({"only": ["inventory", "locations"]})).unwrap();
        assert_eq!(
            request.steps(),
            ["preflight", "locations", "inventory", "finish"]
        );
    }

    #[test]
    fn a_misspelt_field_is_named() {
        for (input, field) in [
            (json!({"ful_refresh": true}), "ful_refresh"),
            (json!({"only": ["cataloge"]}), "cataloge"),
            (json!({"only": []}), "only"),
            (json!({"reconcile": "yes"}), "yes"),
            (json!(["api"]), "execution input"),
        ] {
            let error = Request::parse(input).unwrap_err();
            assert_eq!(error.name(), "InputInvalid");
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn a_schedules_second_delivery_has_the_same_key() {
        let input = json!({"trigger": "schedule", "scheduled_time": "2026-11-22T18:00:00Z"});
        let request = Request::parse(input).unwrap();
        assert_eq!(
            request.repeat_key().as_deref(),
            Some("schedule 2026-11-22T18:00:00Z")
        );
    }
}
