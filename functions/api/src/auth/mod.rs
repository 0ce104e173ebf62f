//! The identity of those who ask, and whether they may.
//!
//! A script shows a token of the configured OpenID Connect issuer, which `guard`
//! judges by the issuer's public keys (`jwks`). A browser shows the `session` that
//! signing in made of such a token, with what the `issuer` gave; for whatever changes
//! something it has to come from a page of ours besides (`origin`). Sessions that were
//! `ended` before their time are none.

pub(crate) mod ended;
pub(crate) mod guard;
pub(crate) mod issuer;
pub(crate) mod jwks;
pub(crate) mod origin;
pub(crate) mod session;

use std::time::Duration;

use axum::http::HeaderMap;
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::Key;
use shared::error::SyncError;

use crate::setting::required;
use issuer::Issuer;

pub use ended::{EndedSignIns, STATEMENTS};
pub use guard::Guard;

/// Minutes for which the issuer's word on a person is good, unless the settings say.
const CHECK_MINUTES: u64 = 15;
/// A session lasts no longer, whatever the issuer says.
const CHECK_MINUTES_MAX: u64 = 8 * 60;

/// Everything that signing in needs.
pub struct SignIn {
    pub(crate) issuer: Issuer,
    /// After this time the issuer is asked again about somebody who is signed in, even
    /// where its tokens are good for longer: whoever was shut out there is then out here.
    pub(crate) check_after: Duration,
    key: Key,
}

impl SignIn {
    /// Reads the settings: see [`Issuer::read`], `SESSION_KEY`, and
    /// `SIGN_IN_CHECK_MINUTES`.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SyncError> {
        Ok(Self {
            key: session::key(&required(&lookup, "SESSION_KEY")?)?,
            check_after: check_after(required(&lookup, "SIGN_IN_CHECK_MINUTES").ok())?,
            issuer: Issuer::read(&lookup)?,
        })
    }

    /// The cookies of a request, opened.
    pub(crate) fn jar(&self, headers: &HeaderMap) -> PrivateCookieJar {
        PrivateCookieJar::from_headers(headers, self.key.clone())
    }
}

fn check_after(minutes: Option<String>) -> Result<Duration, SyncError> {
    let minutes = match minutes {
        None => CHECK_MINUTES,
        Some(text) => text
            .parse()
            .ok()
            .filter(|minutes| (1..=CHECK_MINUTES_MAX).contains(minutes))
            .ok_or_else(|| {
                let problem = format!("wants whole minutes, 1 to {CHECK_MINUTES_MAX}");
                SyncError::config("SIGN_IN_CHECK_MINUTES", problem)
            })?,
    };
    Ok(Duration::from_secs(60 * minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_asked_again_within_minutes_at_least_every_eight_hours() {
        let read = |text: Option<&str>| check_after(text.map(str::to_owned));
        assert_eq!(read(None).unwrap(), Duration::from_secs(900));
        assert_eq!(read(Some("1")).unwrap(), Duration::from_secs(60));
        for wrong in ["0", "481", "-1", "1.5", "an hour"] {
            let error = read(Some(wrong)).unwrap_err().to_string();
            assert!(error.starts_with("SIGN_IN_CHECK_MINUTES"), "{error}");
        }
    }
}
