//! The program: it prints its URL and goes when its parent does.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_square-sim"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line.trim().to_owned())
}

#[tokio::test]
async fn it_serves_until_its_standard_input_closes() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = [
        "--port",
        "0",
        "--locations",
        "2",
        "--orders",
        "0",
        "--token",
        "t",
        "--no-drift",
        "--page-limit-cap",
        "3",
    ];
    let (mut child, url) = start(&arguments);
    let http = reqwest::Client::new();
    let answer: Value = http
        .get(format!("{url}/v2/locations"))
        .bearer_auth("t")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["locations"].as_array().unwrap().len(), 2);
    let config: Value = http
        .get(format!("{url}/__sim/config"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&config["drift"], &config["page_limit_cap"]),
        (&Value::from(false), &Value::from(3))
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_says_why_it_cannot_start() {
    let (mut child, line) = start(&["--items", "1", "--variations", "1000"]);
    assert_eq!(line, "");
    assert!(!child.wait().unwrap().success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("at most 250 variations"), "{said}");
}
