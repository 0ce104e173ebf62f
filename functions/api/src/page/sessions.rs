//! The session around every request: opened, renewed where the issuer's word is old,
//! and handed on to whoever asks for it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::app::{App, Env};
use crate::auth::guard::Expected;
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
    let is_attended = caller::is_attended(request.headers());
    let mut changed = None;
    match session::read(&jar) {
        Some(mut session) => match session.age(now) {
            Age::Good => {
                if is_attended && session.see(now) {
                    changed = Some(session::write(jar, session.clone()));
                }
                request.extensions_mut().insert(session);
            }
            Age::Stale => match renew(env, session).await {
                Renewed::Yes(mut session) => {
                    if is_attended {
                        session.see(now);
                    }
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
        Some(jar) if !session::is_written(response.headers()) => (jar, response).into_response(),
        _ => response,
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
            let expected = Expected::Renewal {
                subject: &session.subject,
                nonce: &session.nonce,
            };
            let renewed = Session {
                refresh_token: tokens.refresh_token,
                ..session.clone()
            };
            judge(env, &tokens.id_token, expected, renewed)
                .await
                .map_or(Renewed::No, Renewed::Yes)
        }
        Err(Refused::No(reason)) => {
            let reason = shown(&reason);
            tracing::info!(%reason, name = session.name, "session not renewed");
            Renewed::No
        }
        Err(Refused::Unavailable(problem)) => {
            tracing::error!(problem, "issuer cannot be asked for a session's renewal");
            Renewed::Unknown
        }
    }
}

/// The session of a person whose token passes; none if it does not. Where the issuer
/// can be asked again, it is within minutes, however long its token is good.
pub(crate) async fn judge(
    env: &Env,
    id_token: &str,
    expected: Expected<'_>,
    session: Session,
) -> Option<Session> {
    let client_id = env.sign_in.issuer.client_id();
    let person = env.guard.person(id_token, client_id, expected).await?;
    let check_after = i64::try_from(env.sign_in.check_after.as_secs()).unwrap_or(i64::MAX);
    let check_at = Timestamp::now().as_second().saturating_add(check_after);
    let can_ask = session.refresh_token.is_some();
    Some(Session {
        name: person.name,
        subject: person.subject,
        admin: person.admin,
        good_until: if can_ask {
            person.expires_at.min(check_at)
        } else {
            person.expires_at
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
