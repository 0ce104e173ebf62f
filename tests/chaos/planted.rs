//! Planted defects: each patch under tests/planted takes something out of the product,
//! and the histories must notice. A scratch worktree of the last commit gets one patch
//! after the other. It builds into a directory of its own, which stays: cargo cannot tell
//! the two trees' crates apart, and would mix them up in one. The first build takes as
//! long as any first build.

use std::path::{Path, PathBuf};
use std::process::Command;

use local::Checkout;

/// So many seeds are tried for each.
const SEEDS: &str = "200";

/// What `hunt` prints before the seed.
pub(crate) const FOUND: &str = "found by seed";

/// Tries all patches whose names contain the text, and prints who found them; returns
/// whether all were found.
pub(crate) fn try_all(name: &str, jobs: usize) -> bool {
    let root = Checkout::find().unwrap().root().to_path_buf();
    let scratch = Scratch::new(&root);
    let mut is_all_found = true;
    println!("{:<40} found by", "defect");
    for patch in patches(&root, name) {
        let defect = patch.file_stem().unwrap().to_string_lossy().into_owned();
        let by = scratch.hunt(&patch, jobs);
        is_all_found &= by.is_ok();
        println!(
            "{defect:<40} {}",
            by.unwrap_or_else(|why| format!("NOBODY: {why}"))
        );
    }
    is_all_found
}

/// Whether each patch still fits the sources; says which does not.
pub(crate) fn all_fit() -> bool {
    let root = Checkout::find().unwrap().root().to_path_buf();
    let misfits = patches(&root, "").into_iter().filter_map(|patch| {
        let arguments = ["apply", "--check", &patch.to_string_lossy()];
        git(&root, &arguments).err()
    });
    let misfits: Vec<String> = misfits.collect();
    for misfit in &misfits {
        println!("a planted defect has to be planted anew: {misfit}");
    }
    misfits.is_empty()
}

fn patches(root: &Path, name: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root.join("tests/planted")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let is_wanted = |path: &PathBuf| {
        path.extension().is_some_and(|kind| kind == "patch")
            && path.to_string_lossy().contains(name)
    };
    let mut patches: Vec<PathBuf> = files.filter(is_wanted).collect();
    patches.sort();
    patches
}

/// A worktree that goes with this value.
struct Scratch {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    fn new(root: &Path) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| root.join("target"), |given| root.join(given));
        let scratch = Self {
            tree: target.join("planted/tree"),
            root: root.to_path_buf(),
            target: target.join("planted/target"),
        };
        scratch.remove();
        let tree = scratch.tree.to_string_lossy().into_owned();
        git(
            root,
            &[
                "worktree", "add", "--quiet", "--detach", "--force", &tree, "HEAD",
            ],
        )
        .unwrap();
        // PostgreSQL's binaries are there.
        std::os::unix::fs::symlink(root.join(".venv"), scratch.tree.join(".venv")).unwrap();
        scratch
    }

    fn remove(&self) {
        let tree = self.tree.to_string_lossy();
        // It is not there, or it goes.
        let _ = git(&self.root, &["worktree", "remove", "--force", &tree]);
        let _ = std::fs::remove_dir_all(&self.tree);
        let _ = git(&self.root, &["worktree", "prune"]);
    }

    /// The seed that finds a defect, and by what; or why none does.
    fn hunt(&self, patch: &Path, jobs: usize) -> Result<String, String> {
        git(&self.tree, &["checkout", "--quiet", "HEAD", "--", "."])?;
        git(&self.tree, &["apply", &patch.to_string_lossy()])?;
        let hunted = Command::new("cargo")
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .args(["test", "--quiet", "-p", "tests", "--test", "chaos", "--"])
            .args(["--seeds", SEEDS, "--jobs", &jobs.to_string(), "--hunt"])
            .output()
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&hunted.stdout);
        if let Some(found) = said.lines().find_map(|line| line.strip_prefix(FOUND)) {
            return Ok(found.trim().chars().take(160).collect());
        }
        if hunted.status.success() {
            return Err(format!("{SEEDS} seeds passed"));
        }
        let errors = String::from_utf8_lossy(&hunted.stderr);
        let error = errors.lines().find(|line| line.starts_with("error"));
        Err(format!("it does not build: {}", error.unwrap_or_default()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

fn git(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new("git")
        .current_dir(directory)
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if done.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
    }
}
