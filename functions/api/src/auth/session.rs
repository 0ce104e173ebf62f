//! The session of a person who is signed in, kept in a sealed cookie: nobody but the
//! server can read or make one, and the server remembers only those that were ended.
//!
//! A session ends after eight hours, and after half an hour in which nobody did
//! anything. In between it is only as good as the issuer's last word: after some
//! minutes it is asked again with the refresh token, and a person who left the group,
//! or was disabled, is out.

use axum::http::HeaderName;
use axum::http::header::SET_COOKIE;
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use jiff::Timestamp;
use oauth2::CsrfToken;
use serde::{Deserialize, Serialize};
use shared::error::SyncError;
use subtle::ConstantTimeEq;

/// A day's work.
pub(crate) const SECONDS_MAX: i64 = 8 * 60 * 60;
/// Nobody sits before a page that was left alone for longer.
pub(crate) const IDLE_SECONDS_MAX: i64 = 30 * 60;
/// The cookie is written anew only after this time: not with every request.
const SEEN_SECONDS: i64 = 60;
/// Browsers take cookies of 4096 bytes, name and attributes included.
const SEALED_BYTES_MAX: usize = 3_800;
/// The prefix has browsers insist on `Secure` and on no other host's writing it.
const NAME: &str = "__Host-square-sync";
/// Shorter keys could be guessed.
const KEY_CHARS_MIN: usize = 32;

/// A person who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The sign-in, in the table of those that were ended.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The issuer's name for the person, which never changes.
    pub(crate) subject: String,
    /// The sign-in's, for what the issuer says later.
    pub(crate) nonce: String,
    pub(crate) admin: bool,
    /// Forms carry it, other sites cannot know it.
    pub(crate) csrf_token: String,
    /// When the person signed in; Unix seconds, as all times here.
    pub(crate) began_at: i64,
    /// When the person last did something, give or take a minute.
    pub(crate) seen_at: i64,
    /// Until when the issuer's word is good.
    pub(crate) good_until: i64,
    pub(crate) refresh_token: Option<String>,
}

/// The state of a session at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    Good,
    /// The issuer has to be asked again.
    Stale,
    Over,
}

impl Session {
    /// A session that begins now.
    pub(crate) fn begin(now: Timestamp) -> Self {
        Self {
            id: CsrfToken::new_random().into_secret(),
            name: String::new(),
            subject: String::new(),
            nonce: String::new(),
            admin: false,
            csrf_token: CsrfToken::new_random().into_secret(),
            began_at: now.as_second(),
            seen_at: now.as_second(),
            good_until: now.as_second(),
            refresh_token: None,
        }
    }

    pub(crate) fn age(&self, at: Timestamp) -> Age {
        let now = at.as_second();
        let is_over =
            now < self.began_at || now - self.began_at >= SECONDS_MAX || self.was_left_alone(at);
        if is_over {
            Age::Over
        } else if now < self.good_until {
            Age::Good
        } else if self.refresh_token.is_some() {
            Age::Stale
        } else {
            Age::Over
        }
    }

    /// Whether nobody did anything for so long that whoever comes now has to say anew
    /// who they are.
    pub(crate) fn was_left_alone(&self, now: Timestamp) -> bool {
        now.as_second() - self.seen_at >= IDLE_SECONDS_MAX
    }

    /// Notes that the person is there. Returns whether that is news.
    pub(crate) fn see(&mut self, now: Timestamp) -> bool {
        let is_news = now.as_second() - self.seen_at >= SEEN_SECONDS;
        if is_news {
            self.seen_at = now.as_second();
        }
        is_news
    }

    /// Leaves a refresh token out that is too long for a browser's cookie: the session is
    /// then as good as the issuer's one word.
    #[must_use]
    pub(crate) fn fitting(mut self) -> Self {
        // Sealing adds its nonce, its tag and a third for the encoding.
        let sealed = (json(&self).len() + 28) * 4 / 3 + NAME.len() + 80;
        if sealed > SEALED_BYTES_MAX {
            self.refresh_token = None;
        }
        self
    }

    /// Whether a form came from a page of this session.
    pub(crate) fn made(&self, csrf_token: &str) -> bool {
        self.csrf_token
            .as_bytes()
            .ct_eq(csrf_token.as_bytes())
            .into()
    }
}

/// Reads the key that seals the cookies.
pub(crate) fn key(text: &str) -> Result<Key, SyncError> {
    if text.len() < KEY_CHARS_MIN {
        let problem = format!("wants at least {KEY_CHARS_MIN} random characters");
        return Err(SyncError::config("SESSION_KEY", problem));
    }
    Ok(Key::derive_from(text.as_bytes()))
}

/// The session that the cookies hold; none if there is none or it was not ours.
pub(crate) fn read(jar: &PrivateCookieJar) -> Option<Session> {
    serde_json::from_str(jar.get(NAME)?.value()).ok()
}

/// Whether an answer says itself what becomes of the cookie.
pub(crate) fn is_written(headers: &axum::http::HeaderMap) -> bool {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.starts_with(&format!("{NAME}=")))
}

/// Whether a cookie came along, readable or not.
pub(crate) fn was_sent(headers: &axum::http::HeaderMap) -> bool {
    headers
        .get_all(axum::http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(&format!("{NAME}=")))
}

/// The same cookies with this session.
pub(crate) fn write(jar: PrivateCookieJar, session: &Session) -> PrivateCookieJar {
    jar.add(cookie(NAME.to_owned(), json(session), SECONDS_MAX))
}

/// The same cookies without a session.
pub(crate) fn clear(jar: PrivateCookieJar) -> PrivateCookieJar {
    forget(jar, NAME.to_owned())
}

/// The header that has the browser drop the session, without the key that seals it.
pub(crate) fn drop_it() -> [(HeaderName, String); 1] {
    let cookie = cookie(NAME.to_owned(), String::new(), 0);
    [(SET_COOKIE, cookie.to_string())]
}

/// Has the browser drop a cookie, also one that we cannot open: the jar does not
/// know of those, so removing them would say nothing.
pub(crate) fn forget(jar: PrivateCookieJar, name: String) -> PrivateCookieJar {
    jar.add(cookie(name, String::new(), 0))
}

/// A cookie as all of ours are: not for scripts, not for other hosts, not sent
/// along by other sites except when they link here, as the issuer does.
pub(crate) fn cookie(name: String, value: String, seconds: i64) -> Cookie<'static> {
    let mut cookie = Cookie::new(name, value);
    cookie.set_path("/");
    cookie.set_secure(true);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_max_age(time::Duration::seconds(seconds));
    cookie
}

fn json(session: &Session) -> String {
    serde_json::to_string(session).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn session() -> Session {
        Session {
            good_until: 1_000 + 3_600,
            refresh_token: Some("r".to_owned()),
            ..Session::begin(at(1_000))
        }
    }

    #[test]
    fn a_session_is_renewed_for_eight_hours_and_then_over() {
        let mut session = session();
        let mut age = |second: i64| {
            session.see(at(second));
            session.age(at(second))
        };
        assert_eq!(age(999), Age::Over);
        assert_eq!(age(1_000), Age::Good);
        assert_eq!(age(4_600), Age::Stale);
        assert_eq!(age(999 + SECONDS_MAX), Age::Stale);
        assert_eq!(age(1_000 + SECONDS_MAX), Age::Over);
        let short = Session {
            refresh_token: None,
            ..session
        };
        assert_eq!(short.age(at(4_600)), Age::Over);
    }

    #[test]
    fn a_session_that_nobody_uses_is_over_after_half_an_hour() {
        let mut session = session();
        assert_eq!(session.age(at(999 + IDLE_SECONDS_MAX)), Age::Good);
        assert_eq!(session.age(at(1_000 + IDLE_SECONDS_MAX)), Age::Over);
        assert!(!session.see(at(1_059)), "the same minute");
        assert!(session.see(at(1_060)));
        assert_eq!(session.age(at(1_059 + IDLE_SECONDS_MAX)), Age::Good);
        assert_eq!(session.age(at(1_060 + IDLE_SECONDS_MAX)), Age::Over);
    }

    #[test]
    fn only_its_own_forms_are_a_sessions() {
        let (one, other) = (session(), session());
        assert!(one.made(&one.csrf_token.clone()));
        assert!(!one.made(&other.csrf_token));
        assert!(!one.made(""));
    }

    #[test]
    fn a_cookie_is_sealed_and_fits_into_a_browser() {
        let key = key(&"k".repeat(32)).unwrap();
        let long = Session {
            refresh_token: Some("r".repeat(4_000)),
            ..session()
        };
        for (session, keeps) in [(session(), true), (long, false)] {
            let session = session.fitting();
            let jar = write(PrivateCookieJar::new(key.clone()), &session);
            assert_eq!(read(&jar).unwrap().refresh_token.is_some(), keeps);
            let response = axum::response::IntoResponse::into_response(jar);
            let sent = response.headers()["set-cookie"].to_str().unwrap();
            assert!(sent.len() < 4_096, "{}", sent.len());
            assert!(!sent.contains(&session.csrf_token));
            for word in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/", "__Host-"] {
                assert!(sent.contains(word), "{sent}");
            }
            assert!(!sent.contains("Domain"), "{sent}");
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        let error = key("short").unwrap_err();
        assert!(error.to_string().contains("SESSION_KEY"), "{error}");
    }
}
