//! Text that PostgreSQL can hold.
//!
//! Square passes on what people and programs type, U+0000 included, which
//! PostgreSQL has no way to store. It is removed, and the step says so.

use serde_json::Value;

/// Cleans texts and counts those that needed it.
#[derive(Debug, Default)]
pub struct Texts {
    cleaned: u64,
}

impl Texts {
    /// A text that must be there.
    pub fn required(&mut self, text: String) -> String {
        if !text.contains('\0') {
            return text;
        }
        self.cleaned += 1;
        text.replace('\0', "")
    }

    /// A text that may be absent.
    pub fn optional(&mut self, text: Option<String>) -> Option<String> {
        text.map(|text| self.required(text))
    }

    /// A list of texts; an absent one is empty.
    pub fn list(&mut self, texts: Option<Vec<String>>) -> Vec<String> {
        texts
            .unwrap_or_default()
            .into_iter()
            .map(|text| self.required(text))
            .collect()
    }

    /// A whole JSON value, for `jsonb`.
    pub fn json(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.required(text)),
            Value::Array(values) => {
                Value::Array(values.into_iter().map(|value| self.json(value)).collect())
            }
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (self.required(name), self.json(value)))
                    .collect(),
            ),
            other => other,
        }
    }

    /// How many texts needed it.
    #[must_use]
    pub fn cleaned(&self) -> u64 {
        self.cleaned
    }

    /// What the step should warn of.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        warning(self.cleaned)
    }
}

/// What a step should warn of that has cleaned so many texts.
#[must_use]
pub fn warning(cleaned: u64) -> Option<String> {
    (cleaned > 0)
        .then(|| format!("Removed U+0000 from {cleaned} text(s): PostgreSQL cannot hold it."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_cannot_be_held_is_removed() {
        let mut texts = Texts::default();
        assert_eq!(texts.required("Crème 🍦".into()), "Crème 🍦");
        assert_eq!(texts.warning(), None);
        assert_eq!(texts.optional(Some("a\0b".into())).as_deref(), Some("ab"));
        assert_eq!(
            texts.json(json!({"k\0": ["\0x", 1]})),
            json!({"k": ["x", 1]})
        );
        assert!(texts.warning().unwrap().contains("3 text(s)"));
    }
}
