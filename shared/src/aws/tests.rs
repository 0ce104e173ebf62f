//! Against a server that answers as a service of AWS does, or not at all.

use aws_config::retry::RetryConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{Credentials, Region};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Returns the address of a service that answers every call like this.
pub(crate) async fn answering(status: u16, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 16_384];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\n\
connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Returns the address of a service that nobody listens at.
pub(crate) async fn away() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Returns a configuration for calls to that address.
pub(crate) async fn at(address: &str, patience: Duration) -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder().operation_timeout(patience);
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(address)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .http_client(http)
        .load()
        .await
}

const LONG: Duration = Duration::from_secs(60);

async fn failure(address: &str, patience: Duration) -> Failure {
    let client = Client::new(&at(address, patience).await);
    let answer = client.get_secret_value().secret_id("s").send().await;
    Failure::of(&answer.unwrap_err())
}

#[tokio::test]
async fn what_passes_by_itself_is_told_from_what_a_person_must_mend() {
    type Is = fn(&Failure) -> bool;
    let passes: Is = |failure| matches!(failure, Failure::Unavailable(_));
    let is_missing: Is = |failure| matches!(failure, Failure::Missing(_));
    let is_forbidden: Is = |failure| matches!(failure, Failure::Forbidden(_));
    let is_refused: Is = |failure| matches!(failure, Failure::Refused(_));
    for (status, body, is_so) in [
        (
            400,
            r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
            passes,
        ),
        (400, r#"{"__type":"KMSThrottlingException"}"#, passes),
        (429, r#"{"__type":"Whatever"}"#, passes),
        (500, r#"{"__type":"InternalServiceError"}"#, passes),
        (503, "<html>", passes),
        (400, r#"{"__type":"ResourceNotFoundException"}"#, is_missing),
        (400, r#"{"__type":"StateMachineDoesNotExist"}"#, is_missing),
        (
            400,
            r#"{"__type":"AccessDeniedException","message":"no"}"#,
            is_forbidden,
        ),
        (400, r#"{"__type":"DecryptionFailure"}"#, is_forbidden),
        (400, r#"{"__type":"InvalidRequestException"}"#, is_refused),
    ] {
        let failure = failure(&answering(status, body).await, LONG).await;
        assert!(is_so(&failure), "{status} {body}: {failure:?}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_not_taken_for_what_it_seals() {
    for body in [
        r#"{"__type":"KMSNotFoundException","message":"no"}"#,
        r#"{"__type":"KMSNotFound"}"#,
        r#"{"__type":"KMSDisabledException"}"#,
        r#"{"__type":"KMSInvalidStateException"}"#,
        r#"{"__type":"KMSOptInRequired"}"#,
        r#"{"__type":"KMSAccessDeniedException"}"#,
        r#"{"__type":"KmsInvalidStateException"}"#,
        r#"{"__type":"DecryptionFailure"}"#,
        r#"{"__type":"EncryptionFailure"}"#,
    ] {
        let failure = failure(&answering(400, body).await, LONG).await;
        assert!(
            matches!(failure, Failure::Forbidden(_)),
            "{body}: {failure:?}"
        );
        let error = failure.about("SNS", "NOTIFICATION_TOPIC_ARN", "topic");
        let text = error.to_string();
        assert!(text.contains("the key that seals it"), "{text}");
        assert!(!text.contains("does not exist"), "{text}");
    }
    let busy = r#"{"__type":"KmsThrottlingException"}"#;
    let busy = failure(&answering(400, busy).await, LONG).await;
    assert!(matches!(busy, Failure::Unavailable(_)), "{busy:?}");
}

#[tokio::test]
async fn a_service_out_of_reach_names_the_cause_and_the_way_out() {
    let refused = failure(&away().await, LONG).await;
    // A listener that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let slow = failure(&address, Duration::from_millis(200)).await;
    for (failure, cause) in [(refused, "refused"), (slow, "time")] {
        let Failure::Unavailable(detail) = &failure else {
            panic!("{failure:?}");
        };
        assert!(
            detail.contains("NAT gateway or an interface endpoint"),
            "{detail}"
        );
        assert!(detail.to_lowercase().contains(cause), "{detail}");
        let error = failure.about("Secrets Manager", "DATABASE_URL_SECRET_ARN", "secret");
        assert!(SyncError::RETRYABLE.contains(&error.name()), "{error}");
        assert!(error.to_string().contains("Secrets Manager"), "{error}");
    }
}
