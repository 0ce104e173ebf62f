//! Addresses to which secrets are sent.

use url::{Host, Url};

/// What a setting wants that is such an address; reads on from "wants".
pub const WANTED: &str = "an https address; http is for this machine alone";

/// Whether an address is one of this machine's own, whoever answers for names.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether what is sent to an address can be read by nobody on the way.
#[must_use]
pub fn is_private(url: &Url) -> bool {
    url.has_host() && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

/// Whether a browser may be sent to a page at an address, and come back with what is
/// meant for it alone. Browsers take every name below `localhost` for this machine's,
/// where a program asks who answers for names.
#[must_use]
pub fn is_private_page(url: &Url) -> bool {
    let is_here = matches!(url.host(), Some(Host::Domain(name)) if name.ends_with(".localhost"));
    is_private(url) || url.scheme() == "http" && is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_clear() {
        for (url, loopback, private, page) in [
            ("http://127.0.0.1:8080", true, true, true),
            ("http://[::1]:8080", true, true, true),
            ("http://localhost:8080", true, true, true),
            // A name server may lead it anywhere.
            ("http://square.localhost", false, false, true),
            ("http://a.b.localhost:1", false, false, true),
            ("https://square.localhost", false, true, true),
            ("https://connect.squareup.com", false, true, true),
            ("http://connect.squareup.com", false, false, false),
            ("http://10.0.0.1", false, false, false),
            ("http://localhost.example", false, false, false),
            ("http://xlocalhost", false, false, false),
            ("http://127.0.0.1.example", false, false, false),
            ("ftp://localhost", true, false, false),
            ("ftp://app.localhost", false, false, false),
            ("mailto:a@localhost", false, false, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(is_loopback(&parsed), loopback, "{url}");
            assert_eq!(is_private(&parsed), private, "{url}");
            assert_eq!(is_private_page(&parsed), page, "{url}");
        }
    }
}
