//! The whole product in the local AWS: the deployed template, the real state
//! machine and the real Lambda binaries. Two of them stand side by side, one for
//! the runs and one for the page; the scenarios take turns at each.

use local::{Aws, Execution, Options, Stack};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{account, orders};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::Client;

use super::account::Account;
use super::database;
use super::patience::patiently;

static RUNS: Shared = Shared::new("cloud");
static PAGES: Shared = Shared::new("pages");

/// A stack that is started once.
struct Shared {
    name: &'static str,
    stack: OnceCell<Stack>,
    turn: Mutex<()>,
}

impl Shared {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            stack: OnceCell::const_new(),
            turn: Mutex::const_new(()),
        }
    }

    async fn turn(&'static self) -> Cloud {
        let turn = self.turn.lock().await;
        let start = async || Stack::start(quick(self.name)).await.unwrap();
        Cloud::at(self.stack.get_or_init(start).await, Some(turn)).await
    }
}

/// Back to a database without rows and without runs.
fn empty() -> String {
    let account = account::all_tables();
    let account = account.iter().map(|table| table.name);
    let orders = orders::store::TABLES.iter().map(|table| table.name);
    let tables: Vec<&str> = account.chain(orders).collect();
    format!(
        "
    truncate {tables}, catalog_inventory_history, sync_runs, sync_steps, sync_watermarks,
        sync_quarantine, sync_order_windows;
    do $$ declare name text; begin
        for name in select nspname from pg_namespace where nspname like 'backup%' loop
            execute format('drop schema %I cascade', name);
        end loop;
    end $$;
    truncate sync_backups;
    update sync_leases set holder = null, expires_at = '-infinity'",
        tables = tables.join(", ")
    )
}

/// Connects to a database, which has no rows and no runs then.
pub(crate) async fn emptied(url: &str) -> Client {
    let client = database::connect(url).await;
    let migrated = client
        .query_one("select to_regclass('sync_runs') is not null", &[])
        .await
        .unwrap();
    if migrated.get(0) {
        client.batch_execute(&empty()).await.unwrap();
    }
    client
}

/// One scenario's turn at the stack, with a fresh account and an empty database.
pub(crate) struct Cloud {
    pub(crate) stack: &'static Stack,
    pub(crate) account: Account,
    pub(crate) client: Client,
    http: reqwest::Client,
    /// None at a stack of the scenario's own.
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Cloud {
    /// Waits for its turn.
    pub(crate) async fn turn() -> Self {
        RUNS.turn().await
    }

    /// Waits for its turn at the page.
    pub(crate) async fn page() -> Self {
        PAGES.turn().await
    }

    /// A stack of its own, for a scenario that takes long and needs little.
    pub(crate) async fn own(name: &str) -> Self {
        Self::with_parameters(name, &[]).await
    }

    /// A stack of its own, deployed with these of the template's parameters.
    pub(crate) async fn with_parameters(name: &str, parameters: &[(&str, &str)]) -> Self {
        let mut options = quick(name);
        for (name, value) in parameters {
            let (name, value) = ((*name).to_owned(), (*value).to_owned());
            options.parameters.insert(name, value);
        }
        let stack = Stack::start(options).await.unwrap();
        Self::at(Box::leak(Box::new(stack)), None).await
    }

    async fn at(stack: &'static Stack, turn: Option<MutexGuard<'static, ()>>) -> Self {
        let account = Account::at(&stack.file().square_base_url);
        account.reset(json!({"orders": 0})).await;
        let client = emptied(&stack.file().database_url).await;
        Self {
            stack,
            account,
            client,
            http: reqwest::Client::new(),
            _turn: turn,
        }
    }

    /// Calls the API as an admin's script does.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let request = self
            .http
            .request(method, format!("{}{path}", self.stack.file().api_url))
            .bearer_auth(&self.stack.file().bearer_token);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        answer(request).await
    }

    /// Calls the API with whatever the request says of itself.
    pub(crate) async fn raw(
        &self,
        path: &str,
        make: impl FnOnce(reqwest::Client, String) -> reqwest::RequestBuilder,
    ) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.stack.file().api_url);
        answer(make(self.http.clone(), url)).await
    }

    /// Starts a sync through the API.
    pub(crate) async fn start(&self, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/admin/complete-sync", body).await
    }

    /// A sync through the API, to its end: the run's JSON.
    pub(crate) async fn sync(&self, body: Value) -> Value {
        let (status, started) = self.start(body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{started}");
        self.end_of(started["run_id"].as_str().unwrap()).await
    }

    /// A run's JSON.
    pub(crate) async fn run(&self, run_id: &str) -> Value {
        let path = format!("/admin/runs/{run_id}");
        let (status, run) = self.call(Method::GET, &path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        run
    }

    /// Waits for a run's end, and for its execution's.
    pub(crate) async fn end_of(&self, run_id: &str) -> Value {
        self.until(run_id, |run| {
            !matches!(run["status"].as_str(), Some("queued" | "running"))
        })
        .await
    }

    /// Waits until a run is as wanted.
    pub(crate) async fn until(&self, run_id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let run = patiently(async || Some(self.run(run_id).await).filter(&wanted)).await;
        let Some(run) = run else {
            panic!("run {run_id} did not get there: {}", self.run(run_id).await);
        };
        run
    }

    /// Kills a process of that function, as a machine that dies does.
    pub(crate) fn kill(&self, function: &str) {
        let processes = self.stack.aws().processes();
        let process = processes
            .iter()
            .find(|process| process.function.to_lowercase().ends_with(function))
            .unwrap();
        let killed = std::process::Command::new("kill")
            .args(["-9", &process.pid.to_string()])
            .status();
        assert!(killed.unwrap().success());
    }

    /// What Step Functions says of an execution that has ended.
    pub(crate) async fn execution(&self, arn: &str) -> Execution {
        execution(self.stack.aws(), arn).await
    }

    /// Starts an execution as somebody in the console does.
    pub(crate) async fn start_by_hand(&self, name: &str, input: &Value) -> String {
        let machine = &self.stack.file().state_machines.complete_sync;
        let aws = self.stack.aws();
        aws.start_execution(machine, Some(name), input)
            .await
            .unwrap()
    }
}

/// What Step Functions says of an execution, once it has ended.
pub(crate) async fn execution(aws: &Aws, arn: &str) -> Execution {
    let ended = patiently(async || {
        let execution = aws.execution(arn).await.unwrap();
        Some(execution).filter(|execution| !execution.is_running())
    });
    ended
        .await
        .unwrap_or_else(|| panic!("{arn} is still running"))
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    (status, value)
}

fn quick(name: &str) -> Options {
    let mut options = options(name);
    // A minute between attempts becomes half a second.
    options.wait_scale = Some(0.01);
    options
        .settings
        .set("SQUARE_MAX_REQUESTS_PER_SECOND", "200");
    options
}

/// A stack in a directory of its own, with an account without orders.
pub(crate) fn options(name: &str) -> Options {
    let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    let mut options = Options::quiet(directory);
    options.sim_args = vec!["--orders".to_owned(), "0".to_owned()];
    options
}
