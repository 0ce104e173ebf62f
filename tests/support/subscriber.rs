//! Somebody who subscribed to the notifications by HTTP, as a chat or a pager does.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use local::{Aws, Stack};
use serde_json::Value;

use super::patience::patiently;

/// What has arrived.
pub(crate) struct Subscriber {
    notifications: Arc<Mutex<Vec<Value>>>,
}

impl Subscriber {
    /// Subscribes to the stack's topic, and confirms it as SNS demands.
    pub(crate) async fn to(stack: &Stack) -> Self {
        let outputs = stack.aws().outputs(local::deploy::STACK).await.unwrap();
        let topic = &outputs["NotificationTopicArn"];
        let notifications = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let (aws, arrived) = (stack.aws().clone(), Arc::clone(&notifications));
        let router = Router::new().route(
            "/",
            post(move |body: String| {
                let (aws, arrived) = (aws.clone(), Arc::clone(&arrived));
                async move { receive(&aws, &arrived, &body).await }
            }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "Subscribe")
            .append_pair("TopicArn", topic)
            .append_pair("Protocol", "http")
            .append_pair("Endpoint", &endpoint)
            .finish();
        stack.aws().query("SNS", form).await.unwrap();
        Self { notifications }
    }

    /// Waits for the notification about that run.
    pub(crate) async fn told_of(&self, run_id: &str) -> Value {
        let told = patiently(async || self.all_of(run_id).into_iter().next()).await;
        told.unwrap_or_else(|| {
            let notifications = self.notifications.lock().unwrap();
            panic!("nothing of {run_id} in {notifications:?}")
        })
    }

    /// All that has arrived about that run.
    pub(crate) fn all_of(&self, run_id: &str) -> Vec<Value> {
        let notifications = self.notifications.lock().unwrap();
        notifications
            .iter()
            .filter(|sent| sent["MessageAttributes"]["run_id"]["Value"] == run_id)
            .cloned()
            .collect()
    }
}

async fn receive(aws: &Aws, arrived: &Mutex<Vec<Value>>, body: &str) {
    let message: Value = serde_json::from_str(body).unwrap();
    if message["Type"] == "SubscriptionConfirmation" {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "ConfirmSubscription")
            .append_pair("TopicArn", message["TopicArn"].as_str().unwrap())
            .append_pair("Token", message["Token"].as_str().unwrap())
            .finish();
        aws.query("SNS", form).await.unwrap();
    } else {
        arrived.lock().unwrap().push(message);
    }
}
