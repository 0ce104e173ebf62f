//! Reads columns out of Square's JSON. What is absent or null becomes null; what
//! has the wrong type makes the whole row one to be set aside.

use serde_json::{Map, Value};

use crate::moment;

/// One row, by column name.
pub(super) type Row = Map<String, Value>;

/// Collects a row's columns from one JSON document.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    json: &'a Value,
    row: Row,
    broken: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(json: &'a Value) -> Self {
        Self {
            json,
            row: Row::new(),
            broken: None,
        }
    }

    /// The row, or what is wrong with it.
    pub(super) fn finish(self) -> Result<Row, String> {
        match self.broken {
            Some(broken) => Err(broken),
            None => Ok(self.row),
        }
    }

    fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.json.pointer(pointer).filter(|value| !value.is_null())
    }

    /// Sets a column to a value worked out elsewhere.
    pub(super) fn set(&mut self, column: &str, value: impl Into<Value>) {
        self.row.insert(column.to_owned(), value.into());
    }

    fn read(&mut self, column: &str, pointer: &str, fit: impl Fn(&Value) -> Option<Value>) {
        let value = match self.at(pointer) {
            None => Value::Null,
            Some(value) => fit(value).unwrap_or_else(|| {
                self.broken = Some(format!("{pointer} is of the wrong type"));
                Value::Null
            }),
        };
        self.row.insert(column.to_owned(), value);
    }

    /// A text that must be there.
    pub(super) fn key(&mut self, column: &str, pointer: &str) {
        if self
            .at(pointer)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            self.broken = Some(format!("{pointer} is missing"));
        }
        self.text(column, pointer);
    }

    pub(super) fn text(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| value.as_str().map(clean));
    }

    pub(super) fn flag(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| {
            value.is_boolean().then(|| value.clone())
        });
    }

    pub(super) fn whole(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| {
            value.is_i64().then(|| value.clone())
        });
    }

    pub(super) fn number(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| {
            value.is_number().then(|| value.clone())
        });
    }

    /// An exact number that Square writes as text, the shortest way.
    pub(super) fn decimal(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| {
            let text = value.as_str()?;
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_one = digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
                && digits.bytes().any(|byte| byte.is_ascii_digit())
                && digits.matches('.').count() <= 1;
            is_one.then(|| match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').into(),
                false => text.into(),
            })
        });
    }

    /// JSON as Square gives it.
    pub(super) fn whatever(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| Some(value.clone()));
    }

    /// Whether anything stands there.
    pub(super) fn has(&self, pointer: &str) -> bool {
        self.at(pointer).is_some()
    }

    pub(super) fn time(&mut self, column: &str, pointer: &str) {
        self.read(column, pointer, |value| {
            value
                .as_str()
                .and_then(moment::parse)
                .map(|at| moment::truth(at).into())
        });
    }

    /// A list of texts, empty if absent.
    pub(super) fn texts(&mut self, column: &str, pointer: &str) {
        if self.at(pointer).is_none() {
            return self.set(column, Vec::<Value>::new());
        }
        self.read(column, pointer, |value| {
            value
                .as_array()?
                .iter()
                .map(|text| text.as_str().map(clean))
                .collect::<Option<Vec<Value>>>()
                .map(Value::from)
        });
    }
}

/// A text as PostgreSQL can hold it.
pub(super) fn clean(text: &str) -> Value {
    Value::from(text.replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Reader;

    #[test]
    fn absent_is_null_and_wrong_is_broken() {
        let json = json!({"a": "x\u{0}y", "n": null, "l": ["p"], "t": "2024-01-01T00:00:00.1234567Z", "w": 7.5});
        let mut reader = Reader::new(&json);
        reader.text("a", "/a");
        reader.text("n", "/n");
        reader.whole("m", "/missing");
        reader.texts("l", "/l");
        reader.texts("none", "/none");
        reader.time("t", "/t");
        let row = serde_json::Value::Object(reader.finish().unwrap());
        let expected = json!({"a": "xy", "n": null, "m": null, "l": ["p"], "none": [], "t": "2024-01-01T00:00:00.123456Z"});
        assert_eq!(row, expected);

        let mut reader = Reader::new(&json);
        reader.whole("w", "/w");
        assert_eq!(reader.finish().unwrap_err(), "/w is of the wrong type");
        let mut reader = Reader::new(&json);
        reader.key("id", "/id");
        assert_eq!(reader.finish().unwrap_err(), "/id is missing");
    }
}
