//! What there is to say about a page besides what it shows: the requests it
//! took, the errors in the console, its accessibility and its HTML.

use std::path::Path;
use std::process::Command;

use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use super::Browser;

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One URL that the browser asked for.
#[derive(Debug)]
pub(crate) struct Request {
    id: String,
    pub(crate) url: String,
    /// What came over the wire for it, headers included.
    pub(crate) bytes: u64,
}

/// A command that only chromedriver has, below the session.
#[derive(Debug)]
struct Extension(&'static str, Value);

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap(), self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

impl Browser {
    /// The HTML as served, asked for once more with the cookies of the page.
    /// Wants JavaScript.
    pub(crate) async fn html(&self) -> String {
        let script = "const done = arguments[0];
            fetch(location.href).then(answer => answer.text()).then(done, error => done({error: `${error}`}))";
        let html = self.client.execute_async(script, Vec::new()).await.unwrap();
        html.as_str().unwrap_or_else(|| panic!("{html}")).to_owned()
    }

    pub(super) async fn issue(&self, name: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Extension(name, body)).await.unwrap()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.issue("se/log", json!({"type": kind})).await;
        log.as_array().unwrap().clone()
    }

    /// What went over the network since the last call, redirects included.
    /// Of a page still loading the bytes may be missing.
    pub(crate) async fn requests(&self) -> Vec<Request> {
        let mut requests: Vec<Request> = Vec::new();
        for entry in self.log("performance").await {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (method, params) = (&message["message"]["method"], &message["message"]["params"]);
            let id = params["requestId"].as_str().unwrap_or_default();
            let of = |value: &Value| value["encodedDataLength"].as_f64().unwrap_or_default();
            let bytes = match method.as_str().unwrap() {
                "Network.requestWillBeSent" => of(&params["redirectResponse"]),
                "Network.loadingFinished" => of(params),
                _ => continue,
            };
            // A redirect goes on under the id of the request it answers.
            if let Some(request) = requests.iter_mut().rev().find(|request| request.id == id) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count that JSON carries as a float"
                )]
                let bytes = bytes as u64;
                request.bytes = bytes;
            }
            let url = params["request"]["url"].as_str().unwrap_or_default();
            if url.starts_with("http") {
                let (id, url) = (id.to_owned(), url.to_owned());
                requests.push(Request { id, url, bytes: 0 });
            }
        }
        requests
    }

    /// What the console shows in red since the last call: scripts that failed,
    /// files not found, and what the page's policy blocked.
    pub(crate) async fn console_errors(&self) -> Vec<String> {
        let mut entries = self.log("browser").await;
        entries.retain(|entry| entry["level"] == "SEVERE");
        let messages = entries.iter().map(|entry| entry["message"].as_str());
        messages
            .map(|message| message.unwrap().to_owned())
            .collect()
    }

    /// The serious and critical complaints of axe-core about the page as it is.
    pub(crate) async fn axe(&self) -> Vec<String> {
        let file = Path::new(PROJECT).join("tests/browser/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("`make tools` installs axe-core ({error})"));
        // Not as a tag: the page's own policy would block it.
        self.execute(&axe).await;
        let script = "const done = arguments[0];
            axe.run({resultTypes: ['violations'], preload: false})
                .then(done, error => done({error: `${error}`}))";
        let result = self.client.execute_async(script, Vec::new()).await.unwrap();
        let Some(violations) = result["violations"].as_array() else {
            panic!("axe did not run: {result}");
        };
        let grave = |violation: &&Value| {
            violation["impact"] == "serious" || violation["impact"] == "critical"
        };
        let line = |violation: &Value| {
            let targets = violation["nodes"].as_array().unwrap().iter();
            let targets: Vec<_> = targets.map(|node| node["target"].to_string()).collect();
            let text = |name: &str| violation[name].as_str().unwrap_or_default().to_owned();
            format!("{}: {} at {}", text("id"), text("help"), targets.join(" "))
        };
        violations.iter().filter(grave).map(line).collect()
    }
}

/// The complaints of html-validate about a page as served.
pub(crate) fn validate_html(html: &str) -> Vec<String> {
    let directory = TempDir::with_prefix("square-sync-html-").unwrap();
    let page = directory.path().join("page.html");
    std::fs::write(&page, html).unwrap();
    let project = Path::new(PROJECT);
    let output = Command::new(project.join(".tools/node/bin/node"))
        .arg(project.join("tests/browser/node_modules/html-validate/bin/html-validate.mjs"))
        .args(["--preset", "recommended", "--formatter", "json"])
        .arg(&page)
        .output()
        .unwrap_or_else(|error| panic!("`make tools` installs Node ({error})"));
    let Ok(files) = serde_json::from_slice::<Vec<Value>>(&output.stdout) else {
        panic!("html-validate did not run: {output:?}");
    };
    let complaints = files
        .iter()
        .flat_map(|file| file["messages"].as_array().unwrap());
    let line = |of: &Value| {
        format!(
            "{}:{} {} ({})",
            of["line"], of["column"], of["message"], of["ruleId"]
        )
    };
    complaints.map(line).collect()
}
