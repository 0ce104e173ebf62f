//! The OpenID Connect issuer as a browser's sign-in needs it: where to send the
//! browser, and what its code and refresh token are worth. The tokens themselves
//! are judged by `guard`, whoever brings them.

use std::pin::Pin;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, StandardErrorResponse, StandardTokenResponse,
    TokenResponse, TokenUrl,
};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use shared::error::SyncError;
use shared::web;
use tokio::sync::OnceCell;
use url::form_urlencoded::Serializer;

use super::guard::address_of;
use super::jwks;
use crate::setting::required;

/// An issuer's answer has a few kilobytes of tokens.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The time that somebody who signs out may wait for the issuer.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Refusals that may be none a moment later.
const PASSING: [StatusCode; 2] = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];

/// The field that OpenID Connect adds to OAuth's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

type Client<A = EndpointNotSet, T = EndpointNotSet> = oauth2::Client<
    StandardErrorResponse<oauth2::basic::BasicErrorResponseType>,
    StandardTokenResponse<IdToken, oauth2::basic::BasicTokenType>,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    A,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    T,
>;

/// The issuer, as the settings describe it.
pub(crate) struct Issuer {
    http: reqwest::Client,
    client_id: String,
    client_secret: Option<String>,
    scopes: Vec<String>,
    /// `https://host`, under which browsers see us.
    public_url: String,
    issuer: String,
    given: Endpoints,
    found: OnceCell<Endpoints>,
}

/// The issuer's addresses.
#[derive(Debug, Clone, Default, Deserialize)]
struct Endpoints {
    #[serde(default)]
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
}

/// A sign-in under way: what the browser's answer is checked against.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) state: String,
    pub(crate) nonce: String,
    verifier: String,
    pub(crate) return_to: String,
    pub(crate) began_at: i64,
}

/// The tokens that the issuer gave.
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    pub(crate) refresh_token: Option<String>,
}

/// Why it gave nothing.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It said no: the code or refresh token is used up, or its owner is out.
    No(String),
    /// It could not be asked.
    Unavailable(String),
}

impl Issuer {
    /// Reads `OIDC_ISSUER`, `OIDC_CLIENT_ID`, `OIDC_CLIENT_SECRET`, `OIDC_SCOPES`,
    /// `PUBLIC_URL`, and the endpoints where the issuer's own description is not to
    /// be asked for them.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SyncError> {
        let public_url = required(&lookup, "PUBLIC_URL")?;
        let is_origin = Url::parse(&public_url).is_ok_and(|url| {
            url.origin().ascii_serialization() == public_url && web::is_private_page(&url)
        });
        if !is_origin {
            let problem = "wants an https address such as https://sync.example.com, without a \
path; http is for this machine alone";
            return Err(SyncError::config("PUBLIC_URL", problem));
        }
        let optional = |name: &str| required(&lookup, name).ok();
        let address = |name: &str| {
            optional(name)
                .map(|text| address_of(name, &text).map(|_| text))
                .transpose()
        };
        Ok(Self {
            http: jwks::http_client()?,
            client_id: required(&lookup, "OIDC_CLIENT_ID")?,
            client_secret: optional("OIDC_CLIENT_SECRET"),
            scopes: optional("OIDC_SCOPES")
                .unwrap_or_else(|| "openid email profile".to_owned())
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            public_url,
            issuer: required(&lookup, "OIDC_ISSUER")?,
            given: Endpoints {
                issuer: String::new(),
                authorization_endpoint: address("OIDC_AUTHORIZATION_URL")?,
                token_endpoint: address("OIDC_TOKEN_URL")?,
                end_session_endpoint: address("OIDC_END_SESSION_URL")?,
                revocation_endpoint: address("OIDC_REVOCATION_URL")?,
            },
            found: OnceCell::new(),
        })
    }

    /// The origin under which browsers see us.
    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The client through which people sign in.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Begins a sign-in: the attempt to remember, and where to send the browser, which
    /// asks for the person's password `anew` or goes by a sign-in of its own.
    pub(crate) async fn begin(
        &self,
        return_to: String,
        anew: bool,
    ) -> Result<(Attempt, Url), Refused> {
        let endpoints = self.endpoints().await?;
        let client = self.client(endpoints)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random().into_secret();
        let request = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.scopes.iter().cloned().map(Scope::new))
            .add_extra_param("nonce", &nonce)
            .set_pkce_challenge(challenge);
        let request = if anew {
            request.add_extra_param("prompt", "login")
        } else {
            request
        };
        let (address, state) = request.url();
        let attempt = Attempt {
            state: state.into_secret(),
            nonce,
            verifier: verifier.into_secret(),
            return_to,
            began_at: Timestamp::now().as_second(),
        };
        Ok((attempt, address))
    }

    /// Trades the browser's code for tokens.
    pub(crate) async fn exchange(
        &self,
        code: String,
        attempt: &Attempt,
    ) -> Result<Tokens, Refused> {
        let client = self.client(self.endpoints().await?)?;
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()))
            .request_async(&self.sender())
            .await;
        tokens(answer, None)
    }

    /// A fresh word on a person who signed in before.
    pub(crate) async fn renew(&self, refresh_token: &str) -> Result<Tokens, Refused> {
        let client = self.client(self.endpoints().await?)?;
        let refresh_token = RefreshToken::new(refresh_token.to_owned());
        let answer = client
            .exchange_refresh_token(&refresh_token)
            .request_async(&self.sender())
            .await;
        // An issuer that does not rotate them sends none back.
        tokens(answer, Some(refresh_token.into_secret()))
    }

    /// Has the issuer forget a refresh token, where it offers that (RFC 7009). A
    /// person who signs out does not wait long for it, and is out in any case.
    pub(crate) async fn revoke(&self, refresh_token: &str) {
        let asked = async {
            let Some(address) = self.endpoints().await?.revocation_endpoint.as_deref() else {
                return Ok(());
            };
            let unavailable =
                |error: reqwest::Error| Refused::Unavailable(format!("{:?}", error.without_url()));
            let answer = self.revocation(address, refresh_token).send().await;
            answer
                .map_err(unavailable)?
                .error_for_status()
                .map(|_| ())
                .map_err(|error| Refused::No(format!("{:?}", error.status())))
        };
        let problem = match tokio::time::timeout(REVOKE_TIMEOUT, asked).await {
            Ok(Ok(())) => return,
            Ok(Err(refused)) => format!("{refused:?}"),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(problem, "refresh token not revoked");
    }

    fn revocation(&self, address: &str, refresh_token: &str) -> reqwest::RequestBuilder {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", refresh_token)
            .append_pair("token_type_hint", "refresh_token");
        let request = self
            .http
            .post(address)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = match &self.client_secret {
            Some(secret) => request.basic_auth(&self.client_id, Some(secret)),
            None => {
                form.append_pair("client_id", &self.client_id);
                request
            }
        };
        request.body(form.finish())
    }

    /// The address at which the browser ends the issuer's own session; Cognito's names
    /// for the parameters beside the standard's. None if the issuer has no such page.
    pub(crate) async fn end_session(&self, back: &str) -> Option<Url> {
        let endpoints = self.endpoints().await.ok()?;
        let mut address = Url::parse(endpoints.end_session_endpoint.as_deref()?).ok()?;
        let back = format!("{}{back}", self.public_url);
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("post_logout_redirect_uri", &back)
            .append_pair("logout_uri", &back);
        Some(address)
    }

    fn client(&self, endpoints: &Endpoints) -> Result<Client<EndpointSet, EndpointSet>, Refused> {
        let lacking = |what: &str| Refused::Unavailable(format!("the issuer names no {what}"));
        let authorization = endpoints.authorization_endpoint.clone();
        let token = endpoints.token_endpoint.clone();
        let unreadable = |error: oauth2::url::ParseError| Refused::Unavailable(error.to_string());
        let callback = format!("{}/admin/callback", self.public_url);
        let client = Client::new(ClientId::new(self.client_id.clone()))
            .set_auth_uri(
                AuthUrl::new(authorization.ok_or_else(|| lacking("authorization_endpoint"))?)
                    .map_err(unreadable)?,
            )
            .set_token_uri(
                TokenUrl::new(token.ok_or_else(|| lacking("token_endpoint"))?)
                    .map_err(unreadable)?,
            )
            .set_redirect_uri(RedirectUrl::new(callback).map_err(unreadable)?);
        Ok(match &self.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.clone())),
            None => client.set_auth_type(oauth2::AuthType::RequestBody),
        })
    }

    /// As the settings say, else as the issuer's own description does.
    async fn endpoints(&self) -> Result<&Endpoints, Refused> {
        self.found
            .get_or_try_init(async || {
                let given = &self.given;
                if given.authorization_endpoint.is_some() && given.token_endpoint.is_some() {
                    return Ok(given.clone());
                }
                let address = format!(
                    "{}/.well-known/openid-configuration",
                    self.issuer.trim_end_matches('/')
                );
                let address = address_of("OIDC_ISSUER", &address)
                    .map_err(|error| Refused::Unavailable(error.to_string()))?;
                let found: Endpoints = jwks::get(&self.http, address)
                    .await
                    .map_err(Refused::Unavailable)?;
                let named = [
                    &found.authorization_endpoint,
                    &found.token_endpoint,
                    &found.end_session_endpoint,
                    &found.revocation_endpoint,
                ];
                let is_private =
                    |text: &String| Url::parse(text).is_ok_and(|url| web::is_private(&url));
                if !named.into_iter().flatten().all(is_private) {
                    let problem = "the description names an address that is not https";
                    return Err(Refused::Unavailable(problem.to_owned()));
                }
                if !jwks::spellings(&self.issuer).contains(&found.issuer) {
                    let problem = "the description is another issuer's";
                    return Err(Refused::Unavailable(problem.to_owned()));
                }
                Ok(Endpoints {
                    authorization_endpoint: given
                        .authorization_endpoint
                        .clone()
                        .or(found.authorization_endpoint),
                    token_endpoint: given.token_endpoint.clone().or(found.token_endpoint),
                    end_session_endpoint: given
                        .end_session_endpoint
                        .clone()
                        .or(found.end_session_endpoint),
                    revocation_endpoint: given
                        .revocation_endpoint
                        .clone()
                        .or(found.revocation_endpoint),
                    issuer: found.issuer,
                })
            })
            .await
    }

    fn sender(&self) -> impl Fn(HttpRequest) -> Sending + use<> {
        let http = self.http.clone();
        move |request| Box::pin(send(http.clone(), request))
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<HttpResponse, Unsent>> + Send>>;

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Unsent> {
    let request = reqwest::Request::try_from(request).map_err(Unsent::from)?;
    let mut answer = http.execute(request).await.map_err(Unsent::from)?;
    let mut response = oauth2::http::Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Unsent::from)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Unsent("the answer is too long".to_owned()));
        }
    }
    // A no of something before the issuer is a no all the same, in words that are none.
    let status = answer.status();
    let is_no = status.is_client_error() && !PASSING.contains(&status);
    if is_no && serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        body = format!(r#"{{"error":"status {}"}}"#, status.as_u16()).into_bytes();
    }
    response
        .body(body)
        .map_err(|error| Unsent(error.to_string()))
}

/// The token endpoint could not be asked.
#[derive(Debug)]
struct Unsent(String);

impl std::fmt::Display for Unsent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unsent {}

impl From<reqwest::Error> for Unsent {
    fn from(error: reqwest::Error) -> Self {
        Self(format!("{:?}", error.without_url()))
    }
}

type Answer = Result<
    StandardTokenResponse<IdToken, oauth2::basic::BasicTokenType>,
    RequestTokenError<Unsent, StandardErrorResponse<oauth2::basic::BasicErrorResponseType>>,
>;

fn tokens(answer: Answer, refresh_token: Option<String>) -> Result<Tokens, Refused> {
    let answer = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(response) => Refused::No(response.error().to_string()),
        RequestTokenError::Request(unsent) => Refused::Unavailable(unsent.to_string()),
        // The library's words may quote the answer, and with it a token.
        RequestTokenError::Parse(_, _) => {
            Refused::Unavailable("the answer cannot be read".to_owned())
        }
        RequestTokenError::Other(problem) => Refused::Unavailable(problem),
    })?;
    let id_token = answer
        .extra_fields()
        .id_token
        .clone()
        .ok_or_else(|| Refused::No("no id_token; the scope openid is missing".to_owned()))?;
    let fresh = answer.refresh_token().map(|token| token.secret().clone());
    Ok(Tokens {
        id_token,
        refresh_token: fresh.or(refresh_token),
    })
}
