//! Sign-ins that end before their time, and the record of who came in, went out, or was
//! turned away.

use std::sync::atomic::{AtomicUsize, Ordering};

use shared::error::SyncError;

use super::browser::{KEY, SESSION, get, sealed, send, session};
use super::issuer::{Issuer, sign};
use super::*;
use crate::auth::session::{SECONDS_MAX, Session};

const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A router, and what it works with.
fn door(env: Env) -> (Router, App) {
    let app = App::with(env);
    (router(app.clone()), app)
}

fn lines(app: &App) -> Vec<Value> {
    app.known().unwrap().audit.lines()
}

/// What the log has of each line: who, what, and what came of it.
fn told(app: &App) -> Vec<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    lines(app)
        .iter()
        .map(|line| {
            let parts = ["actor", "action", "outcome"].map(|part| text(&line[part]));
            let [actor, action, outcome] = parts;
            [actor, text(&line["detail"]["sub"]), action, outcome]
        })
        .collect()
}

async fn sign_out(router: &Router, cookie: &str) -> browser::Answer {
    let headers = [("cookie", cookie), OURS];
    send(router, &Method::POST, "/admin/sign-out", &headers, "").await
}

/// Every route for admins, and whether it is a page's.
async fn all_routes() -> Vec<(Method, String, bool)> {
    let mut found = Vec::new();
    for (routes, is_page) in [(scripts(), false), (page::routes(), true)] {
        let routes = refusals::all(routes).await.into_iter();
        found.extend(routes.map(|(method, path)| (method, path, is_page)));
    }
    found
}

#[tokio::test]
async fn a_copied_cookie_is_nothing_once_its_owner_has_signed_out() {
    let (router, app) = door(env_of(own));
    let session = session();
    let token = session.csrf_token.clone();
    let cookie = sealed(session, KEY);
    let other = sealed(browser::session(), KEY);
    let headers = [("cookie", &*cookie), OURS, ("x-csrf-token", &*token)];
    assert_eq!(get(&router, "/admin/runs", &cookie).await.status, 503);
    assert!(sign_out(&router, &cookie).await.ends_session());
    for (method, path, is_page) in all_routes().await {
        let answer = send(&router, &method, &path, &headers, "{}").await;
        let wanted = if is_page && method == Method::GET {
            303
        } else {
            401
        };
        assert_eq!(answer.status, wanted, "{method} {path}");
    }
    // Another sign-in of the same person goes on.
    assert_eq!(get(&router, "/admin/runs", &other).await.status, 503);
    let told = told(&app);
    let told: Vec<_> = told
        .iter()
        .map(|[_, _, action, outcome]| [&**action, outcome])
        .collect();
    assert_eq!(told, [["sign_out", "accepted"], ["refused", "Ended"]]);
    // Once is enough.
    assert!(sign_out(&router, &cookie).await.ends_session());
    assert!(lines(&app).is_empty());
}

#[tokio::test]
async fn all_of_a_persons_sign_ins_can_be_ended() {
    let (router, app) = door(env_of(own));
    let cookies = [sealed(session(), KEY), sealed(session(), KEY)];
    app.known().unwrap().ended.end("0000-1111").await.unwrap();
    for cookie in cookies {
        assert_eq!(get(&router, "/admin/runs", &cookie).await.status, 401);
    }
    let bob = Session {
        subject: "0000-2222".to_owned(),
        ..session()
    };
    let status = async |session| {
        get(&router, "/admin/runs", &sealed(session, KEY))
            .await
            .status
    };
    assert_eq!(status(bob).await, 503);
    // Whoever signs in anew is in, as soon as the clock has come so far.
    let ended = &app.known().unwrap().ended;
    let now = session().began_at;
    for (began_at, is_ended) in [(now - 60, true), (now + 60, false)] {
        let found = ended.have("x", "0000-1111", began_at).await.unwrap();
        assert_eq!(found, is_ended);
    }
}

/// Nobody is let in by a sign-in of which it cannot be known whether it was ended.
#[tokio::test]
async fn while_the_database_is_away_a_cookie_opens_nothing() {
    let mut env = env_of(own);
    env.ended = EndedSignIns::kept_in(&env.database);
    env.audit = AuditLog::kept_in(&env.database);
    let (router, _) = door(env);
    let session = session();
    let token = session.csrf_token.clone();
    let cookie = sealed(session, KEY);
    let headers = [("cookie", &*cookie), OURS, ("x-csrf-token", &*token)];
    for (method, path, is_page) in all_routes().await {
        // Not a word about what the request holds, although it holds nothing.
        let answer = send(&router, &method, &path, &headers, "").await;
        assert_eq!(answer.status, 503, "{method} {path}");
        let words = if is_page {
            "The database does not answer"
        } else {
            "DatabaseUnavailable"
        };
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
        assert!(!answer.ends_session(), "{path}");
    }
    // Who wants out is out, and hears that a copy may not be.
    let answer = sign_out(&router, &cookie).await;
    assert!(answer.ends_session());
    assert!(answer.text.contains("did not take note"), "{}", answer.text);
}

/// The cookie can be dropped without the key that reads it.
#[tokio::test]
async fn a_service_that_is_not_set_up_signs_out_too() {
    let router = router(App::made_by(|| {
        Box::pin(async { Err(SyncError::config("SESSION_KEY", "is not set")) })
    }));
    let answer = sign_out(&router, &sealed(session(), KEY)).await;
    assert_eq!(answer.status, 500);
    assert!(answer.ends_session());
}

/// Anybody can ask; what cannot be had is not asked for each time.
#[tokio::test]
async fn a_failed_start_is_tried_again_after_some_seconds() {
    static TRIED: AtomicUsize = AtomicUsize::new(0);
    let app = App::made_by(|| {
        TRIED.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err(SyncError::config("SESSION_KEY", "is not set")) })
    });
    let later = app.clone().at_once();
    for (app, tried) in [(&app, [1, 1, 1]), (&later, [2, 3, 4])] {
        let router = router(app.clone());
        for tried in tried {
            assert_eq!(get(&router, "/admin/runs", "").await.status, 500);
            assert_eq!(TRIED.load(Ordering::SeqCst), tried);
        }
    }
}

/// What is over opens nothing, and writes nothing either.
#[tokio::test]
async fn an_old_cookie_is_only_dropped() {
    let (router, app) = door(env_of(own));
    let old = Session {
        began_at: session().began_at - SECONDS_MAX,
        ..session()
    };
    let (id, cookie) = (old.id.clone(), sealed(old, KEY));
    assert!(sign_out(&router, &cookie).await.ends_session());
    let headers = [("cookie", &*cookie), ("sec-fetch-site", "cross-site")];
    send(&router, &Method::POST, "/admin/sign-out", &headers, "").await;
    assert!(lines(&app).is_empty());
    let ended = &app.known().unwrap().ended;
    assert!(!ended.have(&id, "nobody", 0).await.unwrap());
}

#[tokio::test]
async fn the_issuers_word_is_good_for_minutes_even_if_its_token_is_for_days() {
    let issuer = Issuer::start().await;
    let (router, _) = door(env_of(|name| issuer.lookup(name)));
    let now = jiff::Timestamp::now().as_second();
    let stale = Session {
        good_until: now - 1,
        refresh_token: Some("refresh-1".to_owned()),
        ..session()
    };
    issuer.gives(json!({"exp": now + 86_400}), "refresh-2");
    let answer = get(&router, "/admin/sync", &sealed(stale, KEY)).await;
    let after = answer.session().unwrap();
    let seconds = after.good_until - jiff::Timestamp::now().as_second();
    assert!((0..=900).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_page_that_was_left_alone_signs_out_however_often_it_asks() {
    let (router, _) = door(env_of(own));
    let seen = |seconds: i64| {
        let session = session();
        Session {
            seen_at: session.seen_at - seconds,
            began_at: session.began_at - 7_200,
            ..session
        }
    };
    let ask = async |session: &Session, refresh: Option<&'static str>| {
        let cookie = sealed(session.clone(), KEY);
        let mut headers = vec![("cookie", &*cookie)];
        headers.extend(refresh.map(|kind| ("x-refresh", kind)));
        send(&router, &Method::GET, "/admin/sync", &headers, "").await
    };
    // The page asks by itself: that keeps nobody in.
    let quiet = seen(1_700);
    let answer = ask(&quiet, Some("unattended")).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.cookie(SESSION), None);
    // Somebody is there: at the page, or on the way to another one.
    for refresh in [Some("attended"), None] {
        let answer = ask(&quiet, refresh).await;
        let after = answer.session().unwrap();
        assert!(after.seen_at > quiet.seen_at + 1_600, "{refresh:?}");
        assert_eq!(
            after,
            Session {
                seen_at: after.seen_at,
                ..quiet.clone()
            }
        );
    }
    // Nobody was, for too long.
    for refresh in [Some("unattended"), Some("attended"), None] {
        let answer = ask(&seen(1_801), refresh).await;
        assert_eq!(answer.status, 303, "{refresh:?}");
        assert!(answer.place().starts_with("/admin/sign-in"), "{refresh:?}");
    }
    // Nor does the issuer's own sign-in let them in again by itself.
    for (seconds, asks_anew) in [(1_700, false), (1_801, true)] {
        let cookie = sealed(seen(seconds), KEY);
        let answer = get(&router, "/admin/sign-in", &cookie).await;
        let asked = answer.place().contains("prompt=login");
        assert_eq!(asked, asks_anew, "{}", answer.place());
    }
    // Not every request needs a cookie.
    assert_eq!(ask(&seen(10), None).await.cookie(SESSION), None);
}

#[tokio::test]
async fn whoever_is_turned_away_by_name_is_in_the_audit_log() {
    let issuer = Issuer::start().await;
    let (router, app) = door(env_of(|name| issuer.lookup(name)));
    let somebody = sealed(session(), KEY);
    let mut asked = 0;
    for (method, path, is_page) in all_routes().await {
        // Each time somebody else: one refusal a minute is told of each person.
        let subject = format!("0000-{asked}");
        let of = |admin| {
            let subject = subject.clone();
            sealed(
                Session {
                    admin,
                    subject,
                    ..session()
                },
                KEY,
            )
        };
        let (nobody, somebody) = (of(false), of(true));
        let claims =
            issuer.changed(json!({"cognito:groups": null, "sub": format!("{subject}-api")}));
        let bearer = format!("Bearer {}", sign("rsa", &claims));
        let mut ways = vec![(vec![("cookie", &*nobody), OURS], "Forbidden")];
        if !is_page {
            ways.push((vec![("authorization", &*bearer)], "Forbidden"));
        }
        if method != Method::GET {
            let elsewhere = ("sec-fetch-site", "cross-site");
            ways.push((vec![("cookie", &*somebody), elsewhere], "CrossSite"));
        }
        for (headers, outcome) in ways {
            asked += 1;
            let answer = send(&router, &method, &path, &headers, "").await;
            assert_eq!(answer.status, 403, "{method} {path}");
            let mut found = lines(&app);
            let sub = found[0]["detail"].as_object_mut().unwrap().remove("sub");
            assert!(sub.unwrap().as_str().unwrap().starts_with(&subject));
            let detail = json!({"method": method.as_str(), "path": path});
            let wanted = json!({"actor": "ada", "action": "refused", "outcome": outcome,
                "run_id": null, "detail": detail});
            assert_eq!(found, [wanted], "{method} {path}");
        }
    }
    assert!(asked > 40, "{asked}");
    // A form of ours without its secret.
    let headers = [("cookie", &*somebody), OURS];
    let path = "/admin/sync/runs/sync-1/stop";
    send(&router, &Method::POST, path, &headers, "").await;
    assert_eq!(told(&app), [["ada", "0000-1111", "refused", "CrossSite"]]);
    let headers = [("cookie", &*somebody), ("sec-fetch-site", "cross-site")];
    send(&router, &Method::POST, "/admin/sign-out", &headers, "").await;
    assert!(lines(&app).is_empty(), "told a moment ago");
    let bob = Session {
        subject: "0000-2222".to_owned(),
        ..session()
    };
    let bob = sealed(bob, KEY);
    let headers = [("cookie", &*bob), ("sec-fetch-site", "cross-site")];
    send(&router, &Method::POST, "/admin/sign-out", &headers, "").await;
    assert_eq!(told(&app), [["ada", "0000-2222", "refused", "CrossSite"]]);
    // Not with all that somebody may have written into the address.
    let long = format!("/admin/runs/{}", "x".repeat(5_000));
    let eve = Session {
        admin: false,
        subject: "0000-3333".to_owned(),
        ..session()
    };
    get(&router, &long, &sealed(eve, KEY)).await;
    assert_eq!(
        lines(&app)[0]["detail"]["path"].as_str().unwrap().len(),
        200
    );
    // Nobody whom we know: anybody could fill the log.
    get(&router, "/admin/sync", "").await;
    get(&router, "/admin/runs", "").await;
    send(&router, &Method::POST, "/admin/sync/start", &[], "").await;
    assert_eq!(lines(&app), Vec::<Value>::new());
}

/// Without an issuer that is asked for anything.
fn own(name: &str) -> Option<String> {
    match name {
        "OIDC_ISSUER" => Some("http://127.0.0.1:1".to_owned()),
        "OIDC_CLIENT_IDS" => Some("people".to_owned()),
        "OIDC_AUTHORIZATION_URL" | "OIDC_TOKEN_URL" => Some("http://127.0.0.1:1/x".to_owned()),
        _ => None,
    }
}
