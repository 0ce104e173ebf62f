//! Square Sync's HTTP API seen from outside: asking for a run and following it. It
//! reads leniently, for it must be able to show a run of a newer or older API too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::Aws;
use crate::error::StackError;
use crate::http;

/// The interval at which a run is asked after.
const POLL: Duration = Duration::from_millis(400);
/// The time that a run may stay open after its execution has ended.
const CLOSING: Duration = Duration::from_secs(5);

/// The parts to sync, and the way to do it; the defaults are the API's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SyncRequest {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full_refresh: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reconcile: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_mass_deletion: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The orders of the past to import; the defaults are the API's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImportRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub location_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// How much a spot check compares; the defaults are the API's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SpotCheckRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The run to ask for.
#[derive(Debug, Clone)]
pub enum Wanted {
    Sync(SyncRequest),
    Import(ImportRequest),
    Migration,
    /// A backup put back.
    Restore {
        backup_id: String,
    },
    /// A sample of the rows compared with Square.
    SpotCheck(SpotCheckRequest),
}

impl Wanted {
    /// As it is called in a sentence.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sync(_) => "sync",
            Self::Import(_) => "import",
            Self::Migration => "migration",
            Self::Restore { .. } => "restore",
            Self::SpotCheck(_) => "spot check",
        }
    }
}

/// The answer to a request for a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Started {
    pub run_id: String,
    pub execution_arn: String,
    #[serde(default)]
    pub status_url: String,
}

/// Counts of what a step did to one data type's rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub created: i64,
    pub updated: i64,
    pub deleted: i64,
    pub unchanged: i64,
    pub quarantined: i64,
}

/// The progress of a step, in Square's objects.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub done: u64,
    pub total: Option<u64>,
    pub seconds_left: Option<u64>,
    /// Of an import of historical orders.
    pub windows: Option<Windows>,
}

/// The number of an import's windows, and of those that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Windows {
    pub done: u64,
    pub total: u64,
}

/// The requests of a step to Square.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct SquareUse {
    pub requests: u64,
    pub retries: u64,
    pub bytes: u64,
}

/// One step of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    pub step: String,
    /// `pending`, `running`, `succeeded`, `failed` or `skipped`.
    pub status: String,
    pub duration_ms: Option<u64>,
    pub progress: Option<Progress>,
    pub stats: Option<BTreeMap<String, Counts>>,
    pub square: Option<SquareUse>,
}

/// Why a run failed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RunError {
    pub name: String,
    pub message: String,
    pub step: Option<String>,
}

/// What a spot check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SpotCheck {
    pub compared: i64,
    pub in_flight: i64,
    pub rows_differ: i64,
    pub differ: Vec<Difference>,
}

/// A column of a row that is not as Square has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Difference {
    #[serde(rename = "type")]
    pub row_type: String,
    pub id: String,
    pub column: String,
    pub ours: Option<String>,
    pub square: Option<String>,
}

/// A run, as the API shows it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Run {
    pub run_id: String,
    pub mode: Option<String>,
    /// `queued`, `running`, `succeeded`, `failed`, `stopped` or `skipped`.
    pub status: String,
    pub duration_ms: Option<u64>,
    pub error: Option<RunError>,
    pub warnings: Vec<Value>,
    /// What it did of its own accord.
    pub notes: Vec<Value>,
    pub steps: Vec<Step>,
    pub totals: Option<Counts>,
    /// Of a preview: a sample of what would change.
    pub preview: Option<Value>,
    /// What a spot check has found.
    pub spot_check: Option<SpotCheck>,
}

impl Run {
    /// Whether it is over, one way or another.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self.status.as_str(),
            "succeeded" | "failed" | "stopped" | "skipped"
        )
    }

    /// Whether it did what it was to do.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == "succeeded"
    }
}

/// The API at an address, with a token.
#[derive(Debug, Clone)]
pub struct Api {
    url: String,
    token: String,
    aws: Aws,
}

impl Api {
    /// The API at `url`, whose executions run in `aws`.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>, aws: Aws) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            aws,
        }
    }

    /// Asks for a run.
    ///
    /// # Errors
    /// `Refused` in the API's words, such as `RunInProgress`; `NoAnswer`.
    pub async fn start(&self, wanted: &Wanted) -> Result<Started, StackError> {
        match wanted {
            Wanted::Sync(request) => self.post("/admin/complete-sync", request).await,
            Wanted::Import(request) => self.post("/admin/historical-orders-sync", request).await,
            Wanted::Migration => {
                let nothing = serde_json::json!({});
                self.post("/admin/migrate-order-line-items", &nothing).await
            }
            Wanted::Restore { backup_id } => {
                let request = serde_json::json!({"backup_id": backup_id});
                self.post("/admin/restore", &request).await
            }
            Wanted::SpotCheck(request) => self.post("/admin/spot-check", request).await,
        }
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Started, StackError> {
        let what = format!("POST {path}");
        let request = http::client()
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .json(body);
        let answer = http::json(&what, request).await?;
        Started::deserialize(&answer).map_err(|_| StackError::Unexpected {
            what,
            lacking: "run_id and execution_arn",
            body: answer.to_string(),
        })
    }

    /// A run, or none if there is none of this id.
    ///
    /// # Errors
    /// `Refused` in the API's words; `NoAnswer`.
    pub async fn run(&self, run_id: &str) -> Result<Option<Run>, StackError> {
        let path = format!("/admin/runs/{run_id}");
        let what = format!("GET {path}");
        let request = http::client()
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        let (status, body) = http::send(&what, request).await?;
        match status {
            200 => serde_json::from_str(&body)
                .map(Some)
                .map_err(|_| StackError::Unexpected {
                    what,
                    lacking: "a run",
                    body,
                }),
            404 => Ok(None),
            _ => Err(StackError::Refused { what, status, body }),
        }
    }

    /// Follows a run to its end. A run whose execution ended without closing it
    /// is given the execution's error.
    ///
    /// # Errors
    /// As [`Api::run`].
    pub async fn follow(
        &self,
        started: &Started,
        mut seen: impl FnMut(&Run),
    ) -> Result<Run, StackError> {
        let mut ended_at = None;
        loop {
            let run = self.run(&started.run_id).await?.unwrap_or_else(|| Run {
                run_id: started.run_id.clone(),
                status: "queued".to_owned(),
                ..Run::default()
            });
            seen(&run);
            if run.is_over() {
                return Ok(run);
            }
            let execution = self.aws.execution(&started.execution_arn).await?;
            if !execution.is_running() {
                let since = *ended_at.get_or_insert_with(Instant::now);
                if since.elapsed() > CLOSING {
                    return Ok(Run {
                        status: "failed".to_owned(),
                        error: Some(RunError {
                            name: execution.error.unwrap_or(execution.status),
                            message: execution.cause.unwrap_or_else(|| {
                                "the execution ended without closing the run".to_owned()
                            }),
                            step: None,
                        }),
                        ..run
                    });
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The sentence in an API refusal, or the refusal as it came.
#[must_use]
pub fn refusal(error: &StackError) -> String {
    let StackError::Refused { body, .. } = error else {
        return error.to_string();
    };
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match (
        answer.pointer("/error/name").and_then(Value::as_str),
        answer.pointer("/error/message").and_then(Value::as_str),
    ) {
        (Some(name), Some(message)) => format!("{name}: {message}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_says_only_what_differs() {
        let request = SyncRequest {
            reconcile: true,
            only: vec!["catalog".to_owned()],
            ..SyncRequest::default()
        };
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({"reconcile": true, "only": ["catalog"]})
        );
        assert_eq!(
            serde_json::to_value(SyncRequest::default()).unwrap(),
            json!({})
        );
        let import = ImportRequest {
            from: Some("2024-01-01".to_owned()),
            ..ImportRequest::default()
        };
        assert_eq!(
            serde_json::to_value(import).unwrap(),
            json!({"from": "2024-01-01"})
        );
    }

    #[test]
    fn a_run_is_read_whatever_it_lacks_or_adds() {
        let run: Run = serde_json::from_value(json!({
            "run_id": "r", "status": "running", "new": 1,
            "steps": [
                {"step": "preflight", "status": "succeeded", "stats": null, "square": null},
                {"step": "catalog", "status": "running", "progress": {"done": 5, "total": null},
                 "stats": {"items": {"created": 2}}},
            ],
        }))
        .unwrap();
        assert!(!run.is_over());
        let stats = run.steps[1].stats.as_ref().unwrap();
        assert_eq!(stats["items"].created, 2);
        assert_eq!(run.steps[1].progress.unwrap().done, 5);
    }

    #[test]
    fn a_refusal_is_told_in_the_apis_words() {
        let refused = |body: &str| StackError::Refused {
            what: "POST /x".to_owned(),
            status: 409,
            body: body.to_owned(),
        };
        let error = refused(r#"{"error": {"name": "RunInProgress", "message": "wait"}}"#);
        assert_eq!(refusal(&error), "RunInProgress: wait");
        assert_eq!(refusal(&refused("oops")), "POST /x answered 409: oops");
    }
}
