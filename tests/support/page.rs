//! Somebody at the admin page of the local AWS, in a browser.

use serde_json::{Value, json};

use super::browser::{Browser, Driver, Options};
use super::cloud::Cloud;
use super::patience::patiently;

const COGNITO: &str = "AWSCognitoIdentityProviderService";

pub(crate) fn desktop() -> Options {
    Options::default()
}

pub(crate) fn origin(cloud: &Cloud) -> String {
    let aws = &cloud.stack.file().aws_endpoint_url;
    let (_, port) = aws.rsplit_once(':').unwrap();
    format!("http://app.localhost:{port}")
}

/// Goes to a page of ours.
pub(crate) async fn open(browser: &Browser, cloud: &Cloud, path: &str) {
    browser.goto(&format!("{}{path}", origin(cloud))).await;
}

/// Goes to the page and through the issuer's own form.
pub(crate) async fn sign_in(browser: &Browser, cloud: &Cloud) {
    let person = &cloud.stack.file().sign_in;
    open(browser, cloud, "/admin/sync").await;
    browser.wait_for("input[name=username]").await;
    enter(browser, &person.username, &person.password).await;
    browser.wait_text("h1", "Sync").await;
}

/// A browser in which somebody has signed in.
pub(crate) async fn signed_in(driver: &Driver, cloud: &Cloud, options: Options) -> Browser {
    let browser = driver.open(options).await;
    sign_in(&browser, cloud).await;
    browser
}

/// Fills in the issuer's form.
pub(crate) async fn enter(browser: &Browser, username: &str, password: &str) {
    browser.fill("input[name=username]", username).await;
    browser.fill("input[name=password]", password).await;
    browser.click("button[type=submit]").await;
}

/// Waits for this address of ours. The issuer may ask who it is once more, or
/// still know.
pub(crate) async fn come_back(browser: &Browser, cloud: &Cloud, path: &str) {
    let person = &cloud.stack.file().sign_in;
    let wanted = format!("{}{path}", origin(cloud));
    let back = patiently(async || {
        if browser.url().await == wanted {
            return Some(());
        }
        if browser.exists("input[name=username]").await {
            enter(browser, &person.username, &person.password).await;
        }
        None
    });
    if back.await.is_none() {
        panic!("at {}", browser.url().await);
    }
}

/// Makes somebody who is in no group.
pub(crate) async fn create_stranger(cloud: &Cloud, username: &str, password: &str) {
    let aws = cloud.stack.aws();
    let outputs = aws.outputs(local::deploy::STACK).await.unwrap();
    let user = json!({"UserPoolId": outputs["UserPoolId"], "Username": username});
    let calls = [
        (
            "AdminCreateUser",
            json!({"MessageAction": "SUPPRESS", "TemporaryPassword": password}),
        ),
        (
            "AdminSetUserPassword",
            json!({"Password": password, "Permanent": true}),
        ),
    ];
    for (operation, mut body) in calls {
        for key in ["UserPoolId", "Username"] {
            body[key] = user[key].clone();
        }
        aws.call(&format!("{COGNITO}.{operation}"), &body)
            .await
            .unwrap();
    }
}

/// Has the page ask for news now, as it does when its tab is shown again.
pub(crate) async fn refresh(browser: &Browser) {
    browser
        .execute("document.dispatchEvent(new Event('visibilitychange'))")
        .await;
}

/// What a script on the page gets for this address: status, headers' part, text.
pub(crate) async fn fetched(browser: &Browser, call: &str) -> Value {
    browser
        .execute_async(&format!(
            "const done = arguments[0];
            fetch({call}).then(async answer => done({{
                status: answer.status,
                disposition: answer.headers.get('content-disposition'),
                text: await answer.text(),
            }}), error => done({{error: `${{error}}`}}))"
        ))
        .await
}

/// So many requests to Square are slow, so that a run can be watched.
pub(crate) async fn slow(cloud: &Cloud, endpoint: &str, delay_ms: u64) {
    cloud
        .account
        .faults(json!([{"endpoint": endpoint, "kind": "delay", "delay_ms": delay_ms}]))
        .await;
}
