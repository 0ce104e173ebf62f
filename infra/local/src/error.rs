//! Everything that can keep the local stack from standing, each with a sentence
//! that says what to do: the reader has just cloned the repository.

use std::io;
use std::path::PathBuf;

/// Why the local stack does not stand, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file that `make` installs or builds is not there.
    #[error("{what} is missing at {}; {hint}", path.display())]
    Missing {
        what: &'static str,
        path: PathBuf,
        hint: &'static str,
    },
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    /// Another stack lives in the same directory.
    #[error(
        "another stack is running in {}; stop it, or give this one a directory of its own with STACK_DIR",
        .0.display()
    )]
    DirectoryInUse(PathBuf),
    /// The port that was asked for is taken.
    #[error("port {0} is in use; stop what listens there, or choose another PORT")]
    PortInUse(u16),
    /// A setting in the environment cannot be used.
    #[error("{name} {problem}")]
    Setting { name: &'static str, problem: String },
    /// A process ended, or did not answer in time.
    #[error("{name} {reason}; the end of {}:\n{log_end}", log.display())]
    DidNotStart {
        name: &'static str,
        reason: String,
        log: PathBuf,
        log_end: String,
    },
    /// PostgreSQL refused what the stack asked of it.
    #[error("PostgreSQL, while {doing}: {source}")]
    Database {
        doing: &'static str,
        source: tokio_postgres::Error,
    },
    /// No answer over HTTP.
    #[error("{what} does not answer: {source}")]
    NoAnswer {
        what: String,
        source: reqwest::Error,
    },
    /// An answer over HTTP that is a refusal.
    #[error("{what} answered {status}: {body}")]
    Refused {
        what: String,
        status: u16,
        body: String,
    },
    /// An answer over HTTP that lacks what it should hold.
    #[error("{what} answered without {lacking}: {body}")]
    Unexpected {
        what: String,
        lacking: &'static str,
        body: String,
    },
    /// A run that was to be measured came to nothing.
    #[error("{run} {status}: {error}")]
    RunFailed {
        run: String,
        status: String,
        error: String,
    },
    /// No stack is running where one was looked for.
    #[error("no stack is running in {}; start one with `make run`", .0.display())]
    NotRunning(PathBuf),
}

impl StackError {
    /// For `map_err`: says what was being done when the system refused.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// For `map_err`: says what PostgreSQL was asked.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}
