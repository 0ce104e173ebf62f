//! The client: its connections and its limits. Each list has its own method,
//! named as Square names it (`locations`, `catalog`, …).
//!
//! A copy made by `for_step` shares connections and limits with the original, but
//! counts for itself and knows when the step has to end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use super::counters::{Counters, Tally};
use super::pace::Pace;
use super::retry::Policy;
use crate::error::SyncError;
use crate::settings::Settings;
use crate::web::is_loopback;

/// The version of Square's API that the wire types were written for.
const SQUARE_VERSION: &str = "2026-07-15";
const USER_AGENT: &str = concat!("square-sync/", env!("CARGO_PKG_VERSION"));

/// An idle connection is dropped after this time: a Lambda that was frozen must
/// not wait for an answer on a connection that died meanwhile.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(20);

/// A client of one Square account. Copies are cheap and share connections,
/// limits and counters.
#[derive(Clone)]
pub struct Square {
    pub(super) link: Arc<Link>,
    pub(super) tally: Arc<Tally>,
    pub(super) deadline: Option<Instant>,
    pub(super) pace: Arc<Pace>,
}

/// The parts of a client that all its copies share.
pub(super) struct Link {
    pub(super) http: reqwest::Client,
    pub(super) base_url: Url,
    pub(super) token: SecretString,
    /// The account's limit.
    pub(super) per_second: f64,
    pub(super) permits: Semaphore,
    pub(super) policy: Policy,
}

impl Square {
    /// A client with the token, address and limits of `settings`. It connects
    /// with the first request.
    ///
    /// # Errors
    /// `ConfigInvalid` if a setting cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, SyncError> {
        Self::with_policy(settings, Policy::default())
    }

    pub(super) fn with_policy(settings: &Settings, policy: Policy) -> Result<Self, SyncError> {
        let per_second = f64::from(settings.square_max_requests_per_second.max(1));
        let permits = usize::try_from(settings.square_concurrency.max(1)).unwrap_or(1);
        Ok(Self {
            link: Arc::new(Link {
                http: http_client(settings, &policy, permits)?,
                base_url: settings.square_base_url.clone(),
                token: settings.square_access_token.clone(),
                per_second,
                permits: Semaphore::new(permits),
                policy,
            }),
            tally: Arc::default(),
            deadline: None,
            pace: Arc::new(Pace::new(per_second)),
        })
    }

    /// A copy whose requests, with their repetitions, all end by `deadline`. Its
    /// counters are its own and start at zero; the limits stay shared.
    #[must_use]
    pub fn for_step(&self, deadline: Instant) -> Self {
        Self {
            link: Arc::clone(&self.link),
            tally: Arc::default(),
            deadline: Some(deadline),
            pace: Arc::clone(&self.pace),
        }
    }

    /// A copy that sends nothing before it has a share of the account's limit, and
    /// then keeps to that. Its counters go on.
    #[must_use]
    pub fn sharing(&self) -> Self {
        Self {
            pace: Arc::new(Pace::new(0.0)),
            ..self.clone()
        }
    }

    /// Gives this copy, and the copies of it, that part of the account's limit: from
    /// 0, for none, to 1.
    pub fn set_share(&self, share: f64) {
        self.pace.set(share * self.link.per_second);
    }

    /// Waits until a request wants to be sent.
    pub async fn asks(&self) {
        self.pace.asked().await;
    }

    /// Returns the cost of this copy's requests so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.tally.read()
    }

    /// Returns how many characters of this copy's answers were taken out or replaced so far,
    /// because PostgreSQL cannot hold them.
    #[must_use]
    pub fn cleaned(&self) -> u64 {
        self.tally.cleaned.load(Ordering::Relaxed)
    }
}

/// Neither the token nor an address with credentials in it belongs into a log.
impl fmt::Debug for Square {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Square")
            .field("host", &self.link.base_url.host_str())
            .field("deadline", &self.deadline)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

fn http_client(
    settings: &Settings,
    policy: &Policy,
    connections: usize,
) -> Result<reqwest::Client, SyncError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config()?)
        .user_agent(USER_AGENT)
        .default_headers(headers(&settings.square_access_token)?)
        .connect_timeout(policy.connect_timeout)
        .read_timeout(policy.read_timeout)
        .pool_idle_timeout(IDLE_CONNECTION_MAX)
        .pool_max_idle_per_host(connections)
        // One request a connection at a time: with the few that we allow at once,
        // HTTP/2 gains nothing, and its one connection would be a single point of
        // failure after a freeze.
        .http1_only()
        // `body` unpacks, because it counts the bytes on the wire.
        .no_gzip()
        // Square never redirects, and the token must not follow one.
        .redirect(reqwest::redirect::Policy::none());
    // A proxy of the environment cannot reach our own loopback address.
    let builder = if is_loopback(&settings.square_base_url) {
        builder.no_proxy()
    } else {
        builder
    };
    builder
        .build()
        .map_err(|error| SyncError::Internal(format!("the HTTP client cannot be built: {error}")))
}

/// Square's certificate is checked against the bundled roots of Mozilla's
/// programme, because Lambda's runtime image promises no certificate store.
fn tls_config() -> Result<rustls::ClientConfig, SyncError> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SyncError::Internal(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn headers(token: &SecretString) -> Result<HeaderMap, SyncError> {
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| {
            SyncError::config(
                "SQUARE_ACCESS_TOKEN",
                "holds a character that no access token has (a line break, for example)",
            )
        })?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, bearer),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        (
            reqwest::header::HeaderName::from_static("square-version"),
            HeaderValue::from_static(SQUARE_VERSION),
        ),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_does_not_show_among_the_headers() {
        let headers = headers(&SecretString::from("very-secret")).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer very-secret");
        assert!(!format!("{headers:?}").contains("very-secret"));
    }
}
