//! What a user gave, as it may be shown: on terminals, in their scroll-back, in logs.

use url::Url;

/// Stands for what is not shown.
const HIDDEN: &str = "***";

/// The schemes of the addresses that are given here; any other word before a colon may
/// be a part of a secret.
const SCHEMES: [&str; 4] = ["postgres", "postgresql", "http", "https"];
/// What ends a password for one reader of an address, and stands in it for another.
const ENDS: [char; 5] = ['/', '?', '#', '@', '\\'];

/// Returns an address without its password, or without its text where it is not certain
/// which part of it that is.
#[must_use]
pub fn address(given: &str) -> String {
    let Ok(mut url) = Url::parse(given) else {
        return HIDDEN.to_owned();
    };
    if !SCHEMES.contains(&url.scheme()) {
        return HIDDEN.to_owned();
    }
    let (_, rest) = given.split_once(':').unwrap_or_default();
    let is_certain = rest.strip_prefix("//").is_some_and(|rest| {
        let credentials = rest.rsplit_once('@').map(|(credentials, _)| credentials);
        !credentials.is_some_and(|credentials| credentials.contains(ENDS))
    });
    if !is_certain || !url.has_host() {
        return format!("{}:{HIDDEN}", url.scheme());
    }
    if url.password().is_some() && url.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    let is_secret =
        |name: &str| matches!(name, "password" | "sslpassword" | "token" | "access_token");
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let value = if is_secret(&name) { HIDDEN } else { &value };
            (name.to_string(), value.to_owned())
        })
        .collect();
    if pairs.iter().any(|(name, _)| is_secret(name)) {
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

/// Returns a text without these secrets, written as they are or escaped for JSON.
pub(crate) fn without(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let escaped = serde_json::Value::from(*secret).to_string();
        let escaped = escaped.trim_matches('"');
        text = text.replace(secret, HIDDEN).replace(escaped, HIDDEN);
    }
    text
}

/// Returns the password of an address, as it stands there.
pub(crate) fn password(given: &str) -> Option<&str> {
    let (_, rest) = given.split_once("://")?;
    let (credentials, _) = rest.rsplit_once('@')?;
    credentials.split_once(':').map(|(_, password)| password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (given, shown) in [
            (
                "postgres://u:hidden@h:5432/d?sslmode=verify-full",
                "postgres://u:***@h:5432/d?sslmode=verify-full",
            ),
            ("postgres://u@h/d", "postgres://u@h/d"),
            (
                "postgres://h/d?user=u&password=hidden",
                "postgres://h/d?user=u&password=***",
            ),
            (
                "https://u:hidden@square.example",
                "https://u:***@square.example/",
            ),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/"),
            ("postgres://u:hid@den@h/d", "postgres:***"),
            ("host=h password=hidden", "***"),
            ("hidden", "***"),
            ("hidden:5432", "***"),
            ("hidden://h", "***"),
            ("postgres:u:hidden@h", "postgres:***"),
        ] {
            assert_eq!(address(given), shown);
        }
    }

    #[test]
    fn what_two_readers_would_take_for_different_passwords_is_not_shown() {
        for password in [
            "/sEcret",
            "12/sEcret",
            "5?sEcret",
            "#sEcret",
            "@sEcret",
            r"\sEcret",
            "1/a@sEcret",
            "sEcret/",
            "sEcret?a=b",
            "sEcret#1",
            "sEcret@h2",
            "a:/sEcret",
            "?/#@sEcret",
            "\t/sEcret",
        ] {
            for scheme in SCHEMES {
                for rest in [
                    "h",
                    "h/d",
                    "h:1/d?sslmode=require",
                    "h/d?application_name=a@b",
                ] {
                    for user in ["u", "", "sEcret/"] {
                        let shown = address(&format!("{scheme}://{user}:{password}@{rest}"));
                        let hidden = [format!("{scheme}:***"), HIDDEN.to_owned()];
                        assert!(hidden.contains(&shown), "{password} {rest}: {shown}");
                    }
                }
            }
        }
        // The other way round: what follows an at sign in a parameter is no host.
        let shown = address("postgres://h/d?user=a@b&password=sEcret");
        assert_eq!(shown, "postgres:***");
    }

    #[test]
    fn a_secret_is_taken_out_of_a_text_however_it_is_written() {
        let url = r#"postgres://u:a"b@h/d"#;
        assert_eq!(password(url), Some("a\"b"));
        let text = r#"{"DatabaseUrl": "postgres://u:a\"b@h/d"} u:a"b; a\"b, t0k"#;
        let shown = without(text, &[url, password(url).unwrap(), "t0k", ""]);
        assert_eq!(shown, r#"{"DatabaseUrl": "***"} u:***; ***, ***"#);
        assert_eq!(password("postgres://u@h/d"), None);
    }
}
