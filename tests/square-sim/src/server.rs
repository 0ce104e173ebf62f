//! The server: a thread of its own with a runtime of its own, so that a test of
//! any kind can start one and a slow test cannot slow it down. Connections are
//! served by hyper directly, because a fault may close one without an answer.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::config::{Config, ConfigError};
use crate::sim::Sim;
use crate::square::Dropped;
use crate::{control, square};

/// Why the simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot become an account.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on, or no thread can be had.
    #[error("the simulated Square account cannot listen: {0}")]
    Io(#[from] io::Error),
}

/// A running simulator; it stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// The base URL, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the simulator and waits until it has ended.
    pub fn shutdown(mut self) {
        self.stop_and_wait();
    }

    fn stop_and_wait(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_and_wait();
    }
}

/// Seeds the account and serves it on `address` (port 0 picks a free one). It
/// listens before this returns.
///
/// # Errors
/// If the configuration is impossible or the address cannot be had.
pub fn start(config: Config, address: impl ToSocketAddrs) -> Result<Running, StartError> {
    config.check()?;
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let sim = Arc::new(Sim::new(config));
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("square-sim".to_owned())
        .spawn(move || {
            runtime.block_on(serve(listener, sim, stopped));
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
    Ok(Running {
        address,
        stop: Some(stop),
        thread: Some(thread),
    })
}

async fn serve(listener: StdListener, sim: Arc<Sim>, mut stopped: oneshot::Receiver<()>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let app = control::routes()
        .fallback(square::serve)
        .layer(from_fn(programs_only))
        .with_state(sim);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, app.clone()));
                }
                // Out of file descriptors, most likely: give others time to end.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
}

/// Refuses what a web page sends, also under a name of its own that leads here: it must
/// neither read the account nor have it changed.
async fn programs_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    let is_here = matches!(name, Some("127.0.0.1" | "localhost" | "[::1]"));
    // Old ones say nothing of the page, but who they are.
    let mut agents = headers.get_all(header::USER_AGENT).iter();
    let is_a_browser = agents.any(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    let is_from_a_page = ["origin", "sec-fetch-site", "referer"]
        .iter()
        .any(|name| headers.contains_key(*name));
    if is_here && !is_a_browser && !is_from_a_page {
        return next.run(request).await;
    }
    let text = "The simulated account answers programs of this machine only.\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

async fn connection(stream: TcpStream, app: Router) {
    let _ = stream.set_nodelay(true);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |request| {
        let answer = app.call(request);
        async move {
            let response = answer.await.map_err(io::Error::other)?;
            if response.extensions().get::<Dropped>().is_some() {
                return Err(io::Error::other("dropped by a fault"));
            }
            Ok(response)
        }
    });
    // A connection ends as its client or a fault likes; both are expected.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
