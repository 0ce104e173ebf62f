//! Reading a request's body by the letter: what is not understood starts nothing.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use shared::error::SyncError;

use super::error::ApiError;

/// Requests are a handful of fields, and at most a list of a thousand locations, of which
/// every letter may be escaped.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads the body of a request to start something. An empty one means `{}`.
pub(crate) async fn read<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| ApiError::too_large(BODY_BYTES_MAX))?;
    parse(headers, &body)
}

/// Reads the body by the letter.
pub(crate) fn parse<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, ApiError> {
    match headers.get(header::CONTENT_TYPE) {
        Some(content_type) if !is_json(content_type.as_bytes()) => {
            return Err(ApiError::unsupported_media_type());
        }
        None if body.is_empty() => {
            let problem =
                "is empty; send a JSON object such as {}, with Content-Type: application/json";
            return Err(SyncError::input("body", problem).into());
        }
        None => return Err(ApiError::unsupported_media_type()),
        Some(_) => {}
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(T::default());
    }
    // Serde would take a list for a struct, field by field.
    if !body.starts_with(b"{") {
        return Err(SyncError::input("body", "wants a JSON object such as {}").into());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| SyncError::input(&field_of(&error), problem_of(error.inner())))?;
    json.end()
        .map_err(|error| SyncError::input("body", problem_of(&error)))?;
    Ok(read)
}

/// `application/json`, with or without parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    })
}

/// The place that serde complains about; syntax errors have none.
fn field_of(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    if path == "." || error.inner().is_syntax() || error.inner().is_eof() {
        "body".to_owned()
    } else {
        path
    }
}

/// Serde's words, so that they read on from the field's name.
fn problem_of(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "cannot be used",
        _ => "is no valid JSON",
    };
    format!("{kind} ({error})")
}
