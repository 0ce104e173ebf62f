//! Whether a token is good, and its owner an admin.
//!
//! A token counts if the issuer signed it, for us, and it has not expired; its
//! owner is an admin by a group or a scope. A refusal says which of the two failed
//! and no more; the reason is in the log, without the token.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use reqwest::Url;
use serde_json::{Map, Value};
use shared::error::SyncError;
use shared::web;

use super::jwks::{self, Jwks, Source};
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
    /// The names by which people know them, by their ids.
    clients: HashMap<String, String>,
    group: String,
    group_claim: String,
    scope: String,
}

/// The person, or the machine client, that a token is about.
pub(crate) struct Person {
    pub(crate) name: String,
    /// The issuer's `sub`, which stays the same whatever they are called; empty where a
    /// token has none.
    pub(crate) subject: String,
    pub(crate) admin: bool,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

/// The sign-in that an ID token has to be of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// One that has just begun: the token repeats its nonce.
    SignIn { nonce: &'a str },
    /// One that goes on (OpenID Connect Core, 12.2): the token is about the same person,
    /// and if it has a nonce it is the same one.
    Renewal { subject: &'a str, nonce: &'a str },
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
        let clients: HashMap<String, String> = required(&lookup, "OIDC_CLIENT_IDS")?
            .split(',')
            .filter_map(id_and_name)
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

    /// Whoever shows the access token that these headers carry.
    pub(crate) async fn bearer(&self, headers: &HeaderMap) -> Result<Person, Refusal> {
        let token = self.verify(bearer(headers)?).await?;
        if !token.is_access() {
            return Err(Refusal::BadToken("no access token"));
        }
        if !self.is_given_to_us(&token.claims) {
            return Err(Refusal::BadToken("authorized party"));
        }
        Ok(self.about(&token.claims))
    }

    /// The person whom an ID token for this client is about.
    ///
    /// # Errors
    /// `BadToken` if it is no good, or of another sign-in; `KeysUnavailable` if that
    /// cannot be known.
    pub(crate) async fn person(
        &self,
        id_token: &str,
        client_id: &str,
        expected: Expected<'_>,
    ) -> Result<Person, Refusal> {
        let token = self.verify(id_token).await.inspect_err(|refusal| {
            tracing::warn!(?refusal, "ID token refused");
        })?;
        let is_ours = token.is_id() && is_issued_to(&token.claims, client_id);
        let answers = expected.is_answered_by(&token.claims);
        if !is_ours || !answers {
            tracing::warn!(is_ours, answers, "ID token of another sign-in refused");
            return Err(Refusal::BadToken("another sign-in"));
        }
        Ok(self.about(&token.claims))
    }

    fn about(&self, claims: &Claims) -> Person {
        Person {
            name: self.name_of(claims),
            subject: text(claims, "sub").unwrap_or_default().to_owned(),
            admin: self.is_admin(claims),
            expires_at: claims
                .get("exp")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
        }
    }

    /// A token that the issuer signed, for us, and that is valid now.
    async fn verify(&self, token: &str) -> Result<Token, Refusal> {
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
        validation.set_issuer(&jwks::spellings(&self.issuer));
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Cognito's access tokens have a client and no audience: `is_for_us` knows both.
        validation.validate_aud = false;
        let claims: Claims = decode(token, &key.decoding, &validation)
            .map_err(|error| Refusal::BadToken(reason(&error)))?
            .claims;
        if self.is_for_us(&claims) {
            Ok(Token {
                kind: header.typ.unwrap_or_default(),
                claims,
            })
        } else {
            Err(Refusal::BadToken("audience"))
        }
    }

    fn is_for_us(&self, claims: &Claims) -> bool {
        let audience = claims.get("aud").or_else(|| claims.get("client_id"));
        texts(audience).any(|one| self.clients.contains_key(one))
    }

    /// The caller's name: a person's before a client's, whose id says nothing to people.
    /// Cognito's access and ID tokens have the user name in different claims: whatever
    /// came, it is the same person's.
    fn name_of(&self, claims: &Claims) -> String {
        ["username", "cognito:username", "email", "client_id", "sub"]
            .into_iter()
            .filter_map(|claim| claims.get(claim).and_then(Value::as_str))
            .find(|name| !name.trim().is_empty())
            .map_or("unknown", |name| {
                self.clients.get(name).map_or(name, String::as_str)
            })
            .chars()
            .filter(|letter| !letter.is_control())
            .take(NAME_CHARS_MAX)
            .collect()
    }

    /// Whether a token for several audiences was given to a client of ours: any of the
    /// others could show us one that was given to somebody else.
    fn is_given_to_us(&self, claims: &Claims) -> bool {
        let is_shared = texts(claims.get("aud")).count() > 1;
        let party = ["azp", "client_id"]
            .into_iter()
            .find_map(|name| text(claims, name));
        !is_shared || party.is_some_and(|party| self.clients.contains_key(party))
    }

    fn is_admin(&self, claims: &Claims) -> bool {
        has_group(claims.get(&self.group_claim), &self.group)
            || ["scope", "scp"].into_iter().any(|claim| {
                texts(claims.get(claim))
                    .flat_map(|scopes| scopes.split(' '))
                    .any(|scope| scope == self.scope)
            })
    }
}

type Claims = Map<String, Value>;

/// A token that passed.
struct Token {
    /// The header's `typ`.
    kind: String,
    claims: Claims,
}

impl Token {
    /// Whether it is one to call an API with. Where it does not say so, it has what
    /// access tokens have and ID tokens have not; those say who signed in, to the client
    /// alone.
    fn is_access(&self) -> bool {
        if self.is_of_kind("at+jwt") {
            return true;
        }
        let claims = &self.claims;
        let says = text(claims, "token_use").or_else(|| text(claims, "typ"));
        if let Some(says) = says {
            return ["access", "bearer"]
                .iter()
                .any(|kind| says.eq_ignore_ascii_case(kind));
        }
        let has = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
        !has(&["nonce", "at_hash", "c_hash"])
            && has(&["scope", "scp", "client_id", "cid", "appid", "azpacr"])
    }

    /// Whether it may be an ID token: many do not say so.
    fn is_id(&self) -> bool {
        let claims = &self.claims;
        let says = text(claims, "token_use").or_else(|| text(claims, "typ"));
        !self.is_of_kind("at+jwt") && says.is_none_or(|says| says.eq_ignore_ascii_case("id"))
    }

    fn is_of_kind(&self, kind: &str) -> bool {
        let own = self.kind.to_ascii_lowercase();
        own.strip_prefix("application/").unwrap_or(&own) == kind
    }
}

impl Expected<'_> {
    fn is_answered_by(self, claims: &Claims) -> bool {
        let (subject, own) = (text(claims, "sub"), text(claims, "nonce"));
        match self {
            Self::SignIn { nonce } => own == Some(nonce) && subject.is_some(),
            Self::Renewal {
                subject: before,
                nonce,
            } => subject == Some(before) && own.is_none_or(|own| own == nonce),
        }
    }
}

/// Whether an ID token was issued to this client (OpenID Connect Core, 3.1.3.7): one
/// for several audiences names it as the party that asked.
fn is_issued_to(claims: &Claims, client_id: &str) -> bool {
    let audiences: Vec<&str> = texts(claims.get("aud")).collect();
    let party = text(claims, "azp");
    audiences.contains(&client_id) && party.map_or(audiences.len() == 1, |party| party == client_id)
}

/// A claim that is a text, and not an empty one.
fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    let text = claims.get(name)?.as_str()?;
    (!text.is_empty()).then_some(text)
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

/// A client of `OIDC_CLIENT_IDS`: its id, or its name and its id with `=` between them.
fn id_and_name(client: &str) -> Option<(String, String)> {
    let client = client.trim();
    let (name, id) = client.split_once('=').unwrap_or((client, client));
    let (name, id) = (name.trim(), id.trim());
    let name = if name.is_empty() { id } else { name };
    (!id.is_empty()).then(|| (id.to_owned(), name.to_owned()))
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

pub(super) fn address_of(setting: &str, text: &str) -> Result<Url, SyncError> {
    Url::parse(text)
        .ok()
        .filter(web::is_private)
        .ok_or_else(|| SyncError::config(setting, format!("wants {}", web::WANTED)))
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
