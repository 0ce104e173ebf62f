//! Who may pass. A browser says where a request comes from, in `Origin` and
//! `Sec-Fetch-Site`, and a page cannot have it say otherwise; a name of its own that
//! leads to this machine stands in `Host`. A program says none of it.

use axum::http::{HeaderMap, Method, Uri, header};

use crate::stack::DOMAIN;

/// The names under which the stack is reached.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", DOMAIN];
/// The issuer's pages for browsers.
const SIGN_IN: [&str; 3] = ["/oauth2/authorize", "/login", "/logout"];
/// What is below here is the page's.
const PAGE: &str = "/admin/";

/// Returns why a request is not let through; nothing if it is.
pub(super) fn refusal(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    port: u16,
) -> Option<&'static str> {
    let Some(host) = one(headers, header::HOST.as_str()).ok().flatten() else {
        return Some("it names no host, or several");
    };
    let Some(name) = own_name(host, port) else {
        return Some("its Host is none of 127.0.0.1, localhost and app.localhost with the port");
    };
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str() != host)
    {
        return Some("it is for another host");
    }
    let (Ok(origin), Ok(site)) = (
        one(headers, header::ORIGIN.as_str()),
        one(headers, "sec-fetch-site"),
    ) else {
        return Some("it has several origins");
    };
    let is_same = site == Some("same-origin");
    // A page that sends no referrer has a form of its own say "null".
    let is_own = |origin: &str| origin == format!("http://{host}") || origin == "null" && is_same;
    if origin.is_some_and(|origin| !is_own(origin)) {
        return Some("another page sent it");
    }
    match site {
        None | Some("same-origin" | "none") => None,
        Some(_) if is_visit(method, uri, headers, name) => None,
        Some(_) => Some("another page sent it, not to visit a page here"),
    }
}

/// Returns the header's one value.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().map_err(|_| ()));
    match values.next() {
        Some(_) => Err(()),
        None => value.transpose(),
    }
}

fn own_name(host: &str, port: u16) -> Option<&'static str> {
    let own = |name: &&str| {
        host.eq_ignore_ascii_case(&format!("{name}:{port}"))
            || port == 80 && host.eq_ignore_ascii_case(name)
    };
    NAMES.into_iter().find(own)
}

/// Whether a browser goes to the page or to the issuer's, as by a link or on the way back
/// from signing in.
fn is_visit(method: &Method, uri: &Uri, headers: &HeaderMap, name: &str) -> bool {
    let says = |header, value| one(headers, header) == Ok(Some(value));
    let is_document =
        says("sec-fetch-dest", "document") || one(headers, "sec-fetch-dest") == Ok(None);
    let path = uri.path();
    matches!(*method, Method::GET | Method::HEAD)
        && says("sec-fetch-mode", "navigate")
        && is_document
        && (name == DOMAIN && path.starts_with(PAGE) || SIGN_IN.contains(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 4600;

    fn passes(line: &str, headers: &[(&str, &str)]) -> bool {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        let method = method.parse().unwrap();
        refusal(&method, &uri.parse().unwrap(), &map, PORT).is_none()
    }

    #[test]
    fn programs_pass_under_each_name_of_this_machine() {
        for host in [
            "127.0.0.1:4600",
            "localhost:4600",
            "app.localhost:4600",
            "LOCALHOST:4600",
        ] {
            for line in [
                "POST /",
                "GET /admin/runs",
                "PUT /bucket",
                "GET http://localhost:4600/",
            ] {
                let is_elsewhere = line.contains("http") && host != "localhost:4600";
                assert_eq!(
                    passes(line, &[("host", host)]),
                    !is_elsewhere,
                    "{line} {host}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_was_made_to_lead_here_does_not() {
        for host in [
            "evil.example:4600",
            "evil.example",
            "127.0.0.1",
            "127.0.0.1:4601",
            "127.0.0.1.evil.example:4600",
            "app.localhost.evil.example:4600",
            "x.app.localhost:4600",
            "[::1]:4600",
            "",
        ] {
            for line in ["POST /", "GET /admin/sync", "GET /login"] {
                assert!(!passes(line, &[("host", host)]), "{line} {host}");
            }
        }
        assert!(!passes("POST /", &[]));
        assert!(!passes(
            "POST /",
            &[("host", "localhost:4600"), ("host", "evil.example:4600")]
        ));
    }

    #[test]
    fn another_page_can_neither_ask_nor_have_a_browser_ask() {
        let host = ("host", "127.0.0.1:4600");
        for origin in [
            "http://evil.example",
            "https://127.0.0.1:4600",
            "http://127.0.0.1:4601",
            "http://127.0.0.1",
            // The page itself has no business at the AWS.
            "http://app.localhost:4600",
            "null",
        ] {
            assert!(!passes("POST /", &[host, ("origin", origin)]), "{origin}");
            assert!(!passes("GET /", &[host, ("origin", origin)]), "{origin}");
            assert!(
                !passes("OPTIONS /", &[host, ("origin", origin)]),
                "{origin}"
            );
        }
        for site in ["cross-site", "same-site", "whatever"] {
            let site = ("sec-fetch-site", site);
            for mode in ["no-cors", "cors", "navigate"] {
                let mode = ("sec-fetch-mode", mode);
                for line in [
                    "POST /",
                    "GET /?Action=ListUsers",
                    "POST /login",
                    "GET /_aws/x",
                ] {
                    assert!(
                        !passes(line, &[host, site, mode]),
                        "{line} {site:?} {mode:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_page_and_the_sign_in_work() {
        let page = ("host", "app.localhost:4600");
        let issuer = ("host", "127.0.0.1:4600");
        let same = ("sec-fetch-site", "same-origin");
        let cross = ("sec-fetch-site", "cross-site");
        let visit = ("sec-fetch-mode", "navigate");
        let frame = ("sec-fetch-dest", "iframe");
        let own = ("origin", "http://app.localhost:4600");
        assert!(passes(
            "GET /admin/sync",
            &[page, ("sec-fetch-site", "none"), visit]
        ));
        assert!(passes("GET /admin/assets/x.js", &[page, same]));
        assert!(passes("POST /admin/sync", &[page, same, own, visit]));
        assert!(passes(
            "POST /admin/sync",
            &[page, same, ("origin", "null")]
        ));
        assert!(passes("GET /oauth2/authorize?x=1", &[issuer, cross, visit]));
        assert!(passes(
            "POST /login",
            &[issuer, same, ("origin", "http://127.0.0.1:4600")]
        ));
        assert!(passes("GET /admin/callback?code=1", &[page, cross, visit]));
        assert!(passes("GET /logout", &[issuer, cross, visit]));
        // A visit is none inside of another page, or if it does more than look.
        assert!(!passes("GET /admin/sync", &[page, cross, visit, frame]));
        assert!(!passes("POST /admin/sync", &[page, cross, visit]));
        assert!(!passes("GET /admin/runs", &[issuer, cross, visit]));
    }
}
