//! The deployment: the real template, by AWS SAM, as it is done on AWS. Only
//! the parameters differ, and the functions' binaries are the plain build's
//! instead of a cross-compiled one's.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::aws::{Aws, REGION};
use crate::checkout::Checkout;
use crate::error::StackError;
use crate::guard::{Guard, log_end};
use crate::shown;

/// The stack's name, from which those of its functions and machines derive.
pub const STACK: &str = "square-sync";
const BUCKET: &str = "square-sync-deployment";

/// Deploys the template with these parameters and gives the stack's outputs.
pub(crate) async fn deploy(
    aws: &Aws,
    parameters: &BTreeMap<String, String>,
    checkout: &Checkout,
    guard: &Guard,
) -> Result<BTreeMap<String, String>, StackError> {
    let template = lay_out(checkout, guard.scratch())?;
    write_out(checkout, &template).await?;
    let secrets = secrets(parameters);
    let parameters = write_parameters(parameters, guard.scratch())?;
    aws.create_bucket(BUCKET).await?;
    let log = guard.log("sam");
    let output = aws
        .command(checkout.sam()?, guard)
        .env("SAM_CLI_TELEMETRY", "0")
        .env("SAM_CLI_POLL_DELAY", "0.2")
        .args(["deploy", "--no-confirm-changeset", "--no-progressbar"])
        .args(["--stack-name", STACK, "--region", REGION])
        .args(["--s3-bucket", BUCKET])
        .args(["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
        .arg("--template-file")
        .arg(&template)
        .arg("--parameter-overrides")
        .arg(format!("file://{}", parameters.display()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(StackError::io("while starting sam"))?;
    // They held the token and the database's password.
    std::fs::remove_file(&parameters)
        .map_err(StackError::io("while removing the deployment's parameters"))?;
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = shown::without(&String::from_utf8_lossy(&said), &secrets);
    std::fs::write(&log, said).map_err(StackError::io("while writing sam's log"))?;
    if !output.status.success() {
        return Err(StackError::DidNotStart {
            name: "sam deploy",
            reason: format!("ended ({})", output.status),
            log_end: complaint(&log),
            log,
        });
    }
    aws.outputs(STACK).await
}

/// Returns what SAM must not be quoted with.
fn secrets(parameters: &BTreeMap<String, String>) -> Vec<&str> {
    let given = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let addresses = [given("DatabaseUrl"), given("SquareBaseUrl")];
    let passwords = addresses.into_iter().filter_map(shown::password);
    // The whole before its parts.
    let whole = [given("DatabaseUrl"), given("SquareAccessToken")];
    whole.into_iter().chain(passwords).collect()
}

/// Returns SAM's complaint: its last error, or the end of its log.
fn complaint(log: &Path) -> String {
    let end = log_end(log);
    let error = end.rfind("Error: ").and_then(|at| end.get(at..));
    error.map(str::to_owned).unwrap_or(end)
}

/// Puts each binary where the template looks for it, in a directory of this
/// run's own: two stacks must not package each other's builds. The state machines
/// are the checkout's, by link. Returns where the template belongs.
fn lay_out(checkout: &Checkout, scratch: &Path) -> Result<PathBuf, StackError> {
    let package = scratch.join("package");
    for name in &checkout.functions()? {
        let directory = package.join("target/lambda").join(name);
        std::fs::create_dir_all(&directory)
            .map_err(StackError::io("while making the package's directories"))?;
        let binary = checkout.binary(name)?;
        zip(&binary, &directory.join("bootstrap.zip")).map_err(StackError::io(format!(
            "while zipping {}",
            binary.display()
        )))?;
    }
    let infra = package.join("infra");
    std::fs::create_dir_all(&infra).map_err(StackError::io("while making the package"))?;
    let machines = "statemachines";
    let source = checkout.root().join("infra").join(machines);
    std::os::unix::fs::symlink(source, infra.join(machines))
        .map_err(StackError::io("while linking the state machines"))?;
    Ok(infra.join("template.json"))
}

/// Writes the template without its loops, as every deployment does.
async fn write_out(checkout: &Checkout, to: &Path) -> Result<(), StackError> {
    let infra = checkout.root().join("infra");
    let output = tokio::process::Command::new(checkout.sam()?.with_file_name("python"))
        .arg(infra.join("lint/expand.py"))
        .args([&infra.join("template.yaml"), to])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(StackError::io("while expanding the template"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(StackError::DidNotStart {
        name: "the template's expander",
        reason: format!("ended ({})", output.status),
        log_end: String::from_utf8_lossy(&output.stderr).into_owned(),
        log: infra.join("template.yaml"),
    })
}

/// Packs a binary as Lambda wants it. It travels no further than this machine,
/// so it is stored as it is: compressing would take longer than all the rest.
fn zip(binary: &Path, archive: &Path) -> std::io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(File::create(archive)?);
    zip.start_file("bootstrap", options)?;
    std::io::copy(&mut File::open(binary)?, &mut zip)?;
    zip.finish()?;
    Ok(())
}

/// Writes the parameters to a file that only this user reads; arguments would
/// show in the list of processes.
fn write_parameters(
    parameters: &BTreeMap<String, String>,
    scratch: &Path,
) -> Result<PathBuf, StackError> {
    // SAM takes no .json here, but JSON is YAML.
    let path = scratch.join("parameters.yaml");
    let json: Value = parameters
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())))
        .collect();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(json.to_string().as_bytes()))
        .map_err(StackError::io("while writing the deployment's parameters"))?;
    Ok(path)
}
