//! Spans of time, and how an import is cut into windows. Pure arithmetic.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::square::SearchOrders;
pub use crate::times::{after, floor};

/// Square has no orders of before that can be relied on.
pub const HISTORY_BEGINS: Timestamp = Timestamp::constant(1_514_764_800, 0);

/// No till's clock is as far ahead as this.
pub const FUTURE_ENDS: Timestamp = Timestamp::constant(4_102_444_800, 0);

/// A quarter: some three dozen windows for a history since 2018, each of which a
/// shop with fifty thousand orders a month reads in a few minutes.
const WINDOW: SignedDuration = SignedDuration::from_hours(91 * 24);

/// More windows than this are made longer instead. Step Functions keeps 25,000
/// events of an execution and 256 KB between two states; a window costs about
/// nine events, seven more for each further call, and some 150 bytes.
pub const WINDOWS_MAX: u32 = 240;

/// From a moment up to, not including, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Orders to be read in one go: of at most ten locations, within one span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub location_ids: Vec<String>,
    pub span: Span,
}

impl Span {
    fn length(&self) -> i128 {
        self.to.as_nanosecond() - self.from.as_nanosecond()
    }
}

/// Returns the parts of `wanted` that none of `done` covers, in order.
#[must_use]
pub fn missing(wanted: Span, done: &[Span]) -> Vec<Span> {
    let mut done = done.to_vec();
    done.sort_unstable();
    let mut missing = Vec::new();
    let mut from = wanted.from;
    for span in done {
        if span.from > from {
            let to = span.from.min(wanted.to);
            missing.push(Span { from, to });
        }
        from = from.max(span.to);
        if from >= wanted.to {
            break;
        }
    }
    missing.push(Span {
        from,
        to: wanted.to,
    });
    missing.retain(|span| span.from < span.to);
    missing
}

/// Cuts what each location lacks into windows, the newest first: those are what
/// people look at. Locations that lack the same share windows.
#[must_use]
pub fn windows(missing: BTreeMap<String, Vec<Span>>) -> Vec<Window> {
    let mut alike: BTreeMap<Vec<Span>, Vec<String>> = BTreeMap::new();
    for (location_id, spans) in missing {
        alike.entry(spans).or_default().push(location_id);
    }
    let mut wide = Vec::new();
    for (spans, location_ids) in &alike {
        for location_ids in location_ids.chunks(SearchOrders::LOCATIONS_MAX) {
            wide.extend(spans.iter().map(|span| Window {
                location_ids: location_ids.to_vec(),
                span: *span,
            }));
        }
    }
    let whole: i128 = wide.iter().map(|window| window.span.length()).sum();
    let longest = WINDOW.as_nanos().max(whole / i128::from(WINDOWS_MAX));
    let mut windows: Vec<Window> = wide.iter().flat_map(|wide| cut(wide, longest)).collect();
    windows.sort_by(|a, b| {
        let by_time = b.span.from.cmp(&a.span.from);
        by_time.then_with(|| a.location_ids.cmp(&b.location_ids))
    });
    windows
}

/// Cuts a window into equal ones, none longer than `longest`.
fn cut(wide: &Window, longest: i128) -> Vec<Window> {
    let pieces = wide.span.length().div_euclid(longest.max(1)) + 1;
    let pieces = if wide.span.length() % longest.max(1) == 0 {
        (pieces - 1).max(1)
    } else {
        pieces
    };
    let border = |piece: i128| {
        if piece == pieces {
            return wide.span.to;
        }
        let offset = wide.span.length() * piece / pieces;
        let time = Timestamp::from_nanosecond(wide.span.from.as_nanosecond() + offset);
        floor(time.unwrap_or(wide.span.to))
    };
    (0..pieces)
        .map(|piece| Window {
            location_ids: wide.location_ids.clone(),
            span: Span {
                from: border(piece),
                to: border(piece + 1),
            },
        })
        .filter(|window| window.span.from < window.span.to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str) -> Span {
        let time = |text: &str| format!("{text}T00:00:00Z").parse().unwrap();
        Span {
            from: time(from),
            to: time(to),
        }
    }

    #[test]
    fn what_is_missing_lies_between_what_is_done() {
        let wanted = span("2020-01-01", "2020-12-31");
        assert_eq!(missing(wanted, &[]), [wanted]);
        assert_eq!(missing(wanted, &[span("2019-01-01", "2021-01-01")]), []);
        let done = [
            span("2020-06-01", "2020-07-01"),
            span("2019-01-01", "2020-02-01"),
            span("2020-06-15", "2020-08-01"),
            span("2021-01-01", "2022-01-01"),
        ];
        assert_eq!(
            missing(wanted, &done),
            [
                span("2020-02-01", "2020-06-01"),
                span("2020-08-01", "2020-12-31")
            ]
        );
        let nothing = span("2020-01-01", "2020-01-01");
        assert_eq!(missing(nothing, &[]), []);
    }

    fn locations(count: usize, spans: &[Span]) -> BTreeMap<String, Vec<Span>> {
        (0..count)
            .map(|n| (format!("L{n:04}"), spans.to_vec()))
            .collect()
    }

    #[test]
    fn windows_cover_everything_once_and_begin_with_the_newest() {
        let whole = span("2018-01-01", "2026-07-01");
        let windows = windows(locations(12, &[whole]));
        assert_eq!(windows.len(), 2 * 35);
        assert_eq!(windows[0].span.to, whole.to);
        for (count, chunk) in [(10, "L0000"), (2, "L0010")] {
            let mut own: Vec<&Window> = windows
                .iter()
                .filter(|window| window.location_ids[0] == chunk)
                .collect();
            own.reverse();
            assert!(own.iter().all(|window| window.location_ids.len() == count));
            assert_eq!(own[0].span.from, whole.from);
            assert!(own.windows(2).all(|two| two[0].span.to == two[1].span.from));
        }
    }

    #[test]
    fn many_locations_get_longer_windows_not_more() {
        let whole = span("2018-01-01", "2026-07-01");
        for count in [60, 300, 2_500] {
            let chunks = count / 10;
            let windows = windows(locations(count, &[whole]));
            assert!(windows.len() <= 240 + chunks, "{count}: {}", windows.len());
            assert!(windows.len() >= chunks);
        }
    }

    #[test]
    fn locations_that_lack_different_spans_do_not_share_windows() {
        let whole = span("2026-01-01", "2026-03-01");
        let mut missing = locations(3, &[whole]);
        missing.insert("L0001".to_owned(), vec![span("2026-02-01", "2026-03-01")]);
        missing.insert("L0002".to_owned(), vec![]);
        let windows = windows(missing);
        assert_eq!(windows.len(), 2);
        assert_eq!(windows[0].location_ids, ["L0001"]);
        assert_eq!(windows[1].location_ids, ["L0000"]);
    }
}
