//! Pages: how many objects one holds, and how its JSON is put together. Square
//! may give short and even empty pages while more follow; a list that fits one
//! page is never split, which also keeps an idle client at one request.

use serde_json::Value;

use super::cursor::{Cursor, Request};
use super::refusal::Refusal;
use crate::config::Config;
use crate::moment::Nanos;
use crate::random::{self, Stream};

/// A fault that bends a page rather than replacing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Twist {
    #[default]
    None,
    /// The answer's cursor is the request's.
    RepeatCursor,
    /// Nothing on the page, but a cursor.
    Empty,
}

/// An object that is left off a page, as if it had slipped between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) id: String,
    /// Of a count; everywhere if absent.
    pub(crate) location_id: Option<String>,
}

/// All that faults do to one page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bend {
    pub(crate) twist: Twist,
    pub(crate) skips: Vec<Skip>,
}

impl Bend {
    /// Whether the object, or the variation's count at a location, is left off.
    pub(crate) fn skips(&self, id: &str, location: Option<&str>) -> bool {
        let meant = |skip: &Skip| {
            skip.id == id && (skip.location_id.is_none() || skip.location_id.as_deref() == location)
        };
        self.skips.iter().any(meant)
    }
}

/// How a page is cut from what matches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Objects on the page.
    pub(crate) take: usize,
    /// Whether more follow.
    pub(crate) more: bool,
}

/// Decides how many of the matching objects go on the page. `found` counts the
/// matches from `start` on, looked for up to one beyond `limit`.
pub(crate) fn cut(config: &Config, start: Cursor, limit: usize, found: usize, twist: Twist) -> Cut {
    if twist == Twist::Empty {
        return Cut {
            take: 0,
            more: true,
        };
    }
    if found <= limit {
        return Cut {
            take: found,
            more: false,
        };
    }
    let (time, number) = start.place;
    let number = number ^ usize::try_from(time.unsigned_abs()).unwrap_or_default() ^ limit;
    let mut rng = random::stream(config.seed, Stream::Page, number);
    let take = match rng.u8(0..32) {
        _ if !config.ragged_pages => limit,
        0 if !start.after_empty => 0,
        1..4 => (limit * rng.usize(1..10) / 10).max(1),
        _ => limit,
    };
    Cut { take, more: true }
}

/// The page size: what was asked for, within the account's cap.
pub(crate) fn limit(config: &Config, asked: usize) -> usize {
    config.page_limit_cap.map_or(asked, |cap| asked.min(cap))
}

/// The start of a list, or where its cursor points.
pub(crate) fn start(
    request: &Request<'_>,
    place: (Nanos, usize),
    bound: Nanos,
) -> Result<Cursor, Refusal> {
    Ok(request.cursor()?.unwrap_or(Cursor {
        place,
        after_empty: false,
        bound,
    }))
}

/// The answer to a list request, as far as it is done.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The name of the array.
    pub(crate) name: &'static str,
    /// The array's elements, with commas between.
    pub(crate) elements: Vec<u8>,
    /// Further fields, already known.
    pub(crate) extra: Vec<(&'static str, Value)>,
}

impl Listing {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// The place for one more element.
    pub(crate) fn next(&mut self) -> &mut Vec<u8> {
        if !self.elements.is_empty() {
            self.elements.push(b',');
        }
        &mut self.elements
    }

    /// The whole answer; an empty array is left out, as Square does.
    pub(crate) fn finish(
        self,
        request: &Request<'_>,
        next: Option<Cursor>,
        twist: Twist,
    ) -> Vec<u8> {
        let asked = request.body.get("cursor").and_then(Value::as_str);
        self.with(match (twist, asked) {
            (Twist::RepeatCursor, Some(asked)) => Some(asked.to_owned()),
            _ => next.map(|cursor| request.write(cursor)),
        })
    }

    /// The whole answer of an endpoint that knows no cursors.
    pub(crate) fn whole(self) -> Vec<u8> {
        self.with(None)
    }

    fn with(self, cursor: Option<String>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.elements.len() + 256);
        let mut comma = b'{';
        let mut name = |out: &mut Vec<u8>, name: &str| {
            out.push(std::mem::replace(&mut comma, b','));
            out.extend_from_slice(format!("\"{name}\":").as_bytes());
        };
        if !self.elements.is_empty() {
            name(&mut out, self.name);
            out.push(b'[');
            out.extend_from_slice(&self.elements);
            out.push(b']');
        }
        if let Some(cursor) = cursor {
            name(&mut out, "cursor");
            out.extend_from_slice(Value::from(cursor).to_string().as_bytes());
        }
        for (field, value) in self.extra {
            name(&mut out, field);
            out.extend_from_slice(value.to_string().as_bytes());
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        out
    }
}
