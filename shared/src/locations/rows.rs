//! A location of Square as a row.

use jiff::Timestamp;
use serde::Serialize;

use crate::square::Location;

/// A row of `locations`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LocationRow {
    pub seq: i64,
    pub id: String,
    pub name: Option<String>,
    pub business_name: Option<String>,
    pub location_type: Option<String>,
    pub status: Option<String>,
    pub address_line_1: Option<String>,
    pub address_line_2: Option<String>,
    pub address_line_3: Option<String>,
    pub locality: Option<String>,
    pub administrative_district_level_1: Option<String>,
    pub postal_code: Option<String>,
    pub country: Option<String>,
    pub timezone: Option<String>,
    pub currency: Option<String>,
    pub language_code: Option<String>,
    pub phone_number: Option<String>,
    pub business_email: Option<String>,
    pub website_url: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub mcc: Option<String>,
    pub merchant_id: Option<String>,
    pub capabilities: Vec<String>,
    pub created_at: Option<Timestamp>,
}

impl LocationRow {
    /// The row of a location; `seq` is its place in the order of arrival.
    #[must_use]
    pub fn new(location: Location, seq: i64) -> Self {
        let address = location.address.unwrap_or_default();
        let coordinates = location.coordinates.unwrap_or_default();
        Self {
            seq,
            name: location.name,
            business_name: location.business_name,
            location_type: location.location_type,
            status: location.status,
            address_line_1: address.address_line_1,
            address_line_2: address.address_line_2,
            address_line_3: address.address_line_3,
            locality: address.locality,
            administrative_district_level_1: address.administrative_district_level_1,
            postal_code: address.postal_code,
            // The location's own country is where it is registered; only some
            // answers repeat it in the address.
            country: location.country.or(address.country),
            timezone: location.timezone,
            currency: location.currency,
            language_code: location.language_code,
            phone_number: location.phone_number,
            business_email: location.business_email,
            website_url: location.website_url,
            latitude: coordinates.latitude,
            longitude: coordinates.longitude,
            mcc: location.mcc,
            merchant_id: location.merchant_id,
            id: location.id,
            capabilities: location.capabilities.unwrap_or_default(),
            created_at: location.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mobile_location_without_address_is_a_row() {
        let location: Location = serde_json::from_value(json!({
            "id": "L1", "name": "Van", "type": "MOBILE", "status": "SOMETHING_NEW",
            "created_at": "2024-03-01T10:00:00.5Z", "country": "CA", "unheard_of": {"x": 1}
        }))
        .unwrap();
        let row = LocationRow::new(location, 7);
        let expected = LocationRow {
            seq: 7,
            id: "L1".into(),
            name: Some("Van".into()),
            location_type: Some("MOBILE".into()),
            status: Some("SOMETHING_NEW".into()),
            country: Some("CA".into()),
            created_at: Some("2024-03-01T10:00:00.500Z".parse().unwrap()),
            ..LocationRow::default()
        };
        assert_eq!(row, expected);
    }
}
