//! The floor of reading: the pages that a first load reads, asked for as its functions
//! ask for them, and their bodies read but not looked at. Which pages there are is
//! found out beforehand.

use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::ACCEPT_ENCODING;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Floor;
use super::runs::connect;
use crate::error::StackError;
use crate::http;
use crate::settings::SquareAccount;
use crate::stack::Stack;

const LOCATIONS: &str = "/v2/locations";
const CATALOG: &str = "/v2/catalog/search";
const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";
const ORDERS: &str = "/v2/orders/search";

/// The functions' defaults: objects a page, and lists that are read side by side.
const CATALOG_PAGE: u32 = 1_000;
const COUNTS_PAGE: u32 = 500;
const ORDERS_PAGE: u32 = 500;
const CONCURRENCY: usize = 4;

/// Downloads the pages of a first load: locations, then the catalog by type, then
/// counts by location, then orders by the windows of their import.
///
/// # Errors
/// The simulator's refusal; the database's.
pub(super) async fn of_first_load(stack: &Stack) -> Result<Floor, StackError> {
    let account = Account::of(stack);
    let mut steps = Vec::new();
    for lists in lists(&account, stack).await? {
        let mut known = Vec::new();
        for list in lists {
            known.push(account.follow(list).await?);
        }
        steps.push(known);
    }
    let requests: usize = steps.iter().flatten().map(|list| list.bodies.len()).sum();
    let begun = Instant::now();
    let mut bytes = 0;
    for lists in &steps {
        let read = stream::iter(lists).map(|list| account.read(list));
        let read: Vec<usize> = read.buffer_unordered(CONCURRENCY).try_collect().await?;
        bytes += read.iter().sum::<usize>();
    }
    Ok(Floor {
        seconds: begun.elapsed().as_secs_f64(),
        count: u64::try_from(requests).unwrap_or(u64::MAX),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
    })
}

/// The lists of each step, as their first requests.
async fn lists(account: &Account, stack: &Stack) -> Result<Vec<Vec<List>>, StackError> {
    let locations = List::new(LOCATIONS, Value::Null);
    let answer = http::json(LOCATIONS, account.request(LOCATIONS, &Value::Null)).await?;
    let ids = answer["locations"].as_array().into_iter().flatten();
    let counts = ids.map(|location| {
        let ids = [&location["id"]];
        List::new(COUNTS, json!({"location_ids": ids, "limit": COUNTS_PAGE}))
    });
    let catalog = ["CATEGORY", "ITEM", "ITEM_VARIATION"].map(|kind| {
        let body = json!({"object_types": [kind], "include_deleted_objects": false,
            "limit": CATALOG_PAGE});
        List::new(CATALOG, body)
    });
    Ok(vec![
        vec![locations],
        catalog.into(),
        counts.collect(),
        windows(stack).await?,
    ])
}

async fn windows(stack: &Stack) -> Result<Vec<List>, StackError> {
    let client = connect(&stack.file().database_url).await?;
    let rows = client.query(WINDOWS, &[]).await;
    let rows = rows.map_err(StackError::database("reading the import's windows"))?;
    let windows = rows.iter().map(|row| {
        let (ids, begins_at, ends_at): (Vec<String>, String, String) =
            (row.get(0), row.get(1), row.get(2));
        let range = json!({"start_at": begins_at, "end_at": ends_at});
        let query = json!({"filter": {"date_time_filter": {"created_at": range}},
            "sort": {"sort_field": "CREATED_AT", "sort_order": "ASC"}});
        let body = json!({"location_ids": ids, "query": query, "limit": ORDERS_PAGE});
        List::new(ORDERS, body)
    });
    Ok(windows.collect())
}

const WINDOWS: &str = r#"
    select location_ids,
        to_char(begins_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        to_char(ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from sync_order_windows order by window_id"#;

/// A list, as the bodies of its requests.
struct List {
    path: &'static str,
    bodies: Vec<Value>,
}

impl List {
    fn new(path: &'static str, first: Value) -> Self {
        Self {
            path,
            bodies: vec![first],
        }
    }
}

/// The part of a page that leads to the next one.
#[derive(Deserialize)]
struct Next {
    cursor: Option<String>,
}

/// The simulated account, as its clients reach it.
struct Account {
    url: String,
    token: String,
}

impl Account {
    fn of(stack: &Stack) -> Self {
        let (SquareAccount::Simulated { token, .. } | SquareAccount::At { token, .. }) =
            stack.account();
        Self {
            url: stack.file().square_base_url.clone(),
            token: token.clone(),
        }
    }

    fn request(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.url);
        let request = if body.is_null() {
            http::client().get(url)
        } else {
            http::client().post(url).json(body)
        };
        request.bearer_auth(&self.token)
    }

    /// Finds out the requests of a list. Its cursors are good for a while, and for as
    /// often as they are asked with.
    async fn follow(&self, mut list: List) -> Result<List, StackError> {
        while let Some(body) = list.bodies.last() {
            let answer = http::succeed(list.path, self.request(list.path, body)).await?;
            let next = serde_json::from_str(&answer).map(|next: Next| next.cursor);
            let Ok(Some(cursor)) = next else {
                break;
            };
            let mut body = body.clone();
            body["cursor"] = cursor.into();
            list.bodies.push(body);
        }
        Ok(list)
    }

    /// Reads a list, page after page; returns its bytes as they came over the wire.
    async fn read(&self, list: &List) -> Result<usize, StackError> {
        let mut bytes = 0;
        for body in &list.bodies {
            let request = self.request(list.path, body);
            let packed = request.header(ACCEPT_ENCODING, "gzip");
            bytes += http::bytes(list.path, packed).await?.len();
        }
        Ok(bytes)
    }
}
