//! Seeded locations: complete ones, a mobile one without an address, and, where there
//! are enough, an inactive one and one abroad with a currency of its own.

use serde_json::{Value, json};

use super::{CURRENCY, years_ago};
use crate::config::Config;
use crate::moment;
use crate::random::{self, Stream, one_in, pick};

const PLACES: &[(&str, &str, &str, &str, f64, f64)] = &[
    (
        "San Francisco",
        "CA",
        "94103",
        "America/Los_Angeles",
        37.773_972,
        -122.431_297,
    ),
    (
        "New York",
        "NY",
        "10013",
        "America/New_York",
        40.719_7,
        -74.002_1,
    ),
    (
        "Chicago",
        "IL",
        "60607",
        "America/Chicago",
        41.875_555,
        -87.651_1,
    ),
    (
        "Phoenix",
        "AZ",
        "85003",
        "America/Phoenix",
        33.448_376,
        -112.074_036,
    ),
    (
        "Honolulu",
        "HI",
        "96813",
        "Pacific/Honolulu",
        21.309_886,
        -157.858_14,
    ),
    (
        "Sydney",
        "NSW",
        "2000",
        "Australia/Sydney",
        -33.868_82,
        151.209_29,
    ),
];

/// The location of that number, as Square gives it.
pub(crate) fn location(config: &Config, number: usize, merchant_id: &str) -> Value {
    let mut rng = random::stream(config.seed, Stream::Location, number);
    let now = moment::of(config.now).unwrap_or_default();
    let created_at =
        random::moment(&mut rng, years_ago(now, 9), years_ago(now, 4)) / 1_000_000 * 1_000_000;
    let (city, state, postal_code, timezone, latitude, longitude) = PLACES[number % PLACES.len()];
    let (country, currency) = match city {
        "Sydney" => ("AU", "AUD"),
        _ => ("US", CURRENCY),
    };
    let id = format!("L{}", random::id(&mut rng, 12));
    let mut location = json!({
        "id": id,
        "name": format!("{city} № {}", number + 1),
        "timezone": timezone,
        "capabilities": ["CREDIT_CARD_PROCESSING", "AUTOMATIC_TRANSFERS"],
        "status": if config.locations >= 4 && number == 3 { "INACTIVE" } else { "ACTIVE" },
        "created_at": moment::square(created_at),
        "merchant_id": merchant_id,
        "country": country,
        "language_code": pick(&mut rng, &["en-US", "es-US", "en"]),
        "currency": currency,
        "type": "PHYSICAL",
        "business_name": "Café Zoë & Söhne 東京",
        "phone_number": format!("+1 650-555-{:04}", rng.u32(0..10_000)),
        "business_email": format!("shop{number}@example.com"),
        "website_url": format!("https://example.com/shops/{number}"),
        "mcc": "5814",
        "business_hours": {"periods": [
            {"day_of_week": "MON", "start_local_time": "08:00:00", "end_local_time": "18:30:00"},
        ]},
    });
    if number % 5 == 2 {
        location["type"] = json!("MOBILE");
        location["business_email"] = Value::Null;
        if let Value::Object(fields) = &mut location {
            fields.remove("mcc");
            fields.remove("capabilities");
        }
    } else {
        location["coordinates"] = json!({"latitude": latitude, "longitude": longitude});
        location["address"] = json!({
            "address_line_1": format!("{} Käse Street", rng.u32(1..2_000)),
            "locality": city,
            "administrative_district_level_1": state,
            "postal_code": postal_code,
            "country": country,
        });
        if one_in(&mut rng, 2) {
            location["address"]["address_line_2"] = json!("Suite 4½");
            location["address"]["address_line_3"] = Value::Null;
        }
    }
    if config.drift {
        location["custom_receipt_text"] = json!("Thank you!");
        if number % 5 == 1 {
            location["type"] = json!("VENDING_MACHINE");
            location["capabilities"] = json!(["CREDIT_CARD_PROCESSING", "CRYPTO_PROCESSING"]);
        }
    }
    location
}
