//! An operation of Square's: where it is, what it wants, and what its answer holds.
//!
//! These are facts about Square; each list says them once, beside what it sends and
//! receives. Requests carry only fields that we use: Square refuses a body with a
//! field that it does not know.

/// One of Square's operations. All of ours only read.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) method: Method,
    pub path: &'static str,
    /// The permission that Square wants; what a refusal (403) names.
    pub permission: &'static str,
    /// The field with the list in an answer; empty where the answer is no list.
    pub(super) array: &'static str,
}

/// The HTTP method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}
