//! The headers of every answer: nothing is cached, sniffed, framed or told to
//! other sites, and a page runs only what comes from here.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::app::App;

/// Two years, as browsers' preload lists want.
const HSTS: &str = "max-age=63072000; includeSubDomains";

/// Adds them; an answer that may be cached has said so before.
pub(crate) async fn add(app: &App, headers: &mut HeaderMap) {
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let issuer = app.env().await.ok().map(|env| &env.sign_in.issuer);
    // A form that signs out is sent on to the issuer.
    let sign_out = issuer.and_then(|issuer| issuer.end_session_origin());
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        sign_out.unwrap_or_default()
    );
    if let Ok(policy) = policy.parse() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if issuer.is_some_and(|issuer| issuer.public_url().starts_with("https://")) {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(HSTS),
        );
    }
}
