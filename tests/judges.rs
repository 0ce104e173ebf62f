//! Judges that know nothing of what they judge: Square's official SDK of the simulated
//! account, and Square's published schemas where they are at hand; schemathesis of the
//! API and its description.

use std::path::PathBuf;
use std::process::Command;

use local::Checkout;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::cloud::Cloud;
use crate::support::run;

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

/// It makes up requests that the description allows, and such that it forbids, and
/// follows what the answers name.
#[test]
fn the_api_is_what_its_description_says() {
    run(async {
        let cloud = Cloud::own("described").await;
        let root = Checkout::find().unwrap().root().to_path_buf();
        let judge = root.join("tests/openapi");
        let stack = cloud.stack.file();
        let home = tempfile::tempdir().unwrap();
        let output = tokio::process::Command::new(root.join(".tools/schemathesis/bin/st"))
            .current_dir(&home)
            .arg("--config-file")
            .arg(judge.join("schemathesis.toml"))
            .args([
                "run",
                &format!("{}/openapi.json", stack.api_url),
                "--no-color",
            ])
            .args(["--url", &stack.api_url, "--max-examples", EXAMPLES])
            // The description's own route is left out unless it is asked for.
            .args(["--include-path-regex", ".*"])
            .arg("--header")
            .arg(format!("Authorization: Bearer {}", stack.bearer_token))
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", &judge)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // Whatever it may leave out, it has asked each of the routes.
        let all = operations(&cloud).await;
        for line in [format!("Selected: {all}/{all}"), format!("Tested: {all}")] {
            assert!(
                said.lines().any(|said| said.trim() == line),
                "{line}: {said}"
            );
        }
    });
}

/// How many operations the description has.
async fn operations(cloud: &Cloud) -> usize {
    let (_, description) = cloud.call(Method::GET, "/openapi.json", Value::Null).await;
    let paths = description["paths"].as_object().unwrap().values();
    let methods = ["get", "post", "put", "delete", "patch"];
    let of_path = |path: &Value| methods.iter().filter(|name| path[name].is_object()).count();
    paths.map(of_path).sum()
}

/// Of each way of making them up, for each route.
const EXAMPLES: &str = "25";
