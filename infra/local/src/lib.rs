//! The local stack: a real PostgreSQL, a Square account and a local AWS that
//! deploys the very template, state machine and functions that run in the
//! cloud. It exists so that a newcomer sees a whole sync after one command, and
//! so that the end-to-end tests try what is deployed rather than a likeness.
//!
//! The binary `local` is the terminal's side of it (`make run`, `make sync`,
//! `make token`); tests start a [`Stack`] of their own.

pub mod api;
mod aws;
pub mod bench;
mod checkout;
pub mod deploy;
mod error;
mod gate;
mod guard;
mod http;
pub mod measure;
mod ports;
pub mod postgres;
pub mod preview;
mod processes;
mod random;
mod settings;
pub mod show;
pub mod shown;
mod sign_in;
pub mod spot_check;
mod square;
mod stack;
mod stack_file;
pub mod table;

pub use aws::{Aws, Execution};
pub use checkout::Checkout;
pub use error::StackError;
pub use guard::Guard;
pub use processes::Process;
pub use settings::{Settings, SquareAccount};
pub use sign_in::{MachineClient, SignIn};
pub use stack::{Options, Stack};
pub use stack_file::{StackFile, StateMachines};
