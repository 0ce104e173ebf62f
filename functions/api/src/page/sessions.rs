//! The session around every request: opened, renewed where the issuer's word is old,
//! and handed on to whoever asks for it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::app::{App, Env};
use crate::auth::guard::{Expected, Refusal};
use crate::auth::issuer::Refused;
use crate::auth::session::{self, Age, Session};
use crate::caller;

/// The routes whose answers say themselves what becomes of the cookie.
const WRITERS: [&str; 2] = ["/admin/sign-out", "/admin/callback"];

/// Opens the session, renews it where it is due, and hands it on. The answer carries
/// the cookie if it changed, unless it says itself what becomes of it: whoever has just
/// signed in, or out, has another session than came along, or none.
pub(crate) async fn open(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // These renew nothing first.
    let writes_it = WRITERS.contains(&request.uri().path());
    if writes_it || !session::was_sent(request.headers()) {
        return next.run(request).await;
    }
    let Ok(env) = app.env().await else {
        return next.run(request).await;
    };
    let jar = env.sign_in.jar(request.headers());
    let now = Timestamp::now();
    let changed = match session::read(&jar) {
        // Not ours, or sealed with a key that was changed.
        None => Some(session::clear(jar)),
        Some(session) => {
            let (session, is_renewed) = match session.age(now) {
                Age::Good => (Some(session), false),
                Age::Stale => (renew(env, session).await, true),
                // The cookie stays: it tells signing in that nobody was there.
                Age::Over => (None, false),
            };
            session.and_then(|mut session| {
                let is_seen = caller::is_attended(request.headers()) && session.see(now);
                let changed = (is_renewed || is_seen).then(|| session::write(jar, &session));
                request.extensions_mut().insert(session);
                changed
            })
        }
    };
    let response = next.run(request).await;
    match changed {
        Some(jar) if !session::is_written(response.headers()) => (jar, response).into_response(),
        _ => response,
    }
}

/// Returns the session with the issuer's new word; none if it says no, or cannot be
/// asked. The cookie then stays as it is: another tab may have renewed it meanwhile, and
/// an issuer that is away may be there for the next request.
async fn renew(env: &Env, session: Session) -> Option<Session> {
    let refresh_token = session.refresh_token.clone().unwrap_or_default();
    let tokens = match env.sign_in.issuer.renew(&refresh_token).await {
        Ok(tokens) => tokens,
        Err(Refused::No(reason)) => {
            let reason = shown(&reason);
            tracing::info!(%reason, name = session.name, "session not renewed");
            return None;
        }
        Err(Refused::Unavailable(problem)) => {
            tracing::error!(problem, "issuer cannot be asked for a session's renewal");
            return None;
        }
    };
    let expected = Expected::Renewal {
        subject: &session.subject,
        nonce: &session.nonce,
    };
    let renewed = Session {
        refresh_token: tokens.refresh_token,
        ..session.clone()
    };
    judge(env, &tokens.id_token, expected, renewed).await.ok()
}

/// The session of a person whose token passes. Where the issuer can be asked again, it
/// is within minutes, however long its token is good.
///
/// # Errors
/// As [`Guard::person`](crate::Guard)'s.
pub(crate) async fn judge(
    env: &Env,
    id_token: &str,
    expected: Expected<'_>,
    session: Session,
) -> Result<Session, Refusal> {
    let client_id = env.sign_in.issuer.client_id();
    let person = env.guard.person(id_token, client_id, expected).await?;
    let session = Session {
        name: person.name,
        subject: person.subject,
        admin: person.admin,
        good_until: person.expires_at,
        ..session
    }
    .fitting();
    let check_after = i64::try_from(env.sign_in.check_after.as_secs()).unwrap_or(i64::MAX);
    let check_at = Timestamp::now().as_second().saturating_add(check_after);
    let can_ask = session.refresh_token.is_some();
    Ok(Session {
        good_until: if can_ask {
            session.good_until.min(check_at)
        } else {
            session.good_until
        },
        ..session
    })
}

/// Another party's word, cut for the log.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(100)
        .collect()
}
