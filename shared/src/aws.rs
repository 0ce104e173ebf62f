//! Calls to AWS: how they are made, and what it means when one of them fails.
//!
//! A service that refuses needs a person; one that cannot be reached, is failing or
//! busy does not, or needs another person: whoever laid out the network.

use std::error::Error;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::error::{SyncError, with_causes};

/// What a function in a VPC lacks when it waits for AWS in vain.
const WAY_OUT: &str = "Functions in a VPC reach it only through a NAT gateway or an interface \
endpoint, and if their security groups let HTTPS (443) out";

/// Returns the configuration of the functions' calls to AWS: over ring, so that one
/// crypto library serves all, and with limits on waiting.
pub async fn config() -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(3))
                .operation_timeout(Duration::from_secs(20))
                .build(),
        )
        .load()
        .await
}

/// Why a call to AWS failed, in words that a message can go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There was no answer, or one that a later call need not get.
    Unavailable(String),
    /// What the call is about does not exist.
    Missing(String),
    /// The function's role may not do this.
    Forbidden(String),
    /// Anything else that the service says no to.
    Refused(String),
}

impl Failure {
    /// Returns what the error of a call means.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let reason = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => with_causes(error),
        };
        let is_failing = error.raw_response().is_some_and(|response| {
            let status = response.status();
            status.is_server_error() || status.as_u16() == 429
        });
        let code = error.code().unwrap_or_default();
        match error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                Self::Unavailable(format!("it cannot be reached ({reason}). {WAY_OUT}"))
            }
            _ if is_failing || is_busy(code) => Self::Unavailable(reason),
            SdkError::ResponseError(_) => {
                Self::Unavailable(format!("its answer cannot be read ({reason})"))
            }
            // Even if it says that something is not found: that is the key.
            _ if is_of_the_key(code) => {
                Self::Forbidden(format!("the key that seals it cannot be used: {reason}"))
            }
            _ if code.ends_with("NotFoundException")
                || code.ends_with("NotFound")
                || code.ends_with("DoesNotExist") =>
            {
                Self::Missing(reason)
            }
            _ if is_forbidden(code) => Self::Forbidden(reason),
            _ => Self::Refused(reason),
        }
    }

    /// Returns the error to report: what concerns a setting names it.
    #[must_use]
    pub fn about(self, service: &str, setting: &str, noun: &str) -> SyncError {
        let problem = match self {
            Self::Unavailable(detail) => {
                return SyncError::AwsUnavailable {
                    service: service.to_owned(),
                    detail,
                };
            }
            Self::Missing(reason) => format!("names a {noun} that does not exist ({reason})"),
            Self::Forbidden(reason) => format!(
                "names a {noun} that the function may not use ({reason}): its role lacks the right, \
or the key of KmsKeyArn does not let it in"
            ),
            Self::Refused(reason) => format!("names a {noun} that cannot be used ({reason})"),
        };
        SyncError::config(setting, problem)
    }
}

/// Whether the service has no room for the call at this moment.
fn is_busy(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    ["throttl", "toomanyrequests", "limitexceeded", "slowdown"]
        .iter()
        .any(|part| code.contains(part))
}

/// Whether the service means the key that seals what is asked for.
fn is_of_the_key(code: &str) -> bool {
    // Step Functions writes Kms, all others KMS.
    let is_kms = code
        .get(..3)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("kms"));
    is_kms || matches!(code, "DecryptionFailure" | "EncryptionFailure")
}

/// Whether the caller lacks a right.
fn is_forbidden(code: &str) -> bool {
    code.contains("AccessDenied")
        || matches!(
            code,
            "AuthorizationError"
                | "AuthorizationErrorException"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "ExpiredTokenException"
        )
}

#[cfg(test)]
pub(crate) mod tests;
