//! Which part of the orders' history is read again in one night, so that all of it comes
//! round within so many nights. Pure arithmetic.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::spans::{Span, floor};

/// The night's work, as its calls note it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scrub {
    /// What is left to read; the first of them from the note's place on.
    pub(super) left: Vec<Left>,
}

/// A piece that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    #[serde(flatten)]
    pub(super) piece: Piece,
    /// What was changed before should have been brought already.
    pub(super) expected_before: Option<Timestamp>,
}

/// A part of the history that was read as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) window_id: i64,
    pub(super) location_ids: Vec<String>,
    pub(super) span: Span,
    /// When it was last read from Square.
    pub(super) at: Timestamp,
}

/// A part of a window, from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) window_id: i64,
    pub(super) location_ids: Vec<String>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// Returns what is to be read tonight, what was verified longest ago first: as much of all
/// locations' time as comes round in `days` nights, and twice as much as long as some of it
/// was verified longer ago than that, because nights were missed.
pub(super) fn tonight(mut windows: Vec<Verified>, days: u32, now: Timestamp) -> Vec<Piece> {
    windows.sort_by_key(|window| (window.at, window.span.from, window.window_id));
    let whole: i128 = windows.iter().map(Verified::size).sum();
    let usual = whole / i128::from(days.max(1)) + 1;
    let round = SignedDuration::from_hours(24 * i64::from(days));
    let (mut taken, mut pieces) = (0, Vec::new());
    for window in windows {
        let is_late = now.duration_since(window.at) > round;
        let room = usual * if is_late { 2 } else { 1 } - taken;
        let Some(piece) = window.piece(room) else {
            break;
        };
        taken += window.size_of(piece.to);
        pieces.push(piece);
    }
    pieces
}

impl Verified {
    fn size(&self) -> i128 {
        self.size_of(self.span.to)
    }

    /// Its locations' time up to that moment, in nanoseconds.
    fn size_of(&self, to: Timestamp) -> i128 {
        (to.as_nanosecond() - self.span.from.as_nanosecond()) * self.locations()
    }

    fn locations(&self) -> i128 {
        i128::try_from(self.location_ids.len()).unwrap_or(1).max(1)
    }

    /// As much of it as there is room for. A rest of less than an hour comes along.
    fn piece(&self, room: i128) -> Option<Piece> {
        const HOUR: i128 = 3_600_000_000_000;
        let cut = self.span.from.as_nanosecond() + room / self.locations();
        let to = if cut + HOUR >= self.span.to.as_nanosecond() {
            self.span.to
        } else {
            floor(Timestamp::from_nanosecond(cut).unwrap_or(self.span.to))
        };
        (room > 0 && to > self.span.from).then(|| Piece {
            window_id: self.window_id,
            location_ids: self.location_ids.clone(),
            from: self.span.from,
            to,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::constant(1_700_000_000, 0) + SignedDuration::from_hours(24 * day)
    }

    fn window(window_id: i64, (from, to): (i64, i64), verified: i64) -> Verified {
        Verified {
            window_id,
            location_ids: vec!["L".to_owned()],
            span: Span {
                from: at(from),
                to: at(to),
            },
            at: at(verified),
        }
    }

    /// Plays so many nights; returns the windows after them, and the most of a night.
    fn nights(mut windows: Vec<Verified>, days: u32, count: i64) -> (Vec<Verified>, i128) {
        let (mut most, mut id) = (0, 1_000);
        for night in 1_001..=1_000 + count {
            let mut read = 0;
            for piece in tonight(windows.clone(), days, at(night)) {
                let place = windows
                    .iter()
                    .position(|one| one.window_id == piece.window_id);
                let window = &mut windows[place.unwrap()];
                assert_eq!(window.span.from, piece.from);
                read += window.size_of(piece.to);
                if piece.to == window.span.to {
                    window.at = at(night);
                    continue;
                }
                let mut part = window.clone();
                window.span.from = piece.to;
                id += 1;
                (part.window_id, part.span.to, part.at) = (id, piece.to, at(night));
                windows.push(part);
            }
            most = most.max(read);
        }
        (windows, most)
    }

    #[test]
    fn all_of_it_comes_round_and_no_night_reads_much_more_than_another() {
        for days in [1, 7, 90] {
            let windows = vec![
                window(1, (0, 91), 1_000),
                window(2, (91, 182), 1_000),
                window(3, (182, 900), 1_000),
            ];
            let whole: i128 = windows.iter().map(Verified::size).sum();
            let (after, most) = nights(windows, days, i64::from(days));
            let oldest = after.iter().map(|window| window.at).min().unwrap();
            assert!(oldest > at(1_000), "{days}: {oldest}");
            assert!(most <= whole / i128::from(days) + whole / 400 + 1, "{days}");
            let all: i128 = after.iter().map(Verified::size).sum();
            assert_eq!(all, whole);
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_at_twice_the_pace() {
        let windows = vec![window(1, (0, 900), 1)];
        let pieces = tonight(windows, 90, at(1_000));
        assert_eq!((pieces[0].from, pieces.len()), (at(0), 1));
        let length = pieces[0].to.duration_since(pieces[0].from);
        assert_eq!(length.as_hours(), 20 * 24);
        let (after, _) = nights(vec![window(1, (0, 900), 1)], 90, 46);
        assert!(after.iter().all(|window| window.at > at(1_000)));
    }

    #[test]
    fn nothing_is_read_of_no_history() {
        assert_eq!(tonight(Vec::new(), 90, at(1)), []);
    }
}
