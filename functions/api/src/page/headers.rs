//! The headers of every answer: nothing is cached, sniffed, framed or told to
//! other sites, and a page runs only what comes from here.

use axum::http::{HeaderMap, HeaderValue, header};

/// Two years, as browsers' preload lists want.
const HSTS: &str = "max-age=63072000; includeSubDomains";

/// A form goes nowhere but here: signing out leads on to the issuer by a page's link.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds them to what goes to browsers that see us at `public_url`, as far as that is
/// known; an answer that may be cached has said so before.
pub(crate) fn add(public_url: Option<&str>, headers: &mut HeaderMap) {
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", POLICY),
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
    if public_url.is_some_and(|url| url.starts_with("https://")) {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(HSTS),
        );
    }
}
