//! A column, and where its value stands in Square's JSON: what a table copies is a list
//! of constants (`field`).
//!
//! - `path` finds a value, `extract` makes cells of it, `cell` takes them into a COPY.
//! - `names` tells the elements of a list apart, `json` reads what they all stand in.
//!
//! What is absent and what is null are the same. A value of another type than its
//! column's, and amounts in two currencies in one row, set the whole object aside, with a
//! reason that names places and types only (`misfit`).

mod cell;
pub(crate) mod extract;
pub(crate) mod field;
pub(crate) mod json;
pub(crate) mod misfit;
pub(crate) mod names;
mod path;

pub(crate) use cell::values;
