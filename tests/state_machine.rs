//! The state machines speak of errors by name: every name in them must be one of
//! ours or of AWS's, and every error of ours that passes must be retried.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use shared::error::SyncError;
use shared::run::lease;
use shared::{orders, postgres, preflight, square};

const DEFINITIONS: [(&str, &str); 5] = [
    (
        "complete-sync",
        include_str!("../infra/statemachines/complete-sync.asl.json"),
    ),
    (
        "historical-orders",
        include_str!("../infra/statemachines/historical-orders.asl.json"),
    ),
    (
        "migration",
        include_str!("../infra/statemachines/migration.asl.json"),
    ),
    (
        "restore",
        include_str!("../infra/statemachines/restore.asl.json"),
    ),
    (
        "spot-check",
        include_str!("../infra/statemachines/spot-check.asl.json"),
    ),
];

/// Names that AWS documents for Lambda tasks and for Step Functions itself.
const AWS: [&str; 18] = [
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.CodeArtifactUserDeletedException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENINotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "Sandbox.Timedout",
    "States.ALL",
    "States.Timeout",
];

/// Names of RDS's errors as Step Functions writes them: what the API's reference
/// has for these calls, with the suffix `Exception`; `RdsException` for what it
/// has not, throttling included; `SdkClientException` for a call that never came
/// through.
const RDS: [&str; 6] = [
    "Rds.DbClusterSnapshotAlreadyExistsException",
    "Rds.DbSnapshotAlreadyExistsException",
    "Rds.InvalidDbClusterStateException",
    "Rds.InvalidDbInstanceStateException",
    "Rds.RdsException",
    "Rds.SdkClientException",
];

/// The calls of RDS, and what of theirs passes if it is waited for. `RdsException` may: a
/// state of its own decides.
const SNAPSHOTS: [(&str, &[&str]); 4] = [
    (
        "createDBSnapshot",
        &[
            "Rds.InvalidDbInstanceStateException",
            "Rds.SdkClientException",
            "States.Timeout",
        ],
    ),
    (
        "createDBClusterSnapshot",
        &[
            "Rds.InvalidDbClusterStateException",
            "Rds.SdkClientException",
            "States.Timeout",
        ],
    ),
    (
        "describeDBSnapshots",
        &["Rds.SdkClientException", "States.Timeout"],
    ),
    (
        "describeDBClusterSnapshots",
        &["Rds.SdkClientException", "States.Timeout"],
    ),
];

const LAMBDA: &str = "arn:aws:states:::lambda:invoke";

/// A state, and where it stands.
struct State {
    machine: &'static str,
    name: String,
    value: Value,
}

/// All states of this type, those within a map included.
fn states(kind: &str) -> Vec<State> {
    let mut found = Vec::new();
    for (machine, text) in DEFINITIONS {
        let mut levels: Vec<Value> = vec![serde_json::from_str(text).unwrap()];
        while let Some(level) = levels.pop() {
            for (name, value) in level["States"].as_object().unwrap() {
                if value["Type"] == "Map" {
                    levels.push(value["ItemProcessor"].clone());
                }
                if value["Type"] == kind {
                    found.push(State {
                        machine,
                        name: format!("{machine}: {name}"),
                        value: value.clone(),
                    });
                }
            }
        }
    }
    found
}

fn names(rules: &Value) -> BTreeSet<String> {
    let rules = rules.as_array().cloned().unwrap_or_default();
    rules
        .iter()
        .flat_map(|rule| rule["ErrorEquals"].as_array().cloned().unwrap_or_default())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// The states that call a function.
fn functions() -> Vec<State> {
    let mut tasks = states("Task");
    tasks.retain(|state| state.value["Resource"] == LAMBDA);
    tasks
}

#[test]
fn every_name_is_known_and_every_passing_error_is_retried() {
    for State { name, value, .. } in functions() {
        let retried = names(&value["Retry"]);
        for error in retried.iter().chain(&names(&value["Catch"])) {
            let known = SyncError::NAMES.contains(&error.as_str()) || AWS.contains(&error.as_str());
            assert!(known, "{name}: {error}");
        }
        for error in SyncError::RETRYABLE {
            assert!(retried.contains(error), "{name} does not retry {error}");
        }
        for error in SyncError::NAMES {
            let passes = SyncError::RETRYABLE.contains(&error) || error == "StepTimeout";
            assert_eq!(retried.contains(error), passes, "{name}: {error}");
        }
    }
}

/// More than once more would only hold the lease.
#[test]
fn a_step_that_stopped_itself_in_time_is_tried_once_more_like_one_cut_short() {
    for State { name, value, .. } in functions() {
        let rules = value["Retry"].as_array().unwrap();
        let of = |error: &str| {
            let rule = rules.iter().find(|rule| {
                let names = rule["ErrorEquals"].as_array().unwrap();
                names.iter().any(|name| name == error)
            });
            rule.unwrap()
        };
        let rule = of("StepTimeout");
        assert_eq!(rule["MaxAttempts"], 1, "{name}");
        assert_eq!(rule, of("Sandbox.Timedout"), "{name}");
    }
}

/// Whatever a run that was overtaken stumbled over, it is no failure.
#[test]
fn a_run_that_made_way_ends_as_skipped_in_every_machine_that_holds_a_lease() {
    // A spot check holds none, so it makes way for nobody.
    let with_lease = DEFINITIONS.iter().filter(|(name, _)| *name != "spot-check");
    let with_lease = with_lease.count();
    let closing = functions();
    let closing = closing
        .iter()
        .filter(|state| state.name.ends_with(": CloseFailedRun"));
    assert_eq!(
        closing
            .map(|state| &state.value["Next"])
            .filter(|next| *next == "MadeWay?")
            .count(),
        with_lease
    );
    let choices = states("Choice");
    let choices = choices
        .iter()
        .filter(|state| state.name.ends_with(": MadeWay?"));
    let mut found = 0;
    for State { name, value, .. } in choices {
        assert_eq!(value["Choices"][0]["Next"], "Skipped", "{name}");
        assert_eq!(value["Default"], "Failed", "{name}");
        found += 1;
    }
    assert_eq!(found, with_lease);
}

/// What is no function is one of the calls for a snapshot, once each.
#[test]
fn every_other_task_asks_for_a_snapshot_and_retries_what_passes() {
    let mut tasks = states("Task");
    tasks.retain(|state| state.value["Resource"] != LAMBDA);
    assert_eq!(tasks.len(), SNAPSHOTS.len());
    for (call, passing) in SNAPSHOTS {
        let resource = format!("arn:aws:states:::aws-sdk:rds:{call}");
        let task = tasks
            .iter()
            .find(|task| task.value["Resource"] == resource.as_str());
        let State {
            machine,
            name,
            value,
        } = task.unwrap();
        assert_eq!(*machine, "complete-sync", "{name}");
        let retried: Vec<String> = names(&value["Retry"]).into_iter().collect();
        assert_eq!(retried, passing, "{name}");
        for error in retried.iter().chain(&names(&value["Catch"])) {
            let known = RDS.contains(&error.as_str()) || AWS.contains(&error.as_str());
            assert!(known, "{name}: {error}");
        }
    }
}

/// RDS's one name for many errors is retried by a state that reads the cause: a right that
/// is missing stays missing.
#[test]
fn access_denied_by_rds_ends_the_run_at_once_and_throttling_does_not() {
    let mut tasks = states("Task");
    tasks.retain(|state| state.value["Resource"] != LAMBDA);
    for State { name, value, .. } in tasks {
        let caught = value["Catch"].as_array().unwrap().iter();
        let rule = caught
            .filter(|rule| names(&Value::Array(vec![(*rule).clone()])).contains("Rds.RdsException"))
            .collect::<Vec<_>>();
        assert_eq!(rule.len(), 1, "{name}");
        let begins = name.contains(": Snapshot");
        let again = if begins {
            "MayAskAgain?"
        } else {
            "MayReadAgain?"
        };
        assert_eq!(rule[0]["Next"], again, "{name}");
        // Each call has its own tries: one that succeeds ends the count.
        assert_eq!(value["Assign"]["snapshot_refusals"], 0, "{name}");
        assert!(
            !names(&value["Retry"]).contains("Rds.RdsException"),
            "{name}"
        );
        if begins {
            let tags = value["Arguments"]["Tags"].as_array().unwrap();
            let keys: Vec<&str> = tags
                .iter()
                .map(|tag| tag["Key"].as_str().unwrap())
                .collect();
            assert_eq!(keys, ["square-sync:stack", "square-sync:run"], "{name}");
        }
    }
    let choices = states("Choice");
    // A snapshot that is under way is waited for, and never begun once more.
    for (name, again) in [
        ("complete-sync: MayAskAgain?", "SnapshotPause"),
        ("complete-sync: MayReadAgain?", "SnapshotWait"),
    ] {
        let choice = choices.iter().find(|state| state.name == name).unwrap();
        let ends = &choice.value["Choices"][0];
        assert_eq!(ends["Next"], "CloseFailedRun", "{name}");
        let condition = ends["Condition"].as_str().unwrap();
        assert!(condition.contains("'Status Code: 403'"), "{condition}");
        assert!(condition.contains("$snapshot_refusals > 5"), "{condition}");
        assert_eq!(choice.value["Default"], again, "{name}");
    }
}

/// A snapshot that is there already was begun by an earlier attempt.
#[test]
fn a_snapshot_that_exists_is_waited_for_like_a_new_one() {
    for (state, exists) in [
        (
            "complete-sync: SnapshotInstance",
            "Rds.DbSnapshotAlreadyExistsException",
        ),
        (
            "complete-sync: SnapshotCluster",
            "Rds.DbClusterSnapshotAlreadyExistsException",
        ),
    ] {
        let tasks = states("Task");
        let task = tasks.iter().find(|task| task.name == state).unwrap();
        let first = &task.value["Catch"][0];
        assert_eq!(first["ErrorEquals"], serde_json::json!([exists]), "{state}");
        assert_eq!(first["Next"], task.value["Next"], "{state}");
    }
}

#[test]
fn every_task_has_a_time_out_a_comment_and_a_catch_for_everything() {
    for State { name, value, .. } in states("Task") {
        assert!(value["TimeoutSeconds"].as_i64().unwrap() <= 920, "{name}");
        assert!(value["Comment"].is_string(), "{name}");
        assert!(names(&value["Catch"]).contains("States.ALL"), "{name}");
    }
}

/// A map can fail apart from its tasks, which do the retrying.
#[test]
fn every_map_has_a_comment_and_a_catch_for_everything_and_retries_nothing() {
    let maps = states("Map");
    assert!(!maps.is_empty());
    for State { name, value, .. } in maps {
        assert!(value["Comment"].is_string(), "{name}");
        assert!(names(&value["Catch"]).contains("States.ALL"), "{name}");
        assert!(value["Retry"].is_null(), "{name}");
    }
}

/// What opens and closes a run must be told whose run it is.
#[test]
fn every_run_is_opened_and_closed_as_its_machines_kind() {
    let mut told = 0;
    for State {
        machine,
        name,
        value,
    } in functions()
    {
        let function = value["Arguments"]["FunctionName"].as_str().unwrap();
        if ["${PreflightFunctionArn}", "${FinishFunctionArn}"].contains(&function) {
            let kind = machine.replace('-', "_");
            assert_eq!(value["Arguments"]["Payload"]["kind"], kind, "{name}");
            told += 1;
        }
    }
    assert_eq!(told, 3 * DEFINITIONS.len());
}

/// A failure is told under a step that the run has.
#[test]
fn every_failure_names_a_known_error_or_the_one_that_was_caught() {
    let mut told = 0;
    for kind in ["Task", "Map", "Pass"] {
        for State { name, value, .. } in states(kind) {
            let caught = value["Catch"].as_array().cloned().unwrap_or_default();
            for rule in caught.iter().chain([&value]) {
                let failure = &rule["Assign"]["failure"];
                if failure.is_null() {
                    continue;
                }
                let error = failure["error"].as_str().unwrap();
                let known =
                    error == "{% $states.errorOutput.Error %}" || SyncError::NAMES.contains(&error);
                assert!(known, "{name}: {error}");
                let next = rule["Next"].as_str().unwrap();
                assert!(
                    ["CloseFailedRun", "MayAskAgain?", "MayReadAgain?"].contains(&next),
                    "{name}: {next}"
                );
                told += 1;
            }
        }
    }
    assert!(told > 0);
}

/// How long a run may go on when Square or the database has gone for good.
const OUTAGE_MAX: Duration = Duration::from_secs(8 * 60);

/// A call that has nothing more to ask.
const ANSWERED_AT_ONCE: Duration = Duration::from_millis(300);

/// A database that goes away while it works is given up after so long.
const DATABASE_SILENT: Duration = Duration::from_secs(30);

/// How long a state goes on trying if each call ends with this error after that time.
fn tries(state: &State, error: &str, call: Duration) -> Duration {
    let rules = state.value["Retry"].as_array().unwrap();
    let rule = rules.iter().find(|rule| {
        let names = rule["ErrorEquals"].as_array().unwrap();
        names.iter().any(|name| name == error)
    });
    let rule = rule.unwrap();
    let number = |name: &str| rule[name].as_f64();
    let mut wait = number("IntervalSeconds").unwrap();
    let mut whole = call;
    for _ in 0..rule["MaxAttempts"].as_u64().unwrap() {
        whole += Duration::from_secs_f64(wait) + call;
        wait *= number("BackoffRate").unwrap();
        wait = wait.min(number("MaxDelaySeconds").unwrap_or(f64::INFINITY));
    }
    whole
}

/// The state that closes a failed run, in the same machine.
fn closing(machine: &str) -> State {
    let mut closing = functions();
    closing.retain(|state| state.name == format!("{machine}: CloseFailedRun"));
    closing.remove(0)
}

#[test]
fn with_square_away_for_good_every_run_ends_within_eight_minutes() {
    for state in functions() {
        for error in ["SquareUnavailable", "SquareRateLimited"] {
            let mut whole = tries(&state, error, square::BUDGET);
            if state.name.ends_with(": Window") {
                // One at a time: the second shows that it is not the first's own
                // fault, and the others need not ask.
                whole += square::BUDGET + ANSWERED_AT_ONCE * orders::spans::WINDOWS_MAX;
            }
            whole += postgres::CONNECTED_WITHIN;
            assert!(whole <= OUTAGE_MAX, "{}: {whole:?}", state.name);
        }
    }
}

#[test]
fn with_the_database_away_for_good_every_run_ends_within_eight_minutes() {
    let error = "DatabaseUnavailable";
    for state in functions() {
        let call = if state.name.ends_with(": Preflight") {
            preflight::WAKE_UP + postgres::CONNECTED_WITHIN
        } else {
            DATABASE_SILENT.max(postgres::CONNECTED_WITHIN)
        };
        let mut whole = tries(&state, error, call);
        if !state.name.ends_with(": CloseFailedRun") {
            let closing = closing(state.machine);
            whole += tries(&closing, error, postgres::CONNECTED_WITHIN);
        }
        assert!(whole <= OUTAGE_MAX, "{}: {whole:?}", state.name);
    }
}

/// Lambda takes 40 to 106 s to provide a function anew that nobody called for weeks. The
/// lease outlasts all tries, so that no other run comes in between; before the lease is
/// held for a snapshot there is a wait beside.
#[test]
fn a_function_that_sleeps_costs_no_run() {
    let waits = states("Wait");
    let longest = waits
        .iter()
        .map(|state| state.value["Seconds"].as_u64().unwrap())
        .max();
    for state in functions() {
        let whole = tries(
            &state,
            "Lambda.CodeArtifactUserPendingException",
            Duration::ZERO,
        );
        let name = &state.name;
        assert!(whole >= Duration::from_secs(2 * 106), "{name}: {whole:?}");
        let silent = whole + Duration::from_secs(longest.unwrap());
        assert!(silent < lease::BETWEEN_STEPS, "{name}: {silent:?}");
    }
}

/// The import's breaker counts calls, and so must know how many there are.
#[test]
fn a_window_has_as_many_tries_as_the_breaker_counts() {
    let windows = functions();
    let window = windows
        .iter()
        .find(|state| state.name.ends_with(": Window"))
        .unwrap();
    for error in ["SquareUnavailable", "SquareRateLimited"] {
        let rules = window.value["Retry"].as_array().unwrap();
        let rule = rules
            .iter()
            .find(|rule| names(&Value::Array(vec![(*rule).clone()])).contains(error));
        let retries = rule.unwrap()["MaxAttempts"].as_i64().unwrap();
        assert_eq!(retries + 1, i64::from(orders::outage::TRIES), "{error}");
    }
    // A window that cannot note its failure ends them all.
    let first = &window.value["Catch"][0];
    assert_eq!(
        first["ErrorEquals"],
        serde_json::json!(["AwsUnavailable", "DatabaseUnavailable"])
    );
    let map = &states("Map")[0].value["ItemProcessor"]["States"];
    assert_eq!(map[first["Next"].as_str().unwrap()]["Type"], "Fail");
}
