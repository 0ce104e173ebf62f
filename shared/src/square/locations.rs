//! Square's locations.

use jiff::Timestamp;
use serde::Deserialize;

use super::client::Square;
use super::endpoint::{Endpoint, Method};
use super::page::Page;
use super::wire::id;
use crate::error::SyncError;

pub(crate) const LIST_LOCATIONS: Endpoint = Endpoint {
    method: Method::Get,
    path: "/v2/locations",
    permission: "MERCHANT_PROFILE_READ",
    array: "locations",
};

/// `Location`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Location {
    #[serde(deserialize_with = "id")]
    pub id: String,
    pub name: Option<String>,
    pub business_name: Option<String>,
    #[serde(rename = "type")]
    pub location_type: Option<String>,
    pub status: Option<String>,
    pub address: Option<Address>,
    pub country: Option<String>,
    pub timezone: Option<String>,
    pub currency: Option<String>,
    pub language_code: Option<String>,
    pub phone_number: Option<String>,
    pub business_email: Option<String>,
    pub website_url: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub mcc: Option<String>,
    pub merchant_id: Option<String>,
    pub capabilities: Option<Vec<String>>,
    pub created_at: Option<Timestamp>,
}

/// `Address`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Address {
    pub address_line_1: Option<String>,
    pub address_line_2: Option<String>,
    pub address_line_3: Option<String>,
    pub locality: Option<String>,
    pub administrative_district_level_1: Option<String>,
    pub postal_code: Option<String>,
    pub country: Option<String>,
}

/// `Coordinates`, in degrees.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Coordinates {
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
}

impl Square {
    /// `ListLocations`: all of them, inactive ones included, in one page.
    ///
    /// # Errors
    /// One of the `Square…` errors; see `request`.
    pub async fn list_locations(&self) -> Result<Page<Location>, SyncError> {
        self.only_page(&LIST_LOCATIONS, &()).await
    }
}
