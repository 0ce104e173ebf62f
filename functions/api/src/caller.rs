//! The admin who calls, by a script's token or by a browser's session; for whatever
//! changes something, the session's own secret has to come along.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use lambda_http::request::RequestContext;
use shared::run::request::Trigger;

use crate::app::App;
use crate::auth::guard::Refusal;
use crate::auth::origin::{changes, is_ours};
use crate::auth::session::Session;
use crate::http::error::ApiError;

/// An admin, by their token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// A person's user name or address, or a machine client's id.
    pub(crate) name: String,
    /// The address that the request came from, as API Gateway saw it.
    pub(crate) source_ip: Option<String>,
    /// The trigger of the runs that they start.
    pub(crate) trigger: Trigger,
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
        let source_ip = source_ip(parts);
        let session = parts.extensions.get::<Session>();
        if let (false, Some(session)) = (parts.headers.contains_key(header::AUTHORIZATION), session)
        {
            let public_url = env.sign_in.issuer.public_url();
            if changes(&parts.method) && !is_ours(&parts.headers, session, public_url) {
                return Err(Refusal::CrossSite.into());
            }
            return Self::signed_in(session, source_ip).ok_or_else(|| Refusal::NotAdmin.into());
        }
        Ok(Self {
            name: env.guard.admin(&parts.headers).await?,
            source_ip,
            trigger: Trigger::Api,
        })
    }
}

impl Caller {
    /// Somebody for tests.
    #[cfg(test)]
    pub(crate) fn ada() -> Self {
        Self {
            name: "ada".to_owned(),
            source_ip: None,
            trigger: Trigger::Api,
        }
    }

    /// An admin at the page; none if the session is no admin's.
    pub(crate) fn signed_in(session: &Session, source_ip: Option<String>) -> Option<Self> {
        session.admin.then(|| Self {
            name: session.name.clone(),
            source_ip,
            trigger: Trigger::Admin,
        })
    }
}

pub(crate) fn source_ip(parts: &Parts) -> Option<String> {
    match parts.extensions.get::<RequestContext>()? {
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
        let (parts, _) = request.into_parts();
        assert_eq!(source_ip(&parts).as_deref(), Some("192.0.2.1"));
    }
}
