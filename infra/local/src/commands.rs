//! The work of each command, and what it says meanwhile. Every command returns whether
//! all went well; what went wrong has been said by then.

use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use local::api::{Api, Run as SyncRun, SyncRequest, Wanted, refusal};
use local::show::Show;
use local::{Aws, MachineClient, Options, Settings, SquareAccount, Stack, StackError, StackFile};
use local::{deploy, preview, shown, spot_check, table};
use tokio::signal::unix::{SignalKind, signal};

use crate::Run;

/// Starts the stack, syncs once, and stays until it is told to end.
pub(crate) async fn run(stack_dir: PathBuf, run: Run) -> Result<bool, StackError> {
    let settings = Settings::from_environment();
    let options = Options {
        port: run.port,
        sim_args: run.sim_args.split_whitespace().map(str::to_owned).collect(),
        settings,
        announce: Arc::new(|part| say(&format!("  ✓ {part}"))),
        ..Options::quiet(stack_dir)
    };
    warn_about_token(&options.settings);
    let is_own_database = options.settings.get("DATABASE_URL").is_none();
    say("Starting the local stack");
    let mut end = Box::pin(end(run.end_with_parent)?);
    let mut stack = tokio::select! {
        started = Stack::start(options) => started?,
        () = &mut end => return Ok(false),
    };
    say(&introduction(stack.file(), is_own_database));

    let api = Api::new(
        &stack.file().api_url,
        &stack.file().bearer_token,
        stack.aws().clone(),
    );
    let mut well = true;
    if !run.no_first_sync {
        say("First complete sync");
        let whole = Wanted::Sync(SyncRequest::default());
        tokio::select! {
            synced = show_run(&api, &whole) => well = synced,
            broken = stack.broken() => { complain(&broken); well = false; }
            () = &mut end => { return leave(stack, false).await; }
        }
    }
    if !well {
        let kept = keep_function_logs(&stack).await;
        say(&format!("The functions' logs are in {}", kept.display()));
    }
    say("The stack is up; Ctrl-C ends it");
    tokio::select! {
        broken = stack.broken() => { complain(&broken); well = false; }
        () = &mut end => {}
    }
    leave(stack, well).await
}

/// Asks the running stack for a run.
pub(crate) async fn sync(stack_dir: &Path, wanted: &Wanted) -> Result<bool, StackError> {
    let file = StackFile::read(stack_dir)?;
    let aws = Aws::at(&file.aws_endpoint_url);
    let token = MachineClient::find(&aws).await?.token().await?;
    let api = Api::new(&file.api_url, token, aws);
    Ok(show_run(&api, wanted).await)
}

/// Prints a bearer token.
pub(crate) async fn token(stack_dir: &Path) -> Result<bool, StackError> {
    let file = StackFile::read(stack_dir)?;
    let aws = Aws::at(&file.aws_endpoint_url);
    let token = MachineClient::find(&aws).await?.token().await?;
    say(&token);
    Ok(true)
}

/// Starts a run and shows it to its end.
async fn show_run(api: &Api, wanted: &Wanted) -> bool {
    let followed = async {
        let started = api.start(wanted).await?;
        say(&format!("  run {}", started.run_id));
        let mut show = Show::default();
        api.follow(&started, |run| show.update(run)).await
    };
    match followed.await {
        Ok(run) => {
            say(&outcome(wanted.name(), &run));
            run.succeeded()
        }
        Err(error) => {
            let title = format!("The {} could not be followed", wanted.name());
            say(&failure(&title, &refusal(&error)));
            false
        }
    }
}

/// A finished run: its table, its warnings and notes, and its error in a block of its own.
fn outcome(name: &str, run: &SyncRun) -> String {
    let mut parts: Vec<String> = run.preview.iter().flat_map(preview::lines).collect();
    if run.preview.is_some() && run.mode.as_deref() == Some("full_refresh") {
        parts.push("  A refresh deletes every row, and writes what Square has:".to_owned());
    }
    parts.extend(run.spot_check.iter().flat_map(spot_check::lines));
    parts.extend(table::statistics(run));
    for (sort, texts) in [("warning", &run.warnings), ("note", &run.notes)] {
        parts.extend(texts.iter().map(|text| {
            let words = text.as_str().map(str::to_owned);
            format!("  {sort}: {}", words.unwrap_or_else(|| text.to_string()))
        }));
    }
    parts.push(match &run.error {
        None => format!("The {name} {}.", run.status),
        Some(error) => {
            let step = error.step.as_deref().unwrap_or("?");
            let title = format!("The {name} {}: {} in step {step}", run.status, error.name);
            failure(&title, &error.message)
        }
    });
    parts.join("\n")
}

fn failure(title: &str, message: &str) -> String {
    let rule = "─".repeat(72);
    format!("{rule}\n✗ {title}\n\n  {message}\n{rule}")
}

/// Returns where everything is, and how to sign in. The stack's own database ends with
/// it, so that its password may be shown; nothing that the user gave is.
fn introduction(file: &StackFile, is_own_database: bool) -> String {
    let database = if is_own_database {
        file.database_url.clone()
    } else {
        shown::address(&file.database_url)
    };
    format!(
        "\n  page      {page}\n  sign in   {user} / {password}\n  API       {api}\n            Authorization: Bearer $(make -s token)\n  database  {database}\n  Square    {square}\n  AWS       {aws}\n",
        page = file.page_url,
        user = file.sign_in.username,
        password = file.sign_in.password,
        api = file.api_url,
        square = shown::address(&file.square_base_url),
        aws = file.aws_endpoint_url,
    )
}

/// Says loudly that a token which is none of Square's goes to the simulator.
fn warn_about_token(settings: &Settings) {
    if let SquareAccount::Simulated {
        ignored_token: true,
        ..
    } = settings.square_account()
    {
        say(&failure(
            "SQUARE_ACCESS_TOKEN does not look like a token of Square's",
            "It begins with neither EAAA nor sq0atp-, so the simulated account stays, and judges it.\n  \
             Set SQUARE_ENVIRONMENT to production or sandbox to send it to Square all the same.",
        ));
    }
}

/// Writes each function's log beside the other logs.
async fn keep_function_logs(stack: &Stack) -> PathBuf {
    // A log that cannot be kept must not hide what it would have told.
    let functions = local::Checkout::find().and_then(|checkout| checkout.functions());
    for function in functions.unwrap_or_default() {
        let name = format!("{}-{function}", deploy::STACK);
        if let Ok(lines) = stack.aws().function_log(&name).await
            && !lines.is_empty()
        {
            let _ = std::fs::write(stack.log(&function), lines.join("\n") + "\n");
        }
    }
    let log = stack.log("api");
    log.parent().unwrap_or(&log).to_path_buf()
}

async fn leave(stack: Stack, well: bool) -> Result<bool, StackError> {
    say("Ending the local stack");
    keep_function_logs(&stack).await;
    stack.stop().await;
    Ok(well)
}

/// Ends when somebody wants the stack to end, or when whoever started it has
/// been killed and cannot say so any more.
fn end(with_parent: bool) -> Result<impl Future<Output = ()>, StackError> {
    let listen = |kind| {
        signal(kind).map_err(|source| StackError::Io {
            doing: "while listening for signals".to_owned(),
            source,
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let parent = parent_id();
    let orphaned = async move {
        while !with_parent || parent_id() == parent {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = orphaned => {}
        }
    })
}

/// Prints a line; if nobody reads any more, that is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints an error where errors go.
pub(crate) fn complain(error: &StackError) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_the_user_gave_is_shown_with_its_password() {
        let file: StackFile = serde_json::from_value(json!({
            "api_url": "http://127.0.0.1:1/x", "api_host_header": "app.localhost:1",
            "page_url": "http://app.localhost:1/admin/sync",
            "database_url": "postgres://u:hidden@h/d",
            "square_base_url": "https://u:concealed@square.example",
            "aws_endpoint_url": "http://127.0.0.1:1",
            "state_machines": {"complete_sync": "", "historical_orders": "", "migration": "",
                "restore": "", "spot_check": ""},
            "sign_in": {"username": "admin", "password": "made for this stack"},
            "bearer_token": "t",
        }))
        .unwrap();
        let given = introduction(&file, false);
        assert!(given.contains("postgres://u:***@h/d"), "{given}");
        assert!(
            !given.contains("hidden") && !given.contains("concealed"),
            "{given}"
        );
        assert!(given.contains("made for this stack"), "{given}");
        assert!(introduction(&file, true).contains("postgres://u:hidden@h/d"));
    }

    #[test]
    fn a_run_that_ended_is_told_by_its_name() {
        let read = |run| serde_json::from_value::<SyncRun>(run).unwrap();
        let imported = read(json!({
            "status": "succeeded", "warnings": ["Look here."], "notes": ["Cleaned."],
            "steps": [{"step": "orders", "status": "succeeded", "square": {"requests": 3},
                "stats": {"line_items": {"created": 9}, "orders": {"created": 4}}}],
        }));
        let told = outcome("import", &imported);
        assert!(told.find("orders").unwrap() < told.find("line_items").unwrap());
        assert!(
            told.ends_with("warning: Look here.\n  note: Cleaned.\nThe import succeeded."),
            "{told}"
        );
        let failed = read(json!({"status": "failed",
            "error": {"name": "DatabaseRejected", "message": "It says no.", "step": "migrate"}}));
        let told = outcome("migration", &failed);
        let title = "The migration failed: DatabaseRejected in step migrate";
        assert!(
            told.contains(title) && told.contains("It says no."),
            "{told}"
        );
        let preview = read(json!({"status": "succeeded", "mode": "full_refresh",
            "preview": {"items": {"counts": {"updated": 1}}}}));
        let told = outcome("sync", &preview);
        assert!(
            told.contains("1 updated\n  A refresh deletes every row"),
            "{told}"
        );
        let stopped = read(json!({"status": "stopped"}));
        assert_eq!(outcome("sync", &stopped), "The sync stopped.");
    }
}
