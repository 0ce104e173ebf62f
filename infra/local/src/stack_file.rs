//! `stack.json`: what others need to know of a running stack. It is there for
//! exactly as long as the stack is.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::StackError;
use crate::sign_in::SignIn;

/// The state machines' ARNs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateMachines {
    pub complete_sync: String,
    pub historical_orders: String,
    pub migration: String,
    pub restore: String,
    pub spot_check: String,
}

/// A running stack's addresses and keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StackFile {
    /// The API's address, for any HTTP client: it needs neither a name that
    /// resolves nor a header of its own.
    pub api_url: String,
    /// The `Host` header with which `aws_endpoint_url` serves the API at its
    /// root, for clients that cannot resolve `*.localhost` but want that.
    pub api_host_header: String,
    /// The page's address, for browsers.
    pub page_url: String,
    pub database_url: String,
    pub square_base_url: String,
    pub aws_endpoint_url: String,
    pub state_machines: StateMachines,
    pub sign_in: SignIn,
    /// Good for a day; `make token` prints a fresh one.
    pub bearer_token: String,
}

impl StackFile {
    /// Returns the file's path in a stack's directory.
    #[must_use]
    pub fn path(stack_dir: &Path) -> PathBuf {
        stack_dir.join("stack.json")
    }

    /// Reads a running stack's file.
    ///
    /// # Errors
    /// `NotRunning` if there is none.
    pub fn read(stack_dir: &Path) -> Result<Self, StackError> {
        let path = Self::path(stack_dir);
        let bytes =
            std::fs::read(&path).map_err(|_| StackError::NotRunning(stack_dir.to_path_buf()))?;
        serde_json::from_slice(&bytes).map_err(|error| StackError::Io {
            doing: format!("while reading {}", path.display()),
            source: error.into(),
        })
    }

    /// Writes the file, whole or not at all, for this user's eyes only.
    pub(crate) fn write(&self, stack_dir: &Path) -> Result<(), StackError> {
        let path = Self::path(stack_dir);
        let draft = path.with_extension("json.part");
        let doing = format!("while writing {}", path.display());
        let json = serde_json::to_string_pretty(self).map_err(|error| StackError::Io {
            doing: doing.clone(),
            source: error.into(),
        })?;
        let _ = std::fs::remove_file(&draft);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| writeln!(file, "{json}"))
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(StackError::io(doing))
    }
}
