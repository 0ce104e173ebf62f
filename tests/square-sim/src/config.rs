//! What an account looks like: its seed, its sizes and its habits. The same
//! configuration always gives the same account, to the byte, so that a failing
//! test can be repeated and two machines can compare notes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Sizes, seed and habits of a simulated account. Every field has a default,
/// so JSON and callers name only what differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Decides every id, name, price and moment.
    pub seed: u64,
    /// Locations; with four or more, one of them is `INACTIVE`.
    pub locations: usize,
    /// Live categories.
    pub categories: usize,
    /// Live items.
    pub items: usize,
    /// Live variations, at most [`Config::MAX_VARIATIONS_PER_ITEM`] an item.
    pub variations: usize,
    /// Inventory counts, one for each variation, location and state.
    pub counts: usize,
    /// Orders, spread from [`Config::first_order_at`] to [`Config::now`].
    pub orders: usize,
    /// The access token that is accepted.
    pub token: String,
    /// Never give more than this many objects a page, whatever is asked for.
    pub page_limit_cap: Option<usize>,
    /// How long a cursor lives; every page gives a fresh one.
    pub cursor_ttl_seconds: u64,
    /// Compress answers for clients that accept gzip.
    pub gzip: bool,
    /// Seed enum values and fields that Square's published schemas lack. Those
    /// schemas close their enums, so a judge that holds answers to them must
    /// turn this off; a client must live with it on.
    pub drift: bool,
    /// Give short and empty pages now and then where more pages follow.
    pub ragged_pages: bool,
    /// The moment at which the account was seeded: all of it lies before.
    pub now: Timestamp,
    /// The moment of the first order.
    pub first_order_at: Timestamp,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            locations: 4,
            categories: 12,
            items: 320,
            variations: 680,
            counts: 2_000,
            orders: 2_000,
            token: "sim-token".to_owned(),
            page_limit_cap: None,
            cursor_ttl_seconds: 900,
            gzip: true,
            drift: true,
            ragged_pages: true,
            now: Timestamp::constant(1_782_864_000, 0),
            first_order_at: Timestamp::constant(1_514_800_000, 0),
        }
    }
}

/// Why a configuration cannot become an account.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The sizes contradict each other.
    #[error("the account cannot be made: {0}")]
    Impossible(String),
    /// A field is unknown or of the wrong type.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Config {
    /// Square's rule for variations of one item.
    pub const MAX_VARIATIONS_PER_ITEM: usize = 250;
    /// Counts a variation can have at one location, one for each seeded state.
    pub(crate) const STATES_PER_PLACE: usize = 6;

    /// This configuration with some fields replaced.
    ///
    /// # Errors
    /// If a field is unknown, of the wrong type, or leads to an impossible account.
    pub fn with(&self, fields: &serde_json::Map<String, Value>) -> Result<Self, ConfigError> {
        let mut merged = serde_json::to_value(self)?;
        if let Value::Object(all) = &mut merged {
            all.extend(fields.clone());
        }
        let config: Self = serde_json::from_value(merged)?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// Names the first size that cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let places = self.variations.saturating_mul(self.locations);
        let fault = if self.variations > self.items.saturating_mul(Self::MAX_VARIATIONS_PER_ITEM) {
            "an item holds at most 250 variations: ask for more items or fewer variations"
        } else if self.counts > places.saturating_mul(Self::STATES_PER_PLACE) {
            "at most 6 counts fit each variation and location: ask for fewer counts"
        } else if self.orders > 0 && self.locations == 0 {
            "orders need a location"
        } else if self.page_limit_cap == Some(0) {
            "a page_limit_cap of 0 would never end a list"
        } else if self.first_order_at >= self.now {
            "first_order_at must lie before now"
        } else {
            return Ok(());
        };
        Err(ConfigError::Impossible(fault.to_owned()))
    }
}
