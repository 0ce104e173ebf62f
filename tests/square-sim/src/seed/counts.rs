//! Seeded inventory counts. Nearly all say what is in stock; the rest give the
//! same variation and location further states, because Square does. Moments are
//! spread over three years, so that few counts share one.

use crate::account::Account;
use crate::account::catalog::VARIATION;
use crate::account::counts::{Count, UNITS_PER_PIECE, decimals_needed};
use crate::config::Config;
use crate::moment::MINUTE;
use crate::random::{self, Stream, one_in};

use super::years_ago;

/// States in the order in which a place gets them.
const STATES: [&str; Config::STATES_PER_PLACE] = [
    "IN_STOCK",
    "RESERVED_FOR_SALE",
    "WASTE",
    "ORDERED_FROM_VENDOR",
    "SOLD_ONLINE",
    "IN_TRANSIT",
];

/// Fills the inventory.
pub(super) fn fill(account: &mut Account) {
    let config = account.config.clone();
    let variations = account.catalog.live(VARIATION);
    let objects: Vec<usize> = variations
        .iter()
        .map(|&place| account.counts.symbol(&account.catalog.get(place).id))
        .collect();
    let ids: Vec<String> = account
        .locations
        .ids()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let locations: Vec<usize> = ids.iter().map(|id| account.counts.symbol(id)).collect();
    let states = STATES.map(|state| account.counts.symbol(state));
    let unknown = account.counts.symbol("ON_LOAN");
    let places = objects.len() * locations.len();
    let stocked = places.min(config.counts - config.counts / 16);
    let stride = coprime_stride(places);
    let (from, to) = (years_ago(account.now, 3), account.now - 10 * MINUTE);
    let mut last = from;
    for number in 0..config.counts {
        let mut rng = random::stream(config.seed, Stream::Count, number);
        let (rank, state) = if number < stocked {
            (number, 0)
        } else {
            (
                (number - stocked) % stocked,
                1 + (number - stocked) / stocked,
            )
        };
        let place = rank * stride % places;
        if !one_in(&mut rng, 200) {
            last = random::moment(&mut rng, from, to);
        }
        let drifts = config.drift && state == 1 && one_in(&mut rng, 12);
        let units = units(&mut rng);
        account.counts.put(Count {
            object: objects[place / locations.len()],
            location: locations[place % locations.len()],
            state: if drifts { unknown } else { states[state] },
            units,
            decimals: decimals(&mut rng, units),
            calculated_at: last,
            raw: None,
        });
    }
}

/// Whole pieces mostly, some by weight, some oversold, some none.
fn units(rng: &mut fastrand::Rng) -> i64 {
    match rng.u8(0..50) {
        0 => -rng.i64(1..20) * UNITS_PER_PIECE,
        1 => -150_000,
        2..5 => rng.i64(0..50_000_000),
        5 => rng.i64(0..5_000) * UNITS_PER_PIECE / 4,
        6..10 => 0,
        _ => rng.i64(1..300) * UNITS_PER_PIECE,
    }
}

/// Square pads some quantities with zeros.
fn decimals(rng: &mut fastrand::Rng, units: i64) -> u8 {
    let needed = decimals_needed(units);
    if needed > 0 && one_in(rng, 2) || one_in(rng, 30) {
        5
    } else {
        needed
    }
}

/// A step that visits every place once before it comes back.
fn coprime_stride(places: usize) -> usize {
    let common = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    [7_919, 104_729, 1_299_709, 1]
        .into_iter()
        .find(|&prime| common(prime, places.max(1)) == 1)
        .unwrap_or(1)
}
