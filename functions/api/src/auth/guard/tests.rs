//! Every token that must not pass, at a real issuer on a local port.

use std::sync::atomic::Ordering;

use axum::http::HeaderValue;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;

use super::*;
use crate::tests::issuer::{EC, Issuer, OTHER_RSA, public, rsa, sign};

fn headers(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

fn signed(kid: &str, claims: &Value) -> HeaderMap {
    headers(&sign(kid, claims))
}

impl Issuer {
    fn guard(&self) -> Guard {
        Guard::read(|name| self.lookup(name)).unwrap()
    }

    fn jwks(&self, fetch_interval_min: Duration) -> Jwks {
        let address = Url::parse(&format!("{}/keys", self.address)).unwrap();
        Jwks::new(Source::Address(address), fetch_interval_min).unwrap()
    }
}

#[tokio::test]
async fn an_admins_tokens_pass() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let machine = json!({
        "username": null, "sub": "machine", "client_id": "machine", "cognito:groups": null,
        "scope": "other/read square-sync/admin",
    });
    let id_token = json!({
        "username": null, "client_id": null, "aud": "people", "email": "ada@example.com",
    });
    for (claims, name) in [
        (json!({}), "ada"),
        (machine, "machine"),
        (id_token, "ada@example.com"),
        (json!({"aud": ["other", "people"]}), "ada"),
        (json!({"cognito:groups": "admin"}), "ada"),
        (json!({"cognito:groups": "[admin]"}), "ada"),
        (json!({"cognito:groups": "[staff admin]"}), "ada"),
        (json!({"username": "a\u{0}d\na"}), "ada"),
    ] {
        let claims = issuer.changed(claims);
        for kid in ["rsa", "ec"] {
            let admin = guard.admin(&signed(kid, &claims)).await;
            assert_eq!(admin.as_deref(), Ok(name), "{claims}");
        }
    }
}

#[tokio::test]
async fn clocks_may_differ_by_less_than_a_minute() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    loop {
        let now = get_current_timestamp();
        let claims = issuer.changed(json!({"exp": now - 30}));
        let admin = guard.admin(&signed("rsa", &claims)).await;
        // A machine that took the other half of the minute over it tells nothing.
        if get_current_timestamp() < now + 30 {
            assert_eq!(admin.as_deref(), Ok("ada"));
            return;
        }
    }
}

#[tokio::test]
async fn without_group_or_scope_a_caller_is_no_admin() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    for claims in [
        json!({"cognito:groups": null}),
        json!({"cognito:groups": ["staff", "administrators"]}),
        json!({"cognito:groups": "not admin"}),
        json!({"cognito:groups": "[administrators]"}),
        json!({"cognito:groups": {"admin": true}}),
        json!({"cognito:groups": null, "scope": "square-sync/administer"}),
        json!({"cognito:groups": null, "groups": ["admin"]}),
    ] {
        let claims = issuer.changed(claims);
        let admin = guard.admin(&signed("rsa", &claims)).await;
        assert_eq!(admin, Err(Refusal::NotAdmin), "{claims}");
    }
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let now = get_current_timestamp();
    for (claims, reason) in [
        (json!({"exp": now - 61}), "expired"),
        (json!({"exp": null}), "claim missing"),
        (json!({"exp": "never"}), "claim missing"),
        (json!({"nbf": now + 600}), "not yet valid"),
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"iss": null}), "claim missing"),
        (json!({"client_id": "stranger"}), "audience"),
        (json!({"client_id": null}), "audience"),
        (json!({"aud": "stranger"}), "audience"),
        (json!({"aud": []}), "audience"),
    ] {
        let claims = issuer.changed(claims);
        let admin = guard.admin(&signed("rsa", &claims)).await;
        assert_eq!(admin, Err(Refusal::BadToken(reason)), "{claims}");
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let claims = issuer.claims();
    let with = |algorithm, kid: Option<&str>, key: &EncodingKey| {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(algorithm)
        };
        encode(&header, &claims, key).unwrap()
    };
    let good = with(Algorithm::RS256, Some("rsa"), &rsa());
    let forger = EncodingKey::from_rsa_pem(OTHER_RSA).unwrap();
    // The classic: the public key, which everybody knows, as an HMAC secret.
    let public_key = public(&rsa(), Algorithm::RS256, "rsa").to_string();
    let confused = EncodingKey::from_secret(public_key.as_bytes());
    let ec = EncodingKey::from_ec_pem(EC).unwrap();
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT","kid":"rsa"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoicnNhIn0";
    // {"alg":"RS256","crit":["x"],"kid":"rsa"}
    let critical = "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsieCJdLCJraWQiOiJyc2EifQ";
    for (token, reason) in [
        (with(Algorithm::RS256, Some("rsa"), &forger), "signature"),
        (with(Algorithm::RS512, Some("rsa"), &rsa()), "algorithm"),
        (with(Algorithm::PS256, Some("rsa"), &rsa()), "algorithm"),
        (with(Algorithm::HS256, Some("rsa"), &confused), "algorithm"),
        // Another key's algorithm.
        (with(Algorithm::ES256, Some("rsa"), &ec), "algorithm"),
        (with(Algorithm::RS256, Some("ec"), &rsa()), "algorithm"),
        (with(Algorithm::RS256, Some("enc"), &rsa()), "unknown key"),
        (with(Algorithm::RS256, Some("new"), &rsa()), "unknown key"),
        (
            with(Algorithm::RS256, Some("unheard-of"), &rsa()),
            "unknown key",
        ),
        (with(Algorithm::RS256, None, &rsa()), "no key id"),
        (format!("{none}.{payload}."), "no JWT"),
        (format!("{none}.{payload}.{signature}"), "no JWT"),
        (
            format!("{critical}.{payload}.{signature}"),
            "critical extension",
        ),
        (format!("{head}.{payload}."), "signature"),
        (format!("{head}.{payload}"), "no JWT"),
        (
            format!("{head}.{}.{signature}", payload.replace('a', "b")),
            "signature",
        ),
        ("nonsense".to_owned(), "no JWT"),
        (String::new(), "no JWT"),
        ("x".repeat(TOKEN_BYTES_MAX + 1), "too long"),
    ] {
        let admin = guard.admin(&headers(&token)).await;
        assert_eq!(admin, Err(Refusal::BadToken(reason)), "{token}");
    }
    assert_eq!(guard.admin(&headers(&good)).await.as_deref(), Ok("ada"));
}

#[tokio::test]
async fn other_schemes_count_as_no_token() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    for value in [None, Some("Basic YTpi"), Some("Bearer"), Some("")] {
        let headers = value.map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
        let admin = guard.admin(&headers.into_iter().collect()).await;
        assert_eq!(admin, Err(Refusal::NoToken), "{value:?}");
    }
}

#[tokio::test]
async fn invented_keys_do_not_make_us_flood_the_issuer() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let began = std::time::Instant::now();
    for number in 0..20 {
        let token = signed(&format!("invented-{number}"), &issuer.claims());
        let admin = guard.admin(&token).await;
        assert_eq!(admin, Err(Refusal::BadToken("unknown key")));
    }
    // However long it took: not more often than that.
    let most = 1 + began.elapsed().as_secs() / FETCH_INTERVAL_MIN.as_secs();
    let asked = issuer.questions.load(Ordering::SeqCst);
    assert!(
        (1..=most).contains(&u64::try_from(asked).unwrap()),
        "{asked}"
    );
}

#[tokio::test]
async fn cached_keys_outlive_the_issuer_and_missing_ones_are_told_apart() {
    let issuer = Issuer::start().await;
    let mut guard = issuer.guard();
    guard.jwks = issuer.jwks(Duration::ZERO);
    let (known, unknown) = (
        signed("rsa", &issuer.claims()),
        signed("rotated", &issuer.claims()),
    );
    issuer.away.store(true, Ordering::SeqCst);
    assert_eq!(guard.admin(&known).await, Err(Refusal::KeysUnavailable));
    issuer.away.store(false, Ordering::SeqCst);
    assert!(guard.admin(&known).await.is_ok());
    issuer.away.store(true, Ordering::SeqCst);
    assert_eq!(
        guard.admin(&unknown).await,
        Err(Refusal::BadToken("unknown key"))
    );
    assert!(guard.admin(&known).await.is_ok());
    assert_eq!(issuer.questions.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn without_an_address_the_discovery_document_leads_to_the_keys() {
    let issuer = Issuer::start().await;
    let lookup = |name: &str| issuer.lookup(name).filter(|_| name != "OIDC_JWKS_URL");
    let guard = Guard::read(lookup).unwrap();
    assert!(guard.admin(&signed("rsa", &issuer.claims())).await.is_ok());

    // The same server under another name is another issuer.
    let elsewhere = issuer.address.replace("127.0.0.1", "localhost");
    let lookup = |name: &str| match name {
        "OIDC_ISSUER" => Some(elsewhere.clone()),
        _ => lookup(name),
    };
    let guard = Guard::read(lookup).unwrap();
    let token = signed("rsa", &issuer.changed(json!({"iss": elsewhere})));
    assert_eq!(guard.admin(&token).await, Err(Refusal::KeysUnavailable));
}

#[test]
fn settings_that_would_let_everybody_in_are_refused() {
    for (name, value) in [
        ("OIDC_ISSUER", ""),
        ("OIDC_ISSUER", "example.com"),
        ("OIDC_CLIENT_IDS", ""),
        ("OIDC_CLIENT_IDS", " , "),
        ("OIDC_JWKS_URL", "keys"),
    ] {
        let read = Guard::read(|asked| match asked {
            _ if asked == name => Some(value.to_owned()),
            "OIDC_ISSUER" => Some("https://issuer.example".to_owned()),
            "OIDC_CLIENT_IDS" => Some("people".to_owned()),
            _ => None,
        });
        let error = read.err().map(|error| error.to_string()).unwrap();
        assert!(error.starts_with(name), "{error}");
    }
}
