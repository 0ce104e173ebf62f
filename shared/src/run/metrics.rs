//! Figures for the dashboard and the alarms, in CloudWatch's embedded metric
//! format: a line of the log that CloudWatch turns into metrics by itself. Nothing
//! has to be called, and nothing can be lost by a call that fails.
//!
//! The names here are those of the template's dashboard and alarms. Each pair of
//! a name and its dimensions is a metric that AWS bills for, so what is zero and
//! says nothing is left out.

use std::io::Write;
use std::time::Duration;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::stats::{self, Drift};
use super::summary::{self, Summary};

const NAMESPACE: &str = "SquareSync";
/// The stack whose figures they are; unset where nobody collects them.
const STACK: &str = "STACK_NAME";

/// A metric: its name, CloudWatch's unit, and the value.
type Metric = (&'static str, &'static str, f64);

/// Prints the figures of a run that has just ended. They are not worth a failure:
/// what goes wrong is logged.
pub async fn run_ended(client: &impl GenericClient, run_id: &str) {
    let Some(stack) = stack() else { return };
    match summary::read(client, run_id).await {
        Ok(Some(summary)) => print(&of_run(&stack, &summary, Timestamp::now())),
        Ok(None) => {}
        Err(error) => tracing::warn!(name = error.name(), %error, "no metrics of this run"),
    }
}

/// Prints how many failures were told, or were no news, at the end of a run of this
/// kind. The alarm behind the mails rings for a failure without. It takes this from what
/// Step Functions counts, so that none is said too: nobody promises that AWS fills in
/// what it never heard of.
pub fn failures_told(kind: &str, count: u32) {
    let Some(stack) = stack() else { return };
    let dimensions = [("Stack", stack.as_str()), ("Kind", kind)];
    print(&[document(
        Timestamp::now(),
        &dimensions,
        &[("FailuresTold", "Count", count.into())],
    )]);
}

/// Prints how much of its time-out a step has used.
pub fn step_done(step: &str, elapsed: Duration, timeout: Duration) {
    let Some(stack) = stack() else { return };
    let percent = 100.0 * elapsed.as_secs_f64() / timeout.as_secs_f64().max(1.0);
    let metrics = [("TimeOutUsed", "Percent", percent)];
    let dimensions = [("Stack", stack.as_str()), ("Step", step)];
    print(&[document(Timestamp::now(), &dimensions, &metrics)]);
}

/// The figures of a run, one document per set of dimensions. A preview has none:
/// it changed nothing.
#[must_use]
pub fn of_run(stack: &str, run: &Summary, now: Timestamp) -> Vec<Value> {
    if run.dry_run {
        return Vec::new();
    }
    let stack = ("Stack", stack);
    let mut documents = vec![document(
        now,
        &[stack, ("Kind", &run.kind)],
        &run_metrics(run),
    )];
    for (data_type, counts) in &run.stats {
        let metrics: Vec<Metric> = [
            ("Created", counts.created),
            ("Updated", counts.updated),
            ("Deleted", counts.deleted),
            ("Unchanged", counts.unchanged),
            ("Quarantined", counts.quarantined),
            ("Drift", counts.drift.map_or(0, |drift| drift.total())),
        ]
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(name, count)| (name, "Count", figure(count)))
        .collect();
        if !metrics.is_empty() {
            documents.push(document(now, &[stack, ("DataType", data_type)], &metrics));
        }
    }
    for fresh in &run.freshness {
        let Some(age) = fresh.age_seconds else {
            continue;
        };
        let metrics = [("DataAge", "Seconds", figure(age))];
        documents.push(document(
            now,
            &[stack, ("DataType", &fresh.data_type)],
            &metrics,
        ));
    }
    let mut of_stack = vec![
        ("QuarantineOpen", "Count", figure(run.quarantine_waiting)),
        ("QuarantineAdded", "Count", figure(run.quarantine_added)),
    ];
    let drift = run.stats.values().filter_map(|counts| counts.drift);
    if let Some(drift) = drift.reduce(Drift::and) {
        of_stack.push(("Drift", "Count", figure(drift.total())));
    }
    // For the alarm on silence: a run limited to some data types is no sign of life.
    if run.status == "succeeded" && run.is_whole() {
        of_stack.push(("WholeSyncs", "Count", 1.0));
    }
    documents.push(document(now, &[stack], &of_stack));
    documents
}

fn run_metrics(run: &Summary) -> Vec<Metric> {
    let outcome = match run.status.as_str() {
        "succeeded" => Some("RunsSucceeded"),
        "failed" => Some("RunsFailed"),
        "stopped" => Some("RunsStopped"),
        _ => None,
    };
    let mut metrics: Vec<Metric> = outcome
        .map(|name| (name, "Count", 1.0))
        .into_iter()
        .collect();
    metrics.extend(
        run.duration_ms
            .map(|millis| ("Duration", "Milliseconds", figure(millis))),
    );
    let count = |count: u64| figure(stats::count(count));
    metrics.extend([
        ("Requests", "Count", count(run.square.requests)),
        ("Retries", "Count", count(run.square.retries)),
        ("RateLimited", "Count", count(run.square.rate_limited)),
    ]);
    metrics
}

/// CloudWatch's values are floating-point numbers, exact up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "as CloudWatch keeps it")]
fn figure(count: i64) -> f64 {
    count as f64
}

/// One line of the format: where the metrics are declared, then their values.
fn document(now: Timestamp, dimensions: &[(&str, &str)], metrics: &[Metric]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let declared: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
        .collect();
    let mut document = Map::new();
    document.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [
                {"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": declared}
            ],
        }),
    );
    for (name, value) in dimensions {
        document.insert((*name).to_owned(), json!(value));
    }
    for (name, _, value) in metrics {
        document.insert((*name).to_owned(), json!(value));
    }
    Value::Object(document)
}

fn stack() -> Option<String> {
    std::env::var(STACK).ok().filter(|name| !name.is_empty())
}

/// Each document in one write, so that lines of the log do not mix.
fn print(documents: &[Value]) {
    for document in documents {
        let written = std::io::stdout().write_all(format!("{document}\n").as_bytes());
        if let Err(error) = written {
            tracing::warn!(%error, "a metric could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::freshness::Freshness;
    use crate::run::stats::{Counts, Stats};

    fn run() -> Summary {
        Summary {
            stats: Stats::from([
                ("items".to_owned(), Counts::default()),
                (
                    "variations".to_owned(),
                    Counts {
                        created: 3,
                        unchanged: 9,
                        ..Counts::default()
                    },
                ),
            ]),
            freshness: vec![
                Freshness {
                    data_type: "catalog".into(),
                    as_of: Some(Timestamp::UNIX_EPOCH),
                    age_seconds: Some(61),
                },
                Freshness {
                    data_type: "orders".into(),
                    as_of: None,
                    age_seconds: None,
                },
            ],
            ..crate::notification::tests::failed()
        }
    }

    #[test]
    fn every_declared_metric_and_dimension_has_its_value() {
        let documents = of_run("s", &run(), Timestamp::UNIX_EPOCH);
        assert!(documents.len() > 3);
        for document in documents {
            let directive = &document["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Namespace"], "SquareSync");
            assert!(document["_aws"]["Timestamp"].is_i64());
            for name in directive["Dimensions"][0].as_array().unwrap() {
                assert!(document[name.as_str().unwrap()].is_string(), "{document}");
            }
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!(!metrics.is_empty());
            for metric in metrics {
                let name = metric["Name"].as_str().unwrap();
                assert!(document[name].is_f64(), "{document}");
            }
        }
    }

    #[test]
    fn what_is_zero_or_unknown_is_left_out() {
        let documents = of_run("s", &run(), Timestamp::UNIX_EPOCH);
        let of = |data_type: &str| {
            documents
                .iter()
                .filter(|document| document["DataType"] == data_type)
                .collect::<Vec<_>>()
        };
        assert!(of("items").is_empty() && of("orders").is_empty());
        assert_eq!(of("catalog")[0]["DataAge"], 61.0);
        let variations = of("variations")[0];
        assert_eq!(variations["Created"], 3.0);
        assert_eq!(variations.get("Deleted"), None);
    }

    #[test]
    fn only_a_sync_of_everything_is_a_sign_of_life() {
        let whole = ["locations", "catalog", "inventory"];
        let with_orders = ["locations", "catalog", "inventory", "orders"];
        let parts: [(&str, &str, &[&str], bool); 7] = [
            ("complete_sync", "succeeded", &whole, true),
            ("complete_sync", "succeeded", &with_orders, true),
            ("complete_sync", "succeeded", &["orders"], false),
            ("complete_sync", "succeeded", &whole[1..], false),
            ("complete_sync", "succeeded", &[], false),
            ("complete_sync", "failed", &whole, false),
            ("historical_orders", "succeeded", &["orders"], false),
        ];
        for (kind, status, steps, counts) in parts {
            let run = Summary {
                kind: kind.into(),
                status: status.into(),
                steps: steps.iter().map(|step| (*step).to_owned()).collect(),
                ..run()
            };
            let documents = of_run("s", &run, Timestamp::UNIX_EPOCH);
            let found = documents.iter().find(|document| {
                document["WholeSyncs"] == 1.0
                    && document["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == json!([["Stack"]])
            });
            assert_eq!(found.is_some(), counts, "{kind} {status} {steps:?}");
        }
    }

    #[test]
    fn a_preview_counts_as_nothing() {
        let preview = Summary {
            dry_run: true,
            ..run()
        };
        assert!(of_run("s", &preview, Timestamp::UNIX_EPOCH).is_empty());
    }
}
