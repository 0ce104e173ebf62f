//! Signing in and out in a browser: OpenID Connect's authorization code with
//! PKCE. The browser holds nothing but sealed cookies; tokens never leave the
//! server, so no address, log or script can give one away.

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use jiff::Timestamp;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::HOME;
use super::notice::Notice;
use crate::app::{App, Env};
use crate::auth::issuer::{Attempt, Refused};
use crate::auth::origin::is_same_origin;
use crate::auth::session::{self, Age, Session};

/// As long as somebody may take to type a password and a second factor.
const ATTEMPT_SECONDS: i64 = 10 * 60;
/// More attempts than this are not remembered at once.
const ATTEMPTS_MAX: usize = 5;
const ATTEMPT: &str = "__Host-square-sync-attempt-";
const SIGNED_OUT: &str = "/admin/signed-out";

/// `GET /admin/sign-in`
#[derive(Debug, Deserialize)]
pub(crate) struct ReturnTo {
    return_to: Option<String>,
}

/// Sends the browser to the issuer.
pub(crate) async fn begin(
    State(app): State<App>,
    Query(asked): Query<ReturnTo>,
    headers: HeaderMap,
) -> Response {
    let env = match app.env().await {
        Ok(env) => env,
        Err(error) => return Notice::not_set_up(&error).into_response(),
    };
    let return_to = asked.return_to.filter(|place| is_ours(place));
    let begun = env
        .sign_in
        .issuer
        .begin(return_to.unwrap_or_else(|| HOME.to_owned()));
    match begun.await {
        Ok((attempt, address)) => {
            let jar = forget_attempts(env.sign_in.jar(&headers), &headers);
            let value = serde_json::to_string(&attempt).unwrap_or_default();
            let cookie = session::cookie(attempt_name(&attempt.state), value, ATTEMPT_SECONDS);
            (jar.add(cookie), Redirect::to(address.as_str())).into_response()
        }
        Err(refused) => unavailable(&refused),
    }
}

/// The parameters that the issuer sends the browser back with.
#[derive(Debug, Deserialize)]
pub(crate) struct Callback {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// `GET /admin/callback`: takes the code, and begins the session.
pub(crate) async fn callback(
    State(app): State<App>,
    Query(answer): Query<Callback>,
    headers: HeaderMap,
) -> Response {
    let env = match app.env().await {
        Ok(env) => env,
        Err(error) => return Notice::not_set_up(&error).into_response(),
    };
    let jar = env.sign_in.jar(&headers);
    let state = answer.state.unwrap_or_default();
    let Some(attempt) = attempt_of(&jar, &state) else {
        tracing::warn!("sign-in answered that nobody began here");
        return Notice::sign_in_expired().into_response();
    };
    let jar = session::forget(jar, attempt_name(&state));
    let Some(code) = answer.code else {
        let reason = answer.error.unwrap_or_default();
        tracing::warn!(reason = %shown(&reason), "issuer refused the sign-in");
        return (jar, Notice::sign_in_refused()).into_response();
    };
    let tokens = match env.sign_in.issuer.exchange(code, &attempt).await {
        Ok(tokens) => tokens,
        Err(Refused::No(reason)) => {
            tracing::warn!(reason = %shown(&reason), "issuer refused the code");
            return (jar, Notice::sign_in_expired()).into_response();
        }
        Err(refused) => return unavailable(&refused),
    };
    let fresh = Session {
        refresh_token: tokens.refresh_token,
        ..Session::begin(Timestamp::now())
    };
    match judge(env, &tokens.id_token, Some(&attempt.nonce), fresh).await {
        Some(session) => {
            tracing::info!(name = session.name, admin = session.admin, "signed in");
            (
                session::write(jar, session),
                Redirect::to(&attempt.return_to),
            )
                .into_response()
        }
        None => (jar, Notice::sign_in_refused()).into_response(),
    }
}

/// `POST /admin/sign-out`: ends the session here, and at the issuer.
pub(crate) async fn end(State(app): State<App>, headers: HeaderMap) -> Response {
    let Ok(env) = app.env().await else {
        return Redirect::to(SIGNED_OUT).into_response();
    };
    if !is_same_origin(&headers, env.sign_in.issuer.public_url()) {
        return Notice::cross_site().into_response();
    }
    let jar = env.sign_in.jar(&headers);
    if let Some(refresh_token) = session::read(&jar).and_then(|session| session.refresh_token) {
        env.sign_in.issuer.revoke(&refresh_token).await;
    }
    let jar = session::clear(jar);
    let address = env.sign_in.issuer.end_session(SIGNED_OUT).await;
    let to = address.map_or_else(|| SIGNED_OUT.to_owned(), String::from);
    (jar, Redirect::to(&to)).into_response()
}

/// `GET /admin/signed-out`
pub(crate) async fn ended() -> Notice {
    Notice::signed_out()
}

/// Around every request: opens the session, renews it where it is due, and hands
/// it on. The answer carries the cookie if it changed.
pub(crate) async fn sessions(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // Signing out says itself what becomes of the cookie, and renews nothing first.
    let signs_out = request.uri().path() == "/admin/sign-out";
    if signs_out || !session::was_sent(request.headers()) {
        return next.run(request).await;
    }
    let Ok(env) = app.env().await else {
        return next.run(request).await;
    };
    let jar = env.sign_in.jar(request.headers());
    let now = Timestamp::now();
    let mut changed = None;
    match session::read(&jar) {
        Some(session) => match session.age(now) {
            Age::Good => {
                request.extensions_mut().insert(session);
            }
            Age::Stale => match renew(env, session).await {
                Renewed::Yes(session) => {
                    changed = Some(session::write(jar, session.clone()));
                    request.extensions_mut().insert(session);
                }
                Renewed::No => changed = Some(session::clear(jar)),
                Renewed::Unknown => {}
            },
            Age::Over => changed = Some(session::clear(jar)),
        },
        // Not ours, or sealed with a key that was changed.
        None => changed = Some(session::clear(jar)),
    }
    let response = next.run(request).await;
    match changed {
        Some(jar) => (jar, response).into_response(),
        None => response,
    }
}

enum Renewed {
    Yes(Session),
    No,
    Unknown,
}

async fn renew(env: &Env, session: Session) -> Renewed {
    let refresh_token = session.refresh_token.clone().unwrap_or_default();
    match env.sign_in.issuer.renew(&refresh_token).await {
        Ok(tokens) => {
            let renewed = Session {
                refresh_token: tokens.refresh_token,
                ..session
            };
            judge(env, &tokens.id_token, None, renewed)
                .await
                .map_or(Renewed::No, Renewed::Yes)
        }
        Err(Refused::No(reason)) => {
            tracing::info!(reason = %shown(&reason), name = session.name, "session not renewed");
            Renewed::No
        }
        Err(Refused::Unavailable(problem)) => {
            tracing::error!(problem, "issuer cannot be asked for a session's renewal");
            Renewed::Unknown
        }
    }
}

/// The session of a person whose token passes; none if it does not.
async fn judge(
    env: &Env,
    id_token: &str,
    nonce: Option<&str>,
    session: Session,
) -> Option<Session> {
    let client_id = env.sign_in.issuer.client_id();
    let person = env.guard.person(id_token, client_id, nonce).await?;
    Some(Session {
        name: person.name,
        admin: person.admin,
        good_until: person.expires_at,
        ..session
    })
}

/// Only pages of ours are gone back to: an address that a browser could read as
/// another host's is not one.
fn is_ours(place: &str) -> bool {
    let rest = place.strip_prefix(HOME);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('?'))
        && place.len() <= 500
        && !place.contains("//")
        && !place.contains('\\')
        && place.bytes().all(|byte| byte.is_ascii_graphic())
}

fn attempt_name(state: &str) -> String {
    let tail: String = state
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(8)
        .collect();
    format!("{ATTEMPT}{tail}")
}

fn attempt_of(jar: &PrivateCookieJar, state: &str) -> Option<Attempt> {
    let cookie = jar.get(&attempt_name(state))?;
    let attempt: Attempt = serde_json::from_str(cookie.value()).ok()?;
    let age = Timestamp::now().as_second() - attempt.began_at;
    let same: bool = attempt.state.as_bytes().ct_eq(state.as_bytes()).into();
    (same && (0..ATTEMPT_SECONDS).contains(&age)).then_some(attempt)
}

/// Attempts that were never finished must not fill the request's headers.
fn forget_attempts(mut jar: PrivateCookieJar, headers: &HeaderMap) -> PrivateCookieJar {
    let names: Vec<String> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| name.starts_with(ATTEMPT))
        .map(|(name, _)| name.to_owned())
        .collect();
    if names.len() >= ATTEMPTS_MAX {
        for name in names {
            jar = session::forget(jar, name);
        }
    }
    jar
}

fn unavailable(refused: &Refused) -> Response {
    tracing::error!(?refused, "sign-in cannot be carried out");
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Notice::sign_in_unavailable(),
    )
        .into_response()
}

/// Another party's word, cut for the log.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(100)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_back_to() {
        for place in [
            "/admin/sync",
            "/admin/sync/runs?kind=restore&before=a",
            "/admin/sync?a=b",
        ] {
            assert!(is_ours(place), "{place}");
        }
        for place in [
            "",
            "/",
            "https://evil.example/admin/sync",
            "//evil.example/admin/sync",
            "/admin/sync//evil.example",
            "/admin/sync.evil.example",
            "/admin/sync\\evil",
            "/admin/sync/\r\nSet-Cookie: a=b",
            "/admin/sync/ä",
            "javascript:alert(1)",
            "/admin/callback",
        ] {
            assert!(!is_ours(place), "{place}");
        }
    }
}
