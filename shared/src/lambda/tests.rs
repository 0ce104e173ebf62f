//! The log at every level, and a function of ours under a runtime like Lambda's, with a
//! secret in all that it is sent.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, error, info, trace, warn};

use super::*;

const SECRET: &str = "sq0atp-a-secret-that-no-log-may-hold";
const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A line of each level, by this target.
macro_rules! speak {
    ($target:literal) => {
        trace!(target: $target, "trace");
        debug!(target: $target, "debug");
        info!(target: $target, "info");
        warn!(target: $target, "warn");
        error!(target: $target, "error");
    };
}

#[test]
fn only_our_own_lines_are_written_below_info() {
    for (least, level) in LEVELS.into_iter().enumerate() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = log(level.parse().unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            speak!("shared::square::client");
            speak!("orders");
            speak!("lambda_runtime::layers::api_response");
            speak!("lambda_http");
            speak!("aws_smithy_runtime::client::orchestrator");
            speak!("aws_config");
            speak!("hyper_util::client::legacy");
            speak!("tokio_postgres::connect");
            // One that only begins like a crate of ours.
            speak!("apis::client");
        });
        let lines = written.lines();
        let of = |target: &str| -> Vec<String> {
            let lines = lines.iter().filter(|line| line["target"] == target);
            lines
                .map(|line| line["level"].as_str().unwrap().to_owned())
                .collect()
        };
        for ours in ["shared::square::client", "orders"] {
            assert_eq!(of(ours), LEVELS[least..], "{ours} at {level}");
        }
        for theirs in [
            "lambda_runtime::layers::api_response",
            "lambda_http",
            "aws_smithy_runtime::client::orchestrator",
            "aws_config",
            "hyper_util::client::legacy",
            "tokio_postgres::connect",
            "apis::client",
        ] {
            assert_eq!(of(theirs), LEVELS[least.max(2)..], "{theirs} at {level}");
        }
    }
}

#[test]
fn each_function_is_among_ours() {
    let functions = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions");
    for function in std::fs::read_dir(functions).unwrap() {
        let name = function.unwrap().file_name().into_string().unwrap();
        // A crate is called in Rust by another name than in Cargo.
        assert!(is_ours(&name.replace('-', "_")), "{name}");
    }
}

/// The function itself: not a test, but the program that the one below starts.
#[tokio::test]
#[ignore = "is started by the test of the log"]
async fn serves() {
    let handler = async |(): &(), event: Value, _: Instant| -> Result<Value, SyncError> {
        trace!("took an event");
        match event["fail"].as_bool() {
            Some(true) => Err(SyncError::input("fail", "is true")),
            _ => Ok(event),
        }
    };
    serve("shared", async || Ok(()), handler).await.unwrap();
}

/// Answers one request of the runtime's, and returns its first line.
async fn answer(stream: TcpStream, event: &str) -> String {
    let mut stream = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    stream.read_line(&mut request).await.unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let (status, body) = if request.contains("/invocation/next") {
        ("200 OK", event)
    } else {
        ("202 Accepted", "")
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nlambda-runtime-aws-request-id: r1\r\n\
lambda-runtime-deadline-ms: 4102444800000\r\nconnection: close\r\n\
content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    request
}

/// Has the function take this event, and returns all that it wrote.
async fn logged(level: &str, event: &str) -> String {
    let runtime = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut function = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lambda::tests::serves",
            "--ignored",
            "--nocapture",
        ])
        .env(
            "AWS_LAMBDA_RUNTIME_API",
            runtime.local_addr().unwrap().to_string(),
        )
        .env("AWS_LAMBDA_FUNCTION_NAME", "shared")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "s")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
        .env("RUST_LOG", level)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    loop {
        let (stream, _) = runtime.accept().await.unwrap();
        let request = answer(stream, event).await;
        if request.contains("/response") || request.contains("/error") {
            break;
        }
    }
    function.kill().unwrap();
    let output = function.wait_with_output().unwrap();
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat()
}

#[tokio::test]
async fn no_level_writes_what_an_event_holds() {
    for level in LEVELS {
        for fails in [false, true] {
            let event = serde_json::json!({
                "fail": fails,
                "headers": {"authorization": format!("Bearer {SECRET}")},
                "cookies": [format!("session={SECRET}")],
                "rawQueryString": format!("code={SECRET}"),
            });
            let log = logged(level, &event.to_string()).await;
            assert!(!log.contains(SECRET), "at {level}: {log}");
            let speaks = log.contains("took an event");
            assert_eq!(speaks, level == "TRACE", "at {level}: {log}");
        }
    }
}
