//! The state machine speaks of errors by name: every name in it must be one of
//! ours or of AWS's, and every error of ours that passes must be retried.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::error::SyncError;

/// Names that AWS documents for Lambda tasks and for Step Functions itself.
const AWS: [&str; 11] = [
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
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

fn definition() -> Value {
    let text = include_str!("../infra/statemachines/complete-sync.asl.json");
    serde_json::from_str(text).unwrap()
}

fn tasks(definition: &Value) -> Vec<(&String, &Value)> {
    let states = definition["States"].as_object().unwrap();
    states
        .iter()
        .filter(|(_, state)| state["Type"] == "Task")
        .collect()
}

fn names(rules: &Value) -> BTreeSet<String> {
    let rules = rules.as_array().cloned().unwrap_or_default();
    rules
        .iter()
        .flat_map(|rule| rule["ErrorEquals"].as_array().cloned().unwrap_or_default())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_name_is_known_and_every_passing_error_is_retried() {
    for (name, state) in tasks(&definition()) {
        let retried = names(&state["Retry"]);
        for error in retried.iter().chain(&names(&state["Catch"])) {
            let known = SyncError::NAMES.contains(&error.as_str()) || AWS.contains(&error.as_str());
            assert!(known, "{name}: {error}");
        }
        for error in SyncError::RETRYABLE {
            assert!(retried.contains(error), "{name} does not retry {error}");
        }
        for error in SyncError::NAMES {
            let passes = SyncError::RETRYABLE.contains(&error);
            assert_eq!(retried.contains(error), passes, "{name}: {error}");
        }
    }
}

#[test]
fn every_task_has_a_time_out_a_comment_and_a_catch_for_everything() {
    for (name, state) in tasks(&definition()) {
        assert!(state["TimeoutSeconds"].as_i64().unwrap() <= 920, "{name}");
        assert!(state["Comment"].is_string(), "{name}");
        assert!(names(&state["Catch"]).contains("States.ALL"), "{name}");
    }
}
