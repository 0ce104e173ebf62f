//! The status of the access token: what it may do, and until when.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use super::answer::read_one;
use super::client::Square;
use super::endpoint::{Endpoint, Method};
use super::request::Call;
use super::wire::or_none;
use crate::error::SyncError;

const RETRIEVE_TOKEN_STATUS: Endpoint = Endpoint {
    method: Method::Post,
    path: "/oauth2/token/status",
    // Square asks for no permission here; a refusal concerns the token as such.
    permission: "the right to ask for its own status",
    array: "",
};

/// `RetrieveTokenStatusResponse`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TokenStatus {
    #[serde(default, deserialize_with = "or_none")]
    pub scopes: Option<Vec<String>>,
    /// A personal access token has none, which Square may also send as `""`.
    #[serde(default, deserialize_with = "or_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_none")]
    pub merchant_id: Option<String>,
}

impl Square {
    /// `RetrieveTokenStatus`: what the access token may do, and until when.
    ///
    /// # Errors
    /// One of the `Square…` errors; see `request`.
    pub async fn retrieve_token_status(&self) -> Result<TokenStatus, SyncError> {
        let call = Call {
            endpoint: &RETRIEVE_TOKEN_STATUS,
            body: Bytes::new(),
            has_cursor: false,
        };
        self.request(&call, read_one)
            .await
            .map_err(|unanswered| unanswered.error)
    }
}
