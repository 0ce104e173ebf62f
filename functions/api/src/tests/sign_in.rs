//! The way through the sign-in, and every way that must not lead in.

use url::Url;
use url::form_urlencoded::byte_serialize;

use super::browser::{Answer, KEY, SESSION, get, sealed, sealed_as, send, session};
use super::issuer::Issuer;
use super::*;
use crate::auth::session::{SECONDS_MAX, Session};

const ATTEMPT: &str = "__Host-square-sync-attempt-";

/// A sign-in that has begun: its cookie, and what the issuer's page was told.
struct Begun {
    cookie: String,
    state: String,
    nonce: String,
}

async fn begin(app: &Router, query: &str) -> Begun {
    let answer = get(app, &format!("/admin/sign-in{query}"), "").await;
    assert_eq!(answer.status, 303, "{query}: {}", answer.text);
    let address = Url::parse(answer.place()).unwrap();
    assert_eq!(address.path(), "/authorize");
    let told = |wanted: &str| {
        let mut pairs = address.query_pairs();
        let found = pairs.find(|(name, _)| name == wanted);
        found.unwrap().1.into_owned()
    };
    assert_eq!(told("redirect_uri"), format!("{PUBLIC_URL}/admin/callback"));
    assert_eq!(told("code_challenge_method"), "S256");
    Begun {
        cookie: answer.cookie(ATTEMPT).unwrap().0,
        state: told("state"),
        nonce: told("nonce"),
    }
}

async fn come_back(app: &Router, query: &str, cookie: &str) -> Answer {
    get(app, &format!("/admin/callback?{query}"), cookie).await
}

/// A page that says so, with a way on and without a session.
fn assert_not_in(answer: &Answer, status: u16, title: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(
        answer.text.contains(&format!("<h1>{title}</h1>")),
        "{}",
        answer.text
    );
    assert!(
        answer.text.contains("href=\"/admin/sign-in\""),
        "{}",
        answer.text
    );
    assert!(answer.session().is_none());
}

#[tokio::test]
async fn a_sign_in_leads_back_to_where_one_was() {
    let issuer = Issuer::start().await;
    let app = app_of(|name| issuer.lookup(name));
    for place in [
        "/admin/sync",
        "/admin/sync/runs?kind=restore",
        "/admin/sync/runs/sync-1",
    ] {
        let place_encoded: String = byte_serialize(place.as_bytes()).collect();
        let begun = begin(&app, &format!("?return_to={place_encoded}")).await;
        issuer.gives(json!({"nonce": begun.nonce}), "refresh-1");
        let query = format!("code=c&state={}", begun.state);
        let answer = come_back(&app, &query, &begun.cookie).await;
        assert_eq!((answer.status.as_u16(), answer.place()), (303, place));
        let session = answer.session().unwrap();
        assert_eq!(session.name, "ada");
        assert!(session.admin);
        let asked = issuer.asked();
        assert!(asked[0].contains("code_verifier="), "{asked:?}");
        // The attempt is used up.
        assert!(answer.cookie(ATTEMPT).unwrap().1.contains("Max-Age=0"));
    }
}

#[tokio::test]
async fn no_sign_in_leads_to_another_host() {
    let issuer = Issuer::start().await;
    let app = app_of(|name| issuer.lookup(name));
    for place in [
        "https://evil.example",
        "https://evil.example/admin/sync",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\evil.example",
        "/admin/sync\\@evil.example",
        "/admin/sync//evil.example",
        "/admin/sync/../..//evil.example",
        "/admin/sync@evil.example",
        "/admin/sync.evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        " https://evil.example",
        "\thttps://evil.example",
        "/\t/evil.example",
        "/admin/sync\r\nLocation: https://evil.example",
        "/admin/sync\r\nSet-Cookie: a=b",
        "/admin/sync\0",
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "/admin/callback",
        "/admin/sign-out",
        "",
    ] {
        let once: String = byte_serialize(place.as_bytes()).collect();
        let twice: String = byte_serialize(once.as_bytes()).collect();
        for encoded in [once, twice] {
            let begun = begin(&app, &format!("?return_to={encoded}")).await;
            issuer.gives(json!({"nonce": begun.nonce}), "refresh-1");
            let query = format!("code=c&state={}", begun.state);
            let answer = come_back(&app, &query, &begun.cookie).await;
            let came = (answer.status.as_u16(), answer.place());
            assert_eq!(came, (303, "/admin/sync"), "{place:?}");
            assert_eq!(answer.headers.get_all(header::LOCATION).iter().count(), 1);
        }
    }
    // Said twice, or as no text.
    for query in [
        "?return_to=/admin/sync&return_to=//evil.example",
        "?return_to=%ff",
    ] {
        let begun = begin(&app, query).await;
        issuer.gives(json!({"nonce": begun.nonce}), "refresh-1");
        let query = format!("code=c&state={}", begun.state);
        let answer = come_back(&app, &query, &begun.cookie).await;
        assert_eq!(answer.place(), "/admin/sync");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_question_is_none() {
    let issuer = Issuer::start().await;
    let app = app_of(|name| issuer.lookup(name));
    let begun = begin(&app, "").await;
    issuer.gives(json!({"nonce": begun.nonce}), "refresh-1");
    let once_more = "Sign in once more";
    let right = format!("code=c&state={}", begun.state);

    // Without the cookie, with another browser's, with another state.
    let other = begin(&app, "").await;
    assert_not_in(&come_back(&app, &right, "").await, 400, once_more);
    assert_not_in(
        &come_back(&app, &right, &other.cookie).await,
        400,
        once_more,
    );
    let same_beginning = format!("{}x", begun.state);
    for state in [&other.state, &same_beginning, "", "x"] {
        let query = format!("code=c&state={state}");
        assert_not_in(
            &come_back(&app, &query, &begun.cookie).await,
            400,
            once_more,
        );
    }
    assert_not_in(
        &come_back(&app, "code=c", &begun.cookie).await,
        400,
        once_more,
    );
    assert_not_in(&come_back(&app, "", "").await, 400, once_more);
    let twice = format!("{right}&code=d");
    assert_not_in(
        &come_back(&app, &twice, &begun.cookie).await,
        400,
        once_more,
    );
    let long = format!("code={}&state={}", "c".repeat(5_000), begun.state);
    assert_not_in(&come_back(&app, &long, &begun.cookie).await, 400, once_more);
    // An attempt of eleven minutes ago.
    let now = jiff::Timestamp::now().as_second();
    let attempt = |began_at: i64| {
        let attempt = json!({"state": "abcdefgh1", "nonce": begun.nonce, "verifier": "v",
            "return_to": "/admin/sync", "began_at": began_at});
        sealed_as(&format!("{ATTEMPT}abcdefgh"), attempt.to_string())
    };
    let query = "code=c&state=abcdefgh1";
    assert_not_in(
        &come_back(&app, query, &attempt(now - 660)).await,
        400,
        once_more,
    );
    assert!(
        issuer.asked().is_empty(),
        "nothing of this is the issuer's business"
    );
    let answer = come_back(&app, query, &attempt(now - 60)).await;
    assert_eq!(answer.place(), "/admin/sync");
}

#[tokio::test]
async fn what_the_issuer_refuses_is_a_page_and_no_session() {
    let issuer = Issuer::start().await;
    let app = app_of(|name| issuer.lookup(name));
    let back = async |query: &str| {
        let begun = begin(&app, "").await;
        let query = format!("{query}&state={}", begun.state);
        (come_back(&app, &query, &begun.cookie).await, begun.nonce)
    };
    // Cancelled, or refused, before there was a code.
    let (answer, _) = back("error=access_denied&error_description=%3Cscript%3E").await;
    assert_not_in(&answer, 403, "Not signed in");
    assert!(!answer.text.contains("access_denied") && !answer.text.contains("%3Cscript"));
    assert!(issuer.asked().is_empty());
    // A code that is used up.
    issuer.says(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    assert_not_in(&back("code=c").await.0, 400, "Sign in once more");
    // Tokens of another sign-in, for another client, or none.
    issuer.gives(json!({"nonce": "another"}), "refresh-1");
    assert_not_in(&back("code=c").await.0, 403, "Not signed in");
    issuer.gives(json!({}), "refresh-1");
    assert_not_in(&back("code=c").await.0, 403, "Not signed in");
    let begun = begin(&app, "").await;
    issuer.gives(json!({"nonce": begun.nonce, "aud": "machine"}), "refresh-1");
    let query = format!("code=c&state={}", begun.state);
    assert_not_in(
        &come_back(&app, &query, &begun.cookie).await,
        403,
        "Not signed in",
    );
    issuer.says(
        StatusCode::OK,
        json!({"access_token": "a", "token_type": "Bearer"}),
    );
    assert_not_in(&back("code=c").await.0, 400, "Sign in once more");
    // An answer that is none.
    issuer.says(StatusCode::OK, json!("what?"));
    assert_not_in(&back("code=c").await.0, 503, "Sign-in unavailable");
}

#[tokio::test]
async fn attempts_that_were_never_finished_do_not_pile_up() {
    let app = app();
    let mut cookies: Vec<String> = Vec::new();
    for _ in 0..4 {
        cookies.push(begin(&app, "").await.cookie);
    }
    let begun = get(&app, "/admin/sign-in", &cookies.join("; ")).await;
    let set = |answer: &Answer| answer.headers.get_all(header::SET_COOKIE).iter().count();
    assert_eq!(set(&begun), 1, "several tabs may sign in at once");
    // One more, of a key that was changed since.
    cookies.push(format!("{ATTEMPT}forged12=x"));
    let begun = get(&app, "/admin/sign-in", &cookies.join("; ")).await;
    assert_eq!(set(&begun), 6, "five are dropped, one begins");
    let (_, rest) = begun.cookie(&format!("{ATTEMPT}forged12")).unwrap();
    assert!(rest.contains("Max-Age=0"), "{rest}");
}

/// Whatever session came along, the browser has the new one and no other.
#[tokio::test]
async fn a_new_sign_in_beats_whatever_came_along() {
    let issuer = Issuer::start().await;
    let app = app_of(|name| issuer.lookup(name));
    let now = session().began_at;
    let alice = |good_until: i64, began_at: i64| {
        let session = Session {
            name: "alice".to_owned(),
            subject: "0000-1111".to_owned(),
            refresh_token: Some("refresh-alice".to_owned()),
            good_until,
            began_at,
            ..session()
        };
        sealed(session, KEY)
    };
    for before in [
        alice(now + 600, now),
        alice(now - 1, now - 3_600),
        alice(now - 1, now - SECONDS_MAX),
        sealed(session(), &"x".repeat(40)),
        format!("{SESSION}=unreadable"),
    ] {
        let begun = begin(&app, "").await;
        issuer.gives(
            json!({"nonce": begun.nonce, "username": "bob", "sub": "0000-2222"}),
            "refresh-bob",
        );
        let cookies = format!("{before}; {}", begun.cookie);
        let query = format!("code=c&state={}", begun.state);
        let answer = come_back(&app, &query, &cookies).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let all = answer.headers.get_all(header::SET_COOKIE).iter();
        let written = all.filter(|cookie| cookie.as_bytes().starts_with(b"__Host-square-sync="));
        assert_eq!(written.count(), 1, "{before}");
        assert_eq!(answer.session().unwrap().name, "bob", "{before}");
        // Nor is the old one asked about.
        assert_eq!(issuer.asked().len(), 1, "{before}");
    }
}

/// An answer that is still under way to a page of the one before could bring them back.
#[tokio::test]
async fn a_new_sign_in_ends_somebody_elses_in_the_same_browser() {
    let issuer = Issuer::start().await;
    let state = App::with(env_of(|name| issuer.lookup(name)));
    let app = router(state.clone());
    for (sub, is_ended) in [("0000-1111", false), ("0000-2222", true)] {
        let before = session();
        let begun = begin(&app, "").await;
        issuer.gives(json!({"nonce": begun.nonce, "sub": sub}), "refresh-1");
        let cookies = format!("{}; {}", sealed(before.clone(), KEY), begun.cookie);
        let query = format!("code=c&state={}", begun.state);
        assert_eq!(come_back(&app, &query, &cookies).await.status, 303);
        let ended = &state.known().unwrap().ended;
        assert_eq!(ended.has(&before).await.unwrap(), is_ended, "{sub}");
    }
}

#[tokio::test]
async fn a_sign_in_that_nobody_can_judge_now_is_for_later() {
    let issuer = Issuer::start().await;
    let app = app_of(|name| match name {
        "OIDC_JWKS_URL" => Some("http://127.0.0.1:1/keys".to_owned()),
        _ => issuer.lookup(name),
    });
    let begun = begin(&app, "").await;
    issuer.gives(json!({"nonce": begun.nonce}), "refresh-1");
    let query = format!("code=c&state={}", begun.state);
    let answer = come_back(&app, &query, &begun.cookie).await;
    assert_not_in(&answer, 503, "Sign-in unavailable");
}

#[tokio::test]
async fn who_comes_in_is_in_the_audit_log() {
    let issuer = Issuer::start().await;
    let state = App::with(env_of(|name| issuer.lookup(name)));
    let app = router(state.clone());
    for (groups, outcome) in [(json!(["admin"]), "accepted"), (json!([]), "Forbidden")] {
        let begun = begin(&app, "").await;
        issuer.gives(
            json!({"nonce": begun.nonce, "cognito:groups": groups}),
            "refresh-1",
        );
        let query = format!("code=c&state={}", begun.state);
        come_back(&app, &query, &begun.cookie).await;
        let wanted = json!({"actor": "ada", "action": "sign_in", "outcome": outcome,
            "run_id": null, "detail": {"sub": "0000-1111"}});
        assert_eq!(state.known().unwrap().audit.lines(), [wanted]);
    }
    // Nobody knows who did not come in, and anybody could write that.
    come_back(&app, "code=c&state=x", "").await;
    assert_eq!(state.known().unwrap().audit.lines(), Vec::<Value>::new());
}

/// No form leaves our origin: a page of ours leads on, also where this process has
/// never spoken to the issuer before.
#[tokio::test]
async fn signing_out_leads_to_the_issuer_from_a_cold_function_too() {
    let issuer = Issuer::start().await;
    let end = format!("{}/end?a=b", issuer.address);
    let given = |name: &str| match name {
        "OIDC_END_SESSION_URL" => Some(end.clone()),
        _ => issuer.lookup(name),
    };
    let slash = |name: &str| match name {
        "OIDC_ISSUER" => Some(format!("{}/", issuer.address)),
        _ => given(name),
    };
    let cookie = sealed(session(), KEY);
    let headers = [("cookie", &*cookie), ("sec-fetch-site", "same-origin")];
    for app in [app_of(given), app_of(slash)] {
        for warm in [false, true] {
            let answer = send(&app, &Method::POST, "/admin/sign-out", &headers, "").await;
            assert_eq!(answer.status, 200, "{warm}: {}", answer.text);
            assert!(answer.ends_session());
            let policy = answer.headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap();
            assert!(policy.contains("form-action 'self';"), "{policy}");
            let refresh = answer.headers["refresh"].to_str().unwrap();
            let address = refresh.strip_prefix("0; url=").unwrap();
            assert!(address.starts_with(&format!("{end}&")), "{address}");
            let back =
                "post_logout_redirect_uri=https%3A%2F%2Fsync.example.com%2Fadmin%2Fsigned-out";
            assert!(address.contains(back), "{address}");
            // For whoever is not led on.
            let link = format!("href=\"{}\"", address.replace('&', "&#38;"));
            assert!(answer.text.contains(&link), "{}", answer.text);
        }
    }
    // Where the issuer has no such page the way out is the same as ever.
    let app = app_of(|name| issuer.lookup(name));
    let answer = send(&app, &Method::POST, "/admin/sign-out", &headers, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.place()),
        (303, "/admin/signed-out")
    );
}
