//! An OpenID Connect issuer on a local port: it signs real tokens, remembers what
//! it was asked, says no when told to, and can go away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const RSA: &[u8] = include_bytes!("../../tests/fixtures/rsa.pem");
pub(crate) const OTHER_RSA: &[u8] = include_bytes!("../../tests/fixtures/other-rsa.pem");
pub(crate) const EC: &[u8] = include_bytes!("../../tests/fixtures/ec.pem");

pub(crate) fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA).unwrap()
}

pub(crate) fn public(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    json!(jwk)
}

/// A token with these claims, by the key of that name.
pub(crate) fn sign(kid: &str, claims: &Value) -> String {
    let (key, algorithm) = match kid {
        "ec" => (EncodingKey::from_ec_pem(EC).unwrap(), Algorithm::ES256),
        _ => (rsa(), Algorithm::RS256),
    };
    let header = Header {
        kid: Some(kid.to_owned()),
        ..Header::new(algorithm)
    };
    encode(&header, claims, &key).unwrap()
}

pub(crate) struct Issuer {
    pub(crate) address: String,
    /// The number of times that its keys were asked for.
    pub(crate) questions: Arc<AtomicUsize>,
    pub(crate) away: Arc<AtomicBool>,
    says: Arc<Mutex<(StatusCode, Value)>>,
    /// The forms that came to `/token` and `/revoke`.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Self {
            questions: Arc::default(),
            away: Arc::default(),
            says: Arc::new(Mutex::new((StatusCode::BAD_REQUEST, Value::Null))),
            asked: Arc::default(),
            address,
        };
        let router = issuer.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    fn router(&self) -> Router {
        let address = &self.address;
        let keys = json!({"keys": [
            // A kind that nobody knows must not hide the others.
            {"kty": "XYZ", "kid": "new", "stuff": [1]},
            // A key for encryption signs nothing.
            {"use": "enc", "kty": "RSA", "kid": "enc",
                "n": public(&rsa(), Algorithm::RS256, "")["n"], "e": "AQAB"},
            public(&rsa(), Algorithm::RS256, "rsa"),
            public(&EncodingKey::from_ec_pem(EC).unwrap(), Algorithm::ES256, "ec"),
        ]});
        let discovery = json!({
            "issuer": address,
            "jwks_uri": format!("{address}/keys"),
            "authorization_endpoint": format!("{address}/authorize"),
            "token_endpoint": format!("{address}/token"),
            "revocation_endpoint": format!("{address}/revoke"),
        });
        let (count, gone) = (self.questions.clone(), self.away.clone());
        let keys = get(async move || {
            count.fetch_add(1, Ordering::SeqCst);
            if gone.load(Ordering::SeqCst) {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            Ok(Json(keys))
        });
        let answer = |path: &'static str| {
            let (says, asked) = (self.says.clone(), self.asked.clone());
            post(async move |form: String| {
                asked.lock().unwrap().push(format!("{path} {form}"));
                let (status, body) = says.lock().unwrap().clone();
                (status, Json(body))
            })
        };
        let discovery = get(async move || Json(discovery));
        Router::new()
            .route("/keys", keys)
            .route("/token", answer("token"))
            .route("/revoke", answer("revoke"))
            .route("/.well-known/openid-configuration", discovery)
    }

    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        match name {
            "OIDC_ISSUER" => Some(self.address.clone()),
            "OIDC_JWKS_URL" => Some(format!("{}/keys", self.address)),
            "OIDC_CLIENT_IDS" => Some("people, machine".to_owned()),
            _ => None,
        }
    }

    /// Returns the claims that an admin's access token holds in Cognito.
    pub(crate) fn claims(&self) -> Value {
        let now = get_current_timestamp();
        json!({
            "iss": self.address,
            "exp": now + 600,
            "iat": now,
            "client_id": "people",
            "token_use": "access",
            "username": "ada",
            "sub": "0000-1111",
            "cognito:groups": ["staff", "admin"],
        })
    }

    /// The same with some of it changed, or left out where it is null.
    pub(crate) fn changed(&self, changes: Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        claims
    }

    /// From now on it gives an ID token of these claims, and this refresh token.
    pub(crate) fn gives(&self, changes: Value, refresh_token: &str) {
        let id_token = json!({"aud": "people", "client_id": null, "token_use": "id"});
        let mut claims = self.changed(id_token);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.says(
            StatusCode::OK,
            json!({
                "access_token": "a", "token_type": "Bearer", "expires_in": 600,
                "id_token": sign("rsa", &claims), "refresh_token": refresh_token,
            }),
        );
    }

    pub(crate) fn says(&self, status: StatusCode, body: Value) {
        *self.says.lock().unwrap() = (status, body);
    }

    /// Returns what it was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}
