//! Reads request bodies the way Square does: field by field, refusing what it
//! does not know. Clients are judged by these refusals, so they name the field.

use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::moment::{self, Nanos};

/// The fields of a request.
pub(crate) type Fields = Map<String, Value>;

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Flag,
    /// A whole number within bounds, if there are any.
    Whole(Option<(i64, i64)>),
    Object,
    Texts,
    /// Texts of a closed list.
    Choices(&'static [&'static str]),
    /// One text of a closed list.
    Choice(&'static [&'static str]),
    /// An RFC 3339 timestamp.
    Time,
}

/// One field that a request may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether `null` counts as absent.
    pub(crate) nullable: bool,
}

/// A field that may not be `null`.
pub(crate) const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        nullable: false,
    }
}

/// A field that may be `null`.
pub(crate) const fn nullable(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        nullable: true,
    }
}

/// Reads the body of a POST; an empty one counts as `{}`.
pub(crate) fn read(body: &[u8]) -> Result<Fields, Refusal> {
    if body.is_empty() {
        return Ok(Fields::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Refusal::invalid(
            "EXPECTED_JSON_BODY",
            "",
            "The request body is not a JSON object.",
        )),
    }
}

/// Checks every field against the list; `path` leads to them, such as `query.filter`.
pub(crate) fn check(fields: &Fields, allowed: &[Field], path: &str) -> Result<(), Refusal> {
    for (name, value) in fields {
        let full = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let Some(field) = allowed.iter().find(|field| field.name == name) else {
            let detail = format!("The field named '{full}' is unrecognized");
            return Err(Refusal::invalid("UNKNOWN_BODY_PARAMETER", full, detail));
        };
        if !(value.is_null() && field.nullable) {
            check_value(value, field.kind, &full)?;
        }
    }
    Ok(())
}

fn check_value(value: &Value, kind: Kind, path: &str) -> Result<(), Refusal> {
    let wrong = |code, wanted: &str| {
        Err(Refusal::invalid(
            code,
            path,
            format!("Expected {wanted} at '{path}'."),
        ))
    };
    match kind {
        Kind::Text if !value.is_string() => wrong("EXPECTED_STRING", "a string value"),
        Kind::Flag if !value.is_boolean() => wrong("EXPECTED_BOOLEAN", "a boolean value"),
        Kind::Object if !value.is_object() => wrong("EXPECTED_OBJECT", "an object"),
        Kind::Whole(bounds) => match (value.as_i64(), bounds) {
            (None, _) => wrong("EXPECTED_INTEGER", "an integer value"),
            (Some(number), Some((low, _))) if number < low => {
                wrong("VALUE_TOO_LOW", &format!("a value of at least {low}"))
            }
            (Some(number), Some((_, high))) if number > high => {
                wrong("VALUE_TOO_HIGH", &format!("a value of at most {high}"))
            }
            _ => Ok(()),
        },
        Kind::Texts | Kind::Choices(_) => {
            let Some(list) = value.as_array() else {
                return wrong("EXPECTED_ARRAY", "an array");
            };
            let element = match kind {
                Kind::Choices(choices) => Kind::Choice(choices),
                _ => Kind::Text,
            };
            let mut numbered = list.iter().enumerate();
            numbered.try_for_each(|(n, value)| check_value(value, element, &format!("{path}[{n}]")))
        }
        Kind::Choice(choices) => match value.as_str() {
            None => wrong("EXPECTED_STRING", "a string value"),
            Some(text) if choices.contains(&text) => Ok(()),
            Some(text) => {
                let detail = format!("`{text}` is not a valid enum value for `{path}`.");
                Err(Refusal::invalid("INVALID_ENUM_VALUE", path, detail))
            }
        },
        Kind::Time => match value.as_str().map(moment::parse) {
            None => wrong("EXPECTED_STRING", "a string value"),
            Some(Some(_)) => Ok(()),
            Some(None) => wrong("INVALID_TIME", "an RFC 3339 timestamp"),
        },
        _ => Ok(()),
    }
}

/// A text field, if given.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// A timestamp field, if given.
pub(crate) fn time(fields: &Fields, name: &str) -> Option<Nanos> {
    text(fields, name).and_then(moment::parse)
}

/// A list of texts, if given and not empty.
pub(crate) fn texts<'a>(fields: &'a Fields, name: &str) -> Option<Vec<&'a str>> {
    let list = fields.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect()).filter(|list: &Vec<_>| !list.is_empty())
}

/// A list of texts that must be given, of one to `most`.
pub(crate) fn required_texts<'a>(
    fields: &'a Fields,
    name: &str,
    most: usize,
) -> Result<Vec<&'a str>, Refusal> {
    let Some(list) = texts(fields, name) else {
        let detail = format!("At least one of {name} is needed.");
        return Err(Refusal::invalid("MISSING_REQUIRED_PARAMETER", name, detail));
    };
    if list.len() > most {
        let detail = format!("Cannot provide more than {most} {name}");
        return Err(Refusal::invalid("ARRAY_LENGTH_TOO_LONG", name, detail));
    }
    Ok(list)
}

/// A flag, false if absent.
pub(crate) fn flag(fields: &Fields, name: &str) -> bool {
    fields
        .get(name)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// A size, if given and not below zero.
pub(crate) fn size(fields: &Fields, name: &str) -> Option<usize> {
    fields
        .get(name)
        .and_then(Value::as_u64)
        .and_then(|number| usize::try_from(number).ok())
}

/// An object field, if given.
pub(crate) fn object<'a>(fields: &'a Fields, name: &str) -> Option<&'a Fields> {
    fields.get(name).and_then(Value::as_object)
}
