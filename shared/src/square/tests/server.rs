//! A server that answers with exactly the bytes of a script, faults included,
//! and keeps what it was asked. It speaks just enough HTTP for that: a real
//! server would not send half a body or hang up in the middle.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The server's reply to one request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Sends these bytes and keeps the connection open.
    Send(Vec<u8>),
    /// Sends these bytes and hangs up, so that the answer may be cut.
    SendAndClose(Vec<u8>),
    /// Sends the pieces with this pause before each.
    Drip(Vec<Vec<u8>>, Duration),
    /// Sends these bytes once so many requests have been under way together, and
    /// after this pause.
    Together(usize, Vec<u8>, Duration),
    /// Says nothing at all.
    Silence,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// Request line and headers, in lower case but for the line.
    pub(super) head: String,
    pub(super) body: String,
    pub(super) at: Instant,
}

impl Received {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Log {
    replies: VecDeque<Reply>,
    received: Vec<Received>,
    connections: usize,
    under_way: usize,
    under_way_max: usize,
}

pub(super) struct Server {
    pub(super) url: String,
    log: Arc<Mutex<Log>>,
}

impl Server {
    /// Answers with `replies` in order; the last one is repeated for ever.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Log {
            replies: replies.into_iter().collect(),
            ..Log::default()
        }));
        let shared = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, log }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().received.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    pub(super) fn under_way_max(&self) -> usize {
        self.log.lock().unwrap().under_way_max
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Log>>) {
    while let Some(received) = receive(&mut stream).await {
        let reply = {
            let mut log = log.lock().unwrap();
            log.received.push(received);
            log.under_way += 1;
            log.under_way_max = log.under_way_max.max(log.under_way);
            let reply = log.replies.front().cloned().unwrap_or(Reply::Silence);
            if log.replies.len() > 1 {
                log.replies.pop_front();
            }
            reply
        };
        let keep = answer(&mut stream, &log, reply).await;
        if !keep {
            return;
        }
    }
}

async fn answer(stream: &mut TcpStream, log: &Mutex<Log>, reply: Reply) -> bool {
    // A request is over for the client with the last byte, so it is over here before.
    let done = || log.lock().unwrap().under_way -= 1;
    match reply {
        Reply::Send(bytes) => {
            done();
            stream.write_all(&bytes).await.is_ok()
        }
        Reply::SendAndClose(bytes) => {
            done();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Reply::Drip(mut pieces, pause) => {
            let last = pieces.pop().unwrap_or_default();
            for piece in pieces {
                tokio::time::sleep(pause).await;
                if stream.write_all(&piece).await.is_err() {
                    done();
                    return false;
                }
            }
            tokio::time::sleep(pause).await;
            done();
            stream.write_all(&last).await.is_ok()
        }
        Reply::Together(requests, bytes, pause) => {
            while log.lock().unwrap().under_way_max < requests {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(pause).await;
            done();
            stream.write_all(&bytes).await.is_ok()
        }
        Reply::Silence => {
            // Ends when the client hangs up.
            let _ = stream.read(&mut [0; 1]).await;
            done();
            false
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let length: usize = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received {
        head,
        body: String::from_utf8(bytes[head_end..].to_vec()).unwrap(),
        at: Instant::now(),
    })
}

/// A whole answer with a body of known length.
pub(super) fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn status(status: &str, body: &str) -> Reply {
    Reply::Send(http(status, "", body.as_bytes()))
}

pub(super) fn json(body: &str) -> Reply {
    let body = body.as_bytes();
    Reply::Send(http("200 OK", "content-type: application/json\r\n", body))
}

pub(super) fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A count as Square sends it.
pub(super) fn count(quantity: &str) -> serde_json::Value {
    serde_json::json!({
        "catalog_object_id": "V",
        "catalog_object_type": "ITEM_VARIATION",
        "state": "IN_STOCK",
        "location_id": "L",
        "quantity": quantity,
        "calculated_at": "2026-01-02T03:04:05.10296Z"
    })
}

/// A page of counts; each count's quantity is one of `quantities`.
pub(super) fn counts(quantities: &[&str], cursor: Option<&str>) -> Reply {
    let counts: Vec<_> = quantities.iter().map(|quantity| count(quantity)).collect();
    let mut body = serde_json::json!({"counts": counts});
    if let Some(cursor) = cursor {
        body["cursor"] = cursor.into();
    }
    json(&body.to_string())
}

/// Square's error envelope.
pub(super) fn errors(category: &str, code: &str, detail: &str) -> String {
    serde_json::json!({"errors": [{"category": category, "code": code, "detail": detail}]})
        .to_string()
}
