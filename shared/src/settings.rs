//! Every setting of the product, read and checked in one place.
//!
//! A wrong value is reported before anything starts, with the variable's name
//! and what it wants. Values come through a lookup, so that tests need no
//! process environment and secrets can be resolved before.

use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use url::Url;

use crate::error::SyncError;
use crate::web;

/// The settings of one function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Square's bearer token.
    pub square_access_token: SecretString,
    /// Square's address: production, sandbox or an override.
    pub square_base_url: Url,
    /// PostgreSQL's connection string; it holds a password.
    pub database_url: SecretString,
    /// The certificates of those who vouch for the database's server, in PEM, in place
    /// of the authorities that are built in.
    pub database_ca_pem: Option<String>,
    /// Time limit of the locations step.
    pub location_sync_timeout: Duration,
    /// Time limit of the catalog step.
    pub catalog_sync_timeout: Duration,
    /// Time limit of the inventory step.
    pub inventory_sync_timeout: Duration,
    /// Time limit of one call of the orders step.
    pub orders_sync_timeout: Duration,
    /// Catalog objects a page (1 to 1000).
    pub catalog_batch_size: u32,
    /// Inventory counts a page (1 to 1000).
    pub inventory_batch_size: u32,
    /// Orders a page (1 to 1000).
    pub orders_batch_size: u32,
    /// Windows of the order import that are read side by side.
    pub historical_orders_concurrency: u32,
    /// Token-bucket limit on requests to Square.
    pub square_max_requests_per_second: u32,
    /// Requests to Square under way at once.
    pub square_concurrency: u32,
    /// Age of the last reconcile from which a run lists everything again.
    pub reconcile_after: Duration,
    /// Nights in which all orders of the past are read again; 0 for none.
    pub scrub_days: u32,
    /// Share of a table's live rows, in per cent, that a run may delete unasked.
    pub deletion_guard_percent: u32,
    /// Replaced accounts that a full refresh keeps.
    pub backups_kept: u32,
    /// Bytes that the database may grow to; none means no limit.
    pub database_storage_limit_bytes: Option<u64>,
}

impl Settings {
    /// Reads the settings through `lookup`, which returns a variable's value.
    ///
    /// # Errors
    /// `ConfigInvalid` for the first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SyncError> {
        let source = Source { lookup: &lookup };
        Ok(Self {
            square_access_token: source.required("SQUARE_ACCESS_TOKEN")?.into(),
            square_base_url: source.square_base_url()?,
            database_url: source.required("DATABASE_URL")?.into(),
            database_ca_pem: source.optional("DATABASE_CA_PEM"),
            location_sync_timeout: source.seconds("LOCATION_SYNC_TIMEOUT", 300)?,
            catalog_sync_timeout: source.seconds("CATALOG_SYNC_TIMEOUT", 600)?,
            inventory_sync_timeout: source.seconds("INVENTORY_SYNC_TIMEOUT", 600)?,
            orders_sync_timeout: source.seconds("ORDERS_SYNC_TIMEOUT", 840)?,
            catalog_batch_size: source.number("CATALOG_BATCH_SIZE", 1000, 1, 1000)?,
            inventory_batch_size: source.number("INVENTORY_BATCH_SIZE", 500, 1, 1000)?,
            orders_batch_size: source.number("ORDERS_BATCH_SIZE", 500, 1, 1000)?,
            historical_orders_concurrency: source.number(
                "HISTORICAL_ORDERS_CONCURRENCY",
                4,
                1,
                40,
            )?,
            square_max_requests_per_second: source.number(
                "SQUARE_MAX_REQUESTS_PER_SECOND",
                10,
                1,
                1000,
            )?,
            square_concurrency: source.number("SQUARE_CONCURRENCY", 4, 1, 64)?,
            reconcile_after: source.duration("RECONCILE_AFTER", "24h")?,
            scrub_days: source.scrub_days()?,
            deletion_guard_percent: source.number("DELETION_GUARD_PERCENT", 30, 0, 100)?,
            backups_kept: source.backups_kept()?,
            database_storage_limit_bytes: source.bytes("DATABASE_STORAGE_LIMIT_BYTES")?,
        })
    }

    /// `BACKUPS_KEPT` alone, for who needs no other setting.
    ///
    /// # Errors
    /// `ConfigInvalid` if it is wrong.
    pub fn read_backups_kept(lookup: impl Fn(&str) -> Option<String>) -> Result<u32, SyncError> {
        Source { lookup: &lookup }.backups_kept()
    }

    /// `SCRUB_DAYS` alone, likewise.
    ///
    /// # Errors
    /// `ConfigInvalid` if it is wrong.
    pub fn read_scrub_days(lookup: impl Fn(&str) -> Option<String>) -> Result<u32, SyncError> {
        Source { lookup: &lookup }.scrub_days()
    }
}

/// A lookup with the rules for reading values; an empty value counts as unset,
/// because templates cannot leave a variable out.
struct Source<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<String, SyncError> {
        self.optional(name)
            .ok_or_else(|| SyncError::config(name, "is not set"))
    }

    fn number(&self, name: &str, default: u32, min: u32, max: u32) -> Result<u32, SyncError> {
        let Some(text) = self.optional(name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(SyncError::config(
                name,
                format!("is \"{text}\" and wants a whole number from {min} to {max}"),
            )),
        }
    }

    fn backups_kept(&self) -> Result<u32, SyncError> {
        self.number("BACKUPS_KEPT", 3, 0, 1000)
    }

    fn scrub_days(&self) -> Result<u32, SyncError> {
        self.number("SCRUB_DAYS", 90, 0, 3650)
    }

    fn seconds(&self, name: &str, default: u32) -> Result<Duration, SyncError> {
        Ok(Duration::from_secs(
            self.number(name, default, 1, 900)?.into(),
        ))
    }

    fn bytes(&self, name: &str) -> Result<Option<u64>, SyncError> {
        let Some(text) = self.optional(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            SyncError::config(
                name,
                format!("is \"{text}\" and wants a whole number of bytes, or nothing"),
            )
        })
    }

    fn duration(&self, name: &str, default: &str) -> Result<Duration, SyncError> {
        let text = self.optional(name).unwrap_or_else(|| default.to_owned());
        text.parse::<SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .ok_or_else(|| {
                SyncError::config(
                    name,
                    format!("is \"{text}\" and wants a duration such as \"24h\" or \"90m\""),
                )
            })
    }

    fn square_base_url(&self) -> Result<Url, SyncError> {
        let environment = self.optional("SQUARE_ENVIRONMENT");
        let host = match environment.as_deref() {
            None | Some("production") => "https://connect.squareup.com",
            Some("sandbox") => "https://connect.squareupsandbox.com",
            Some(other) => {
                return Err(SyncError::config(
                    "SQUARE_ENVIRONMENT",
                    format!("is \"{other}\" and wants \"production\" or \"sandbox\""),
                ));
            }
        };
        let text = self
            .optional("SQUARE_BASE_URL")
            .unwrap_or_else(|| host.to_owned());
        // Not quoted: it may hold a password.
        let wrong = |problem: String| SyncError::config("SQUARE_BASE_URL", problem);
        let url = Url::parse(&text).ok().filter(web::is_private);
        let url = url.ok_or_else(|| wrong(format!("wants {}", web::WANTED)))?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain {
            // An address is shown where settings are, and in messages.
            let problem = "wants no user, password, parameter or fragment in its address";
            return Err(wrong(problem.to_owned()));
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Settings, SyncError> {
        let base = [
            ("SQUARE_ACCESS_TOKEN", "t"),
            ("DATABASE_URL", "postgres://h/d"),
        ];
        Settings::read(|name| {
            changes
                .iter()
                .chain(&base)
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = read(&[]).unwrap();
        assert_eq!(
            settings.square_base_url.as_str(),
            "https://connect.squareup.com/"
        );
        assert_eq!(settings.catalog_batch_size, 1000);
        assert_eq!(settings.inventory_batch_size, 500);
        assert_eq!(settings.reconcile_after, Duration::from_secs(24 * 60 * 60));
        assert_eq!(settings.database_storage_limit_bytes, None);
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_what_it_wants() {
        for (name, value) in [
            ("SQUARE_ACCESS_TOKEN", " "),
            ("SQUARE_ENVIRONMENT", "prod"),
            ("SQUARE_BASE_URL", "not a url"),
            ("SQUARE_BASE_URL", "http://square.example"),
            ("CATALOG_SYNC_TIMEOUT", "0"),
            ("INVENTORY_BATCH_SIZE", "1001"),
            ("SQUARE_CONCURRENCY", "many"),
            ("RECONCILE_AFTER", "-1h"),
            ("SCRUB_DAYS", "-1"),
            ("DELETION_GUARD_PERCENT", "101"),
            ("DATABASE_STORAGE_LIMIT_BYTES", "1 GB"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.name(), "ConfigInvalid");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_token_goes_in_clear_to_this_machine_alone() {
        for url in [
            "http://127.0.0.1:9",
            "http://localhost:9",
            "https://h.example",
            "https://h.example/a@b",
        ] {
            read(&[("SQUARE_BASE_URL", url)]).unwrap();
        }
        for url in ["http://u:hidden@h.example", "http://square.localhost"] {
            let error = read(&[("SQUARE_BASE_URL", url)]).unwrap_err();
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let settings = read(&[
            ("SQUARE_ACCESS_TOKEN", "very-secret"),
            ("DATABASE_URL", "postgres://u:very-secret@h/d"),
        ]);
        assert!(!format!("{:?}", settings.unwrap()).contains("very-secret"));
        // An address shows as it is, so that it may hold none.
        for url in [
            "https://u:very-secret@h.example",
            "https://very-secret@h.example",
            "https://:very-secret@h.example",
            "http://u:very-secret@127.0.0.1:9/",
            "https://h.example?key=very-secret",
            "https://h.example/#very-secret",
        ] {
            let error = read(&[("SQUARE_BASE_URL", url)]).unwrap_err().to_string();
            assert!(
                error.contains("SQUARE_BASE_URL") && !error.contains("very"),
                "{error}"
            );
        }
    }
}
