//! Rewrites: a text in answers gives way to other bytes. So a marker that was put
//! into the account can go out as what no JSON value could hold.

use memchr::memmem;
use serde::Deserialize;

use super::faults::{check_endpoint, matches};

/// One rewrite, as it is set through the control interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Given")]
pub(crate) struct Rewrite {
    endpoint: String,
    find: String,
    with: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// A path, or `*`.
    endpoint: String,
    /// As it stands in the JSON text.
    find: String,
    with: Option<String>,
    /// The bytes in hexadecimal, in place of `with`.
    with_hex: Option<String>,
}

impl TryFrom<Given> for Rewrite {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        check_endpoint(&given.endpoint)?;
        if given.find.is_empty() {
            return Err("find must not be empty".to_owned());
        }
        let with = match (given.with, given.with_hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => {
                bytes(&hex).ok_or_else(|| format!("{hex:?} is not bytes in hexadecimal"))?
            }
            _ => return Err("a rewrite takes exactly one of with and with_hex".to_owned()),
        };
        Ok(Self {
            endpoint: given.endpoint,
            find: given.find,
            with,
        })
    }
}

impl Rewrite {
    /// The body with every occurrence rewritten.
    pub(crate) fn apply(&self, body: &[u8]) -> Vec<u8> {
        let (mut out, mut read) = (Vec::with_capacity(body.len()), 0);
        for at in memmem::find_iter(body, &self.find) {
            out.extend_from_slice(&body[read..at]);
            out.extend_from_slice(&self.with);
            read = at + self.find.len();
        }
        out.extend_from_slice(&body[read..]);
        out
    }
}

/// The rewrites that are set.
#[derive(Debug, Default)]
pub(crate) struct Rewrites {
    set: Vec<Rewrite>,
}

impl Rewrites {
    pub(crate) fn set(&mut self, rewrites: Vec<Rewrite>) {
        self.set.extend(rewrites);
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// What is to be done to an endpoint's answers, oldest first.
    pub(crate) fn of(&self, path: &str) -> Vec<Rewrite> {
        let of_path = |rewrite: &&Rewrite| matches(&rewrite.endpoint, path);
        self.set.iter().filter(of_path).cloned().collect()
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).ok();
    digits.chunks(2).map(byte).collect()
}
