//! A small client for the tests.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use square_sim::{Config, Running};

pub(crate) const CATALOG: &str = "/v2/catalog/search";
pub(crate) const OBJECTS: &str = "/v2/catalog/batch-retrieve";
pub(crate) const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";
pub(crate) const ORDERS: &str = "/v2/orders/search";

/// A running account and a client for it.
pub(crate) struct Sim {
    pub(crate) running: Running,
    pub(crate) http: reqwest::Client,
}

/// A small account of the default habits.
pub(crate) fn small() -> Config {
    Config {
        items: 60,
        variations: 130,
        counts: 400,
        orders: 300,
        ..Config::default()
    }
}

impl Sim {
    pub(crate) fn new(config: Config) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = square_sim::start(config, "127.0.0.1:0").unwrap();
        Self {
            running,
            http: reqwest::Client::new(),
        }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.running.url());
        let request = self
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth("sim-token");
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// One request; status and JSON of the answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.request(method, path, body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// One request that may come to grief.
    pub(crate) async fn try_ask(&self, path: &str, body: &Value) -> reqwest::Result<(u16, String)> {
        let answer = self.request("POST", path, Some(body)).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await?))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", path, Some(&body)).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    /// Every page of a list.
    pub(crate) async fn pages(&self, path: &str, body: Value) -> Vec<Value> {
        let (mut pages, mut body) = (Vec::new(), body);
        loop {
            let page = self.post(path, body.clone()).await;
            let cursor = page["cursor"].as_str().map(str::to_owned);
            pages.push(page);
            assert!(pages.len() < 10_000, "the list does not end");
            match cursor {
                Some(cursor) => body["cursor"] = json!(cursor),
                None => return pages,
            }
        }
    }

    /// Every object of a list.
    pub(crate) async fn all(&self, path: &str, body: Value) -> Vec<Value> {
        self.pages(path, body)
            .await
            .into_iter()
            .flat_map(|page| elements(&page))
            .collect()
    }

    /// Makes one change and gives its report.
    pub(crate) async fn change(&self, change: Value) -> Value {
        let answer = self.post("/__sim/change", json!([change])).await;
        answer["done"][0].clone()
    }

    pub(crate) async fn truth(&self) -> Value {
        self.get("/__sim/truth").await
    }

    /// Ids of the locations listed.
    pub(crate) async fn locations(&self) -> Vec<String> {
        ids(&elements(&self.get("/v2/locations").await))
            .into_iter()
            .collect()
    }
}

/// The array of a page, whatever its name; empty if it has none.
pub(crate) fn elements(page: &Value) -> Vec<Value> {
    let names = ["objects", "counts", "orders", "order_entries", "locations"];
    names
        .iter()
        .find_map(|name| page[*name].as_array().cloned())
        .unwrap_or_default()
}

/// The ids of objects or rows.
pub(crate) fn ids<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    objects
        .into_iter()
        .map(|object| object["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The rows of a table of the truth.
pub(crate) fn rows(truth: &Value, table: &str) -> Vec<Value> {
    truth[table]
        .as_array()
        .unwrap_or_else(|| panic!("no table {table}"))
        .clone()
}

/// The row with that id.
pub(crate) fn row(truth: &Value, table: &str, id: &str) -> Option<Value> {
    rows(truth, table).into_iter().find(|row| row["id"] == id)
}
