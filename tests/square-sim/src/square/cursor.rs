//! Cursors: opaque to clients, and good only for the very request that gave
//! them, for a while. A cursor carries its place and needs no table; each page
//! gives a new one, so a list that is read on lives on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::body::Fields;
use super::refusal::Refusal;
use crate::moment::Nanos;

/// Makes every cursor unlike the ones before, even to the same place in the same
/// millisecond: a repeated cursor is a fault, and not ours to make unasked.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// By time and number for sorted lists; only the number counts for others.
    pub(crate) place: (Nanos, usize),
    /// The page before was empty, so this one must not be.
    pub(crate) after_empty: bool,
    /// An upper bound in time that holds for all pages.
    pub(crate) bound: Nanos,
}

/// What a cursor is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) body: &'a Fields,
    /// Which account: cursors do not outlive a reset.
    pub(crate) account: u64,
    pub(crate) ttl_seconds: u64,
}

impl Request<'_> {
    /// The cursor as text.
    pub(crate) fn write(&self, cursor: Cursor) -> String {
        let Cursor {
            place: (time, number),
            after_empty,
            bound,
        } = cursor;
        let text = format!(
            "{time}.{number}.{}.{bound}.{}.{}",
            u8::from(after_empty),
            now_ms(),
            SERIAL.fetch_add(1, Ordering::Relaxed)
        );
        let seal = self.seal(&text);
        let hidden: String = text
            .bytes()
            .map(|byte| format!("{:02x}", byte ^ 0x5a))
            .collect();
        format!("{hidden}{seal:016x}")
    }

    /// The cursor in the request's body, if there is one.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Refusal> {
        let Some(text) = self.body.get("cursor").and_then(|cursor| cursor.as_str()) else {
            return Ok(None);
        };
        if text.is_empty() {
            return Ok(None);
        }
        let (cursor, issued_ms) = self.open(text).ok_or_else(|| {
            refused("The cursor is not valid for this request; send the body of the first request again.")
        })?;
        let age = now_ms().saturating_sub(issued_ms);
        if age >= self.ttl_seconds.saturating_mul(1_000) {
            return Err(expired());
        }
        Ok(Some(cursor))
    }

    fn open(&self, text: &str) -> Option<(Cursor, u64)> {
        let (hidden, seal) = text.split_at_checked(text.len().checked_sub(16)?)?;
        let bytes: Option<Vec<u8>> = (0..hidden.len() / 2)
            .map(|n| {
                hidden
                    .get(2 * n..2 * n + 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })
            .map(|byte| byte.map(|byte| byte ^ 0x5a))
            .collect();
        let plain = String::from_utf8(bytes?).ok()?;
        if format!("{:016x}", self.seal(&plain)) != seal {
            return None;
        }
        let mut parts = plain.split('.');
        let place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let after_empty = parts.next()? == "1";
        let bound = parts.next()?.parse().ok()?;
        Some((
            Cursor {
                place,
                after_empty,
                bound,
            },
            parts.next()?.parse().ok()?,
        ))
    }

    /// Ties a text to this request: endpoint, account and body without cursor.
    fn seal(&self, text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (text, self.endpoint, self.account).hash(&mut hasher);
        for (name, value) in self.body.iter().filter(|(name, _)| *name != "cursor") {
            (name, value.to_string()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The refusal for a cursor past its time.
pub(crate) fn expired() -> Refusal {
    refused("The cursor has expired; start again without one.")
}

fn refused(detail: &str) -> Refusal {
    Refusal::invalid("INVALID_CURSOR", "cursor", detail)
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Cursor, Request};
    use crate::square::body::Fields;

    fn body(value: serde_json::Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    fn request(body: &Fields, ttl_seconds: u64) -> Request<'_> {
        Request {
            endpoint: "/v2/catalog/search",
            body,
            account: 7,
            ttl_seconds,
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_request_only() {
        let cursor = Cursor {
            place: (-5, 12),
            after_empty: true,
            bound: 9,
        };
        let first = body(json!({"limit": 10, "object_types": ["ITEM"]}));
        let text = request(&first, 60).write(cursor);
        let next = body(json!({"object_types": ["ITEM"], "cursor": text, "limit": 10}));
        assert_eq!(request(&next, 60).cursor(), Ok(Some(cursor)));

        for other in [
            json!({"limit": 11, "object_types": ["ITEM"]}),
            json!({"limit": 10}),
        ] {
            let mut other = body(other);
            other.insert("cursor".to_owned(), text.clone().into());
            assert_eq!(
                request(&other, 60).cursor().unwrap_err().code,
                "INVALID_CURSOR"
            );
        }
        let elsewhere = Request {
            endpoint: "/v2/orders/search",
            ..request(&next, 60)
        };
        assert!(elsewhere.cursor().is_err());
        let later_account = Request {
            account: 8,
            ..request(&next, 60)
        };
        assert!(later_account.cursor().is_err());
    }

    #[test]
    fn a_cursor_expires() {
        let empty = Fields::new();
        let text = request(&empty, 60).write(Cursor {
            place: (0, 0),
            after_empty: false,
            bound: 0,
        });
        let next = body(json!({"cursor": text}));
        let refusal = request(&next, 0).cursor().unwrap_err();
        assert_eq!(
            (refusal.status, refusal.field.as_deref()),
            (400, Some("cursor"))
        );
        assert!(refusal.detail.contains("expired"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "x",
            "abcdefghijklmnopqrstuvwxyz",
            "ü".repeat(20).as_str(),
            "5a5a0000000000000000",
        ] {
            let next = body(json!({"cursor": text}));
            assert_eq!(
                request(&next, 60).cursor().unwrap_err().status,
                400,
                "{text}"
            );
        }
    }
}
