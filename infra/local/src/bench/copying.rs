//! Floors of writing: the very rows of the stack's tables, copied into the same tables
//! of a second database of the same server. They are read beforehand, so that only the
//! writing counts.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::future::try_join_all;
use futures::{SinkExt, TryStreamExt, stream};
use tokio_postgres::Client;
use url::Url;

use super::Floor;
use super::runs::connect;
use crate::checkout::Checkout;
use crate::error::StackError;
use crate::stack::Stack;

/// The tables with rows of Square's, those first that others refer to: all but the
/// service's own.
const LOADED: &str = r"
    with recursive depths (oid, depth) as (
        select oid, 0 from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r'
        union
        select r.conrelid, d.depth + 1 from pg_constraint r join depths d on r.confrelid = d.oid
        where r.contype = 'f' and r.conrelid <> r.confrelid)
    select relname from pg_class join depths using (oid)
    where relname not like 'sync\_%' and relname not in ('audit_log', 'refinery_schema_history')
    group by relname order by max(depth), relname";

/// Those that a refresh replaces, as it notes with their backup.
const REPLACED: &str = "
    select jsonb_object_keys(rows) from sync_backups
    where created_at = (select max(created_at) from sync_backups)";

/// The second database.
const DATABASE: &str = "floor";

/// Tables that are written at once: the sync's own steps write no more.
const CONNECTIONS: usize = 4;

/// Bytes that are sent at once.
const CHUNK: usize = 1 << 18;

/// Writes what a first load has written, as fast as it goes: several tables at once,
/// the largest first, and without a look at what rows refer to.
///
/// # Errors
/// The database's.
pub(super) async fn of_first_load(stack: &Stack) -> Result<Floor, StackError> {
    let client = connect(&stack.file().database_url).await?;
    let tables = names(&client, LOADED).await?;
    let mut dumps = read(&client, tables).await?;
    dumps.sort_by_key(|dump| std::cmp::Reverse(dump.bytes()));
    write(stack, dumps, CONNECTIONS, false).await
}

/// Writes what a refresh has published, in one go as it does.
///
/// # Errors
/// The database's.
pub(super) async fn of_refresh(stack: &Stack) -> Result<Floor, StackError> {
    let client = connect(&stack.file().database_url).await?;
    let replaced = names(&client, REPLACED).await?;
    let mut tables = names(&client, LOADED).await?;
    tables.retain(|table| replaced.contains(table));
    let dumps = read(&client, tables).await?;
    write(stack, dumps, 1, true).await
}

/// The rows of a table, in PostgreSQL's binary format.
struct Dump {
    table: String,
    chunks: Vec<Bytes>,
}

impl Dump {
    fn bytes(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// Returns the names that a query gives.
async fn names(client: &Client, query: &str) -> Result<Vec<String>, StackError> {
    let rows = client.query(query, &[]).await;
    let rows = rows.map_err(StackError::database("looking for a floor's tables"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn read(client: &Client, tables: Vec<String>) -> Result<Vec<Dump>, StackError> {
    let failed = || StackError::database("reading the rows for a floor");
    let mut dumps = Vec::new();
    for table in tables {
        let statement = format!("copy {table} to stdout (format binary)");
        let copied = client.copy_out(&statement).await;
        let mut rows = pin!(copied.map_err(failed())?);
        let (mut chunks, mut chunk) = (Vec::new(), BytesMut::with_capacity(CHUNK));
        while let Some(row) = rows.try_next().await.map_err(failed())? {
            chunk.extend_from_slice(&row);
            if chunk.len() >= CHUNK {
                chunks.push(chunk.split().freeze());
            }
        }
        chunks.push(chunk.freeze());
        dumps.push(Dump { table, chunks });
    }
    Ok(dumps)
}

/// Writes the rows into a new database, over so many connections, and drops it.
async fn write(
    stack: &Stack,
    dumps: Vec<Dump>,
    connections: usize,
    checks_references: bool,
) -> Result<Floor, StackError> {
    let failed = || StackError::database("preparing a floor");
    let server = connect(&stack.file().database_url).await?;
    let statement = format!("create database {DATABASE}");
    let created = server.batch_execute(&statement).await;
    created.map_err(failed())?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = connect(&floor_url(stack)?).await?;
        if clients.is_empty() {
            migrate(&client).await?;
        }
        if !checks_references {
            let statement = "set session_replication_role = replica";
            client.batch_execute(statement).await.map_err(failed())?;
        }
        clients.push(client);
    }
    let written_out = server.batch_execute("checkpoint").await;
    written_out.map_err(failed())?;
    let bytes = dumps.iter().map(Dump::bytes).sum::<usize>();
    let left = RefCell::new(dumps.into_iter());
    let begun = Instant::now();
    let lanes = clients.iter().map(async |client| {
        let mut rows = 0;
        loop {
            let next = left.borrow_mut().next();
            let Some(dump) = next else {
                return Ok::<u64, StackError>(rows);
            };
            rows += copy(client, dump).await?;
        }
    });
    let rows: Vec<u64> = try_join_all(lanes).await?;
    let seconds = begun.elapsed().as_secs_f64();
    drop(clients);
    let statement = format!("drop database {DATABASE} with (force)");
    let dropped = server.batch_execute(&statement).await;
    dropped.map_err(failed())?;
    Ok(Floor {
        seconds,
        count: rows.iter().sum(),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
    })
}

/// Returns how many rows were copied.
async fn copy(client: &Client, dump: Dump) -> Result<u64, StackError> {
    let failed = || StackError::database("copying rows for a floor");
    let statement = format!("copy {} from stdin (format binary)", dump.table);
    let copied = client.copy_in(&statement).await;
    let mut sink = pin!(copied.map_err(failed())?);
    let mut chunks = stream::iter(dump.chunks.into_iter().map(Ok));
    sink.send_all(&mut chunks).await.map_err(failed())?;
    sink.finish().await.map_err(failed())
}

fn floor_url(stack: &Stack) -> Result<String, StackError> {
    let given = &stack.file().database_url;
    let mut url = Url::parse(given).map_err(|error| StackError::Setting {
        name: "DATABASE_URL",
        problem: format!("is no address: {error}"),
    })?;
    url.set_path(DATABASE);
    Ok(url.into())
}

/// Makes the tables, with their indexes, as a release makes them.
async fn migrate(client: &Client) -> Result<(), StackError> {
    let failed = || StackError::io("while reading the migrations");
    let directory = Checkout::find()?.root().join("migrations");
    let files = std::fs::read_dir(directory).map_err(failed())?;
    let paths = files.filter_map(|file| Some(file.ok()?.path()));
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    // Their numbers are of one length.
    paths.sort();
    for path in paths {
        let script = std::fs::read_to_string(path).map_err(failed())?;
        let applied = client.batch_execute(&script).await;
        applied.map_err(StackError::database("migrating a floor's database"))?;
    }
    Ok(())
}
