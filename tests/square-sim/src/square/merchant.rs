//! The small endpoints: locations (whole, by name, never paged), the merchant,
//! and what the token may do.

use serde_json::{Value, json};

use super::page::{Bend, Twist};
use super::refusal::Refusal;
use crate::account::Account;
use crate::control::token::Token;

/// `GET /v2/locations`; `{}` if there is none.
pub(super) fn locations(account: &Account, bend: &Bend) -> Vec<u8> {
    let listed: Vec<&Value> = account
        .locations
        .listed()
        .into_iter()
        .filter(|location| !bend.skips(&location.id, None))
        .map(|location| &location.json)
        .collect();
    let body = if listed.is_empty() || bend.twist == Twist::Empty {
        json!({})
    } else {
        json!({"locations": listed})
    };
    body.to_string().into_bytes()
}

/// `GET /v2/merchants/{id}`, where `me` stands for the token's own.
pub(super) fn merchant(account: &Account, id: &str) -> Result<Vec<u8>, Refusal> {
    if id != "me" && account.merchant["id"] != id {
        return Err(Refusal {
            detail: format!("No merchant '{id}'."),
            ..Refusal::of_status(404)
        });
    }
    Ok(json!({"merchant": account.merchant})
        .to_string()
        .into_bytes())
}

/// `POST /oauth2/token/status`; a personal token has no `expires_at`.
pub(super) fn token_status(account: &Account, token: &Token) -> Vec<u8> {
    let mut status = json!({
        "scopes": token.scopes,
        "client_id": "sq0idp-simulated",
        "merchant_id": account.merchant["id"],
    });
    match &token.merchant_id {
        Some(Some(other)) => status["merchant_id"] = json!(other),
        Some(None) => {
            status
                .as_object_mut()
                .map(|status| status.remove("merchant_id"));
        }
        None => {}
    }
    if let Some(expires_at) = &token.expires_at {
        status["expires_at"] = json!(expires_at);
    }
    status.to_string().into_bytes()
}
