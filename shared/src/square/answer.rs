//! Turns a body with status 2xx into what was asked for.
//!
//! A page is read as a whole into its types, which is fast. Only if that fails
//! are its objects read one by one, so that a single object Square has changed
//! does not stop the account's sync. The envelope itself must fit: a cursor
//! that cannot be read would end a list early and lose objects silently.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::endpoint::Endpoint;
use super::page::{Broken, Page};
use super::problem;
use super::refusal::SquareError;
use crate::text::shorten;

/// The answer that a body turned out to be.
#[derive(Debug)]
pub(super) enum Answer<R> {
    Read(R),
    /// Errors in spite of the status.
    Errors(Vec<SquareError>),
    Unreadable {
        problem: String,
        /// The text stops where JSON has to go on.
        ends_early: bool,
    },
}

/// A page with what leads to the next one.
#[derive(Debug)]
pub(super) struct ListAnswer<T> {
    pub(super) page: Page<T>,
    /// Never empty: Square's empty cursor means the same as none.
    pub(super) cursor: Option<String>,
}

/// The body of a list's answer.
struct ListBody<T> {
    objects: Option<Vec<T>>,
    /// The name of another list than that which was asked for.
    other: Option<String>,
    cursor: Option<String>,
    latest_time: Option<Timestamp>,
    errors: Option<Vec<SquareError>>,
}

/// Reads a list's answer whose objects stand in that field.
struct ListOf<T> {
    array: &'static str,
    objects: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListOf<T> {
    type Value = ListBody<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list's answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut body = ListBody {
            objects: None,
            other: None,
            cursor: None,
            latest_time: None,
            errors: None,
        };
        let mut is_read = false;
        while let Some(field) = fields.next_key::<Cow<'de, str>>()? {
            match &*field {
                field if field == self.array => {
                    if is_read {
                        return Err(A::Error::duplicate_field(self.array));
                    }
                    is_read = true;
                    body.objects = fields.next_value()?;
                }
                "cursor" => body.cursor = fields.next_value()?,
                "latest_time" => {
                    let value: &RawValue = fields.next_value()?;
                    // What is good to know and no data: nothing, if it cannot be read.
                    body.latest_time = serde_json::from_str(value.get()).unwrap_or_default();
                }
                "errors" => body.errors = fields.next_value()?,
                _ => {
                    let value: &RawValue = fields.next_value()?;
                    if value.get().starts_with('[') {
                        body.other = Some(field.into_owned());
                    }
                }
            }
        }
        Ok(body)
    }
}

/// Reads one page of a list.
pub(super) fn read_list<T: DeserializeOwned>(
    body: &[u8],
    endpoint: &Endpoint,
) -> Answer<ListAnswer<T>> {
    if let Some(unreadable) = no_json_object(body) {
        return unreadable;
    }
    if let Ok(body) = list_body::<T>(body, endpoint.array) {
        return body.into_answer(endpoint.array, |objects| (objects, Vec::new()));
    }
    match list_body::<&RawValue>(body, endpoint.array) {
        Ok(body) => body.into_answer(endpoint.array, |raw_objects| {
            let mut objects = Vec::with_capacity(raw_objects.len());
            let mut broken = Vec::new();
            for raw in raw_objects {
                match problem::read_object(raw.get()) {
                    Ok(object) => objects.push(object),
                    Err(object) => broken.push(object),
                }
            }
            (objects, broken)
        }),
        Err(error) => unreadable(&error),
    }
}

fn list_body<'de, T: Deserialize<'de>>(
    body: &'de [u8],
    array: &'static str,
) -> serde_json::Result<ListBody<T>> {
    let mut source = serde_json::Deserializer::from_slice(body);
    let objects = PhantomData;
    let read = source.deserialize_map(ListOf { array, objects })?;
    source.end()?;
    Ok(read)
}

impl<T> ListBody<T> {
    /// Returns the answer. One without any list is an empty page; one that lacks the
    /// list but holds another is not what was asked for.
    fn into_answer<U>(
        self,
        array: &str,
        read: impl FnOnce(Vec<T>) -> (Vec<U>, Vec<Broken>),
    ) -> Answer<ListAnswer<U>> {
        if let Some(errors) = self.errors.filter(|errors| !errors.is_empty()) {
            return Answer::Errors(errors);
        }
        if let (None, Some(other)) = (&self.objects, &self.other) {
            return Answer::Unreadable {
                problem: format!(
                    "it has no list `{array}`, but one called `{}`",
                    shorten(other)
                ),
                ends_early: false,
            };
        }
        let (objects, broken) = read(self.objects.unwrap_or_default());
        Answer::Read(ListAnswer {
            page: Page {
                objects,
                broken,
                latest_time: self.latest_time,
            },
            cursor: self.cursor.filter(|cursor| !cursor.is_empty()),
        })
    }
}

/// Reads an answer that is one object.
pub(super) fn read_one<T: DeserializeOwned>(body: &[u8], _: &Endpoint) -> Answer<T> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Option<Vec<SquareError>>,
    }
    if let Some(unreadable) = no_json_object(body) {
        return unreadable;
    }
    let errors = match serde_json::from_slice::<Errors>(body) {
        Ok(body) => body.errors.unwrap_or_default(),
        Err(error) => return unreadable(&error),
    };
    if !errors.is_empty() {
        return Answer::Errors(errors);
    }
    serde_json::from_slice(body).map_or_else(|error| unreadable(&error), Answer::Read)
}

/// Tells what a body is that does not even begin like a JSON object. serde alone
/// would also take an array for a struct.
fn no_json_object<R>(body: &[u8]) -> Option<Answer<R>> {
    let problem = match body.trim_ascii_start().first() {
        Some(b'{') => return None,
        None => "the body is empty",
        Some(b'<') => "an HTML page instead of JSON",
        Some(_) => "text instead of a JSON object",
    };
    Some(Answer::Unreadable {
        problem: problem.to_owned(),
        ends_early: body.trim_ascii_start().is_empty(),
    })
}

fn unreadable<R>(error: &serde_json::Error) -> Answer<R> {
    Answer::Unreadable {
        problem: format!("wrong JSON, {}", problem::describe(error)),
        ends_early: error.is_eof(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        BATCH_RETRIEVE_INVENTORY_COUNTS, CatalogObject, InventoryCount, LIST_LOCATIONS, Location,
        SEARCH_CATALOG_OBJECTS, TokenStatus,
    };
    use super::*;

    fn read<T: DeserializeOwned>(body: &str) -> ListAnswer<T> {
        read_from(&LIST_LOCATIONS, body)
    }

    fn read_from<T: DeserializeOwned>(endpoint: &Endpoint, body: &str) -> ListAnswer<T> {
        match read_list(body.as_bytes(), endpoint) {
            Answer::Read(answer) => answer,
            Answer::Errors(errors) => panic!("{errors:?}"),
            Answer::Unreadable { problem, .. } => panic!("{problem}"),
        }
    }

    #[test]
    fn a_missing_or_null_array_is_an_empty_page() {
        for body in [
            "{}",
            r#" {"locations":null,"cursor":null,"errors":null}"#,
            r#"{"objects":{"none":[]},"count":0}"#,
            r#"{"cursor":"","errors":[]}"#,
        ] {
            let answer = read::<Location>(body);
            assert!(answer.page.objects.is_empty() && answer.page.broken.is_empty());
            assert_eq!(answer.cursor, None);
        }
        let answer = read::<Location>(r#"{"cursor":"c"}"#);
        assert_eq!(answer.cursor.as_deref(), Some("c"));
    }

    #[test]
    fn each_list_has_its_own_array_and_unknown_fields_are_no_matter() {
        let body = r#"{"locations":[{"id":"L","type":"MOON_BASE","new":{"a":[1]}}],"new":1}"#;
        let answer = read::<Location>(body);
        assert_eq!(
            answer.page.objects[0].location_type.as_deref(),
            Some("MOON_BASE")
        );

        let body = r#"{"counts":[{"catalog_object_id":"V","location_id":"L","state":"NEW","quantity":"-1.50000"}]}"#;
        let answer = read_from::<InventoryCount>(&BATCH_RETRIEVE_INVENTORY_COUNTS, body);
        assert_eq!(answer.page.objects[0].quantity.to_string(), "-1.5");

        let body = r#"{"objects":[{"type":"ITEM","id":"I","version":9007199254740993}],"latest_time":"2026-01-02T03:04:05.1Z"}"#;
        let answer = read_from::<CatalogObject>(&SEARCH_CATALOG_OBJECTS, body);
        assert_eq!(answer.page.objects[0].version, Some(9_007_199_254_740_993));
        assert_eq!(
            answer.page.latest_time.map(|time| time.to_string()),
            Some("2026-01-02T03:04:05.1Z".to_owned())
        );
    }

    #[test]
    fn a_broken_object_is_set_aside_and_its_neighbours_are_kept() {
        let body = r#"{"locations":[{"id":"A"},{"id":"B","name":{"of":"Ada"}},7,{"id":"C"}],"cursor":"c"}"#;
        let answer = read::<Location>(body);
        let ids: Vec<_> = answer
            .page
            .objects
            .iter()
            .map(|location| location.id.as_str())
            .collect();
        assert_eq!(ids, ["A", "C"]);
        assert_eq!(answer.page.broken.len(), 2);
        assert_eq!(
            answer.page.broken[0].problem,
            "name: invalid type: map, expected a string"
        );
        assert_eq!(
            answer.page.broken[0].payload,
            r#"{"id":"B","name":{"of":"Ada"}}"#
        );
        assert_eq!(answer.page.broken[1].payload, "7");
        assert_eq!(answer.cursor.as_deref(), Some("c"));
    }

    #[test]
    fn an_envelope_that_does_not_fit_is_unreadable() {
        for (body, ends_early) in [
            ("", true),
            ("<!DOCTYPE html><html>secret</html>", false),
            ("upstream connect error", false),
            ("[]", false),
            ("null", false),
            (r#"{"locations":"#, true),
            (r#"{"locations":[}"#, false),
            (r#"{"locations":{"secret":1}}"#, false),
            (r#"{"locations":[],"locations":[]}"#, false),
            (r#"{"locations":[]} {}"#, false),
            (r#"{"cursor":["secret"]}"#, false),
            (r#"{"errors":"secret"}"#, false),
        ] {
            let answer = read_list::<Location>(body.as_bytes(), &LIST_LOCATIONS);
            let Answer::Unreadable {
                problem,
                ends_early: early,
            } = answer
            else {
                panic!("{body} was read");
            };
            assert_eq!(early, ends_early, "{body}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn another_list_than_was_asked_for_is_no_empty_page() {
        for (endpoint, body, problem) in [
            (
                &LIST_LOCATIONS,
                r#"{"objects":[{"id":"L"}]}"#,
                "no list `locations`, but one called `objects`",
            ),
            (
                &LIST_LOCATIONS,
                r#"{"locations":null,"places":[]}"#,
                "`places`",
            ),
            (
                &SEARCH_CATALOG_OBJECTS,
                r#"{"cursor":"c","counts":[7]}"#,
                "`counts`",
            ),
            (
                &BATCH_RETRIEVE_INVENTORY_COUNTS,
                r#"{"errors":[],"Counts":[[]]}"#,
                "`Counts`",
            ),
        ] {
            let answer = read_list::<Box<RawValue>>(body.as_bytes(), endpoint);
            let Answer::Unreadable {
                problem: told,
                ends_early: false,
            } = answer
            else {
                panic!("{body} was read");
            };
            assert!(told.contains(problem), "{told}");
        }
        let both = r#"{"locations":[{"id":"L"}],"related":[{}]}"#;
        assert_eq!(read::<Location>(both).page.objects.len(), 1);
    }

    #[test]
    fn errors_win_over_the_page() {
        let body = br#"{"locations":[{"id":"L"}],"errors":[{"category":"API_ERROR","code":"X"}]}"#;
        assert!(matches!(
            read_list::<Location>(body, &LIST_LOCATIONS),
            Answer::Errors(_)
        ));
        assert!(matches!(
            read_one::<TokenStatus>(body, &LIST_LOCATIONS),
            Answer::Errors(_)
        ));
    }

    #[test]
    fn what_is_no_data_costs_nothing_if_it_cannot_be_read() {
        for value in [
            r#""soon""#,
            r#""+290000-01-01T00:00:00Z""#,
            "7",
            "[[]]",
            "1e400",
        ] {
            let body = format!(r#"{{"locations":[{{"id":"L"}}],"latest_time":{value}}}"#);
            let answer = read::<Location>(&body);
            assert_eq!(answer.page.latest_time, None, "{value}");
            assert_eq!(answer.page.objects.len(), 1, "{value}");
            for field in ["scopes", "expires_at", "merchant_id"] {
                let body = format!(r#"{{"{field}":{value}}}"#);
                let status = read_one::<TokenStatus>(body.as_bytes(), &LIST_LOCATIONS);
                assert!(matches!(status, Answer::Read(_)), "{body}");
            }
        }
    }

    #[test]
    fn a_personal_token_has_no_expiry() {
        for body in [
            r#"{"scopes":["ITEMS_READ"],"expires_at":""}"#,
            r#"{"scopes":["ITEMS_READ"],"expires_at":null}"#,
            r#"{"scopes":["ITEMS_READ"]}"#,
        ] {
            let Answer::Read(status) = read_one::<TokenStatus>(body.as_bytes(), &LIST_LOCATIONS)
            else {
                panic!("{body} was not read");
            };
            assert_eq!(status.expires_at, None);
        }
    }
}
