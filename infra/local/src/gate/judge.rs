//! Who may pass. A browser says where a request comes from, in `Origin` and
//! `Sec-Fetch-Site`, and a page cannot have it say otherwise; a name of its own that
//! leads to this machine stands in `Host`. A program says none of it.
//!
//! A browser gets to the page and to the issuer's, and to nothing else: the local AWS
//! takes any address with `Action` among its parameters for a call.

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use crate::stack::DOMAIN;

/// The names under which the stack is reached.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", DOMAIN];
/// What is below here is the page's.
const PAGE: &str = "/admin/";
/// What else may be looked at under the page's name.
const OPEN: [&str; 4] = ["/", "/admin", "/healthz", "/openapi.json"];
/// Where the issuer's forms go.
const SIGN_IN: &str = "/login";
/// The issuer's pages for browsers, with the parameters that they take.
const ISSUER: [(&str, &[&str]); 2] = [
    (
        "/oauth2/authorize",
        &[
            "response_type",
            "client_id",
            "redirect_uri",
            "state",
            "scope",
            "nonce",
            "code_challenge",
            "code_challenge_method",
            "prompt",
            "lang",
            "identity_provider",
            "idp_identifier",
            "login_hint",
            "resource",
        ],
    ),
    (
        "/logout",
        &[
            "client_id",
            "logout_uri",
            "post_logout_redirect_uri",
            "redirect_uri",
            "response_type",
            "state",
            "scope",
            "id_token_hint",
            "nonce",
        ],
    ),
];

/// Returns why a request is not let through; nothing if it is.
pub(super) fn refusal(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    port: u16,
) -> Option<&'static str> {
    if uri.authority().is_some() {
        return Some("it is one for a proxy");
    }
    let Some(host) = one(headers, header::HOST.as_str()).ok().flatten() else {
        return Some("it names no host, or several");
    };
    let Some(name) = own_name(host, port) else {
        return Some("its Host is none of 127.0.0.1, localhost and app.localhost with the port");
    };
    let (Ok(origin), Ok(site)) = (
        one(headers, header::ORIGIN.as_str()),
        one(headers, "sec-fetch-site"),
    ) else {
        return Some("it has several origins");
    };
    let own = format!("http://{host}");
    // A page that sends no referrer has a form of its own say "null".
    let is_own = |origin| origin == own || origin == "null" && site == Some("same-origin");
    if origin.is_some_and(|origin| !is_own(origin)) {
        return Some("another page sent it");
    }
    match site {
        None => is_of_a_browser(headers, &own).then_some("a browser sent it and does not say why"),
        Some("same-origin") if is_of_a_page_here(method, uri.path(), name) => None,
        // By a link, on the way back from signing in, or as somebody typed it.
        Some(_) if is_visit(method, uri, headers, name) => None,
        Some(_) => Some("a browser sent it, not to visit a page here"),
    }
}

/// Whether a browser that does not say so sent this: those that are old do not.
fn is_of_a_browser(headers: &HeaderMap, own: &str) -> bool {
    let any = |header: HeaderName, is_so: &dyn Fn(&str) -> bool| {
        let mut values = headers.get_all(header).iter();
        values.any(|value| value.to_str().is_ok_and(is_so))
    };
    let is_foreign = |referrer: &str| {
        let path = referrer.strip_prefix(own);
        !path.is_some_and(|path| path.is_empty() || path.starts_with('/'))
    };
    any(header::USER_AGENT, &|agent| agent.starts_with("Mozilla/"))
        || any(header::REFERER, &is_foreign)
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

/// Whether it is what the page, or a form of the issuer's, sends by itself.
fn is_of_a_page_here(method: &Method, path: &str, name: &str) -> bool {
    if name == DOMAIN {
        path.starts_with(PAGE)
    } else {
        method == Method::POST && path == SIGN_IN
    }
}

/// Whether a parameter's name is none of AWS's: those have capital letters and hyphens,
/// and must not be mistaken for ours if they ever do not.
fn is_ours(name: &str) -> bool {
    let is_plain = name
        .bytes()
        .all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    is_plain && !matches!(name, "action" | "version")
}

/// Whether a browser goes to the page or to the issuer's, with nothing but what those
/// take.
fn is_visit(method: &Method, uri: &Uri, headers: &HeaderMap, name: &str) -> bool {
    let says = |header, value| one(headers, header) == Ok(Some(value));
    let path = uri.path();
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut parameters = form_urlencoded::parse(query).map(|(name, _)| name);
    let takes_them = if name == DOMAIN {
        (path.starts_with(PAGE) || OPEN.contains(&path)) && parameters.all(|name| is_ours(&name))
    } else {
        let page = ISSUER.into_iter().find(|(page, _)| *page == path);
        page.is_some_and(|(_, known)| parameters.all(|name| known.contains(&&*name)))
    };
    method == Method::GET
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
        && takes_them
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 4600;
    const ISSUERS: [&str; 2] = ["127.0.0.1:4600", "localhost:4600"];
    const PAGES: &str = "app.localhost:4600";
    const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");
    const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
    const VISIT: (&str, &str) = ("sec-fetch-mode", "navigate");
    const DOCUMENT: (&str, &str) = ("sec-fetch-dest", "document");

    fn passes(line: &str, headers: &[(&str, &str)]) -> bool {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        let method = method.parse().unwrap();
        refusal(&method, &uri.parse().unwrap(), &map, PORT).is_none()
    }

    #[test]
    fn programs_pass_under_each_name_of_this_machine() {
        for host in [ISSUERS[0], ISSUERS[1], PAGES, "LOCALHOST:4600"] {
            let agent = ("user-agent", "aws-cli/2.27 md/awscrt#0.26");
            for line in ["POST /", "GET /admin/runs", "PUT /bucket", "GET /?Action=x"] {
                assert!(passes(line, &[("host", host), agent]), "{line} {host}");
            }
            for line in ["GET http://localhost:4600/", "CONNECT localhost:4600"] {
                assert!(!passes(line, &[("host", host)]), "{line} {host}");
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
            for line in ["POST /", "GET /admin/sync", "GET /logout"] {
                assert!(!passes(line, &[("host", host)]), "{line} {host}");
            }
        }
        assert!(!passes("POST /", &[]));
        let twice = [("host", ISSUERS[1]), ("host", "evil.example:4600")];
        assert!(!passes("POST /", &twice));
    }

    #[test]
    fn another_page_can_neither_ask_nor_have_a_browser_ask() {
        let host = ("host", ISSUERS[0]);
        for origin in [
            "http://evil.example",
            "https://127.0.0.1:4600",
            "http://127.0.0.1:4601",
            "http://127.0.0.1",
            // The page itself has no business at the AWS.
            "http://app.localhost:4600",
            "null",
        ] {
            for line in ["POST /", "GET /", "OPTIONS /"] {
                assert!(
                    !passes(line, &[host, ("origin", origin)]),
                    "{line} {origin}"
                );
            }
        }
        for site in ["cross-site", "same-site", "none", "whatever", ""] {
            let site = ("sec-fetch-site", site);
            for mode in ["no-cors", "cors", "navigate"] {
                let mode = ("sec-fetch-mode", mode);
                for line in [
                    "POST /",
                    "GET /",
                    "GET /?Action=ListUsers",
                    "POST /login",
                    "GET /_aws/x",
                ] {
                    assert!(
                        !passes(line, &[host, site, mode, DOCUMENT]),
                        "{line} {site:?} {mode:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_browser_that_says_little_is_none_of_the_programs() {
        for host in [ISSUERS[0], ISSUERS[1], PAGES] {
            let own = format!("http://{host}");
            for (name, value) in [
                ("user-agent", "Mozilla/5.0 (Macintosh) Version/15.0 Safari"),
                ("referer", "http://evil.example/"),
                ("referer", "https://evil.example"),
                ("referer", "http://127.0.0.1:4601/"),
                ("referer", &format!("{own}1/")),
                ("referer", &format!("{own}@evil.example/")),
            ] {
                for line in ["GET /?Action=ListUsers", "GET /admin/sync", "POST /"] {
                    assert!(
                        !passes(line, &[("host", host), (name, value)]),
                        "{line} {host} {name}: {value}"
                    );
                }
            }
            let referrer = format!("{own}/admin/sync");
            assert!(passes("POST /", &[("host", host), ("referer", &referrer)]));
        }
    }

    #[test]
    fn a_visit_brings_nothing_that_the_local_aws_would_take_for_a_call() {
        for query in [
            "Action=CreateStack&Version=2010-05-15",
            "action=CreateStack",
            "%41ction=CreateStack",
            "client_id=1&Version=2010-05-15",
            "X-Amz-Credential=1/2/us-east-1/sqs/aws4_request",
            "AWSAccessKeyId=1",
            "x-amz-target=a.b",
            "a;Action=b",
        ] {
            for site in ["cross-site", "same-site", "same-origin", "none"] {
                let site = ("sec-fetch-site", site);
                for path in [
                    "/login",
                    "/oauth2/login",
                    "/logout",
                    "/oauth2/authorize",
                    "/",
                ] {
                    for host in ISSUERS {
                        let line = format!("GET {path}?{query}");
                        let headers = [("host", host), site, VISIT, DOCUMENT];
                        assert!(!passes(&line, &headers), "{line} {host} {site:?}");
                    }
                }
            }
            for path in ["/admin/sync", "/admin/", "/admin", "/"] {
                let line = format!("GET {path}?{query}");
                let headers = [("host", PAGES), CROSS, VISIT, DOCUMENT];
                assert!(!passes(&line, &headers), "{line}");
            }
        }
    }

    #[test]
    fn the_page_and_the_sign_in_work() {
        let page = ("host", PAGES);
        let typed = ("sec-fetch-site", "none");
        for (line, headers) in [
            ("GET /", [page, typed, VISIT, DOCUMENT]),
            ("GET /openapi.json", [page, typed, VISIT, DOCUMENT]),
            ("GET /admin/sync", [page, typed, VISIT, DOCUMENT]),
            (
                "GET /admin/callback?code=1&state=S",
                [page, CROSS, VISIT, DOCUMENT],
            ),
            (
                "GET /admin/sync/runs?kind=restore",
                [page, CROSS, VISIT, DOCUMENT],
            ),
        ] {
            assert!(passes(line, &headers), "{line}");
        }
        let own = ("origin", "http://app.localhost:4600");
        assert!(passes("GET /admin/assets/x.js", &[page, SAME]));
        assert!(passes("POST /admin/sync", &[page, SAME, own, VISIT]));
        let hidden = ("origin", "null");
        assert!(passes("POST /admin/sync", &[page, SAME, hidden]));
        for host in ISSUERS {
            let issuer = ("host", host);
            let own = format!("http://{host}");
            for line in [
                "GET /oauth2/authorize?response_type=code&client_id=1&scope=a%20b&state=A",
                "GET /logout?client_id=1&logout_uri=http://app.localhost:4600/",
            ] {
                assert!(passes(line, &[issuer, CROSS, VISIT, DOCUMENT]), "{line}");
            }
            let form = [issuer, SAME, ("origin", &own), VISIT, DOCUMENT];
            assert!(passes("POST /login", &form));
            assert!(!passes("POST /", &form));
        }
    }

    #[test]
    fn a_visit_is_none_inside_of_another_page_or_if_it_does_more_than_look() {
        let page = ("host", PAGES);
        let issuer = ("host", ISSUERS[0]);
        let frame = ("sec-fetch-dest", "iframe");
        assert!(!passes("GET /admin/sync", &[page, CROSS, VISIT, frame]));
        assert!(!passes("GET /admin/sync", &[page, CROSS, VISIT]));
        assert!(!passes("GET /admin/sync", &[page, CROSS, DOCUMENT]));
        for line in ["HEAD /admin/sync", "POST /admin/sync", "GET /_ministack/x"] {
            assert!(!passes(line, &[page, CROSS, VISIT, DOCUMENT]), "{line}");
        }
        for line in ["HEAD /logout", "GET /admin/runs", "GET /login", "GET /"] {
            assert!(!passes(line, &[issuer, CROSS, VISIT, DOCUMENT]), "{line}");
        }
    }
}
