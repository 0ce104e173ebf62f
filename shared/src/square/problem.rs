//! A description of what did not fit in an object, without the object's data.
//!
//! serde's own messages quote the value they stumbled over, and that may be a
//! customer's name. A problem is kept in tables and logs, so it names the place
//! and the types only.

use serde::Deserialize;
use serde_json::error::Category;

use super::page::Broken;

/// Reads an object from its JSON, so that it can be set aside alone.
///
/// # Errors
/// The object itself, with what does not fit.
pub fn read_object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Broken> {
    // Only what does not fit is read once more, for the place of the misfit.
    serde_json::from_str(json).or_else(|_| {
        let mut source = serde_json::Deserializer::from_str(json);
        serde_path_to_error::deserialize(&mut source).map_err(|error| Broken {
            problem: at_path(&error),
            payload: json.to_owned(),
        })
    })
}

fn at_path(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let problem = describe(error.inner());
    match error.path().to_string() {
        path if path == "." => problem,
        path => format!("{path}: {problem}"),
    }
}

/// serde's message without the value in it.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    // Messages about the syntax are fixed texts with a position.
    if error.classify() != Category::Data {
        return message;
    }
    // Missing and repeated fields are named by our types.
    if ["missing field", "duplicate field"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return message
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
    }
    // "invalid type: string \"…\", expected i64 at line 1 column 9": the kind of
    // value, the value in quotes, and what our type wants.
    let known = ["invalid type: ", "invalid value: "]
        .iter()
        .any(|start| message.starts_with(start));
    if !known {
        return "the value is not in Square's format".to_owned();
    }
    let kind = message.split(['"', '`']).next().unwrap_or_default();
    let kind = kind.split(", expected ").next().unwrap_or_default().trim();
    let wanted = message.rsplit(", expected ").next().unwrap_or_default();
    let wanted = wanted.split(" at line ").next().unwrap_or_default();
    format!("{kind}, expected {wanted}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::wire::Money;
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only reading it matters")]
    struct Sale {
        id: String,
        name: Option<String>,
        sold_at: Option<Timestamp>,
        prices: Option<Vec<Money>>,
    }

    fn problem(text: &str) -> String {
        read_object::<Sale>(text).unwrap_err().problem
    }

    #[test]
    fn a_problem_names_place_and_types_but_not_the_value() {
        for (text, expected) in [
            (
                r#"{"prices":[{},{"amount":"Ada, expected \"5\""}]}"#,
                "prices[1].amount: invalid type: string, expected i64",
            ),
            (
                r#"{"name":12.5}"#,
                "name: invalid type: floating point, expected a string",
            ),
            (
                r#"{"name":{"of":"Ada"}}"#,
                "name: invalid type: map, expected a string",
            ),
            (
                r#"{"sold_at":"Ada's birthday"}"#,
                "sold_at: the value is not in Square's format",
            ),
            (r#"{"name":"Ada"}"#, "missing field `id`"),
            ("7", "invalid type: integer, expected struct Sale"),
        ] {
            assert_eq!(problem(text), expected);
        }
    }

    #[test]
    fn an_object_that_does_not_fit_is_kept_as_it_came() {
        assert_eq!(
            read_object::<Sale>(r#"{"id":"S","new_field":1}"#)
                .unwrap()
                .id,
            "S"
        );
        for text in [
            r#"{"id":["Ada"]}"#,
            r#"{"id": 1e400}"#,
            r#"{"id":"a","id":"b"}"#,
        ] {
            let broken = read_object::<Sale>(text).unwrap_err();
            assert_eq!(broken.payload, text);
            assert!(!broken.problem.contains("Ada"), "{}", broken.problem);
        }
    }
}
