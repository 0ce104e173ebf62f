//! The simulated account before judges that know nothing of it: Square's official
//! SDK, and Square's published schemas where they are at hand.

use std::path::PathBuf;
use std::process::Command;

use local::Checkout;
use serde_json::json;

use crate::support::account::Account;

fn judge(script: &str, arguments: &[&str]) {
    let root = Checkout::find().unwrap().root().to_path_buf();
    let output = Command::new(root.join(".venv/bin/python"))
        .arg(root.join("tests/square-sim/judges").join(script))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn squares_own_sdk_pages_through_all_of_it() {
    let account = Account::start(json!({
        "items": 100, "variations": 220, "counts": 500, "orders": 100
    }));
    judge("sdk.py", &[&account.url, "sim-token"]);
}

/// Not part of the repository: whoever has Square's schemas puts them beside it.
fn schemas() -> PathBuf {
    let root = Checkout::find().unwrap().root().to_path_buf();
    root.join("../shared/facts/square-schemas.json")
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped judge must be heard of")]
fn every_answer_fits_squares_schemas() {
    let schemas = schemas();
    if !schemas.exists() {
        eprintln!("SKIPPED: no Square schemas at {}", schemas.display());
        return;
    }
    // The published schemas close their enums, which Square itself does not keep to.
    let account = Account::start(json!({
        "locations": 7, "items": 100, "variations": 220, "counts": 500, "orders": 1_000, "drift": false
    }));
    let schemas = schemas.to_string_lossy();
    judge("schemas.py", &[&account.url, "sim-token", &schemas]);
}
