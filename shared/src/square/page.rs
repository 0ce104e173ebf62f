//! A page of a list, with each of its objects either read or set aside.
//!
//! One object that does not fit our types must not cost the page: it is kept as
//! it came, for the quarantine, and the page goes on.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// One answer of a list endpoint.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The objects that could be read, in Square's order.
    pub objects: Vec<T>,
    /// The objects that could not.
    pub broken: Vec<Broken>,
    /// The catalog's `latest_time`: when it last changed.
    pub latest_time: Option<Timestamp>,
}

impl<T> Page<T> {
    /// A page of these objects.
    #[must_use]
    pub fn of(objects: Vec<T>) -> Self {
        Self {
            objects,
            broken: Vec::new(),
            latest_time: None,
        }
    }
}

/// An object that does not fit our types, kept whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// A description of what did not fit.
    pub problem: String,
    /// The object's JSON as Square sent it.
    pub payload: String,
}

impl Broken {
    /// The text of a field, whatever else is wrong with the object. Of a field that
    /// stands there twice the last counts, as in `jsonb`.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<String> {
        self.read(field)
    }

    /// The value of a field, likewise; none where it is of another type.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        serde_json::from_str(self.fields()?.get(field)?.get()).ok()
    }

    /// Whether the object has the field.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.fields()
            .is_some_and(|fields| fields.contains_key(field))
    }

    fn fields(&self) -> Option<HashMap<String, &RawValue>> {
        serde_json::from_str(&self.payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Broken;

    #[test]
    fn what_can_be_told_is_told() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        let payload = format!(r#"{{"id":"A","n":1e999,"id":"B","deep":{deep},"type":7}}"#);
        let broken = Broken {
            problem: String::new(),
            payload,
        };
        assert_eq!(broken.text("id").as_deref(), Some("B"));
        assert_eq!(broken.text("type"), None);
        assert!(broken.has("type") && !broken.has("state"));
        let list = Broken {
            payload: "[1]".to_owned(),
            ..broken
        };
        assert_eq!(list.text("id"), None);
    }
}
