//! The simulated account's control interface, where a change may be refused: what is
//! drawn at random cannot always be done.

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The control of one account.
pub(crate) struct Square {
    url: String,
    http: Client,
}

impl Square {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            http: Client::new(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Makes one change; none if the account refuses it.
    pub(crate) async fn change(&self, change: &Value) -> Option<Value> {
        self.send(Method::POST, "change", &json!([change])).await
    }

    /// One change for when a request comes.
    pub(crate) async fn change_later(&self, endpoint: &str, request: u64, change: &Value) {
        let later =
            json!({"when": {"endpoint": endpoint, "request": request}, "changes": [change]});
        let armed = self.send(Method::POST, "change-later", &later).await;
        assert!(armed.is_some(), "{later}");
    }

    /// How many of the changes that waited were made.
    pub(crate) async fn changes_made(&self) -> usize {
        self.get("change-later").await["done"]
            .as_array()
            .map_or(0, Vec::len)
    }

    pub(crate) async fn fault(&self, fault: &Value) {
        let set = self.send(Method::POST, "faults", &json!([fault])).await;
        assert!(set.is_some(), "{fault}");
    }

    /// Nothing waits for a request any more.
    pub(crate) async fn clear(&self) {
        for path in ["faults", "change-later", "rewrites"] {
            self.send(Method::DELETE, path, &Value::Null).await;
        }
        self.set_revoked(false).await;
    }

    pub(crate) async fn set_revoked(&self, revoked: bool) {
        self.send(Method::POST, "token", &json!({"revoked": revoked}))
            .await;
    }

    /// Moves Square's clock on to that moment; it does not go back.
    pub(crate) async fn move_clock(&self, to: jiff::Timestamp) {
        self.send(Method::POST, "clock", &json!({"now": to.to_string()}))
            .await;
    }

    pub(crate) async fn truth(&self) -> Value {
        self.get("truth").await
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/__sim/{path}", self.url);
        let answer = self.http.get(url).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let url = format!("{}/__sim/{path}", self.url);
        let request = self.http.request(method, url);
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        let answer = request.send().await.unwrap();
        let is_done = answer.status().is_success();
        let body = answer.bytes().await.unwrap();
        is_done.then(|| serde_json::from_slice(&body).unwrap_or_default())
    }
}
