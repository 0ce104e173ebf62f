//! The ends of runs that are told of, and the words for them.

use jiff::Timestamp;

use super::*;
use crate::run::freshness::Freshness;
use crate::run::stats::Counts;
use crate::run::store::Failure;

/// A sync that failed at its second step.
pub(crate) fn failed() -> Summary {
    let at = |text: &str| text.parse::<Timestamp>().ok();
    Summary {
        run_id: "sync-1".into(),
        kind: "complete_sync".into(),
        mode: "incremental".into(),
        trigger: "schedule".into(),
        requested_by: "schedule".into(),
        status: "failed".into(),
        started_at: at("2026-11-26T18:00:00Z"),
        finished_at: at("2026-11-26T18:01:05Z"),
        duration_ms: Some(65_000),
        execution_arn: Some("arn:aws:states:eu-west-1:1:execution:m:sync-1".into()),
        failure: Some(Failure {
            name: "SquareUnauthorized".into(),
            message: "Square refused the access token.".into(),
            step: "catalog".into(),
        }),
        freshness: vec![
            Freshness {
                data_type: "catalog".into(),
                as_of: at("2026-11-26T16:00:00Z"),
                age_seconds: Some(7_265),
            },
            Freshness {
                data_type: "orders".into(),
                as_of: None,
                age_seconds: None,
            },
        ],
        ..Summary::default()
    }
}

fn succeeded() -> Summary {
    Summary {
        status: "succeeded".into(),
        failure: None,
        ..failed()
    }
}

fn notices(success: bool, recovery: bool) -> Notices {
    Notices {
        topic: None,
        success,
        recovery,
        page: None,
    }
}

#[test]
fn a_failure_says_where_why_how_old_the_data_is_and_what_to_do() {
    let mail = mail::compose(Occasion::Failed, &failed(), Some("https://shop.example"));
    assert_eq!(
        mail.subject,
        "Square Sync: The sync failed at catalog: SquareUnauthorized"
    );
    for part in [
        "The sync, started by the schedule, failed at the step catalog.",
        "SquareUnauthorized: Square refused the access token.",
        "as they were, whole but older",
        "catalog    2 h 1 min old, as of 2026-11-26 16:00 UTC",
        "orders     never synced",
        "Mend what is said above.",
        "https://shop.example/admin/sync/runs/sync-1",
        "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:1:execution:m:sync-1",
        "took 1 min",
    ] {
        assert!(mail.body.contains(part), "{part} is not in: {}", mail.body);
    }
}

#[test]
fn a_failure_in_a_row_says_since_when() {
    let run = Summary {
        failures_before: 3,
        failing_since: failed().started_at,
        ..failed()
    };
    let mail = mail::compose(Occasion::Failed, &run, None);
    let since = "It had failed 3 times in a row before, since 2026-11-26 18:00 UTC.";
    assert!(mail.body.contains(since), "{}", mail.body);
    let mail = mail::compose(
        Occasion::Recovered,
        &Summary {
            status: "succeeded".into(),
            ..run
        },
        None,
    );
    assert_eq!(mail.subject, "Square Sync: The sync works again");
    assert!(
        mail.body.contains("after it had failed 3 times in a row"),
        "{}",
        mail.body
    );
}

#[test]
fn a_subject_is_one_short_line_of_ascii_whatever_the_error_is_called() {
    let mut run = failed();
    run.failure = run.failure.map(|failure| Failure {
        name: format!("Wörse\n{}", "x".repeat(200)),
        ..failure
    });
    let subject = mail::compose(Occasion::Failed, &run, None).subject;
    assert!(subject.len() < 100, "{subject}");
    assert!(
        subject.chars().all(|char| matches!(char, ' '..='~')),
        "{subject}"
    );
}

#[test]
fn without_the_database_the_mail_says_that_it_does_not_know() {
    let run = Summary {
        freshness: Vec::new(),
        ..failed()
    };
    let mail = mail::compose(Occasion::Failed, &run, None);
    assert!(
        mail.body.contains("could not be asked how old"),
        "{}",
        mail.body
    );
}

#[test]
fn first_failures_and_stops_are_always_told_and_successes_by_choice() {
    let quiet = notices(false, false);
    let of = |notices: &Notices, status, run: &Summary| notices.occasion(status, run);
    assert_eq!(
        of(&quiet, Status::Failed, &failed()),
        Some(Occasion::Failed)
    );
    assert_eq!(
        of(&quiet, Status::TimedOut, &failed()),
        Some(Occasion::TimedOut)
    );
    assert_eq!(
        of(&quiet, Status::Aborted, &failed()),
        Some(Occasion::Stopped)
    );
    assert_eq!(of(&quiet, Status::Succeeded, &succeeded()), None);
    let loud = notices(true, true);
    assert_eq!(
        of(&loud, Status::Succeeded, &succeeded()),
        Some(Occasion::Succeeded)
    );
    let recovered = Summary {
        failures_before: 1,
        ..succeeded()
    };
    assert_eq!(
        of(&loud, Status::Succeeded, &recovered),
        Some(Occasion::Recovered)
    );
    assert_eq!(
        of(&notices(false, true), Status::Succeeded, &succeeded()),
        None
    );
    assert_eq!(of(&quiet, Status::Succeeded, &recovered), None);
}

#[test]
fn of_failures_in_a_row_the_first_of_each_name_is_told_and_every_sixth() {
    let quiet = notices(false, false);
    let told = |before: i64, alike: i64, status| {
        let run = Summary {
            failures_before: before,
            failures_alike: alike,
            ..failed()
        };
        quiet.occasion(status, &run).is_some()
    };
    for status in [Status::Failed, Status::TimedOut] {
        let night: Vec<i64> = (1..=20).filter(|n| told(n - 1, n - 1, status)).collect();
        assert_eq!(night, [1, 6, 12, 18]);
        // Another trouble is another event.
        assert!(told(3, 0, status));
        assert!(!told(3, 1, status));
    }
    // A stop is somebody's own doing.
    assert!(told(3, 3, Status::Aborted));
}

#[test]
fn whoever_starts_a_run_hears_of_each_failure() {
    let quiet = notices(false, false);
    for trigger in [Trigger::Admin, Trigger::Api] {
        let run = Summary {
            trigger: trigger.name().into(),
            failures_before: 3,
            failures_alike: 3,
            ..failed()
        };
        for (status, occasion) in [
            (Status::Failed, Occasion::Failed),
            (Status::TimedOut, Occasion::TimedOut),
        ] {
            assert_eq!(quiet.occasion(status, &run), Some(occasion), "{trigger:?}");
        }
        // Nor is a sixth one promised.
        let body = mail::compose(Occasion::Failed, &run, None).body;
        assert!(!body.contains("every sixth"), "{body}");
    }
    let body = mail::compose(Occasion::Failed, &failed(), None).body;
    assert!(body.contains("every sixth"), "{body}");
}

#[test]
fn failures_without_a_record_are_asked_for_where_their_end_would_be_told() {
    let told = |recovery| Notices {
        topic: Some(Topic {
            client: Client::from_conf(
                aws_sdk_sns::Config::builder()
                    .behavior_version(aws_sdk_sns::config::BehaviorVersion::latest())
                    .build(),
            ),
            arn: String::new(),
        }),
        ..notices(true, recovery)
    };
    assert!(told(true).may_be_recovery(Status::Succeeded, &succeeded()));
    assert!(!told(false).may_be_recovery(Status::Succeeded, &succeeded()));
    assert!(!notices(true, true).may_be_recovery(Status::Succeeded, &succeeded()));
    assert!(!told(true).may_be_recovery(Status::Failed, &failed()));
    for other in [
        Summary {
            dry_run: true,
            ..succeeded()
        },
        Summary {
            status: "skipped".into(),
            ..succeeded()
        },
        Summary {
            failures_before: 1,
            ..succeeded()
        },
    ] {
        assert!(!told(true).may_be_recovery(Status::Succeeded, &other));
    }
}

#[test]
fn a_skipped_start_and_a_preview_are_no_news() {
    let loud = notices(true, true);
    let skipped = Summary {
        status: "skipped".into(),
        ..succeeded()
    };
    let preview = Summary {
        dry_run: true,
        ..succeeded()
    };
    // One that made way may fail to say so at its end.
    assert_eq!(loud.occasion(Status::Failed, &skipped), None);
    for run in [skipped, preview] {
        assert_eq!(loud.occasion(Status::Succeeded, &run), None);
    }
}

#[test]
fn figures_stand_in_the_order_of_the_steps_and_notes_apart_from_warnings() {
    let types = ["items", "locations", "orders", "line_items", "variations"];
    let run = Summary {
        stats: types
            .map(|name| (name.to_owned(), Counts::default()))
            .into(),
        warnings: vec!["3 object(s) wait.".to_owned()],
        notes: vec!["38 character(s) were removed.".to_owned()],
        ..succeeded()
    };
    let body = mail::compose(Occasion::Succeeded, &run, None).body;
    let places = [
        "\n  locations ",
        "\n  items ",
        "\n  variations ",
        "\n  orders ",
        "\n  line_items ",
        "\nWarnings\n  3 object(s) wait.\n",
        "\nNotes\n  38 character(s) were removed.\n",
    ];
    let places = places.map(|part| body.find(part));
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{body}"
    );
}
