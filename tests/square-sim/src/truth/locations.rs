//! The rows of `locations`: those on the list, inactive ones included.

use serde_json::Value;

use super::reader::{Reader, Row};
use super::{Truth, Wanted};
use crate::account::Account;

pub(super) fn tables(account: &Account, wanted: &Wanted, truth: &mut Truth) {
    let mut rows = Vec::new();
    for location in account.locations.listed() {
        match row(&location.json) {
            Ok(row) => {
                truth.locations.insert(location.id.clone());
                rows.push(row);
            }
            Err(reason) => truth.set_aside("locations", &location.id, reason),
        }
    }
    if !wanted.fresh {
        truth
            .locations
            .extend(account.locations.removed().map(str::to_owned));
    }
    truth.table("locations", rows);
}

fn row(json: &Value) -> Result<Row, String> {
    let mut reader = Reader::new(json);
    reader.key("id", "/id");
    for column in [
        "name",
        "business_name",
        "type",
        "status",
        "country",
        "timezone",
        "currency",
        "language_code",
        "phone_number",
        "business_email",
        "website_url",
        "mcc",
        "merchant_id",
    ] {
        reader.text(column, &format!("/{column}"));
    }
    for column in [
        "address_line_1",
        "address_line_2",
        "address_line_3",
        "locality",
        "administrative_district_level_1",
        "postal_code",
    ] {
        reader.text(column, &format!("/address/{column}"));
    }
    reader.number("latitude", "/coordinates/latitude");
    reader.number("longitude", "/coordinates/longitude");
    reader.texts("capabilities", "/capabilities");
    reader.time("created_at", "/created_at");
    reader.finish()
}
