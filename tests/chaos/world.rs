//! The world of one history: an account, a database, the functions between them, and
//! what the driver knows of all three.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::env::Env;
use shared::postgres::{Database, schema};
use square_sim::{Config, Running};
use tokio_postgres::Client;

use crate::change;
use crate::fenced::Fenced;
use crate::history::History;
use crate::known::Known;
use crate::local_aws::LocalAws;
use crate::rows;
use crate::square::Square;
use crate::story::Story;
use crate::support::database::Server;
use crate::support::{database, run};

/// So small that every list has several pages.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("CATALOG_BATCH_SIZE", "5"),
    ("INVENTORY_BATCH_SIZE", "7"),
    ("ORDERS_BATCH_SIZE", "4"),
    ("SCRUB_DAYS", "2"),
];

/// How far Square's clock is behind the database's before an event. Each change moves it
/// on by some seconds, so that the times of some are still to come.
const BEHIND: SignedDuration = SignedDuration::from_secs(5);

/// What only a whole listing can bring, and what heals hostile objects.
#[derive(Debug, Default)]
pub(crate) struct Debts {
    /// Something happened of which no list of changes tells.
    pub(crate) is_blind: bool,
    /// Objects that Square gives as they were.
    pub(crate) stale: BTreeSet<String>,
    /// Changes that make objects sound again.
    pub(crate) heal: Vec<Value>,
    /// Orders that came under an earlier time.
    pub(crate) late: BTreeSet<String>,
}

/// Who carries runs out.
pub(crate) enum Stage {
    /// The driver, which calls the steps as library functions.
    Library { _account: Running },
    /// Step Functions of the local AWS.
    LocalAws(Arc<LocalAws>),
}

pub(crate) struct World {
    pub(crate) stage: Stage,
    /// What names of runs begin with, for executions' names are taken once and for all.
    prefix: String,
    pub(crate) square: Square,
    url: String,
    client: Mutex<Arc<Client>>,
    /// The database server, if it is this history's own.
    server: Option<Server>,
    pub(crate) story: Story,
    pub(crate) is_of_now: bool,
    /// Whether a list of Square's was not whole, or a copy not the newest.
    pub(crate) may_drift: AtomicBool,
    pub(crate) debts: Mutex<Debts>,
    pub(crate) known: Mutex<Known>,
    pub(crate) fenced: Mutex<Fenced>,
    /// The functions, with what they keep from one call to the next.
    functions: Mutex<Arc<Env>>,
}

impl World {
    pub(crate) async fn new(history: &History, story: Story) -> Self {
        let Value::Object(sizes) = &history.account else {
            panic!("sizes are an object");
        };
        let config = Config::default().with(sizes).unwrap();
        let account = square_sim::start(config, "127.0.0.1:0").unwrap();
        let server = if history.has_own_server {
            Some(database::own().await)
        } else {
            None
        };
        let url = if let Some(server) = &server {
            let url = migrated_up_to(server.url(), schema::wanted()).await;
            // As a server is that is to survive something.
            let on_disk = "do $$ begin
                execute format('alter database %I set synchronous_commit = on', current_database());
            end $$";
            let client = database::connect(&url).await;
            client.batch_execute(on_disk).await.unwrap();
            url
        } else if history.is_outdated {
            let url = database::empty().await;
            let url = migrated_up_to(&url, schema::wanted() - 1).await;
            rows::stand_in(&url).await;
            url
        } else {
            database::migrated().await
        };
        let square = account.url();
        let stage = Stage::Library { _account: account };
        Self::at(stage, (&square, url), server, history, story).await
    }

    /// The same on a stack that stands.
    pub(crate) async fn in_local_aws(history: &History, story: Story, aws: &Arc<LocalAws>) -> Self {
        aws.begin(&history.account).await;
        let stage = Stage::LocalAws(Arc::clone(aws));
        let url = aws.database_url().to_owned();
        Self::at(stage, (aws.square_url(), url), None, history, story).await
    }

    /// A world between this account and this database.
    async fn at(
        stage: Stage,
        (square, url): (&str, String),
        server: Option<Server>,
        history: &History,
        story: Story,
    ) -> Self {
        let prefix = match stage {
            Stage::Library { .. } => String::new(),
            Stage::LocalAws(_) => format!("h{}-", history.seed),
        };
        let world = Self {
            square: Square::new(square),
            client: Mutex::new(Arc::new(database::connect(&url).await)),
            server,
            functions: Mutex::new(Arc::new(env(square, &url))),
            url,
            story,
            is_of_now: history.is_of_now,
            may_drift: AtomicBool::new(false),
            debts: Mutex::default(),
            known: Mutex::default(),
            fenced: Mutex::default(),
            prefix,
            stage,
        };
        world.keep_time().await;
        world.learn().await;
        world
    }

    /// A run's name in this history.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The stack, if runs are carried out there.
    pub(crate) fn local_aws(&self) -> Option<&LocalAws> {
        match &self.stage {
            Stage::Library { .. } => None,
            Stage::LocalAws(aws) => Some(aws),
        }
    }

    /// The driver's own connection.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.lock().unwrap())
    }

    /// Kills a process of the server, for which PostgreSQL ends all the others and starts
    /// anew, and waits until it has. Nothing happens where the server is others' too.
    pub(crate) async fn kill_server(&self) {
        let Some(server) = &self.server else {
            return;
        };
        let before = self.client();
        let pid = "select pid::text from pg_stat_activity where pid <> pg_backend_pid()
            and backend_type = 'client backend' order by application_name desc limit 1";
        let Some(pid) = self.texts(pid).await.pop() else {
            return;
        };
        let killed = Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.unwrap().success());
        let client = database::once_ready(server.url(), &before).await;
        *self.client.lock().unwrap() = Arc::new(client);
    }

    /// The functions as the last call left them.
    pub(crate) fn functions(&self) -> Arc<Env> {
        Arc::clone(&self.functions.lock().unwrap())
    }

    /// Functions that Lambda has just started.
    pub(crate) fn new_functions(&self) -> Arc<Env> {
        Arc::new(env(self.square.url(), &self.url))
    }

    /// The functions' processes have ended; the next call starts new ones.
    pub(crate) fn lose_functions(&self) {
        *self.functions.lock().unwrap() = self.new_functions();
    }

    /// Moves Square's clock along with the database's, where it is of now.
    pub(crate) async fn keep_time(&self) {
        if self.is_of_now {
            self.square.move_clock(Timestamp::now() - BEHIND).await;
        }
    }

    /// Whether so many locations would be left: an account always has one.
    pub(crate) async fn may(&self, change: &Value, left: usize) -> bool {
        change["op"] != "remove_location"
            || ids(&self.square.truth().await, "locations").len() > left
    }

    /// Makes a change, if the account takes it, and remembers what Square has then.
    pub(crate) async fn change(&self, change: &Value) -> Option<Value> {
        if !self.may(change, 1).await {
            return None;
        }
        let done = self.square.change(change).await;
        if done.is_some() {
            self.note(change);
            self.learn().await;
        }
        done
    }

    /// Notes that a change is of no list, if it is not.
    pub(crate) fn note(&self, change: &Value) {
        self.debts.lock().unwrap().is_blind |= !change::is_told(change);
    }

    /// Makes changes at random.
    pub(crate) async fn change_any(&self, rng: &mut Rng, times: usize) {
        for _ in 0..times {
            let change = change::any(rng);
            let done = self.change(&change).await;
            let refused = if done.is_some() { "" } else { " (refused)" };
            self.story.tell(format!("  {change}{refused}"));
        }
    }

    /// Remembers what Square has now.
    pub(crate) async fn learn(&self) -> Value {
        let truth = self.square.truth().await;
        let made = self.square.changes_made().await;
        self.known.lock().unwrap().learn(&truth, made);
        truth
    }

    /// Looks at the rows there are, and who wrote them.
    pub(crate) async fn look(&self, is_restored: bool) -> Result<Vec<rows::Row>, String> {
        let ended = "select run_id from sync_runs where status not in ('queued', 'running')";
        let ended = self.client().query(ended, &[]).await.unwrap();
        let ended = ended.iter().map(|row| row.get(0)).collect();
        let rows = rows::read(&self.client()).await;
        self.fenced
            .lock()
            .unwrap()
            .look(ended, &rows, is_restored)?;
        Ok(rows)
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client().batch_execute(sql).await.unwrap();
    }

    /// The texts in the first column of an answer.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The same; none if the statement fails.
    pub(crate) async fn texts_of(&self, sql: &str) -> Option<Vec<String>> {
        let rows = self.client().query(sql, &[]).await.ok()?;
        Some(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Drops the database, so that thousands of histories leave none behind.
    pub(crate) async fn end(self) {
        if self.server.is_some() || self.local_aws().is_some() {
            return;
        }
        let (server, name) = self.url.rsplit_once('/').unwrap();
        let (name, parameters) = name.split_once('?').unwrap_or((name, ""));
        drop(self.client());
        let client = database::connect(&format!("{server}/postgres?{parameters}")).await;
        let drop = format!("drop database {name} with (force)");
        client.batch_execute(&drop).await.unwrap();
    }
}

fn env(square: &str, database: &str) -> Env {
    run::env(square, database, &SETTINGS)
}

/// A database as a release of that version has left it.
pub(crate) async fn migrated_up_to(url: &str, version: i64) -> String {
    let database = Database::connect(&url.into()).unwrap();
    let version = i32::try_from(version).unwrap();
    let mut client = database.client().await.unwrap();
    schema::migrate_up_to(&mut client, version).await.unwrap();
    url.to_owned()
}

/// Something of a list, if there is any.
pub(crate) fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> Option<T> {
    let at = rng.usize(..from.len().max(1));
    from.get(at).cloned()
}

/// The ids in the truth's rows of a table.
pub(crate) fn ids(truth: &Value, table: &str) -> Vec<String> {
    let rows = truth[table].as_array().into_iter().flatten();
    rows.filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect()
}

/// Everything that is to be synced.
pub(crate) fn all_parts() -> Value {
    json!(["locations", "catalog", "inventory", "orders"])
}
