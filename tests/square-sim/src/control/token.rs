//! The access token: what is accepted and what it may do.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::square::refusal::Refusal;

/// Every scope the endpoints ask for.
pub(crate) const SCOPES: [&str; 4] = [
    "MERCHANT_PROFILE_READ",
    "ITEMS_READ",
    "INVENTORY_READ",
    "ORDERS_READ",
];

/// The token that is accepted.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) token: String,
    pub(crate) scopes: Vec<String>,
    /// RFC 3339, by the real clock; none for a personal token.
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked: bool,
    /// The merchant that it is said to be of; without one, the account's own.
    pub(crate) merchant_id: Option<Option<String>>,
}

/// A change of the token; what is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokenChange {
    token: Option<String>,
    scopes: Option<Vec<String>>,
    /// `null` makes it a token that does not expire.
    #[serde(deserialize_with = "given")]
    expires_at: Option<Option<Timestamp>>,
    revoked: Option<bool>,
    /// `null` makes it a token that names no merchant.
    #[serde(deserialize_with = "named")]
    merchant_id: Option<Option<String>>,
}

fn named<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::deserialize(field).map(Some)
}

impl Token {
    /// A personal token with every scope.
    pub(crate) fn personal(token: &str) -> Self {
        let scopes = SCOPES.map(str::to_owned).to_vec();
        Self {
            token: token.to_owned(),
            scopes,
            expires_at: None,
            revoked: false,
            merchant_id: None,
        }
    }

    pub(crate) fn change(&mut self, change: TokenChange) {
        if let Some(token) = change.token {
            self.token = token;
        }
        if let Some(scopes) = change.scopes {
            self.scopes = scopes;
        }
        if let Some(expires_at) = change.expires_at {
            self.expires_at = expires_at.map(|at| format!("{at:.0}"));
        }
        if let Some(revoked) = change.revoked {
            self.revoked = revoked;
        }
        if change.merchant_id.is_some() {
            self.merchant_id = change.merchant_id;
        }
    }

    /// Whether a request with this bearer token may use an endpoint that asks
    /// for this scope.
    pub(crate) fn accept(
        &self,
        bearer: Option<&str>,
        scope: Option<&'static str>,
    ) -> Result<(), Refusal> {
        if bearer != Some(self.token.as_str()) {
            return Err(Refusal::of_status(401));
        }
        let expires_at = self
            .expires_at
            .as_deref()
            .and_then(|at| at.parse::<Timestamp>().ok());
        let unauthorized =
            |code, detail| Err(Refusal::new(401, "AUTHENTICATION_ERROR", code, detail));
        if self.revoked {
            return unauthorized("ACCESS_TOKEN_REVOKED", "The access token has been revoked.");
        }
        if expires_at.is_some_and(|at| at <= Timestamp::now()) {
            return unauthorized("ACCESS_TOKEN_EXPIRED", "The access token has expired.");
        }
        match scope {
            Some(scope) if !self.scopes.iter().any(|held| held == scope) => {
                let detail = format!(
                    "The merchant has not given your application sufficient permissions to do that. \
                     The merchant must authorize your application for the following scopes: {scope}"
                );
                Err(Refusal::new(
                    403,
                    "AUTHENTICATION_ERROR",
                    "INSUFFICIENT_SCOPES",
                    detail,
                ))
            }
            _ => Ok(()),
        }
    }
}
