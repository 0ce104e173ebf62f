//! The types that Square's objects have in common; each list's own stand with it.
//!
//! Every enum is text and every field is optional but those without which there
//! is no row, because Square adds fields and values without a new version, and
//! leaves out what its own schema calls required. A value that does not fit fails
//! its object alone (see `page.rs`). Names are Square's.

use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The longest id that is read, in bytes. Square's own have 192 at most; a longer
/// one would not fit the indexes that ids stand in.
pub const ID_BYTES_MAX: usize = 255;

/// An amount in the currency's smallest unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

/// Reads what is good to know and no data: nothing, if it cannot be read.
pub(super) fn or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    source: D,
) -> Result<Option<T>, D::Error> {
    let json = Box::<RawValue>::deserialize(source)?;
    Ok(serde_json::from_str(json.get()).unwrap_or_default())
}

/// An id, or what else a row is found by: never empty, and never too long for an index.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(D::Error::custom("not an id"));
    }
    Ok(text)
}

/// A reference, which an index serves as well.
pub(super) fn optional_id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if text.as_ref().is_some_and(|text| text.len() > ID_BYTES_MAX) {
        return Err(D::Error::custom("not an id"));
    }
    Ok(text)
}

/// Square's decimals are text; one that we could only hold rounded is refused.
pub(super) fn exact_decimal<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Decimal, D::Error> {
    let text = String::deserialize(deserializer)?;
    Decimal::from_str_exact(&text)
        .map(|decimal| decimal.normalize())
        .map_err(|_| D::Error::custom("not a decimal that can be held exactly"))
}
