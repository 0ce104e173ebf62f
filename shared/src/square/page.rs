//! A page of a list, with each of its objects either read or set aside.
//!
//! One object that does not fit our types must not cost the page: it is kept as
//! it came, for the quarantine, and the page goes on.

use jiff::Timestamp;
use serde_json::Value;

/// One answer of a list endpoint.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The objects that could be read, in Square's order.
    pub objects: Vec<T>,
    /// The objects that could not.
    pub broken: Vec<Broken>,
    /// The catalog's `latest_time`: when it last changed.
    pub latest_time: Option<Timestamp>,
}

/// An object that does not fit our types, kept whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// What did not fit.
    pub problem: String,
    /// The object as Square sent it.
    pub payload: Value,
}
