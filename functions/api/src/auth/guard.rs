//! Whether a token is good, and its owner an admin.
//!
//! A token counts if the issuer signed it, for us, and it has not expired; its
//! owner is an admin by a group or a scope. A refusal says which of the two failed
//! and no more; the reason is in the log, without the token.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use reqwest::Url;
use serde_json::{Map, Value};
use shared::error::SyncError;

use super::jwks::{Jwks, Source};
use crate::http::error::ApiError;
use crate::setting::required;

/// Between two questions for the issuer's keys.
const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// Clocks differ.
const LEEWAY_SECONDS: u64 = 60;
/// Longer tokens than API Gateway lets through are not looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longer names are cut, for the history and the audit log.
const NAME_CHARS_MAX: usize = 200;

/// The rules by which tokens are judged.
pub struct Guard {
    jwks: Jwks,
    issuer: String,
    clients: HashSet<String>,
    group: String,
    group_claim: String,
    scope: String,
}

/// The person that an ID token is about.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) admin: bool,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

/// Why a caller is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoToken,
    BadToken(&'static str),
    NotAdmin,
    /// A session's request that another site's page may have made.
    CrossSite,
    KeysUnavailable,
}

impl Guard {
    /// Reads the rules: `OIDC_ISSUER`, `OIDC_JWKS_URL`, `OIDC_CLIENT_IDS`,
    /// `ADMIN_GROUP`, `ADMIN_GROUP_CLAIM`, `ADMIN_SCOPE`.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SyncError> {
        let or = |name: &str, default: &str| {
            required(&lookup, name).unwrap_or_else(|_| default.to_owned())
        };
        let issuer = required(&lookup, "OIDC_ISSUER")?;
        let source = match required(&lookup, "OIDC_JWKS_URL") {
            Ok(address) => Source::Address(address_of("OIDC_JWKS_URL", &address)?),
            Err(_) => {
                let document = format!(
                    "{}/.well-known/openid-configuration",
                    issuer.trim_end_matches('/')
                );
                Source::Discovery {
                    document: address_of("OIDC_ISSUER", &document)?,
                    issuer: issuer.clone(),
                }
            }
        };
        let clients: HashSet<String> = required(&lookup, "OIDC_CLIENT_IDS")?
            .split(',')
            .map(|client| client.trim().to_owned())
            .filter(|client| !client.is_empty())
            .collect();
        if clients.is_empty() {
            return Err(SyncError::config("OIDC_CLIENT_IDS", "names no client"));
        }
        Ok(Self {
            jwks: Jwks::new(source, FETCH_INTERVAL_MIN)?,
            issuer,
            clients,
            group: or("ADMIN_GROUP", "admin"),
            group_claim: or("ADMIN_GROUP_CLAIM", "cognito:groups"),
            scope: or("ADMIN_SCOPE", "square-sync/admin"),
        })
    }

    /// The name of the admin whose token these headers carry.
    pub(crate) async fn admin(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let claims = self.verify(bearer(headers)?).await?;
        if self.is_admin(&claims) {
            Ok(name_of(&claims))
        } else {
            tracing::warn!(caller = name_of(&claims), "caller is no admin");
            Err(Refusal::NotAdmin)
        }
    }

    /// The person whom an ID token for this client is about; none if it is no good.
    /// `nonce` is the sign-in's, which its answer must repeat.
    pub(crate) async fn person(
        &self,
        id_token: &str,
        client_id: &str,
        nonce: Option<&str>,
    ) -> Option<Person> {
        let claims = match self.verify(id_token).await {
            Ok(claims) => claims,
            Err(refusal) => {
                tracing::warn!(?refusal, "ID token refused");
                return None;
            }
        };
        let is_ours = texts(claims.get("aud")).any(|audience| audience == client_id);
        let answers = nonce.is_none_or(|nonce| claims.get("nonce").is_some_and(|it| it == nonce));
        if !is_ours || !answers {
            tracing::warn!(is_ours, answers, "ID token of another sign-in refused");
            return None;
        }
        Some(Person {
            name: name_of(&claims),
            admin: self.is_admin(&claims),
            expires_at: claims.get("exp")?.as_i64()?,
        })
    }

    /// The claims of a token that the issuer signed, for us, and that is valid now.
    async fn verify(&self, token: &str) -> Result<Map<String, Value>, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::BadToken("no JWT"))?;
        // Looked at before any key is fetched: junk shall not make us ask the issuer.
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Refusal::BadToken("algorithm"));
        }
        if header.crit.is_some() {
            return Err(Refusal::BadToken("critical extension"));
        }
        let kid = header.kid.ok_or(Refusal::BadToken("no key id"))?;
        let key = self
            .jwks
            .key(&kid)
            .await
            .map_err(|_| Refusal::KeysUnavailable)?
            .ok_or(Refusal::BadToken("unknown key"))?;

        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Cognito's access tokens have a client and no audience: `is_for_us` knows both.
        validation.validate_aud = false;
        let claims: Map<String, Value> = decode(token, &key.decoding, &validation)
            .map_err(|error| Refusal::BadToken(reason(&error)))?
            .claims;
        if self.is_for_us(&claims) {
            Ok(claims)
        } else {
            Err(Refusal::BadToken("audience"))
        }
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let audience = claims.get("aud").or_else(|| claims.get("client_id"));
        texts(audience).any(|one| self.clients.contains(one))
    }

    fn is_admin(&self, claims: &Map<String, Value>) -> bool {
        has_group(claims.get(&self.group_claim), &self.group)
            || ["scope", "scp"].into_iter().any(|claim| {
                texts(claims.get(claim))
                    .flat_map(|scopes| scopes.split(' '))
                    .any(|scope| scope == self.scope)
            })
    }
}

/// The token of `Authorization: Bearer <token>`.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or(Refusal::NoToken)?
        .to_str()
        .map_err(|_| Refusal::BadToken("no text"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let token = token.trim();
            if token.len() > TOKEN_BYTES_MAX {
                return Err(Refusal::BadToken("too long"));
            }
            Ok(token)
        }
        _ => Err(Refusal::NoToken),
    }
}

/// A claim's texts, whether it holds one or a list.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(list)) => (None, Some(list.iter().filter_map(Value::as_str))),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten())
}

/// Whether a claim holds the group: as an element of a list, as the whole text,
/// or inside the `[a b]` into which some gateways flatten a list. A text
/// without brackets is never split, for a group's name may contain spaces.
fn has_group(claim: Option<&Value>, group: &str) -> bool {
    texts(claim).any(|text| text == group)
        || claim
            .and_then(Value::as_str)
            .and_then(|text| text.strip_prefix('[')?.strip_suffix(']'))
            .is_some_and(|inner| {
                inner
                    .split([',', ' '])
                    .any(|one| one.trim_matches('"') == group)
            })
}

/// The caller's name: a person's before a client's.
fn name_of(claims: &Map<String, Value>) -> String {
    ["username", "email", "cognito:username", "client_id", "sub"]
        .into_iter()
        .filter_map(|claim| claims.get(claim).and_then(Value::as_str))
        .find(|name| !name.trim().is_empty())
        .unwrap_or("unknown")
        .chars()
        .filter(|letter| !letter.is_control())
        .take(NAME_CHARS_MAX)
        .collect()
}

/// A word for the log; the library's errors may quote the token.
fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "signature",
        ErrorKind::ExpiredSignature => "expired",
        ErrorKind::ImmatureSignature => "not yet valid",
        ErrorKind::InvalidIssuer => "issuer",
        ErrorKind::InvalidAlgorithm => "algorithm",
        ErrorKind::MissingRequiredClaim(_) => "claim missing",
        _ => "malformed",
    }
}

fn address_of(setting: &str, text: &str) -> Result<Url, SyncError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| SyncError::config(setting, "wants an http or https address"))
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoToken => Self::unauthorized("Bearer"),
            Refusal::BadToken(reason) => {
                tracing::warn!(reason, "token refused");
                Self::unauthorized("Bearer error=\"invalid_token\"")
            }
            Refusal::NotAdmin => Self::forbidden(),
            Refusal::CrossSite => {
                tracing::warn!("cross-site request refused");
                Self::new(
                    StatusCode::FORBIDDEN,
                    "CrossSite",
                    "This was not asked for by a page of this service: send the session's token \
                     as X-CSRF-Token from there, or a bearer token.",
                )
            }
            Refusal::KeysUnavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "SignInUnavailable",
                "Tokens cannot be checked at the moment. Try again; the log says more.",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
