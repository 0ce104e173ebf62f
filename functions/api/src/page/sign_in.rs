//! Signing in and out in a browser: OpenID Connect's authorization code with
//! PKCE. The browser holds nothing but sealed cookies; tokens never leave the
//! server, so no address, log or script can give one away.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{Extensions, HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use jiff::Timestamp;
use serde::Deserialize;
use shared::postgres::CONNECTED_WITHIN;
use subtle::ConstantTimeEq;

use super::HOME;
use super::notice::Notice;
use super::sessions::{judge, shown};
use crate::app::{App, Env};
use crate::auth::guard::{Expected, Refusal};
use crate::auth::issuer::{Attempt, Refused};
use crate::auth::origin::is_same_origin;
use crate::auth::session::{self, SECONDS_MAX, Session};
use crate::caller::{Asking, Caller};

/// As long as somebody may take to type a password and a second factor.
const ATTEMPT_SECONDS: i64 = 10 * 60;
/// More attempts than this are not remembered at once.
const ATTEMPTS_MAX: usize = 5;
const ATTEMPT: &str = "__Host-square-sync-attempt-";
const SIGNED_OUT: &str = "/admin/signed-out";
/// A code is of some hundred letters, with some issuers of a thousand or two.
const CODE_BYTES_MAX: usize = 4 * 1024;

/// `GET /admin/sign-in`
#[derive(Debug, Deserialize)]
pub(crate) struct ReturnTo {
    return_to: Option<String>,
}

/// Sends the browser to the issuer.
pub(crate) async fn begin(
    State(app): State<App>,
    asked: Result<Query<ReturnTo>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let env = match app.env().await {
        Ok(env) => env,
        Err(error) => return Notice::not_set_up(&error).into_response(),
    };
    let jar = env.sign_in.jar(&headers);
    // The issuer's own sign-in would go on by itself before somebody else at the desk.
    let was_left_alone =
        session::read(&jar).is_some_and(|before| before.was_left_alone(Timestamp::now()));
    let return_to = asked.ok().and_then(|Query(asked)| asked.return_to);
    let return_to = return_to.filter(|place| is_ours(place));
    let return_to = return_to.unwrap_or_else(|| HOME.to_owned());
    match env.sign_in.issuer.begin(return_to, was_left_alone).await {
        Ok((attempt, address)) => {
            let jar = forget_attempts(jar, &headers);
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
    answer: Result<Query<Callback>, QueryRejection>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let env = match app.env().await {
        Ok(env) => env,
        Err(error) => return Notice::not_set_up(&error).into_response(),
    };
    let Ok(Query(answer)) = answer else {
        return Notice::sign_in_expired().into_response();
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
    if code.len() > CODE_BYTES_MAX {
        tracing::warn!("sign-in answered by what is no code");
        return (jar, Notice::sign_in_expired()).into_response();
    }
    let tokens = match env.sign_in.issuer.exchange(code, &attempt).await {
        Ok(tokens) => tokens,
        Err(Refused::No(reason)) => {
            tracing::warn!(reason = %shown(&reason), "issuer refused the code");
            return (jar, Notice::sign_in_expired()).into_response();
        }
        Err(refused) => return unavailable(&refused),
    };
    let nonce = &attempt.nonce;
    let fresh = Session {
        refresh_token: tokens.refresh_token,
        nonce: nonce.clone(),
        ..Session::begin(Timestamp::now())
    };
    match judge(env, &tokens.id_token, Expected::SignIn { nonce }, fresh).await {
        Ok(session) => {
            tracing::info!(name = session.name, admin = session.admin, "signed in");
            let outcome = if session.admin {
                "accepted"
            } else {
                "Forbidden"
            };
            let caller = Caller::signed_in(&session, &extensions);
            env.audit
                .try_to_add(&caller.entry("sign_in", outcome))
                .await;
            end_before(env, &jar, &session).await;
            let jar = session::write(jar, &session);
            (jar, Redirect::to(&attempt.return_to)).into_response()
        }
        Err(Refusal::KeysUnavailable) => {
            unavailable(&Refused::Unavailable("it gives no keys".to_owned()))
        }
        Err(_) => (jar, Notice::sign_in_refused()).into_response(),
    }
}

/// Ends the sign-in of somebody else in the same browser: an answer that is still under
/// way to one of their pages could bring their cookie back.
async fn end_before(env: &Env, jar: &PrivateCookieJar, session: &Session) {
    let before = session::read(jar).filter(|before| before.subject != session.subject);
    if let Some(before) = before
        && let Err(problem) = env.ended.end(&before.id).await
    {
        tracing::warn!(%problem, name = before.name, "a sign-in was not ended by the next one");
    }
}

/// `POST /admin/sign-out`: ends the session here, for every copy of its cookie, and at
/// the issuer. The way to the issuer is a page that leads on by itself: browsers follow
/// no form to another origin that the form's own page did not name, and which one it is
/// may have to be asked first.
pub(crate) async fn end(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let env = match app.env().await {
        Ok(env) => env,
        // Nobody can read the cookie without its key, but the browser can drop it.
        Err(error) => return (session::drop_it(), Notice::not_set_up(&error)).into_response(),
    };
    let jar = env.sign_in.jar(&headers);
    let now = Timestamp::now().as_second();
    let session = session::read(&jar).filter(|session| now - session.began_at < SECONDS_MAX);
    let caller = session
        .as_ref()
        .map(|session| Caller::signed_in(session, &extensions));
    if !is_same_origin(&headers, env.sign_in.issuer.public_url()) {
        if let Some(caller) = caller {
            asking.note(&caller, true);
        }
        return Notice::cross_site().into_response();
    }
    let is_kept = match (session, caller) {
        (Some(session), Some(caller)) => end_everywhere(env, &session, &caller).await,
        _ => true,
    };
    let jar = session::clear(jar);
    let address = env.sign_in.issuer.end_session(SIGNED_OUT).await;
    match address.map(String::from) {
        address if !is_kept => (jar, Notice::signed_out_here_only(address)).into_response(),
        Some(address) => {
            let lead_on = format!("0; url={address}");
            let lead_on = [(HeaderName::from_static("refresh"), lead_on)];
            (jar, lead_on, Notice::signing_out(address)).into_response()
        }
        None => (jar, Redirect::to(SIGNED_OUT)).into_response(),
    }
}

/// Has the database and the issuer know that a sign-in is over. Returns whether the
/// database does, so that no copy of the cookie opens anything any more.
async fn end_everywhere(env: &Env, session: &Session, caller: &Caller) -> bool {
    let here = async {
        match env.ended.end(&session.id).await {
            Ok(is_new) => {
                if is_new {
                    let entry = caller.entry("sign_out", "accepted");
                    env.audit.try_to_add(&entry).await;
                }
                true
            }
            Err(problem) => {
                tracing::error!(%problem, name = caller.name, "a sign-out was not kept");
                false
            }
        }
    };
    let there = async {
        if let Some(refresh_token) = &session.refresh_token {
            env.sign_in.issuer.revoke(refresh_token).await;
        }
    };
    let (here, ()) = tokio::join!(tokio::time::timeout(CONNECTED_WITHIN, here), there);
    here.unwrap_or_else(|_| {
        tracing::error!(
            name = caller.name,
            "the database took too long over a sign-out"
        );
        false
    })
}

/// `GET /admin/signed-out`
pub(crate) async fn ended() -> Notice {
    Notice::signed_out()
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
