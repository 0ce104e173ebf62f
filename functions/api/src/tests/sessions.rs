//! A session's life: the issuer is asked again when its word expires, and its no
//! lets nobody in.

use std::sync::atomic::Ordering;

use super::browser::{KEY, SESSION, get, sealed, send, session};
use super::issuer::Issuer;
use super::*;
use crate::auth::session::{SECONDS_MAX, Session};

fn stale() -> Session {
    Session {
        good_until: session().began_at - 1,
        refresh_token: Some("refresh-1".to_owned()),
        began_at: session().began_at - 3_600,
        ..session()
    }
}

fn app_at(issuer: &Issuer) -> Router {
    app_of(|name| issuer.lookup(name))
}

#[tokio::test]
async fn a_stale_session_is_renewed_without_a_word() {
    let issuer = Issuer::start().await;
    let app = app_at(&issuer);
    for path in ["/admin/sync", "/admin/runs"] {
        issuer.gives(json!({}), "refresh-2");
        let before = stale();
        let answer = get(&app, path, &sealed(before.clone(), KEY)).await;
        // Somebody is signed in; only the database is away.
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        let after = answer.session().unwrap();
        assert!(after.good_until > before.good_until + 500);
        // Forms of pages that are open stay good, and the eight hours do not begin anew.
        let renewed = Session {
            good_until: after.good_until,
            refresh_token: Some("refresh-2".to_owned()),
            ..before
        };
        assert_eq!(after, renewed);
        let asked = issuer.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asked[0].contains("grant_type=refresh_token"), "{asked:?}");
        assert!(asked[0].contains("refresh_token=refresh-1"), "{asked:?}");
    }
    // A fresh one asks nobody.
    let answer = get(&app, "/admin/sync", &sealed(session(), KEY)).await;
    assert_eq!(answer.status, 503);
    assert!(issuer.asked().is_empty());
}

#[tokio::test]
async fn the_issuers_no_lets_nobody_in() {
    let issuer = Issuer::start().await;
    let app = app_at(&issuer);
    let ended = async |what: &str| {
        let cookie = sealed(stale(), KEY);
        let answer = get(&app, "/admin/sync", &cookie).await;
        assert_eq!(answer.status, 303, "{what}");
        assert!(answer.place().starts_with("/admin/sign-in"), "{what}");
        // Another tab may have had its yes a moment ago.
        assert_eq!(answer.cookie(SESSION), None, "{what}");
        let answer = get(&app, "/admin/runs", &cookie).await;
        assert_eq!(answer.status, 401, "{what}");
    };
    issuer.says(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    ended("refused").await;
    // Tokens that do not pass are none.
    let now = jiff::Timestamp::now().as_second();
    for claims in [
        json!({"aud": "machine"}),
        json!({"iss": "https://evil.example"}),
        json!({"exp": now - 120}),
        json!({"sub": "0000-2222"}),
        json!({"sub": null}),
        json!({"nonce": "another"}),
        json!({"azp": "machine"}),
        json!({"token_use": "access"}),
    ] {
        issuer.gives(claims.clone(), "refresh-2");
        ended(&claims.to_string()).await;
    }
}

#[tokio::test]
async fn who_left_the_group_of_admins_is_out_at_the_next_renewal() {
    let issuer = Issuer::start().await;
    let app = app_at(&issuer);
    issuer.gives(json!({"cognito:groups": ["staff"]}), "refresh-2");
    for path in ["/admin/sync", "/admin/runs"] {
        let answer = get(&app, path, &sealed(stale(), KEY)).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
        assert!(!answer.session().unwrap().admin);
    }
}

#[tokio::test]
async fn after_eight_hours_nobody_is_asked_any_more() {
    let issuer = Issuer::start().await;
    issuer.gives(json!({}), "refresh-2");
    let old = Session {
        began_at: session().began_at - SECONDS_MAX,
        ..stale()
    };
    let app = app_at(&issuer);
    let cookie = sealed(old, KEY);
    let answer = get(&app, "/admin/sync", &cookie).await;
    assert_eq!(answer.status, 303);
    assert!(answer.place().starts_with("/admin/sign-in"));
    assert_eq!(get(&app, "/admin/runs", &cookie).await.status, 401);
    assert!(issuer.asked().is_empty());
}

#[tokio::test]
async fn an_issuer_that_is_away_leaves_the_session_for_later() {
    let issuer = Issuer::start().await;
    let lookup = |name: &str| match name {
        "OIDC_TOKEN_URL" => Some("http://127.0.0.1:1/token".to_owned()),
        "OIDC_AUTHORIZATION_URL" => Some(issuer.address.clone()),
        _ => issuer.lookup(name),
    };
    let answer = get(&app_of(lookup), "/admin/sync", &sealed(stale(), KEY)).await;
    // Not in without the issuer's word, but the next request may be.
    assert_eq!(answer.status, 303);
    assert!(!answer.ends_session());
}

/// The issuer answers, and its keys do not come.
#[tokio::test]
async fn keys_that_are_away_leave_the_session_for_later() {
    let issuer = Issuer::start().await;
    let lookup = |name: &str| match name {
        "OIDC_JWKS_URL" => Some("http://127.0.0.1:1/keys".to_owned()),
        _ => issuer.lookup(name),
    };
    issuer.gives(json!({}), "refresh-2");
    let answer = get(&app_of(lookup), "/admin/sync", &sealed(stale(), KEY)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cookie(SESSION)),
        (303, None)
    );
    assert_eq!(issuer.asked().len(), 1);
}

/// A token too long for a cookie is none, so the issuer's word has to do.
#[tokio::test]
async fn a_refresh_token_that_is_too_long_leaves_the_id_tokens_life() {
    let issuer = Issuer::start().await;
    let now = jiff::Timestamp::now().as_second();
    issuer.gives(json!({"exp": now + 3_600}), &"r".repeat(4_000));
    let answer = get(&app_at(&issuer), "/admin/sync", &sealed(stale(), KEY)).await;
    let after = answer.session().unwrap();
    assert_eq!((after.refresh_token, after.good_until), (None, now + 3_600));
}

#[tokio::test]
async fn signing_out_has_the_issuer_forget_the_refresh_token() {
    let issuer = Issuer::start().await;
    let cookie = sealed(stale(), KEY);
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    let sign_out = async |app: &Router| {
        let answer = send(app, &Method::POST, "/admin/sign-out", &headers, "").await;
        assert_eq!(answer.status, 303);
        assert!(answer.ends_session());
        assert_eq!(answer.place(), "/admin/signed-out");
    };
    let wanted = "revoke token=refresh-1&token_type_hint=refresh_token&client_id=people";

    // As its description says; its yes and its no come to the same for the person.
    issuer.says(StatusCode::OK, json!({}));
    sign_out(&app_at(&issuer)).await;
    assert_eq!(issuer.asked(), [wanted]);
    issuer.says(StatusCode::SERVICE_UNAVAILABLE, json!({}));
    sign_out(&app_at(&issuer)).await;
    assert_eq!(issuer.asked(), [wanted]);

    // As the settings say.
    let fixed = |revocation: Option<String>| {
        let (issuer, address) = (&issuer, issuer.address.clone());
        move |name: &str| match name {
            "OIDC_TOKEN_URL" | "OIDC_AUTHORIZATION_URL" => Some(address.clone()),
            "OIDC_REVOCATION_URL" => revocation.clone(),
            _ => issuer.lookup(name),
        }
    };
    sign_out(&app_of(fixed(Some(format!("{}/revoke", issuer.address))))).await;
    assert_eq!(issuer.asked(), [wanted]);
    sign_out(&app_of(fixed(None))).await;
    assert!(issuer.asked().is_empty());
    // Nothing listens there.
    sign_out(&app_of(fixed(Some("http://127.0.0.1:1/revoke".to_owned())))).await;

    // One that accepts and never answers does not hold anybody up: who signs out is
    // through while another question, asked after it, still waits for its answer.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/revoke", silent.local_addr().unwrap());
    let app = app_of(fixed(Some(address.clone())));
    let http = crate::auth::jwks::http_client().unwrap();
    tokio::select! {
        biased;
        () = sign_out(&app) => {}
        answer = http.get(address).send() => panic!("{answer:?}"),
    }
    assert_eq!(issuer.questions.load(Ordering::SeqCst), 0);
}
