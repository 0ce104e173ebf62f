//! The sizes of the accounts that are measured.

use std::fmt;

/// The number of each kind of object that a simulated account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) name: &'static str,
    locations: u32,
    categories: u32,
    pub(super) items: u32,
    pub(super) variations: u32,
    pub(super) counts: u32,
    pub(super) orders: u32,
}

const FULL: Size = Size {
    name: "full",
    locations: 10,
    categories: 500,
    items: 20_000,
    variations: 50_000,
    counts: 500_000,
    orders: 200_000,
};

/// Returns the smaller account and the one of twice its size; both a tenth as large
/// where it has to be quick.
pub(super) fn half_and_full(is_quick: bool) -> [Size; 2] {
    let full = if is_quick { FULL.divided(10) } else { FULL };
    let half = Size {
        name: "half",
        ..full.divided(2)
    };
    [half, full]
}

impl Size {
    /// A part of it; locations and categories hardly grow with a shop.
    fn divided(self, by: u32) -> Self {
        Self {
            items: self.items / by,
            variations: self.variations / by,
            counts: self.counts / by,
            orders: self.orders / by,
            ..self
        }
    }

    /// The simulator's arguments.
    pub(super) fn sim_args(&self) -> Vec<String> {
        vec![
            format!("--locations={}", self.locations),
            format!("--categories={}", self.categories),
            format!("--items={}", self.items),
            format!("--variations={}", self.variations),
            format!("--counts={}", self.counts),
            format!("--orders={}", self.orders),
        ]
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} locations, {} categories, {} items, {} variations, {} counts, {} orders",
            self.locations, self.categories, self.items, self.variations, self.counts, self.orders
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_account_is_twice_the_first() {
        for is_quick in [false, true] {
            let [half, full] = half_and_full(is_quick);
            assert_eq!([half.name, full.name], ["half", "full"]);
            assert_eq!(half.items * 2, full.items);
            assert_eq!(half.variations * 2, full.variations);
            assert_eq!(half.counts * 2, full.counts);
            assert_eq!(half.orders * 2, full.orders);
            assert_eq!(half.locations, full.locations);
            assert_eq!(half.categories, full.categories);
        }
        assert_eq!(half_and_full(true)[1].orders, 20_000);
    }

    #[test]
    fn the_simulator_is_told_every_number() {
        let [half, _] = half_and_full(false);
        assert_eq!(
            half.sim_args().join(" "),
            "--locations=10 --categories=500 --items=10000 --variations=25000 \
             --counts=250000 --orders=100000"
        );
    }
}
