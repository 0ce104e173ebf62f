//! The issuer's public keys, kept between requests.
//!
//! A token names its key by `kid`. An unknown one makes us ask the issuer again,
//! because keys rotate, but never more often than every few seconds, because
//! anybody can send a token with an invented `kid`. When the issuer is away the
//! keys at hand go on serving.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::error::SyncError;
use shared::web;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// An issuer's key set has a few kilobytes; this only ends what is none.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Withdrawn keys stop working after this time, if the issuer can be reached.
const KEYS_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// The time that an issuer may take; well inside the function's own time-out.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A public key with the one algorithm that it may verify.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) decoding: DecodingKey,
    pub(crate) algorithm: Algorithm,
}

/// The place of the keys.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// At this address.
    Address(Url),
    /// At the address that the issuer's discovery document names.
    Discovery { issuer: String, document: Url },
}

/// No key set was ever received.
#[derive(Debug)]
pub(crate) struct KeysUnavailable;

/// The key set and its cache.
pub(crate) struct Jwks {
    http: reqwest::Client,
    source: Source,
    fetch_interval_min: Duration,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: HashMap<String, Key>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
}

#[derive(Deserialize)]
struct KeySet {
    /// Read one by one: a kind of key that we do not know must not hide the others.
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Jwks {
    /// A cache that asks `source` at most once in `fetch_interval_min`.
    ///
    /// # Errors
    /// `Internal` if the HTTP client cannot be made.
    pub(crate) fn new(source: Source, fetch_interval_min: Duration) -> Result<Self, SyncError> {
        Ok(Self {
            http: http_client()?,
            source,
            fetch_interval_min,
            cache: Mutex::default(),
        })
    }

    /// The key that a token names; none if the issuer has no such key.
    ///
    /// # Errors
    /// `KeysUnavailable` if the issuer never answered.
    pub(crate) async fn key(&self, kid: &str) -> Result<Option<Key>, KeysUnavailable> {
        // Held while fetching, so that one request fetches for all.
        let mut cache = self.cache.lock().await;
        let fresh = cache
            .fetched_at
            .is_some_and(|at| at.elapsed() < KEYS_AGE_MAX);
        if !(fresh && cache.keys.contains_key(kid)) && self.may_fetch(&cache) {
            cache.tried_at = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    cache.keys = keys;
                    cache.fetched_at = Some(Instant::now());
                }
                Err(problem) => {
                    tracing::warn!(%problem, source = ?self.source, "issuer's keys not fetched");
                }
            }
        }
        match cache.keys.get(kid) {
            None if cache.fetched_at.is_none() => Err(KeysUnavailable),
            key => Ok(key.cloned()),
        }
    }

    fn may_fetch(&self, cache: &Cache) -> bool {
        cache
            .tried_at
            .is_none_or(|at| at.elapsed() >= self.fetch_interval_min)
    }

    async fn fetch(&self) -> Result<HashMap<String, Key>, String> {
        let address = match &self.source {
            Source::Address(address) => address.clone(),
            Source::Discovery { issuer, document } => {
                let discovery: Discovery = get(&self.http, document.clone()).await?;
                if !spellings(issuer).contains(&discovery.issuer) {
                    return Err(format!("{document} is another issuer's document"));
                }
                let address = Url::parse(&discovery.jwks_uri).map_err(|error| error.to_string())?;
                if !web::is_private(&address) {
                    return Err(format!(
                        "{document} names keys at an address that is not https"
                    ));
                }
                address
            }
        };
        let set: KeySet = get(&self.http, address).await?;
        Ok(set.keys.into_iter().filter_map(usable).collect())
    }
}

/// An issuer's name with and without a slash at its end. Some have one, it is easily
/// lost on the way into the settings, and both are the same place.
pub(crate) fn spellings(issuer: &str) -> [String; 2] {
    let bare = issuer.strip_suffix('/').unwrap_or(issuer);
    [bare.to_owned(), format!("{bare}/")]
}

/// The JSON at an address of the issuer's.
pub(crate) async fn get<T: DeserializeOwned>(
    http: &reqwest::Client,
    address: Url,
) -> Result<T, String> {
    let unreachable = |error: reqwest::Error| format!("{:?}", error.without_url());
    let mut response = http
        .get(address)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

/// A signing key of a kind that we accept: RSA for RS256, P-256 for ES256. Its
/// kind decides the algorithm, never the token.
fn usable(key: Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let signs = matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    let fits = jwk
        .common
        .key_algorithm
        .is_none_or(|algorithm| algorithm == named);
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    let kid = jwk.common.key_id?;
    (signs && fits).then_some((
        kid,
        Key {
            decoding,
            algorithm,
        },
    ))
}

pub(crate) fn http_client() -> Result<reqwest::Client, SyncError> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SyncError::Internal(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(FETCH_TIMEOUT)
        .timeout(FETCH_TIMEOUT)
        .build()
        .map_err(|error| SyncError::Internal(error.to_string()))
}
