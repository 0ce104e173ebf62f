//! A reason why an object cannot be read.

use std::fmt;

use serde_json::Value;

/// What does not fit, by place and types; the value is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    path: String,
    what: String,
}

impl Misfit {
    pub(super) fn new(path: &str, value: &Value, wanted: &str) -> Self {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "floating point",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "sequence",
            Value::Object(_) => "map",
        };
        Self {
            path: path.to_owned(),
            what: format!("invalid type: {kind}, expected {wanted}"),
        }
    }

    pub(super) fn told(what: &str) -> Self {
        Self {
            path: String::new(),
            what: what.to_owned(),
        }
    }

    /// Names the place from further up; `prefix` ends with a dot.
    pub(super) fn within(self, prefix: &str) -> Self {
        let path = format!("{prefix}{}", self.path);
        let path = path.trim_end_matches('.').to_owned();
        Self { path, ..self }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{}: {}", self.path, self.what)
    }
}
