//! A simulated Square account and its control interface.

use reqwest::Method;
use serde_json::{Map, Value, json};
use square_sim::{Config, Running};

use super::patience::patiently;

/// An account of a test's own.
pub(crate) struct Account {
    /// Ends with the test.
    _running: Option<Running>,
    pub(crate) url: String,
    http: reqwest::Client,
}

impl Account {
    /// The default account with some sizes changed.
    pub(crate) fn start(sizes: Value) -> Self {
        let Value::Object(sizes) = sizes else {
            panic!("sizes are an object");
        };
        let config = Config::default().with(&sizes).unwrap();
        let running = square_sim::start(config, "127.0.0.1:0").unwrap();
        Self {
            url: running.url(),
            _running: Some(running),
            http: reqwest::Client::new(),
        }
    }

    /// The smallest account that has everything.
    pub(crate) fn small() -> Self {
        Self::start(json!({
            "locations": 3, "categories": 4, "items": 30, "variations": 60, "counts": 200, "orders": 0
        }))
    }

    /// An account that somebody else runs.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            _running: None,
            url: url.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// Applies changes, in order, and says what they did.
    pub(crate) async fn change(&self, changes: Value) -> Value {
        self.post("change", &changes).await
    }

    pub(crate) async fn faults(&self, faults: Value) {
        self.post("faults", &faults).await;
    }

    /// Clears the faults, and lets go what is held.
    pub(crate) async fn clear_faults(&self) {
        self.delete("faults").await;
    }

    /// Lets so many more requests through here, and holds up lists from then on: their
    /// pages are empty, but say that more follow. Each answer comes soon, so that a
    /// list may be held for longer than any time-out. It replaces all faults, and what
    /// was counted is forgotten.
    pub(crate) async fn hold(&self, endpoint: &str, after: u64) {
        let fault = json!({"endpoint": endpoint, "kind": "empty_page", "delay_ms": 50,
            "request": after + 1, "times": u64::MAX});
        self.clear_counters().await;
        self.send(Method::PUT, "faults", &json!([fault])).await;
    }

    /// Waits for a request beyond those that `hold` lets through.
    pub(crate) async fn held(&self, endpoint: &str, after: u64) {
        let held = patiently(async || {
            let requests = self.requests_to(endpoint).await;
            (requests > after).then_some(())
        });
        assert!(held.await.is_some(), "nobody asks {endpoint}");
    }

    pub(crate) async fn change_later(&self, later: Value) {
        self.post("change-later", &later).await;
    }

    /// Rewrites what stands in answers from now on.
    pub(crate) async fn rewrite(&self, rewrites: Value) {
        self.post("rewrites", &rewrites).await;
    }

    pub(crate) async fn clear_rewrites(&self) {
        self.delete("rewrites").await;
    }

    pub(crate) async fn token(&self, token: Value) {
        self.post("token", &token).await;
    }

    /// Moves Square's clock on.
    pub(crate) async fn clock(&self, clock: Value) {
        self.post("clock", &clock).await;
    }

    pub(crate) async fn reset(&self, config: Value) {
        self.post("reset", &config).await;
    }

    /// Requests so far, all endpoints together.
    pub(crate) async fn requests(&self) -> u64 {
        let by_endpoint = self.requests_by_endpoint().await;
        by_endpoint.values().filter_map(Value::as_u64).sum()
    }

    /// Requests to one endpoint so far.
    pub(crate) async fn requests_to(&self, path: &str) -> u64 {
        let by_endpoint = self.requests_by_endpoint().await;
        by_endpoint.get(path).and_then(Value::as_u64).unwrap_or(0)
    }

    async fn requests_by_endpoint(&self) -> Map<String, Value> {
        let counters = self.get("counters").await;
        serde_json::from_value(counters["requests"].clone()).unwrap()
    }

    /// When each request came, in microseconds since the counters were cleared.
    pub(crate) async fn arrivals(&self) -> Vec<u64> {
        serde_json::from_value(self.get("arrivals").await).unwrap()
    }

    /// Forgets what was counted.
    pub(crate) async fn clear_counters(&self) {
        self.delete("counters").await;
    }

    /// The account's present rows, as tables should hold them.
    pub(crate) async fn truth(&self) -> Value {
        self.get("truth").await
    }

    /// Asks as a client of Square does; without a body by GET.
    pub(crate) async fn square(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.url);
        let request = if body.is_null() {
            self.http.get(url)
        } else {
            self.http.post(url).json(&body)
        };
        let answer = request.bearer_auth("sim-token").send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/__sim/{path}", self.url);
        let answer = self.http.get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.send(Method::POST, path, body).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/__sim/{path}", self.url);
        let request = self.http.request(method, url).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn delete(&self, path: &str) {
        let url = format!("{}/__sim/{path}", self.url);
        let answer = self.http.delete(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}
