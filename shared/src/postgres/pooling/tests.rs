//! Against a server that says which of its processes answers, and poolers before it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// How a client's transaction gets its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooler {
    /// None, or one for whole sessions.
    Session,
    /// The one that was used last, as PgBouncer does.
    Last,
    /// One after the other.
    Turns,
    /// None: there are no transactions.
    Statement,
    /// One that has lost its way in the protocol.
    Broken,
}

type Idle = Arc<Mutex<VecDeque<u32>>>;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn done() -> Vec<u8> {
    message(b'C', b"DONE\0")
}

fn row(value: &str) -> Vec<u8> {
    let column = [b"pid\0", &[0; 18][..]].concat();
    let description = message(b'T', &[&[0, 1], &column[..]].concat());
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let data = message(b'D', &[&[0, 1], &length[..], value.as_bytes()].concat());
    [description, data].concat()
}

async fn serve(mut stream: TcpStream, pooler: Pooler, idle: Idle) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut startup).await?;
    let welcome = [message(b'R', &[0; 4]), message(b'K', &[0; 8]), ready()];
    stream.write_all(&welcome.concat()).await?;
    let mut own = None;
    loop {
        let kind = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).await?;
        if kind != b'Q' {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let is_refused = match pooler {
            Pooler::Statement => text.starts_with("begin"),
            Pooler::Broken => text.starts_with("select"),
            _ => false,
        };
        if is_refused {
            let refused = b"SERROR\0VERROR\0C08P01\0Mtransaction blocks not allowed\0\0";
            stream.write_all(&message(b'E', refused)).await?;
            stream.write_all(&ready()).await?;
            continue;
        }
        let process = match own.take() {
            Some(process) => process,
            None => idle.lock().unwrap().pop_front().unwrap(),
        };
        let answer = if text.contains("pg_backend_pid") {
            // Each is of a server of its own, and all have the same number there.
            let started = text.contains("pg_postmaster_start_time");
            row(&format!("7 {}", if started { process } else { 0 }))
        } else {
            Vec::new()
        };
        // Before the answer: whoever has that asks at once.
        if pooler == Pooler::Session || text.starts_with("begin") {
            own = Some(process);
        } else if pooler == Pooler::Turns {
            idle.lock().unwrap().push_back(process);
        } else {
            idle.lock().unwrap().push_front(process);
        }
        stream
            .write_all(&[answer, done(), ready()].concat())
            .await?;
    }
}

/// The judgement on a pooler with as many connections to the server, and how many of them
/// are free then.
async fn judged(pooler: Pooler, connections: u32) -> (Result<(), SyncError>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let idle = Idle::new(Mutex::new((1..=connections).collect()));
    let of_server = Arc::clone(&idle);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, pooler, Arc::clone(&of_server)));
        }
    });
    let url = format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable");
    let database = Database::connect(&url.into()).unwrap();
    let client = database.client().await.unwrap();
    let judgement = ensure_sessions(&database, &client).await;
    let free = idle.lock().unwrap().len();
    (judgement, free)
}

#[tokio::test]
async fn a_pooler_that_does_not_keep_sessions_is_named() {
    for pooler in [Pooler::Last, Pooler::Turns, Pooler::Statement] {
        for connections in 1..6 {
            let (judgement, free) = judged(pooler, connections).await;
            let error = judgement.unwrap_err();
            assert_eq!(error.name(), "ConfigInvalid", "{pooler:?} {connections}");
            let text = error.to_string();
            assert!(
                text.starts_with("DATABASE_URL") && text.contains("pooler"),
                "{text}"
            );
            // No transaction is left that would keep one.
            assert_eq!(free, connections as usize, "{pooler:?}");
        }
    }
}

/// With no more than two connections, the caller's among them.
#[tokio::test]
async fn a_server_and_a_pooler_for_whole_sessions_pass() {
    for connections in 2..6 {
        judged(Pooler::Session, connections).await.0.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_speaks_otherwise_is_not_taken_for_a_pooler() {
    let error = judged(Pooler::Broken, 2).await.0.unwrap_err();
    assert_eq!(error.name(), "DatabaseUnavailable", "{error}");
}
