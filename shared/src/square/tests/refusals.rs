//! Answers that mean no: named rightly, at once, and without secrets.

use super::server::{Reply, Server, errors, http, json, status};
use super::{TOKEN, client, quantities, settings};
use crate::error::SyncError;
use crate::square::Square;

async fn refused_with(reply: Reply) -> SyncError {
    let server = Server::start([reply]).await;
    let square = client(&server);
    let error = quantities(&square).await.unwrap_err();
    assert_eq!(server.received().len(), 1, "{error} was tried again");
    assert_eq!(square.counters().retries, 0);
    error
}

#[tokio::test]
async fn a_refused_token_is_final() {
    let body = errors("AUTHENTICATION_ERROR", "ACCESS_TOKEN_EXPIRED", "too old");
    for (reply, said) in [
        (status("401 Unauthorized", &body), "ACCESS_TOKEN_EXPIRED"),
        (status("200 OK", &body), "ACCESS_TOKEN_EXPIRED"),
        (status("401 Unauthorized", "<html>no</html>"), "status 401"),
    ] {
        let error = refused_with(reply).await;
        assert_eq!(error.name(), "SquareUnauthorized");
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_string().contains("html"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_final_and_named() {
    let body = errors("AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES", "not enough");
    for reply in [
        status("403 Forbidden", &body),
        status("200 OK", &body),
        status("403 Forbidden", "blocked"),
    ] {
        let error = refused_with(reply).await;
        assert_eq!(error.name(), "SquareForbidden");
        assert!(error.to_string().contains("INVENTORY_READ"), "{error}");
    }

    let server = Server::start([status("403 Forbidden", &body)]).await;
    let error = client(&server).list_locations().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("MERCHANT_PROFILE_READ"), "{text}");
    assert!(text.contains("not enough"), "{text}");
}

#[tokio::test]
async fn other_refusals_are_rejected_with_squares_words() {
    let body = errors("INVALID_REQUEST_ERROR", "VALUE_TOO_HIGH", "limit: 5000");
    for (line, code) in [
        ("400 Bad Request", 400),
        ("404 Not Found", 404),
        ("409 Conflict", 409),
        ("422 Unprocessable", 422),
        ("501 Not Implemented", 501),
        ("200 OK", 200),
    ] {
        let error = refused_with(status(line, &body)).await;
        assert_eq!(error.name(), "SquareRejected", "{line}");
        let text = error.to_string();
        let words = "INVALID_REQUEST_ERROR VALUE_TOO_HIGH: limit: 5000";
        assert!(text.contains(words), "{text}");
        assert!(text.contains(&format!("status {code}")), "{text}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let headers = "location: http://127.0.0.1:1/elsewhere\r\n";
    let reply = Reply::Send(http("307 Temporary Redirect", headers, b""));
    let error = refused_with(reply).await;
    assert_eq!(error.name(), "SquareMalformed");
    assert!(error.to_string().contains("307"), "{error}");
}

#[tokio::test]
async fn a_text_of_squares_is_cut_and_a_body_never_shown() {
    let detail = "ä".repeat(5000);
    let body = errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", &detail);
    let error = refused_with(status("400 Bad Request", &body)).await;
    assert!(error.to_string().chars().count() < 500, "{error}");

    let body = r#"{"customer":"Ada Lovelace"}"#;
    let error = refused_with(status("400 Bad Request", body)).await;
    assert!(!error.to_string().contains("Ada"), "{error}");
}

#[tokio::test]
async fn nothing_that_is_shown_holds_the_token() {
    let echo = errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", TOKEN);
    for line in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "503 Service Unavailable",
        "200 OK",
    ] {
        let server = Server::start([status(line, &echo)]).await;
        let error = quantities(&client(&server)).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(TOKEN), "{shown}");
        assert!(shown.contains("[token]"), "{shown}");
    }

    let server = Server::start([json("{}")]).await;
    let square = client(&server);
    square.list_locations().await.unwrap();
    let shown = format!("{square:?}");
    assert!(!shown.contains(TOKEN), "{shown}");

    let error = Square::new(&settings(&server.url, &[("SQUARE_ACCESS_TOKEN", "a\nb")]));
    let error = error.unwrap_err();
    assert_eq!(error.name(), "ConfigInvalid");
    assert!(error.to_string().contains("SQUARE_ACCESS_TOKEN"), "{error}");
}
