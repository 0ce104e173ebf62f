//! Tests of the simulator from the outside, over HTTP: its habits, its
//! refusals, its faults, and that its truth is what it serves.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod access;
mod catalog;
mod control;
mod faults;
mod inventory;
mod objects;
mod orders;
mod program;
mod refusals;
mod rewrites;
mod seed;
mod stale;
mod support;
mod truth;
