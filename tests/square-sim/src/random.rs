//! Seeded chance. Each thing in the account draws from a stream of its own,
//! found by the account's seed, the kind of thing and its number; so the
//! ten-thousandth order can be made without the ones before it, and asking for
//! more items does not change the locations.

use fastrand::Rng;

use crate::moment::{Nanos, SECOND};

/// Kinds of things, each with streams of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Location = 1,
    Category,
    Item,
    Variation,
    Other,
    Tombstone,
    Count,
    Order,
    OrderId,
    Shuffle,
    Page,
    Pick,
}

/// The stream of one thing.
pub(crate) fn stream(seed: u64, kind: Stream, number: usize) -> Rng {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let kind = mixed(seed ^ mixed(kind as u64));
    Rng::with_seed(mixed(kind ^ mixed(number)))
}

/// True once in `n` draws on average.
pub(crate) fn one_in(rng: &mut Rng, n: usize) -> bool {
    rng.usize(..n.max(1)) == 0
}

/// One of the choices; there must be at least one.
pub(crate) fn pick<'a, T: ?Sized>(rng: &mut Rng, choices: &[&'a T]) -> &'a T {
    choices[rng.usize(..choices.len())]
}

/// An id of Square's look: capital letters and digits.
pub(crate) fn id(rng: &mut Rng, length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..length)
        .map(|_| char::from(ALPHABET[rng.usize(..ALPHABET.len())]))
        .collect()
}

/// A moment in the range, written with zero or two to nine fraction digits,
/// mostly three.
pub(crate) fn moment(rng: &mut Rng, from: Nanos, to: Nanos) -> Nanos {
    const DIGITS: [u32; 12] = [3, 3, 3, 3, 3, 3, 2, 5, 6, 6, 9, 0];
    let at = if from < to { rng.i64(from..to) } else { from };
    let unit = SECOND / 10_i64.pow(DIGITS[rng.usize(..DIGITS.len())]);
    (at.div_euclid(unit) * unit).max(from)
}

fn mixed(number: u64) -> u64 {
    Rng::with_seed(number).u64(..)
}

#[cfg(test)]
mod tests {
    use super::{Stream, id, stream};

    #[test]
    fn streams_differ_by_seed_kind_and_number() {
        let ids = [
            (1, Stream::Item, 0),
            (1, Stream::Item, 1),
            (1, Stream::Variation, 0),
            (2, Stream::Item, 0),
        ]
        .map(|(seed, kind, number)| id(&mut stream(seed, kind, number), 24));
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(id(&mut stream(1, Stream::Item, 0), 24), ids[0]);
    }
}
