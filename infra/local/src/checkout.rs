//! The places of things in the checkout: what `make` installed and built, and what
//! the stack deploys. It is found from the working directory upwards, so that
//! a checkout can be moved without building it again.

use std::path::{Path, PathBuf};

use crate::error::StackError;

/// A checkout of this repository.
#[derive(Debug, Clone)]
pub struct Checkout {
    root: PathBuf,
    binaries: PathBuf,
}

impl Checkout {
    /// The checkout around the working directory, with the binaries built beside
    /// this one.
    ///
    /// # Errors
    /// `Missing` outside of a checkout.
    pub fn find() -> Result<Self, StackError> {
        let here = std::env::current_dir()
            .map_err(StackError::io("while looking for the working directory"))?;
        let exe = std::env::current_exe()
            .map_err(StackError::io("while looking for the running binary"))?;
        let root = here
            .ancestors()
            .find(|directory| directory.join("infra/template.yaml").is_file())
            .ok_or_else(|| StackError::Missing {
                what: "infra/template.yaml",
                path: here.clone(),
                hint: "run this inside a checkout of Square Sync",
            })?
            .to_path_buf();
        Ok(Self {
            root,
            binaries: beside(&exe),
        })
    }

    /// The checkout's top directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of the Lambda functions, each of which has its folder.
    ///
    /// # Errors
    /// `Io` if the folders cannot be read.
    pub fn functions(&self) -> Result<Vec<String>, StackError> {
        let folders = std::fs::read_dir(self.root.join("functions"));
        let folders = folders.map_err(StackError::io("while looking for the functions"))?;
        let crates = folders.filter_map(Result::ok);
        let crates = crates.filter(|folder| folder.path().join("Cargo.toml").is_file());
        let names = crates.filter_map(|folder| folder.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A binary of this workspace.
    pub(crate) fn binary(&self, name: &str) -> Result<PathBuf, StackError> {
        existing(
            "a binary of this workspace",
            self.binaries.join(name),
            "build it with `make build`",
        )
    }

    /// The local AWS.
    pub(crate) fn python(&self) -> Result<PathBuf, StackError> {
        existing(
            "the local AWS",
            self.root.join(".venv/bin/ministack"),
            "install it with `make tools`",
        )?;
        existing(
            "the local AWS's Python",
            self.root.join(".venv/bin/python"),
            "install it with `make tools`",
        )
    }

    /// AWS SAM, which deploys the template.
    pub(crate) fn sam(&self) -> Result<PathBuf, StackError> {
        existing(
            "AWS SAM",
            self.root.join(".tools/sam/bin/sam"),
            "install it with `make tools`",
        )
    }

    /// The Python packages' directory, in which PostgreSQL's binaries lie.
    pub(crate) fn site_packages(&self) -> Result<PathBuf, StackError> {
        let lib = self.root.join(".venv/lib");
        let found = std::fs::read_dir(&lib)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("site-packages"))
            .find(|path| path.is_dir());
        found.ok_or(StackError::Missing {
            what: "the Python environment",
            path: lib,
            hint: "install it with `make tools`",
        })
    }
}

/// The directory of a build's binaries, seen from one of them; test binaries
/// lie one level deeper.
fn beside(exe: &Path) -> PathBuf {
    let directory = exe.parent().unwrap_or(Path::new("."));
    if directory.ends_with("deps") {
        directory.parent().unwrap_or(directory).to_path_buf()
    } else {
        directory.to_path_buf()
    }
}

fn existing(what: &'static str, path: PathBuf, hint: &'static str) -> Result<PathBuf, StackError> {
    if path.exists() {
        Ok(path)
    } else {
        Err(StackError::Missing { what, path, hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_binaries_find_the_others_one_level_up() {
        assert_eq!(beside(Path::new("/t/debug/local")), Path::new("/t/debug"));
        assert_eq!(
            beside(Path::new("/t/debug/deps/all-0a1b")),
            Path::new("/t/debug")
        );
    }
}
