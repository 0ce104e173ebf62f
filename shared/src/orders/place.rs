//! The place from which a list of orders, the oldest first, is to be read on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::page::{Batch, Given};
use crate::times::floor;

/// Orders of unknown times that are remembered at most.
const UNKNOWN_MAX: usize = 1_000;

/// A moment before which all is read, and the orders that are counted and may come again
/// from there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: Option<Timestamp>,
    counted: BTreeMap<String, Option<Timestamp>>,
    /// The time of the last order that this call has read.
    last: Option<Timestamp>,
}

impl Place {
    /// The place where an earlier call has left it.
    pub(super) fn new(at: Option<Timestamp>, counted: &[String]) -> Self {
        Self {
            at,
            counted: counted.iter().map(|id| (id.clone(), None)).collect(),
            last: None,
        }
    }

    /// The ids of the counted orders.
    pub(super) fn counted(&self) -> Vec<String> {
        self.counted.keys().cloned().collect()
    }

    /// Moves on past a page, to the earlier of the last two orders: the time of a single
    /// one may not be the one that it is listed by, and what is passed over on its word
    /// is lost. `time` returns an order's time if it can be one of the list's.
    pub(super) fn pass(&mut self, batch: &Batch, time: impl Fn(&Given) -> Option<Timestamp>) {
        let before = self.at;
        for time in batch.given().iter().filter_map(&time) {
            let two = self.last.map(|last| floor(last.min(time)));
            self.last = Some(time);
            self.at = before.max(two);
        }
        let has_moved = self.at != before;
        if has_moved {
            self.forget();
        }
        for given in batch.given() {
            let is_new = batch.is_new(&given.id);
            let time = time(given);
            let may_come_again = match time {
                Some(_) if time < self.at => is_new && time < before,
                _ => is_new || has_moved,
            };
            if may_come_again {
                self.counted.insert(given.id.clone(), time);
            }
        }
    }

    /// Forgets the orders that lie behind, and some whose times nobody knows if there are
    /// many.
    fn forget(&mut self) {
        let mut unknown = 0;
        self.counted.retain(|_, time| {
            unknown += usize::from(time.is_none());
            match time {
                Some(_) => *time >= self.at,
                None => unknown <= UNKNOWN_MAX,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: u8) -> Timestamp {
        format!("2026-01-01T00:00:{second:02}Z").parse().unwrap()
    }

    /// A place after these pages of orders, which are called by their numbers.
    fn passed(pages: &[&[(u8, Option<u8>)]]) -> (Option<Timestamp>, Vec<String>) {
        let mut place = Place::new(None, &[]);
        for page in pages {
            let given = page.iter().map(|(id, at)| (id.to_string(), at.map(time)));
            place.pass(&Batch::of_new(given), |given| given.created_at);
        }
        (place.at, place.counted())
    }

    #[test]
    fn a_place_is_where_two_orders_say_that_it_is() {
        let one: &[_] = &[(1, Some(1))];
        assert_eq!(passed(&[one]), (None, vec!["1".to_owned()]));
        let two = [(1, Some(1)), (2, Some(2))];
        assert_eq!(passed(&[&two]).0, Some(time(1)));
        // A page of one order goes on with the one before.
        assert_eq!(passed(&[&two, &[(3, Some(50))]]).0, Some(time(2)));
        assert_eq!(
            passed(&[&two, &[(3, Some(50))], &[(4, Some(4))]]).0,
            Some(time(4))
        );
        // One of a wrong time at any place on the page.
        for wrong in 0..3 {
            let mut page = [(1, Some(1)), (2, Some(2)), (3, Some(3))];
            page[wrong].1 = Some(50);
            assert!(passed(&[&page]).0 <= Some(time(3)), "{wrong}");
        }
        assert_eq!(passed(&[&[(1, None), (2, None)]]).0, None);
    }

    #[test]
    fn counted_orders_are_kept_as_long_as_they_may_come_again() {
        // Two orders of one moment, on two pages.
        let pages: [&[_]; 2] = [&[(1, Some(1)), (2, Some(2))], &[(3, Some(2)), (4, Some(2))]];
        assert_eq!(passed(&pages), (Some(time(2)), ids(&[2, 3, 4])));
        let next: &[_] = &[(5, Some(5)), (6, Some(6))];
        assert_eq!(
            passed(&[pages[0], pages[1], next]),
            (Some(time(5)), ids(&[5, 6]))
        );
        let unknown: &[_] = &[(1, None), (2, Some(2)), (3, Some(3))];
        assert_eq!(passed(&[unknown, next]), (Some(time(5)), ids(&[1, 5, 6])));
    }

    fn ids(numbers: &[u8]) -> Vec<String> {
        numbers.iter().map(u8::to_string).collect()
    }
}
