//! Requests that are sent again, how often, and what is left when it does not help.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::server::{Reply, Server, count, counts, errors, gzip, http, status};
use super::{
    client, client_with, fast, impatient, impatient_after, quantities, settings, soon_enough,
};
use crate::square::Square;
use crate::square::retry::Policy;

/// A fault that a second attempt may cure.
struct Fault {
    name: &'static str,
    reply: Reply,
    /// The error's words if it is not cured.
    said: &'static str,
    policy: Policy,
}

fn fault(name: &'static str, reply: Reply, said: &'static str) -> Fault {
    Fault {
        name,
        reply,
        said,
        policy: fast(),
    }
}

fn faults() -> Vec<Fault> {
    [failing_statuses(), cut_answers(), silences()]
        .into_iter()
        .flatten()
        .collect()
}

fn failing_statuses() -> Vec<Fault> {
    let internal = errors("API_ERROR", "INTERNAL_SERVER_ERROR", "oops");
    let page = "<!DOCTYPE html><html>Bad gateway</html>";
    let text = "Service Unavailable";
    vec![
        fault("408", status("408 Timeout", ""), "status 408"),
        fault("500", status("500 x", &internal), "INTERNAL_SERVER_ERROR"),
        fault("502 in HTML", status("502 x", page), "status 502"),
        fault("503 in text", status("503 x", text), "status 503"),
        fault("504", status("504 x", ""), "status 504"),
        fault("520", status("520 x", "error 1101"), "status 520"),
        fault("200 with API_ERROR", status("200 OK", &internal), "oops"),
    ]
}

fn whole() -> Vec<u8> {
    let body = serde_json::json!({"counts": [count("1")]}).to_string();
    http("200 OK", "", body.as_bytes())
}

fn cut_answers() -> Vec<Fault> {
    let cut = |bytes: &[u8]| Reply::SendAndClose(bytes.to_vec());
    let (head, body) = (&whole()[..20], &whole()[..50]);
    let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"count";
    let no_length = b"HTTP/1.1 200 OK\r\n\r\n{\"counts\":[{\"qu";
    let packed = http("200 OK", "content-encoding: gzip\r\n", &gzip("{}")[..12]);
    vec![
        fault("hang up", cut(b""), "connection broke"),
        fault("cut head", cut(head), "connection broke"),
        fault("cut body", cut(body), "cut off"),
        fault("cut chunks", cut(chunks), "cut off"),
        fault("cut body without length", cut(no_length), "cut off"),
        fault("cut gzip", Reply::Send(packed), "cut off or damaged"),
    ]
}

fn silences() -> Vec<Fault> {
    let stalled = Reply::Send(whole()[..50].to_vec());
    let mut silences = vec![
        fault("silence", Reply::Silence, "no answer in time"),
        fault("stalled body", stalled, "no answer in time"),
    ];
    for silence in &mut silences {
        silence.policy = impatient();
    }
    silences
}

#[tokio::test]
async fn a_passing_fault_is_cured_and_counted() {
    for fault in failing_statuses().into_iter().chain(cut_answers()) {
        let server = Server::start([fault.reply, counts(&["5"], None)]).await;
        let square = client_with(&server, fault.policy);
        let pages = quantities(&square).await;
        assert_cured(fault.name, &server, &square, &pages.unwrap());
    }
    for fault in silences() {
        soon_enough(async |silence| {
            let server = Server::start([fault.reply.clone(), counts(&["5"], None)]).await;
            let square = client_with(&server, impatient_after(silence));
            let pages = quantities(&square).await;
            if square.counters().requests > 2 {
                return None;
            }
            assert_cured(fault.name, &server, &square, &pages.unwrap());
            Some(())
        })
        .await;
    }
}

/// The second request was answered.
fn assert_cured(name: &str, server: &Server, square: &Square, pages: &[Vec<String>]) {
    assert_eq!(pages, [["5"]], "{name}");
    let counters = square.counters();
    assert_eq!((counters.requests, counters.retries), (2, 1), "{name}");
    assert_eq!((counters.rate_limited, counters.pages), (0, 1), "{name}");
    assert_eq!(server.received().len(), 2, "{name}");
}

#[tokio::test]
async fn a_lasting_fault_ends_as_unavailable() {
    // All at once, because the silent ones take their time.
    let endings = faults().into_iter().map(async |fault| {
        let server = Server::start([fault.reply]).await;
        let square = client_with(&server, fault.policy);
        let error = quantities(&square).await.unwrap_err();
        (fault.name, fault.said, error, square.counters())
    });
    for (name, said, error, counters) in join_all(endings).await {
        assert_eq!(error.name(), "SquareUnavailable", "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(said), "{name}: {text}");
        assert!(text.contains("(4 attempts)"), "{name}: {text}");
        assert!(!text.contains("html"), "{name}: {text}");
        assert!(!text.contains("quantity"), "{name}: {text}");
        assert_eq!((counters.requests, counters.retries), (4, 3), "{name}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let square = Square::with_policy(&settings(&url, &[]), fast()).unwrap();
    let error = square.retrieve_token_status().await.unwrap_err();
    assert_eq!(error.name(), "SquareUnavailable");
    assert!(error.to_string().contains("cannot connect"), "{error}");
    assert!(!error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn an_https_address_is_spoken_to_in_tls() {
    let server = Server::start([counts(&["5"], None)]).await;
    let url = server.url.replace("http://", "https://");
    let square = Square::with_policy(&settings(&url, &[]), impatient()).unwrap();
    let error = square.list_locations().await.unwrap_err();
    assert_eq!(error.name(), "SquareUnavailable");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_endless_429_ends_as_rate_limited() {
    let body = errors("RATE_LIMIT_ERROR", "RATE_LIMITED", "later");
    for line in ["429 Too Many Requests", "200 OK"] {
        let server = Server::start([status(line, &body)]).await;
        let square = client(&server);
        let error = quantities(&square).await.unwrap_err();
        assert_eq!(error.name(), "SquareRateLimited");
        assert!(error.to_string().contains("4 attempts"), "{error}");
        let counters = square.counters();
        assert_eq!((counters.rate_limited, counters.retries), (4, 3));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_squares_is_malformed_after_two_more_tries() {
    for (body, said) in [
        (
            "<html>Sign in to the hotel's network</html>",
            "an HTML page",
        ),
        ("hello", "text instead"),
        ("", "empty"),
        ("[]", "text instead"),
        (r#"{"counts":["#, "wrong JSON, EOF"),
        (r#"{"counts":[}"#, "wrong JSON"),
        (r#"{"cursor":{"hotel":1}}"#, "expected a string"),
    ] {
        let server = Server::start([status("200 OK", body)]).await;
        let error = quantities(&client(&server)).await.unwrap_err();
        assert_eq!(error.name(), "SquareMalformed", "{body}");
        let text = error.to_string();
        assert!(text.contains(said), "{text}");
        assert!(!text.contains("hotel"), "{text}");
        assert_eq!(server.received().len(), 3, "{body}");

        let good = counts(&["5"], None);
        let server = Server::start([status("200 OK", body), good]).await;
        assert_eq!(quantities(&client(&server)).await.unwrap(), [["5"]]);
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_up_to_a_limit() {
    // Longer than a request may take: the limit of 60 ms holds, the backoff of at
    // most 5 ms does not.
    let seconds = "retry-after: 3600\r\n";
    let date = "retry-after: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    for (line, header) in [
        ("429 x", seconds),
        ("429 x", date),
        ("503 x", seconds),
        ("503 x", date),
    ] {
        let limited = Reply::Send(http(line, header, b""));
        let server = Server::start([limited, counts(&["5"], None)]).await;
        quantities(&client(&server)).await.unwrap();
        let received = server.received();
        let wait = received[1].at - received[0].at;
        assert!(
            wait >= Duration::from_millis(60),
            "{line} {header}: {wait:?}"
        );
    }
}

#[tokio::test]
async fn a_slow_page_is_waited_for_as_long_as_it_keeps_coming() {
    let pieces: Vec<_> = whole().chunks(18).map(<[u8]>::to_vec).collect();
    assert!(pieces.len() >= 10);
    soon_enough(async |silence| {
        // Each pause is far shorter than the read time-out, together they are longer.
        let server = Server::start([Reply::Drip(pieces.clone(), silence / 8)]).await;
        let square = client_with(&server, impatient_after(silence));
        let pages = quantities(&square).await;
        if square.counters().requests > 1 {
            return None;
        }
        assert_eq!(pages.unwrap(), [["1"]]);
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_never_takes_longer_than_its_budget() {
    let endless = vec![b" ".to_vec(); 10_000];
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n".to_vec()];
    pieces.extend(endless);
    let server = Server::start([Reply::Drip(pieces, Duration::from_millis(20))]).await;
    let policy = Policy {
        budget: Duration::from_millis(300),
        ..fast()
    };
    let start = Instant::now();
    let error = quantities(&client_with(&server, policy)).await.unwrap_err();
    assert_eq!(error.name(), "SquareUnavailable");
    assert!(error.to_string().contains("in time"), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(290));
}
