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

impl Guard {
    /// The name of the admin whose token these headers carry.
    async fn admin(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let person = self.bearer(headers).await?;
        person.admin.then_some(person.name).ok_or(Refusal::NotAdmin)
    }
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
    let elsewhere = json!({
        "username": null, "token_use": null, "aud": "people", "email": "ada@example.com",
    });
    for (claims, name) in [
        (json!({}), "ada"),
        (machine, "machine"),
        (elsewhere, "ada@example.com"),
        (json!({"aud": ["other", "people"]}), "ada"),
        (
            json!({"aud": ["other", "people"], "client_id": null, "azp": "machine"}),
            "ada",
        ),
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

/// Each kind of token in each place, as Cognito, Keycloak and others make them.
#[tokio::test]
async fn an_id_token_opens_no_api_and_an_access_token_begins_no_session() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let bare = json!({"token_use": null, "client_id": null, "aud": "people", "nonce": "n"});
    let with = |changes: Value| {
        let mut claims = bare.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        issuer.changed(claims)
    };
    let expected = Expected::SignIn { nonce: "n" };
    let both = async |token: String| {
        let admitted = guard.admin(&headers(&token)).await;
        (
            admitted,
            guard.person(&token, "people", expected).await.is_ok(),
        )
    };
    for claims in [
        with(json!({})),
        with(json!({"token_use": "id"})),
        with(json!({"token_use": "id", "scope": "square-sync/admin"})),
        with(json!({"typ": "ID", "azp": "people"})),
        with(json!({"at_hash": "x", "azp": "people"})),
        with(json!({"roles": ["admin"], "azp": "people"})),
    ] {
        let (api, page) = both(sign("rsa", &claims)).await;
        assert_eq!(api, Err(Refusal::BadToken("no access token")), "{claims}");
        assert!(page, "{claims}");
    }
    for claims in [
        with(json!({"token_use": "access"})),
        with(json!({"typ": "Bearer", "azp": "people"})),
    ] {
        let (api, page) = both(sign("rsa", &claims)).await;
        assert_eq!(api.as_deref(), Ok("ada"), "{claims}");
        assert!(!page, "{claims}");
    }
    // RFC 9068 says it in the header.
    for kind in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        let header = Header {
            kid: Some("rsa".to_owned()),
            typ: Some(kind.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        let token = encode(&header, &with(json!({})), &rsa()).unwrap();
        let (api, page) = both(token).await;
        assert_eq!((api.as_deref(), page), (Ok("ada"), false), "{kind}");
    }
    // A renewed one has no nonce; roles are in both kinds.
    let renewed = with(json!({"roles": ["admin"], "nonce": null}));
    let refused = Err(Refusal::BadToken("no access token"));
    assert_eq!(guard.admin(&signed("rsa", &renewed)).await, refused);
    // Without a word on what it is: by what only one of them has.
    let machine = issuer.changed(json!({"token_use": null, "azpacr": "1", "client_id": null,
        "aud": "machine"}));
    assert!(guard.admin(&signed("rsa", &machine)).await.is_ok());
    let machine = issuer.changed(json!({"token_use": null, "scope": "square-sync/admin"}));
    assert!(guard.admin(&signed("rsa", &machine)).await.is_ok());
}

#[tokio::test]
async fn an_id_token_is_for_the_client_that_asked_and_of_its_sign_in() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let passes = async |changes: Value, expected: Expected<'_>| {
        let id_token = json!({"token_use": "id", "client_id": null, "aud": "people"});
        let mut claims = issuer.changed(id_token);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = sign("rsa", &claims);
        guard.person(&token, "people", expected).await.is_ok()
    };
    let (begun, goes_on) = (
        Expected::SignIn { nonce: "n" },
        Expected::Renewal {
            subject: "0000-1111",
            nonce: "n",
        },
    );
    for (changes, at_first, later) in [
        (json!({"nonce": "n"}), true, true),
        (json!({}), false, true),
        (json!({"nonce": "m"}), false, false),
        (json!({"nonce": "n", "sub": "0000-2222"}), true, false),
        (json!({"nonce": "n", "sub": ""}), false, false),
        (json!({"nonce": "n", "sub": null}), false, false),
        (json!({"nonce": "n", "aud": "machine"}), false, false),
        (json!({"nonce": "n", "azp": "people"}), true, true),
        (json!({"nonce": "n", "azp": "machine"}), false, false),
        (json!({"nonce": "n", "aud": ["people", "x"]}), false, false),
        (
            json!({"nonce": "n", "aud": ["people", "x"], "azp": "x"}),
            false,
            false,
        ),
        (
            json!({"nonce": "n", "aud": ["people", "x"], "azp": "people"}),
            true,
            true,
        ),
    ] {
        assert_eq!(passes(changes.clone(), begun).await, at_first, "{changes}");
        assert_eq!(passes(changes.clone(), goes_on).await, later, "{changes}");
    }
}

/// A slash at the end of the issuer's name is easily lost, or added.
#[tokio::test]
async fn both_spellings_of_the_issuer_are_the_issuer() {
    let issuer = Issuer::start().await;
    let slash = format!("{}/", issuer.address);
    for given in [&issuer.address, &slash] {
        for said in [&issuer.address, &slash] {
            // With its keys' address, and by its description.
            for without in ["", "OIDC_JWKS_URL"] {
                let guard = Guard::read(|name| match name {
                    "OIDC_ISSUER" => Some(given.clone()),
                    _ => issuer.lookup(name).filter(|_| name != without),
                })
                .unwrap();
                let token = signed("rsa", &issuer.changed(json!({"iss": said})));
                assert!(guard.admin(&token).await.is_ok(), "{given} {said}");
            }
        }
        let double = issuer.changed(json!({"iss": format!("{slash}/")}));
        let guard = issuer.guard();
        let refused = Err(Refusal::BadToken("issuer"));
        assert_eq!(guard.admin(&signed("rsa", &double)).await, refused);
    }
}

#[tokio::test]
async fn a_person_has_one_name_whichever_token_they_show() {
    let issuer = Issuer::start().await;
    let guard = issuer.guard();
    let access = guard
        .bearer(&signed("rsa", &issuer.claims()))
        .await
        .unwrap();
    let id_token = issuer.changed(json!({
        "username": null, "cognito:username": "ada", "email": "ada@example.com", "nonce": "n",
        "token_use": "id", "client_id": null, "aud": "people",
    }));
    let expected = Expected::SignIn { nonce: "n" };
    let person = guard
        .person(&sign("rsa", &id_token), "people", expected)
        .await;
    let person = person.unwrap();
    assert_eq!((&*person.name, &*person.subject), ("ada", "0000-1111"));
    assert_eq!((access.name, access.subject), (person.name, person.subject));
}

#[tokio::test]
async fn a_client_is_called_by_its_name_where_it_has_one() {
    let issuer = Issuer::start().await;
    for (clients, id, name) in [
        (
            "people,nightly job=XY72xI6ggq48",
            "XY72xI6ggq48",
            "nightly job",
        ),
        ("people, =XY72xI6ggq48 ", "XY72xI6ggq48", "XY72xI6ggq48"),
        // An id may hold the sign itself.
        (
            "shop=https://a.example/?b=c",
            "https://a.example/?b=c",
            "shop",
        ),
        ("machine", "machine", "machine"),
    ] {
        let guard = Guard::read(|setting| match setting {
            "OIDC_CLIENT_IDS" => Some(clients.to_owned()),
            _ => issuer.lookup(setting),
        })
        .unwrap();
        let token = issuer.changed(json!({
            "username": null, "sub": id, "client_id": id, "cognito:groups": null,
            "scope": "square-sync/admin",
        }));
        let admin = guard.admin(&signed("rsa", &token)).await;
        assert_eq!(admin.as_deref(), Ok(name), "{clients}");
        // Its name is no client.
        let named = issuer.changed(json!({"client_id": "nightly job"}));
        assert!(guard.admin(&signed("rsa", &named)).await.is_err());
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
        // Any of the other audiences could have come by these.
        (
            json!({"aud": ["other", "people"], "azp": "other"}),
            "authorized party",
        ),
        (
            json!({"aud": ["other", "people"], "client_id": "other"}),
            "authorized party",
        ),
        (
            json!({"aud": ["other", "people"], "client_id": null}),
            "authorized party",
        ),
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
        ("OIDC_CLIENT_IDS", "machine="),
        ("OIDC_JWKS_URL", "keys"),
        ("OIDC_JWKS_URL", "http://keys.example"),
        ("OIDC_ISSUER", "http://issuer.example"),
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
