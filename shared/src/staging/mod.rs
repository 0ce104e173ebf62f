//! Where a step leaves what Square lists until its list has ended, and how it gets
//! from there into the tables.
//!
//! - `table` says what a table is, and makes its statements.
//! - `load` copies rows into staging; `quarantine` keeps what cannot be placed.
//! - `absence` asks Square for what a whole listing lacks, before that counts as gone;
//!   `guard` refuses to delete too much at once.

pub(crate) mod absence;
pub mod guard;
pub mod load;
pub mod quarantine;
pub mod table;
