//! The place where a step leaves what Square lists until its list has ended, and the
//! way from there into the tables.
//!
//! - `table` says what a table is, and makes its statements.
//! - `column` names a column beside its place in a row.
//! - `intake` is what every step that stages does, from its list's watermark to its
//!   result; `load` copies its rows into staging, `apply` brings them into the table.
//! - `page_table` is for pages that are applied one by one, without a staging table.
//! - `quarantine` keeps what cannot be placed.
//! - `absence` asks Square for what a whole listing lacks, before that counts as gone;
//!   `guard` refuses to delete too much at once.
//! - `drift` counts what a whole listing finds and no delta has brought.

pub(crate) mod absence;
pub(crate) mod apply;
pub mod column;
pub(crate) mod copies;
pub mod drift;
pub mod guard;
pub(crate) mod intake;
pub mod load;
pub(crate) mod page_table;
pub mod quarantine;
pub mod table;
