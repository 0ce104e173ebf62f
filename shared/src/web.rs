//! Addresses to which secrets are sent.

use url::{Host, Url};

/// What a setting wants that is such an address; reads on from "wants".
pub const WANTED: &str = "an https address; http is for this machine alone";

/// Whether an address is one of this machine's own.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Whether what is sent to an address can be read by nobody on the way.
#[must_use]
pub fn is_private(url: &Url) -> bool {
    url.has_host() && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_clear() {
        for (url, loopback, private) in [
            ("http://127.0.0.1:8080", true, true),
            ("http://[::1]:8080", true, true),
            ("http://localhost:8080", true, true),
            ("http://square.localhost", true, true),
            ("https://connect.squareup.com", false, true),
            ("http://connect.squareup.com", false, false),
            ("http://10.0.0.1", false, false),
            ("http://localhost.example", false, false),
            ("http://127.0.0.1.example", false, false),
            ("ftp://localhost", true, false),
            ("mailto:a@localhost", false, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(is_loopback(&parsed), loopback, "{url}");
            assert_eq!(is_private(&parsed), private, "{url}");
        }
    }
}
