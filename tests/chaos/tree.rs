//! A number of the sources' text, so that each change of them is tried with histories
//! that nobody has chosen, and the same tree always with the same ones.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use local::Checkout;

/// What the histories are about.
const FOLDERS: [&str; 3] = ["shared/src", "migrations", "tests/square-sim/src"];

/// The number of this checkout's sources.
pub(crate) fn number() -> u64 {
    let checkout = Checkout::find().unwrap();
    let mut files = BTreeSet::new();
    for folder in FOLDERS {
        list(&checkout.root().join(folder), &mut files);
    }
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    // Short enough to be typed.
    hasher.finish() % 1_000_000_000
}

fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.insert(path);
        }
    }
}
