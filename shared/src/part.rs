//! The parts of an account that the sync copies: the one list of them. Each one's
//! definition stands in `account`.

use serde::{Deserialize, Serialize};

/// A part of the account, which a complete sync can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Locations,
    Catalog,
    Inventory,
    Orders,
}

impl Part {
    /// In the order in which they depend on each other.
    pub const ALL: [Self; 4] = [
        Self::Locations,
        Self::Catalog,
        Self::Inventory,
        Self::Orders,
    ];

    /// The name in requests, steps and states' inputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Locations => "locations",
            Self::Catalog => "catalog",
            Self::Inventory => "inventory",
            Self::Orders => "orders",
        }
    }

    /// Whether its step stages what Square lists, for a refresh to replace and a
    /// preview to show. What is not staged is written page by page.
    #[must_use]
    pub fn is_staged(self) -> bool {
        match self {
            Self::Locations | Self::Catalog | Self::Inventory => true,
            Self::Orders => false,
        }
    }

    /// Returns the parts that a complete sync is made of. Orders join it by request,
    /// and in scheduled runs once the history is in.
    #[must_use]
    pub fn staged() -> Vec<Self> {
        let staged = Self::ALL.into_iter();
        staged.filter(|part| part.is_staged()).collect()
    }

    /// The data types that it brings, as figures name them, in their order.
    #[must_use]
    pub fn data_types(self) -> &'static [&'static str] {
        match self {
            Self::Locations => &["locations"],
            Self::Catalog => &["categories", "items", "variations"],
            Self::Inventory => &["inventory"],
            Self::Orders => &["orders", "line_items"],
        }
    }

    /// Returns the place of a data type in the order of the steps; one that is of no
    /// part stands behind all others.
    #[must_use]
    pub fn place_of(data_type: &str) -> usize {
        let mut all = Self::ALL.iter().flat_map(|part| part.data_types());
        all.position(|one| *one == data_type).unwrap_or(usize::MAX)
    }

    /// The part of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    /// serde names every variant when it meets one that it does not know.
    #[test]
    fn the_list_is_complete_and_the_names_are_those_of_requests() {
        let unknown = serde_json::from_str::<Part>("\"?\"")
            .unwrap_err()
            .to_string();
        let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, Part::ALL.map(Part::name), "{unknown}");
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()), Some(part));
        }
    }
}
