//! The names of the orders' data types.

/// As a data type, in statistics and in quarantine.
pub(crate) const ORDERS: &str = "orders";
/// The same for the orders' lines.
pub(crate) const LINE_ITEMS: &str = "line_items";
