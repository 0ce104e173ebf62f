//! The locations' columns, and where their rows keep the values.

use super::rows::LocationRow;
use crate::staging::column::{Column, column};

/// The columns of `locations`.
pub(crate) const COLUMNS: [Column<LocationRow>; 24] = [
    column("id", |row| &row.id),
    column("name", |row| &row.name),
    column("business_name", |row| &row.business_name),
    column("type", |row| &row.location_type),
    column("status", |row| &row.status),
    column("address_line_1", |row| &row.address_line_1),
    column("address_line_2", |row| &row.address_line_2),
    column("address_line_3", |row| &row.address_line_3),
    column("locality", |row| &row.locality),
    column("administrative_district_level_1", |row| {
        &row.administrative_district_level_1
    }),
    column("postal_code", |row| &row.postal_code),
    column("country", |row| &row.country),
    column("timezone", |row| &row.timezone),
    column("currency", |row| &row.currency),
    column("language_code", |row| &row.language_code),
    column("phone_number", |row| &row.phone_number),
    column("business_email", |row| &row.business_email),
    column("website_url", |row| &row.website_url),
    column("latitude", |row| &row.latitude),
    column("longitude", |row| &row.longitude),
    column("mcc", |row| &row.mcc),
    column("merchant_id", |row| &row.merchant_id),
    column("capabilities", |row| &row.capabilities),
    column("created_at", |row| &row.created_at),
];

/// The columns of a staged location.
pub(crate) const STAGED: &[&[Column<LocationRow>]] = &[&[column("seq", |row| &row.seq)], &COLUMNS];
