//! The gate before a likeness of the local AWS, which says yes to everybody.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Mutex;

use axum::http::HeaderMap;
use tokio::net::UnixListener;

use super::*;
use crate::{http, ports, random};

type Asked = Arc<Mutex<Vec<String>>>;

/// A directory for a socket.
fn directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("gate-{}", random::hex().unwrap()));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .unwrap();
    directory
}

/// Answers as the local AWS does, and keeps what it was asked for.
fn aws(listener: UnixListener) -> Asked {
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let router = Router::new().fallback(async move |headers: HeaderMap, request: Request| {
        let target = headers
            .get("x-amz-target")
            .map(|it| it.to_str().unwrap().to_owned());
        let path = request.uri().path().to_owned();
        let body = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .unwrap();
        let target = target.unwrap_or(path);
        kept.lock()
            .unwrap()
            .push(format!("{target} {}", String::from_utf8_lossy(&body)));
        [
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "*"),
            ("x-amzn-requestid", "1"),
        ]
        .into_response()
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    asked
}

#[tokio::test]
async fn only_programs_and_the_page_reach_the_local_aws() {
    let directory = directory();
    let socket = directory.join("http");
    let asked = aws(UnixListener::bind(&socket).unwrap());
    let port = ports::free().unwrap();
    let gate = Gate::open(port, &socket).unwrap();
    let url = format!("http://127.0.0.1:{port}");

    let secret = || {
        http::client()
            .post(&url)
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .body("{}")
    };
    // What a page can send without being asked first.
    let function = || {
        http::client()
            .post(format!("{url}/2015-03-31/functions"))
            .header("content-type", "text/plain")
            .body("{}")
    };
    let rebound = format!("evil.example:{port}");
    for (make, name) in [
        (
            &secret as &dyn Fn() -> reqwest::RequestBuilder,
            "GetSecretValue",
        ),
        (&function, "CreateFunction"),
    ] {
        for (header, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("referer", "http://evil.example/"),
            ("user-agent", "Mozilla/5.0 (Macintosh) Version/15.0 Safari"),
            ("host", rebound.as_str()),
        ] {
            let answer = make().header(header, value).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{name} with {header}: {value}");
            assert_eq!(answer.headers().get("access-control-allow-origin"), None);
        }
    }
    assert!(asked.lock().unwrap().is_empty());

    let answer = secret().send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-amzn-requestid"], "1");
    let names = answer.headers().keys();
    let told: Vec<_> = names
        .filter(|name| name.as_str().starts_with("access-"))
        .collect();
    assert!(told.is_empty(), "{told:?}");
    function().send().await.unwrap();
    assert_eq!(
        *asked.lock().unwrap(),
        [
            "secretsmanager.GetSecretValue {}",
            "/2015-03-31/functions {}"
        ]
    );

    drop(gate);
    assert!(!ports::answers(port).await);
    std::fs::remove_dir_all(&directory).unwrap();
}

// Elsewhere a full socket cannot be told from one that nobody listens at.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_comes_while_many_wait_waits_as_well() {
    let directory = directory();
    let socket = directory.join("http");
    let unbound = tokio::net::UnixSocket::new_stream().unwrap();
    unbound.bind(&socket).unwrap();
    let listener = unbound.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&socket).await {
        waiting.push(stream);
    }
    let port = ports::free().unwrap();
    let _gate = Gate::open(port, &socket).unwrap();
    let ask = async || {
        let answer = http::client()
            .get(format!("http://127.0.0.1:{port}/"))
            .send();
        answer.await.unwrap().status()
    };
    let take = async {
        // Asked before there is room.
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(waiting);
        aws(listener)
    };
    let (first, second, asked) = tokio::join!(ask(), ask(), take);
    assert_eq!([first, second], [200, 200]);
    assert_eq!(asked.lock().unwrap().len(), 2);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn without_the_local_aws_the_gate_says_so() {
    let port = ports::free().unwrap();
    let _gate = Gate::open(port, Path::new("/nowhere")).unwrap();
    let answer = http::client()
        .get(format!("http://127.0.0.1:{port}/"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
}
