//! The way to the local AWS. It answers whoever asks, without credentials, with the
//! Square token and the database's address among its answers; so it listens on a socket
//! in a directory of this user's own, and on the public port there is this gate, which
//! lets programs of this machine and the page through, and no other web page.

mod judge;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::oneshot;

use crate::error::StackError;

/// How long the local AWS may have so many connections waiting that it takes no other.
const BUSY_MAX: Duration = Duration::from_secs(30);

/// An open gate; it closes when this is dropped. It has a thread of its own with a
/// runtime of its own, so that a stack outlives the test that started it.
#[derive(Debug)]
pub(crate) struct Gate {
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where it stands, and what is behind it.
struct Way {
    port: u16,
    socket: PathBuf,
}

impl Gate {
    /// Opens the gate on this port, before the socket at which the local AWS listens or
    /// is about to.
    pub(crate) fn open(port: u16, socket: &Path) -> Result<Self, StackError> {
        let doing = || StackError::io(format!("while listening on port {port}"));
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(doing())?;
        listener.set_nonblocking(true).map_err(doing())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(doing())?;
        let way = Arc::new(Way {
            port: listener.local_addr().map_err(doing())?.port(),
            socket: socket.to_path_buf(),
        });
        let (close, closed) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, way) => {}
                        _ = closed => {}
                    }
                });
            })
            .map_err(doing())?;
        Ok(Self {
            close: Some(close),
            thread: Some(thread),
        })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Dropped, it says that it is over.
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: StdListener, way: Arc<Way>) {
    if let Ok(listener) = TcpListener::from_std(listener) {
        let gate = Router::new().fallback(pass).with_state(way);
        // It ends with the runtime only.
        let _ = axum::serve(listener, gate).await;
    }
}

async fn pass(State(way): State<Arc<Way>>, request: Request) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if let Some(reason) = judge::refusal(method, uri, headers, way.port) {
        let text = format!("The local stack does not answer this request: {reason}.\n");
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    match forward(&way.socket, request).await {
        Ok(mut answer) => {
            // No other page may read what this one is told.
            let names: Vec<_> = answer.headers().keys().cloned().collect();
            for name in names {
                if name.as_str().starts_with("access-control-") {
                    answer.headers_mut().remove(name);
                }
            }
            answer
        }
        Err(error) => {
            let text = format!("The local AWS does not answer: {error}\n");
            (StatusCode::BAD_GATEWAY, text).into_response()
        }
    }
}

async fn forward(
    socket: &Path,
    mut request: Request,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let stream = connected(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // What breaks here breaks the answer as well, where it is told.
    tokio::spawn(connection);
    *request.version_mut() = Version::HTTP_11;
    let answer = sender.send_request(request).await?;
    Ok(answer.map(Body::new))
}

/// Connects, as soon as there is room: a socket with many who wait turns others away.
async fn connected(socket: &Path) -> std::io::Result<UnixStream> {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && began.elapsed() < BUSY_MAX => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests;
