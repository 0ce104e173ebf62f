//! A real PostgreSQL, started once, and a database of its own for each test.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, pin_mut};
use local::postgres::Postgres;
use local::{Checkout, Guard};
use shared::postgres::Database;
use shared::postgres::schema;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, NoTls};

use super::patience::patiently;

const TEMPLATE: &str = "migrated";

/// A server of a test's own, for what the others would not survive.
pub(crate) struct Server {
    postgres: Postgres,
    /// Ends PostgreSQL with the test process, however that ends.
    _guard: Guard,
}

static SERVER: OnceCell<Server> = OnceCell::const_new();
static SERVERS: AtomicU32 = AtomicU32::new(0);
static NUMBER: AtomicU32 = AtomicU32::new(0);
static CREATING: Mutex<()> = Mutex::const_new(());

impl Server {
    async fn start(name: &str) -> Self {
        let (process, number) = (std::process::id(), SERVERS.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("{name}-{process}-{number}"));
        let guard = Guard::new(&directory, &directory.join("none")).unwrap();
        let checkout = Checkout::find().unwrap();
        let postgres = Postgres::start(&checkout, &guard).await.unwrap();
        Self {
            postgres,
            _guard: guard,
        }
    }

    /// Its empty database.
    pub(crate) fn url(&self) -> &str {
        self.postgres.url()
    }
}

/// A server that may be broken.
pub(crate) async fn own() -> Server {
    Server::start("own").await
}

/// A connection to a server that is coming up again; `before` is one to the server
/// that it was, which ends with it.
pub(crate) async fn once_ready(url: &str, before: &Client) -> Client {
    let ended = patiently(async || before.is_closed().then_some(())).await;
    assert!(ended.is_some(), "PostgreSQL does not end its sessions");
    let connected = patiently(async || tokio_postgres::connect(url, NoTls).await.ok()).await;
    let Some((client, connection)) = connected else {
        panic!("PostgreSQL does not come back");
    };
    tokio::spawn(connection);
    client
}

async fn server() -> &'static Server {
    SERVER
        .get_or_init(|| async {
            let server = Server::start("tests").await;
            let url = create(&server, TEMPLATE, "template1").await;
            let database = Database::connect(&url.into()).unwrap();
            schema::migrate(&mut database.client().await.unwrap())
                .await
                .unwrap();
            server
        })
        .await
}

/// An empty database, as a new user has it.
pub(crate) async fn empty() -> String {
    fresh("template1").await
}

/// An empty database in which not every text can be stored.
pub(crate) async fn in_latin1() -> String {
    fresh("template0 encoding 'LATIN1' locale_provider libc locale 'C'").await
}

/// A migrated database without rows.
pub(crate) async fn migrated() -> String {
    fresh(TEMPLATE).await
}

async fn fresh(template: &str) -> String {
    let server = server().await;
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    create(server, &name, template).await
}

async fn create(server: &Server, name: &str, template: &str) -> String {
    let _one_at_a_time = CREATING.lock().await;
    let client = connect(server.postgres.url()).await;
    client
        .batch_execute(&format!("create database {name} template {template}"))
        .await
        .unwrap();
    let (start, query) = server
        .postgres
        .url()
        .split_once('?')
        .unwrap_or((server.postgres.url(), ""));
    let (server_url, _) = start.rsplit_once('/').unwrap();
    format!("{server_url}/{name}?{query}")
}

/// A connection of a test's own.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Copies a table's rows from one database to another, which may be older and have
/// fewer columns, or not the table at all.
pub(crate) async fn copy(from: &Client, to: &Client, table: &str) {
    let columns = "select string_agg(column_name, ', ') from information_schema.columns
        where table_schema = 'public' and table_name = $1";
    let columns: Option<String> = to.query_one(columns, &[&table]).await.unwrap().get(0);
    let Some(columns) = columns else {
        return;
    };
    let rows = from
        .copy_out(&format!("copy {table} ({columns}) to stdout"))
        .await;
    let sink = to
        .copy_in(&format!("copy {table} ({columns}) from stdin"))
        .await;
    let (rows, sink) = (rows.unwrap(), sink.unwrap());
    pin_mut!(sink);
    rows.forward(sink).await.unwrap();
}
