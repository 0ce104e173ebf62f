//! The tests' requests as a browser makes them: with cookies and its word on where a
//! request comes from.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::IntoResponse;
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::Cookie;
use jiff::Timestamp;
use tower::ServiceExt;

use crate::auth::session::{self, Session};

/// The key that seals the cookies.
pub(crate) const KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
pub(crate) const SESSION: &str = "__Host-square-sync";

/// The answer that came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn place(&self) -> &str {
        let place = self.headers.get(header::LOCATION);
        place.map_or("", |place| place.to_str().unwrap())
    }

    /// A cookie that it sets, as the browser sends it back, with its attributes.
    pub(crate) fn cookie(&self, name: &str) -> Option<(String, String)> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        let mut cookies = all.map(|cookie| cookie.to_str().unwrap().split_once(';').unwrap());
        let (pair, rest) = cookies.find(|(pair, _)| pair.starts_with(name))?;
        Some((pair.to_owned(), rest.to_owned()))
    }

    /// Whether it takes the session away.
    pub(crate) fn ends_session(&self) -> bool {
        self.cookie(&format!("{SESSION}="))
            .is_some_and(|(_, rest)| rest.contains("Max-Age=0"))
    }

    /// The session that it sets.
    pub(crate) fn session(&self) -> Option<Session> {
        let (pair, _) = self.cookie(&format!("{SESSION}="))?;
        let headers = HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())]);
        session::read(&PrivateCookieJar::from_headers(
            &headers,
            session::key(KEY).unwrap(),
        ))
    }
}

/// Asks, and reads the whole answer.
pub(crate) async fn send(
    router: &Router,
    method: &Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(HeaderName::from_static(name), *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) async fn get(router: &Router, path: &str, cookie: &str) -> Answer {
    send(router, &Method::GET, path, &[("cookie", cookie)], "").await
}

/// An admin's session of this moment.
pub(crate) fn session() -> Session {
    let now = Timestamp::now();
    Session {
        name: "ada".to_owned(),
        subject: "0000-1111".to_owned(),
        admin: true,
        good_until: now.as_second() + 600,
        ..Session::begin(now)
    }
}

/// The session as its cookie, sealed with this key.
pub(crate) fn sealed(session: Session, key: &str) -> String {
    let jar = PrivateCookieJar::new(session::key(key).unwrap());
    pair(session::write(jar, &session))
}

/// Any cookie, sealed with ours.
pub(crate) fn sealed_as(name: &str, value: String) -> String {
    let jar = PrivateCookieJar::new(session::key(KEY).unwrap());
    pair(jar.add(Cookie::new(name.to_owned(), value)))
}

fn pair(jar: PrivateCookieJar) -> String {
    let response = jar.into_response();
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}
