//! The sync itself.
//!
//! One page of Square becomes rows like this: `square` reads it, the part's `rows.rs`
//! turns it into plain rows, `staging` copies them aside, and when the list has ended,
//! the part's `store.rs` applies them in one transaction. `run` keeps the record and the
//! lease around that. Orders go page by page instead.

pub mod account;
pub mod aws;
pub mod catalog;
pub mod env;
pub mod error;
mod fields;
pub mod finish;
pub mod inventory;
pub mod kept;
pub mod lambda;
pub mod locations;
pub mod merchant;
pub mod migrate;
pub mod notification;
pub mod orders;
pub mod part;
pub mod postgres;
pub mod preflight;
pub mod publish;
pub mod run;
pub mod settings;
pub mod spot_check;
pub mod square;
pub mod staging;
pub mod text;
pub mod times;
pub mod validation;
pub mod web;
