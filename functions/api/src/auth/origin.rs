//! Whether a request that changes something comes from a page of ours, and not from
//! another site's in the same browser.

use axum::http::{HeaderMap, Method, header};

use super::session::Session;

/// The header in which a script on a page of ours sends the session's secret.
const CSRF_HEADER: &str = "x-csrf-token";

/// Whether a request that changes something comes from a page of ours. Browsers
/// say so by `Sec-Fetch-Site`; older ones by `Origin`.
pub(crate) fn is_same_origin(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text(header::ORIGIN.as_str()) == Some(public_url),
    }
}

/// Whether a method is one that changes something.
pub(crate) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// A session's request that changes something: from a page of ours, with its secret.
pub(crate) fn is_ours(headers: &HeaderMap, session: &Session, public_url: &str) -> bool {
    let token = headers
        .get(CSRF_HEADER)
        .and_then(|value| value.to_str().ok());
    is_same_origin(headers, public_url) && token.is_some_and(|token| session.made(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_where_it_comes_from() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            is_same_origin(&headers, "https://sync.example.com")
        };
        assert!(from(&[("sec-fetch-site", "same-origin")]));
        assert!(from(&[("origin", "https://sync.example.com")]));
        for wrong in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://sync.example.com"),
            ],
        ] {
            assert!(!from(wrong), "{wrong:?}");
        }
    }
}
