//! The callers that are sent away, at every route there is: the lists are the router's
//! own, so a new route is in them too.

use super::browser::{Answer, KEY, SESSION, get, sealed, sealed_as, send, session};
use super::*;
use crate::auth::session::{SECONDS_MAX, Session};

const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];
/// The header by which a browser tells of a form on a page of ours.
const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

/// The methods and addresses of these routes.
pub(crate) async fn all(routes: Routes) -> Vec<(Method, String)> {
    let app = app();
    let mut found = Vec::new();
    for (path, _) in routes {
        let path = path
            .replace("{run_id}", "sync-1")
            .replace("{name}", "page.js");
        let before = found.len();
        for method in METHODS {
            let answer = send(&app, &method, &path, &[], "").await;
            if answer.status != StatusCode::METHOD_NOT_ALLOWED {
                found.push((method, path.clone()));
            }
        }
        assert!(found.len() > before, "{path} takes no method");
    }
    found
}

/// Expects that a script's route has refused somebody who is not signed in.
fn assert_no_script(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}");
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer", "{what}");
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(body["error"]["name"], "Unauthorized", "{what}");
}

/// Expects the same of a page's route.
fn assert_no_page(answer: &Answer, method: &Method, path: &str) {
    if *method == Method::GET {
        assert_eq!(answer.status, 303, "{path}");
        let wanted = format!("/admin/sign-in?return_to={}", path.replace('/', "%2F"));
        assert_eq!(answer.place(), wanted);
    } else {
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.text.contains("Session ended"), "{path}");
    }
}

/// Asks every route for admins with these headers, and expects to be no one.
async fn assert_signed_out(headers: &[(&'static str, &str)], ends_session: bool) {
    let app = app();
    for (method, path) in all(scripts()).await {
        let answer = send(&app, &method, &path, headers, "{}").await;
        assert_no_script(&answer, &format!("{method} {path} {headers:?}"));
        assert_eq!(answer.ends_session(), ends_session, "{path} {headers:?}");
    }
    for (method, path) in all(page::routes()).await {
        let answer = send(&app, &method, &path, headers, "confirm=yes").await;
        assert_no_page(&answer, &method, &path);
        assert_eq!(answer.ends_session(), ends_session, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn without_sign_in_only_what_is_open_answers() {
    assert_signed_out(&[], false).await;
    assert_signed_out(&[OURS], false).await;

    let mut open: Vec<String> = [open(), plain()]
        .into_iter()
        .flatten()
        .map(|(path, _)| path.to_owned())
        .collect();
    open.sort();
    assert_eq!(
        open,
        [
            "/",
            "/admin",
            "/admin/assets/{name}",
            "/admin/callback",
            "/admin/sign-in",
            "/admin/sign-out",
            "/admin/signed-out",
            "/healthz",
            "/openapi.json",
        ],
        "think twice before you open another one"
    );
    for (method, path) in all(plain()).await {
        let answer = send(&app(), &method, &path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_a_session_of_ours_is_none() {
    let good = sealed(session(), KEY);
    // It is one as it stands.
    let answer = get(&app(), "/admin/sync", &good).await;
    assert_eq!(answer.status, 503, "{}", answer.text);

    let (middle, now) = (good.len() / 2, session().began_at);
    let other = if good.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let tampered = format!("{}{other}{}", &good[..middle], &good[middle + 1..]);
    let in_clear = serde_json::to_string(&session()).unwrap();
    let aged = |seconds: i64| Session {
        began_at: now - seconds,
        ..session()
    };
    for cookie in [
        tampered,
        good[..good.len() - 8].to_owned(),
        good[..SESSION.len() + 12].to_owned(),
        format!("{SESSION}="),
        format!("{SESSION}=forged"),
        format!("{SESSION}={}", in_clear.replace([' ', ';', ','], "")),
        sealed(session(), &"x".repeat(40)),
        // Sealed by us, but as another cookie.
        sealed_as("other", in_clear).replace("other", SESSION),
        sealed_as(SESSION, "{}".to_owned()),
    ] {
        assert_signed_out(&[("cookie", &cookie), OURS], true).await;
    }
    // What is over says nothing more than that somebody was here.
    for cookie in [
        sealed(aged(SECONDS_MAX), KEY),
        sealed(aged(-600), KEY),
        sealed(
            Session {
                good_until: now - 1,
                ..session()
            },
            KEY,
        ),
    ] {
        assert_signed_out(&[("cookie", &cookie), OURS], false).await;
    }
}

#[tokio::test]
async fn another_sites_request_is_refused_whoever_is_signed_in() {
    let app = app();
    let session = session();
    let token = session.csrf_token.clone();
    let (cookie, key) = (sealed(session.clone(), KEY), "idempotency_key=k");
    let other_session = browser::session().csrf_token;
    let mut asked = 0;
    for (routes, is_script) in [(scripts(), true), (page::routes(), false)] {
        for (method, path) in all(routes).await {
            if method == Method::GET {
                continue;
            }
            asked += 1;
            let ask = async |from: &[(&'static str, &str)], token: Option<&str>| {
                let mut headers = vec![("cookie", cookie.as_str())];
                headers.extend_from_slice(from);
                let body = if is_script {
                    headers.push(("content-type", "application/json"));
                    headers.extend(token.map(|token| ("x-csrf-token", token)));
                    r#"{"backup_id": "b"}"#.replace(
                        r#""backup_id": "b""#,
                        if path == "/admin/restore" {
                            r#""backup_id": "b""#
                        } else {
                            ""
                        },
                    )
                } else {
                    headers.push(("content-type", "application/x-www-form-urlencoded"));
                    let fields = match path.as_str() {
                        "/admin/sync/start" => "only.catalog=true",
                        "/admin/sync/restore" => "backup_id=b",
                        _ => key,
                    };
                    let token = token.map(|token| format!("&csrf_token={token}"));
                    format!("{fields}&confirm=yes{}", token.unwrap_or_default())
                };
                send(&app, &method, &path, &headers, &body).await
            };
            // From a page of ours it goes on to the database, which is away.
            let answer = ask(&[OURS], Some(&token)).await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.text);
            let answer = ask(&[("origin", PUBLIC_URL)], Some(&token)).await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.text);

            for from in [
                &[][..],
                &[("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "same-site")],
                &[("sec-fetch-site", "none")],
                &[("sec-fetch-site", "cross-site"), ("origin", PUBLIC_URL)],
                &[("origin", "https://evil.example")],
                &[("origin", "https://sync.example.com.evil.example")],
                &[("origin", "http://sync.example.com")],
                &[("origin", "null")],
            ] {
                let answer = ask(from, Some(&token)).await;
                assert_eq!(answer.status, 403, "{path} {from:?}");
            }
            for token in [
                None,
                Some(""),
                Some("wrong"),
                Some(&token[1..]),
                Some(&other_session),
            ] {
                let answer = ask(&[OURS], token).await;
                assert_eq!(answer.status, 403, "{path} {token:?}");
            }
        }
    }
    assert_eq!(asked, 12);
}

#[tokio::test]
async fn another_site_cannot_sign_somebody_out() {
    let cookie = sealed(session(), KEY);
    for from in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let headers = [("cookie", cookie.as_str()), from];
        let answer = send(&app(), &Method::POST, "/admin/sign-out", &headers, "").await;
        assert_eq!(answer.status, 403);
        assert!(!answer.ends_session());
    }
    let headers = [("cookie", cookie.as_str()), OURS];
    let answer = send(&app(), &Method::POST, "/admin/sign-out", &headers, "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.ends_session());
}

#[tokio::test]
async fn somebody_who_is_no_admin_is_told_so_everywhere() {
    let nobody = Session {
        admin: false,
        ..session()
    };
    let token = nobody.csrf_token.clone();
    let cookie = sealed(nobody, KEY);
    let headers = [("cookie", cookie.as_str()), OURS, ("x-csrf-token", &token)];
    for (routes, words) in [
        (scripts(), "\"Forbidden\""),
        (page::routes(), "not in the group of admins"),
    ] {
        for (method, path) in all(routes).await {
            let answer = send(&app(), &method, &path, &headers, "").await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert!(answer.text.contains(words), "{path}: {}", answer.text);
        }
    }
}
