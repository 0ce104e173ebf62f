//! The identity of those who ask, and whether they may.
//!
//! A script shows a token of the configured OpenID Connect issuer, which `guard`
//! judges by the issuer's public keys (`jwks`). A browser shows the `session` that
//! signing in made of such a token, with what the `issuer` gave; for whatever changes
//! something it has to come from a page of ours besides (`origin`).

pub(crate) mod guard;
pub(crate) mod issuer;
pub(crate) mod jwks;
pub(crate) mod origin;
pub(crate) mod session;

use axum::http::HeaderMap;
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::Key;
use shared::error::SyncError;

use crate::setting::required;
use issuer::Issuer;

pub use guard::Guard;

/// Everything that signing in needs.
pub struct SignIn {
    pub(crate) issuer: Issuer,
    key: Key,
}

impl SignIn {
    /// Reads the settings: see [`Issuer::read`], and `SESSION_KEY`.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SyncError> {
        Ok(Self {
            key: session::key(&required(&lookup, "SESSION_KEY")?)?,
            issuer: Issuer::read(&lookup)?,
        })
    }

    /// The cookies of a request, opened.
    pub(crate) fn jar(&self, headers: &HeaderMap) -> PrivateCookieJar {
        PrivateCookieJar::from_headers(headers, self.key.clone())
    }
}
