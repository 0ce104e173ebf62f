//! An inventory count of Square as a row.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::square::InventoryCount;

/// A row of `catalog_inventory`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountRow {
    pub seq: i64,
    pub variation_id: String,
    pub location_id: String,
    pub state: String,
    pub quantity: Decimal,
    pub calculated_at: Option<Timestamp>,
}

impl CountRow {
    /// The row of a count; `seq` is its place in the order of arrival.
    #[must_use]
    pub fn new(count: InventoryCount, seq: i64) -> Self {
        Self {
            seq,
            variation_id: count.catalog_object_id,
            location_id: count.location_id,
            state: count.state,
            quantity: count.quantity,
            calculated_at: count.calculated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_quantity_is_exact_and_may_be_negative() {
        for (text, expected) in [("-1.50000", "-1.5"), ("0.00001", "0.00001"), ("12", "12")] {
            let count: InventoryCount = serde_json::from_value(json!({
                "catalog_object_id": "V", "location_id": "L", "state": "IN_STOCK", "quantity": text
            }))
            .unwrap();
            let row = CountRow::new(count, 1);
            assert_eq!(row.quantity.to_string(), expected);
        }
    }

    #[test]
    fn a_count_without_a_usable_quantity_is_no_row() {
        for quantity in [json!(null), json!("many"), json!(1.5)] {
            let count = serde_json::from_value::<InventoryCount>(json!({
                "catalog_object_id": "V", "location_id": "L", "state": "IN_STOCK", "quantity": quantity
            }));
            assert!(count.is_err());
        }
    }
}
