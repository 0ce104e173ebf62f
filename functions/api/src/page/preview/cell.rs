//! A column's value before and after, side by side: of long ones the part where they
//! differ, so that what would change can be seen.

use std::fmt::{self, Display, Formatter};

use askama::filters::{Escaper, Html, HtmlSafe};
use serde_json::Value;

use crate::page::moment::Moment;
use crate::page::words::number;

/// Longer texts are cut.
const TEXT_CHARS_MAX: usize = 120;
/// Left of a text before what differs.
const LEAD_CHARS: usize = 40;

/// A value as people read it, as HTML: what the data does not say looks different.
#[derive(Debug, PartialEq)]
pub(crate) enum Cell {
    /// NULL.
    None,
    /// A text, or a list, with nothing in it.
    Empty,
    Text(String),
    At(Moment),
}

impl Display for Cell {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("<i>none</i>"),
            Self::Empty => out.write_str("<i>empty</i>"),
            Self::Text(text) => Html.write_escaped_str(out, text),
            Self::At(moment) => moment.fmt(out),
        }
    }
}

/// Its text is escaped.
impl HtmlSafe for Cell {}

/// Returns both values of a column that would change. Of two lists they are what would be
/// taken away and added; either may be nothing.
pub(super) fn pair(column: &str, from: &Value, to: &Value) -> (Option<Cell>, Option<Cell>) {
    if let (Value::Array(from), Value::Array(to)) = (from, to) {
        let (removed, added) = (without(from, to), without(to, from));
        // Else they are the same in another order.
        if !removed.is_empty() || !added.is_empty() {
            return (listed("removed", &removed), listed("added", &added));
        }
    }
    let moments = [from, to].map(|value| moment(column, value));
    let whole = [from, to].map(text);
    let cells = match moments {
        // Within one minute they look alike.
        [Some(one), Some(other)] if one.utc() == other.utc() => excerpts(&whole),
        [one, other] => {
            let [before, after] = excerpts(&whole);
            let at = |moment: Option<Moment>, text| moment.map_or(text, Cell::At);
            [at(one, before), at(other, after)]
        }
    };
    let [from, to] = cells;
    (Some(from), Some(to))
}

/// The moment of a column of moments.
fn moment(column: &str, value: &Value) -> Option<Moment> {
    let text = value.as_str().filter(|_| column.ends_with("_at"))?;
    text.parse().ok().map(Moment::new)
}

/// The elements that another list lacks.
fn without<'a>(list: &'a [Value], other: &[Value]) -> Vec<&'a Value> {
    list.iter().filter(|one| !other.contains(one)).collect()
}

fn listed(word: &str, values: &[&Value]) -> Option<Cell> {
    if values.is_empty() {
        return None;
    }
    let chars: Vec<char> = joined(values.iter().copied()).chars().collect();
    let count = number(i64::try_from(values.len()).unwrap_or(i64::MAX));
    let excerpt = excerpt(&chars, 0);
    Some(Cell::Text(format!("{count} {word}: {excerpt}")))
}

fn joined<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let texts: Vec<String> = values.filter_map(text).collect();
    texts.join(", ")
}

/// A value's whole text; NULL has none.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => Some(joined(values.iter())),
        other => Some(other.to_string()),
    }
}

/// The same part of both, from a little before the first character that differs.
fn excerpts(texts: &[Option<String>; 2]) -> [Cell; 2] {
    let [from, to] = texts
        .each_ref()
        .map(|text| text.as_ref().map(|text| text.chars().collect::<Vec<_>>()));
    let start = match (&from, &to) {
        (Some(from), Some(to)) if from.len().max(to.len()) > TEXT_CHARS_MAX => {
            let both = from.iter().zip(to);
            let same = both.take_while(|(one, other)| one == other).count();
            same.saturating_sub(LEAD_CHARS)
        }
        _ => 0,
    };
    [from, to].map(|chars| match chars {
        None => Cell::None,
        Some(chars) if chars.is_empty() => Cell::Empty,
        Some(chars) => Cell::Text(excerpt(&chars, start)),
    })
}

/// A text from there on, with a mark where it is cut.
fn excerpt(chars: &[char], start: usize) -> String {
    let end = chars.len().min(start + TEXT_CHARS_MAX);
    let part: String = chars[start..end].iter().collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if end < chars.len() { "…" } else { "" };
    format!("{before}{part}{after}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(column: &str, from: &Value, to: &Value) -> [String; 2] {
        let (from, to) = pair(column, from, to);
        assert_ne!(from, to, "{column}");
        [from, to].map(|cell| cell.map_or_else(|| "-".to_owned(), |cell| cell.to_string()))
    }

    #[test]
    fn long_texts_are_cut_around_what_differs() {
        let same = "ä".repeat(300);
        let old = format!("{same}old{}", "x".repeat(300));
        let new = format!("{same}new{}", "x".repeat(300));
        let part = |word: &str| format!("…{}{word}{}…", "ä".repeat(40), "x".repeat(77));
        let wanted = [part("old"), part("new")];
        assert_eq!(shown("description", &json!(old), &json!(new)), wanted);
        // One of them only goes on.
        let [from, to] = shown("description", &json!(same), &json!(old));
        assert_eq!(from, format!("…{}", "ä".repeat(40)));
        assert!(to.starts_with(&from) && to.ends_with('…'), "{to}");
        // Against nothing, from its beginning.
        let [from, to] = shown("description", &Value::Null, &json!(old));
        let wanted = format!("{}…", "ä".repeat(120));
        assert_eq!((from.as_str(), to), ("<i>none</i>", wanted));
        // What fits is whole.
        let wanted = ["tea &#60;b&#62;", "tea "].map(str::to_owned);
        assert_eq!(shown("name", &json!("tea <b>"), &json!("tea ")), wanted);
    }

    #[test]
    fn of_lists_what_goes_and_what_comes() {
        let many = |last: &str| {
            let ids = (0..300).map(|n| format!("L{n}"));
            ids.chain([last.to_owned()]).collect::<Value>()
        };
        let at = "present_at_location_ids";
        let wanted = ["1 removed: A", "1 added: B"].map(str::to_owned);
        assert_eq!(shown(at, &many("A"), &many("B")), wanted);
        let [from, to] = shown(at, &json!([]), &many("A"));
        assert_eq!(from, "-");
        assert!(
            to.starts_with("301 added: L0, L1, ") && to.ends_with('…'),
            "{to}"
        );
        let wanted = ["A, B", "B, A"].map(str::to_owned);
        assert_eq!(shown(at, &json!(["A", "B"]), &json!(["B", "A"])), wanted);
        let wanted = ["<i>none</i>", "<i>empty</i>"].map(str::to_owned);
        assert_eq!(shown(at, &Value::Null, &json!([])), wanted);
    }

    #[test]
    fn what_is_not_there_does_not_look_like_data() {
        let wanted = ["<i>none</i>", "none"].map(str::to_owned);
        assert_eq!(shown("sku", &Value::Null, &json!("none")), wanted);
        let wanted = ["<i>empty</i>", "empty"].map(str::to_owned);
        assert_eq!(shown("sku", &json!(""), &json!("empty")), wanted);
        let wanted = ["350", "<i>none</i>"].map(str::to_owned);
        assert_eq!(shown("price_amount", &json!(350), &Value::Null), wanted);
    }

    #[test]
    fn a_moment_is_one_unless_both_look_alike() {
        let (early, late) = ("2026-11-28T15:41:07.5+00:00", "2026-11-28T15:42:00+00:00");
        let html = |at: &str| Moment::new(at.parse().unwrap()).to_string();
        let wanted = [html(early), html(late)];
        assert_eq!(shown("updated_at", &json!(early), &json!(late)), wanted);
        let wanted = ["<i>none</i>".to_owned(), html(late)];
        assert_eq!(shown("deleted_at", &Value::Null, &json!(late)), wanted);
        let second = "2026-11-28T15:41:08+00:00";
        let wanted = [early, second].map(str::to_owned);
        assert_eq!(shown("updated_at", &json!(early), &json!(second)), wanted);
        // A name is a name.
        let wanted = [early, late].map(str::to_owned);
        assert_eq!(shown("name", &json!(early), &json!(late)), wanted);
    }
}
