//! Deadlines, and the limits that all copies of a client share.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::server::{Reply, Server, http, json, status};
use super::{PATIENCE, client, client_with, fast, quantities, settings};
use crate::square::Square;
use crate::square::retry::Policy;

fn in_ms(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

#[tokio::test]
async fn the_deadline_ends_a_request_that_hangs() {
    let server = Server::start([Reply::Silence]).await;
    let square = client(&server).for_step(in_ms(100));
    let error = quantities(&square).await.unwrap_err();
    assert_eq!(error.name(), "SquareUnavailable");
    assert!(error.to_string().contains("time ran out"), "{error}");
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let wait = "retry-after: 3600\r\n";
    for (line, name) in [
        ("429 x", "SquareRateLimited"),
        ("503 x", "SquareUnavailable"),
    ] {
        let server = Server::start([Reply::Send(http(line, wait, b""))]).await;
        let policy = Policy {
            budget: PATIENCE * 2,
            retry_after_max: PATIENCE * 2,
            ..fast()
        };
        let deadline = Instant::now() + PATIENCE;
        let square = client_with(&server, policy).for_step(deadline);
        let error = quantities(&square).await.unwrap_err();
        assert_eq!(error.name(), name);
        if name == "SquareUnavailable" {
            assert!(error.to_string().contains("time ran out"), "{error}");
            assert!(error.to_string().contains("status 503"), "{error}");
        }
        assert!(Instant::now() < deadline);
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let server = Server::start([json("{}")]).await;
    let slow = settings(&server.url, &[("SQUARE_MAX_REQUESTS_PER_SECOND", "1")]);
    let square = Square::with_policy(&slow, fast()).unwrap();
    // Its turn comes in an hour, the step has less.
    let square = square.sharing();
    square.set_share(1.0 / 3_600.0);
    let step = square.for_step(in_ms(50));
    let error = step.list_locations().await.unwrap_err();
    assert_eq!(error.name(), "SquareUnavailable");
    assert!(error.to_string().contains("time ran out"), "{error}");
    assert_eq!(server.received().len(), 0);
    assert_eq!(step.counters().requests, 0);
}

#[tokio::test]
async fn a_copy_that_shares_sends_nothing_before_it_has_a_share() {
    let server = Server::start([json("{}")]).await;
    let square = client(&server).sharing();
    let step = square.for_step(in_ms(50));
    step.list_locations().await.unwrap_err();
    assert_eq!(server.received().len(), 0);
    square.asks().await;
    square.set_share(1.0);
    square.list_locations().await.unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_step_counts_for_itself() {
    let server = Server::start([json("{}")]).await;
    let square = client(&server);
    square.list_locations().await.unwrap();
    let step = square.for_step(Instant::now() + PATIENCE);
    assert_eq!(step.counters(), crate::square::Counters::default());
    quantities(&step).await.unwrap();
    step.clone().list_locations().await.unwrap();
    assert_eq!(step.counters().requests, 2);
    assert_eq!(square.counters().requests, 1);
    let json = serde_json::to_value(step.counters()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"requests": 2, "retries": 0, "rate_limited": 0, "bytes": 4, "pages": 2})
    );
}

#[tokio::test]
async fn requests_under_way_are_bounded_over_all_copies() {
    let body = http("200 OK", "", b"{}");
    // The first two wait for each other, and each for those that should not come.
    let together = Reply::Together(2, body, Duration::from_millis(30));
    let server = Server::start([together]).await;
    let two = settings(&server.url, &[("SQUARE_CONCURRENCY", "2")]);
    let square = Square::with_policy(&two, fast()).unwrap();
    let copies = (0..10).map(|_| square.for_step(Instant::now() + PATIENCE));
    let answers = join_all(copies.map(async |copy| copy.list_locations().await)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.under_way_max(), 2);
    assert_eq!(server.received().len(), 10);
}

#[tokio::test]
async fn a_request_that_waits_holds_up_no_other() {
    let short = Duration::from_millis(60);
    for wait in [PATIENCE / 2, short] {
        let server = Server::start([
            Reply::Send(http("503 x", "retry-after: 3600\r\n", b"")),
            json("{}"),
        ])
        .await;
        let one = settings(&server.url, &[("SQUARE_CONCURRENCY", "1")]);
        let policy = Policy {
            retry_after_max: wait,
            ..fast()
        };
        let square = Square::with_policy(&one, policy).unwrap();
        let waiting = square.clone();
        let waiting = tokio::spawn(async move { waiting.list_locations().await });
        while server.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        square.list_locations().await.unwrap();
        if wait != short {
            // The other request went out although the first one's wait is not over.
            assert_eq!(server.received().len(), 2);
            assert!(!waiting.is_finished());
            waiting.abort();
            continue;
        }
        waiting.await.unwrap().unwrap();
        let received = server.received();
        assert_eq!(received.len(), 3);
        assert!(received[2].at - received[0].at >= short);
    }
}

#[tokio::test]
async fn requests_keep_to_the_rate_over_all_copies() {
    let server = Server::start([json("{}")]).await;
    let slow = settings(
        &server.url,
        &[
            ("SQUARE_MAX_REQUESTS_PER_SECOND", "20"),
            ("SQUARE_CONCURRENCY", "2"),
        ],
    );
    let square = Square::with_policy(&slow, fast()).unwrap();
    let start = Instant::now();
    let copies = (0..10).map(|_| square.for_step(start + PATIENCE));
    join_all(copies.map(async |copy| copy.list_locations().await)).await;
    // Nine times 50 ms at the least, less what is made up for a late timer and for
    // the time before.
    assert!(start.elapsed() >= Duration::from_millis(380));
    assert_eq!(server.received().len(), 10);
}

#[tokio::test]
async fn the_rate_holds_for_repetitions_too() {
    let server = Server::start([status("503 x", "")]).await;
    let slow = settings(
        &server.url,
        &[
            ("SQUARE_MAX_REQUESTS_PER_SECOND", "20"),
            ("SQUARE_CONCURRENCY", "1"),
        ],
    );
    let square = Square::with_policy(&slow, fast()).unwrap();
    let start = Instant::now();
    square.list_locations().await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(140));
    assert_eq!(server.received().len(), 4);
}
