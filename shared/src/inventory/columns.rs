//! The counts' columns, and where their rows keep the values.

use jiff::Timestamp;

use super::rows::CountRow;
use crate::staging::column::{Column, column};

/// The columns of `catalog_inventory`.
pub(crate) const COLUMNS: [Column<CountRow>; 7] = [
    column("variation_id", |row| &row.variation_id),
    column("location_id", |row| &row.location_id),
    column("state", |row| &row.state),
    column("quantity", |row| &row.quantity),
    column("calculated_at", |row| &row.calculated_at),
    // Whether its variation is deleted is known only in the database.
    column("is_deleted", |_| &false),
    column("deleted_at", |_| &None::<Timestamp>),
];

/// The columns of a staged count.
pub(crate) const STAGED: &[&[Column<CountRow>]] = &[&[column("seq", |row| &row.seq)], &COLUMNS];
