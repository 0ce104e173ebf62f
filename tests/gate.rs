//! No web page reaches the local AWS: not by its gate, to which a page can send a
//! browser, and not by the ports at which functions ask for their events.

use reqwest::{Client, Method, StatusCode, redirect};
use serde_json::Value;

use crate::support::cloud::Cloud;
use crate::support::run;

/// What a browser says of going to a page from elsewhere.
const VISIT: [(&str, &str); 3] = [
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0"),
];

fn http() -> Client {
    let client = Client::builder().redirect(redirect::Policy::none());
    client.build().unwrap()
}

/// An operation of the oldest protocol, which may stand in the address alone.
fn query(action: &str, user: &str) -> String {
    format!("Action={action}&Version=2010-05-08&UserName={user}")
}

async fn users(cloud: &Cloud) -> String {
    let list = "Action=ListUsers&Version=2010-05-08".to_owned();
    cloud.stack.aws().query("IAM", list).await.unwrap()
}

#[test]
fn no_web_page_reaches_the_local_aws() {
    run(async {
        let cloud = Cloud::turn().await;
        let file = cloud.stack.file();
        let http = http();
        let port = file.aws_endpoint_url.rsplit(':').next().unwrap();
        let rebound = format!("evil.example:{port}");
        for (path, target) in [
            ("/", "secretsmanager.ListSecrets"),
            ("/2015-03-31/functions", ""),
            ("/", "AWSStepFunctions.ListStateMachines"),
        ] {
            let url = format!("{}{path}", file.aws_endpoint_url);
            let ask = || {
                http.post(&url)
                    .header("content-type", "text/plain")
                    .header("x-amz-target", target)
                    .body("{}")
            };
            for (name, value) in [
                ("origin", "http://evil.example"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "none"),
                ("referer", "http://evil.example/"),
                ("user-agent", "Mozilla/5.0 (Macintosh) Version/15.0 Safari"),
                ("host", rebound.as_str()),
            ] {
                let answer = ask().header(name, value).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{target} {name}");
            }
            let answer = ask().send().await.unwrap();
            assert_ne!(answer.status(), StatusCode::FORBIDDEN, "{target}");
            let allowed = answer.headers().get("access-control-allow-origin");
            assert_eq!(allowed, None, "{target}");
        }
    });
}

#[test]
fn no_visit_from_elsewhere_is_taken_for_a_call() {
    run(async {
        let cloud = Cloud::turn().await;
        let file = cloud.stack.file();
        let http = http();
        let (_, port) = file.aws_endpoint_url.rsplit_once(':').unwrap();
        let ask = |method: Method, host: &str, path: &str| {
            let request = http.request(method, format!("{}{path}", file.aws_endpoint_url));
            request.header("host", format!("{host}:{port}"))
        };
        let call = query("CreateUser", "visitor");
        let escaped = call.replace("Action", "%41ction");
        for host in ["127.0.0.1", "localhost", "app.localhost"] {
            for page in [
                "/",
                "/login",
                "/oauth2/login",
                "/oauth2/authorize",
                "/logout",
                "/admin",
                "/admin/",
                "/admin/sync",
                "/admin/callback",
                "/healthz",
                "/bucket/key",
            ] {
                for given in [&call, &escaped, &format!("client_id=1&{call}")] {
                    for site in ["cross-site", "same-site", "none"] {
                        for method in [Method::GET, Method::HEAD, Method::POST] {
                            let path = format!("{page}?{given}");
                            let mut visit = ask(method.clone(), host, &path);
                            visit = visit.header("sec-fetch-site", site);
                            for (name, value) in VISIT {
                                visit = visit.header(name, value);
                            }
                            let status = visit.send().await.unwrap().status();
                            let what = format!("{method} {host}{path} {site}");
                            assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
                        }
                    }
                }
            }
        }
        let before = users(&cloud).await;
        assert!(!before.contains("visitor"), "{before}");

        // It would have been one: a program's is.
        let path = format!("/login?{}", query("CreateUser", "program"));
        let called = ask(Method::GET, "127.0.0.1", &path).send().await.unwrap();
        assert_eq!(called.status(), StatusCode::OK);
        let after = users(&cloud).await;
        assert!(after.contains("program"), "{after}");
        let aws = cloud.stack.aws();
        aws.query("IAM", query("DeleteUser", "program"))
            .await
            .unwrap();

        // And without the call, the page is there.
        for (host, path) in [
            ("app.localhost", "/admin/signed-out"),
            ("127.0.0.1", "/oauth2/authorize?client_id=1"),
            ("127.0.0.1", "/logout?client_id=1"),
        ] {
            let mut visit = ask(Method::GET, host, path).header("sec-fetch-site", "cross-site");
            for (name, value) in VISIT {
                visit = visit.header(name, value);
            }
            let status = visit.send().await.unwrap().status();
            assert_ne!(status, StatusCode::FORBIDDEN, "{host}{path}");
        }
    });
}

#[test]
fn no_web_page_is_given_a_functions_events() {
    run(async {
        let cloud = Cloud::turn().await;
        // Its process stays for the next event.
        cloud.call(Method::GET, "/healthz", Value::Null).await;
        let processes = cloud.stack.aws().processes();
        assert!(!processes.is_empty());
        let http = http();
        for process in processes {
            // Nothing that a function asks for, lest this takes an event from it.
            let url = format!("http://{}/2018-06-01/runtime/nothing", process.runtime_api);
            let (_, port) = process.runtime_api.rsplit_once(':').unwrap();
            let rebound = format!("evil.example:{port}");
            for (name, value) in [
                ("host", rebound.as_str()),
                ("origin", "http://evil.example"),
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "none"),
                ("referer", "http://evil.example/"),
                ("user-agent", "Mozilla/5.0 (Macintosh) Version/15.0 Safari"),
            ] {
                for method in [Method::GET, Method::POST] {
                    let request = http.request(method, &url).header(name, value);
                    let status = request.send().await.unwrap().status();
                    let function = &process.function;
                    assert_eq!(status, StatusCode::FORBIDDEN, "{function} {name}: {value}");
                }
            }
            let status = http.get(&url).send().await.unwrap().status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{}", process.function);
        }
    });
}
