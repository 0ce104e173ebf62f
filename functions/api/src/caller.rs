//! The admin who calls, by a script's token or by a browser's session; for whatever
//! changes something, the session's own secret has to come along. Whoever is known and
//! refused is in the audit log.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use lambda_http::request::RequestContext;
use serde_json::json;
use shared::run::request::Trigger;

use crate::app::{App, Env};
use crate::audit::Audit;
use crate::auth::guard::Refusal;
use crate::auth::origin::{changes, is_ours};
use crate::auth::session::Session;
use crate::http::error::ApiError;

/// The header by which the page's script says that it only asks again for what is shown:
/// `unattended` if nobody has touched the page since it last did.
const REFRESH_HEADER: &str = "x-refresh";
/// More of a path says nothing more of whoever was refused there.
const PATH_CHARS_MAX: usize = 200;

/// An admin, by their token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// A person's user name or address, or a machine client's id.
    pub(crate) name: String,
    /// The issuer's `sub`.
    pub(crate) subject: String,
    /// The address that the request came from, as API Gateway saw it.
    pub(crate) source_ip: Option<String>,
    /// The trigger of the runs that they start.
    pub(crate) trigger: Trigger,
}

/// The one who asks, once that is known, for what is said about the answer.
#[derive(Clone, Default)]
pub(crate) struct Asking(Arc<OnceLock<(Caller, bool)>>);

impl Asking {
    /// Notes who it is, and whether they are an admin.
    pub(crate) fn note(&self, caller: &Caller, admin: bool) {
        self.0.get_or_init(|| (caller.clone(), admin));
    }
}

/// Notes who asks for these parts of a request.
pub(crate) fn note(parts: &Parts, caller: &Caller, admin: bool) {
    if let Some(asking) = parts.extensions.get::<Asking>() {
        asking.note(caller, admin);
    }
}

/// Around every request: whoever is refused although it is known who they are is in
/// the audit log.
pub(crate) async fn refusals(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let asking = Asking::default();
    request.extensions_mut().insert(asking.clone());
    let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
    let detail = json!({"method": request.method().as_str(), "path": path});
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some((caller, admin)) = asking.0.get()
        && let Some(env) = app.known()
    {
        let outcome = if *admin { "CrossSite" } else { "Forbidden" };
        let entry = Audit {
            detail,
            ..caller.entry("refused", outcome)
        };
        env.audit.try_to_add_refusal(&entry).await;
    }
    response
}

/// A handler that takes a `Caller` is for admins.
impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let env = app.env().await.map_err(|error| {
            // Nobody has signed in yet, so the particulars stay in the log.
            tracing::error!(name = error.name(), %error, "service not set up");
            let message = "The service is not set up. Its log names the setting.";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.name(), message)
        })?;
        let session = parts.extensions.get::<Session>();
        if let (false, Some(session)) = (parts.headers.contains_key(header::AUTHORIZATION), session)
        {
            let caller = Self::signed_in(session, &parts.extensions);
            note(parts, &caller, session.admin);
            let public_url = env.sign_in.issuer.public_url();
            if changes(&parts.method) && !is_ours(&parts.headers, session, public_url) {
                return Err(Refusal::CrossSite.into());
            }
            if !session.admin {
                return Err(Refusal::NotAdmin.into());
            }
            if is_ended(env, session, &caller).await? {
                return Err(Refusal::NoToken.into());
            }
            return Ok(caller);
        }
        let person = env.guard.bearer(&parts.headers).await?;
        let caller = Self {
            name: person.name,
            subject: person.subject,
            source_ip: source_ip(&parts.extensions),
            trigger: Trigger::Api,
        };
        note(parts, &caller, person.admin);
        if person.admin {
            Ok(caller)
        } else {
            tracing::warn!(caller = caller.name, "caller is no admin");
            Err(Refusal::NotAdmin.into())
        }
    }
}

/// Whether a sign-in was ended before its time. While that cannot be known nobody is let
/// in by it.
pub(crate) async fn is_ended(
    env: &Env,
    session: &Session,
    caller: &Caller,
) -> Result<bool, ApiError> {
    let is_ended = env.ended.has(session).await?;
    if is_ended {
        // Another tab of theirs, or somebody who has a copy of the cookie.
        tracing::warn!(name = caller.name, "a sign-in that was ended is shown");
        let entry = caller.entry("refused", "Ended");
        env.audit.try_to_add_refusal(&entry).await;
    }
    Ok(is_ended)
}

/// Whether somebody is there who asks: not where a page that was left alone does.
pub(crate) fn is_attended(headers: &HeaderMap) -> bool {
    headers
        .get(REFRESH_HEADER)
        .is_none_or(|value| value != "unattended")
}

impl Caller {
    /// Somebody for tests.
    #[cfg(test)]
    pub(crate) fn ada() -> Self {
        Self {
            name: "ada".to_owned(),
            subject: "0000-1111".to_owned(),
            source_ip: None,
            trigger: Trigger::Api,
        }
    }

    /// The person of a session, whether an admin or not.
    pub(crate) fn signed_in(session: &Session, extensions: &Extensions) -> Self {
        Self {
            name: session.name.clone(),
            subject: session.subject.clone(),
            source_ip: source_ip(extensions),
            trigger: Trigger::Admin,
        }
    }

    /// A line of the audit log about them.
    pub(crate) fn entry<'a>(&'a self, action: &'a str, outcome: &'a str) -> Audit<'a> {
        Audit {
            actor: &self.name,
            subject: Some(self.subject.as_str()).filter(|subject| !subject.is_empty()),
            action,
            source_ip: self.source_ip.as_deref(),
            run_id: None,
            outcome,
            detail: json!({}),
        }
    }
}

/// The address that a request came from, as API Gateway saw it.
fn source_ip(extensions: &Extensions) -> Option<String> {
    match extensions.get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_callers_address_is_the_one_that_api_gateway_saw() {
        let event = json!({
            "version": "2.0", "rawPath": "/healthz",
            // Anybody can send this.
            "headers": {"host": "app.localhost", "x-forwarded-for": "203.0.113.9"},
            "requestContext": {"stage": "$default", "timeEpoch": 0, "http": {
                "method": "GET", "path": "/healthz", "sourceIp": "192.0.2.1",
            }},
        });
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        assert_eq!(
            source_ip(request.extensions()).as_deref(),
            Some("192.0.2.1")
        );
    }
}
