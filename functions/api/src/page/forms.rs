//! The page's forms, and the runs that they start. Each carries the session's secret,
//! and a key, so that a form sent twice starts one run; whatever replaces or blocks
//! data wants its box ticked.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value};
use shared::error::SyncError;
use shared::run::request::Request;
use url::form_urlencoded;

use super::Admin;
use super::answer::refusal;
use super::notice::Notice;
use crate::app::App;
use crate::runs::backups::Restore;
use crate::runs::complete_sync::CompleteSync;
use crate::runs::historical_orders::HistoricalOrders;
use crate::runs::migration::Migration;
use crate::runs::spot_check::SpotCheck;
use crate::runs::{history, starts};

/// A form as the API's JSON: the same checks then hold for both.
struct Form {
    fields: Map<String, Value>,
    csrf_token: String,
    confirmed: bool,
}

impl Form {
    fn read(body: &[u8]) -> Self {
        let mut form = Self {
            fields: Map::new(),
            csrf_token: String::new(),
            confirmed: false,
        };
        for (name, value) in form_urlencoded::parse(body) {
            match (&*name, &*value) {
                ("csrf_token", token) => token.clone_into(&mut form.csrf_token),
                ("confirm", answer) => form.confirmed = answer == "yes",
                // Left empty: not asked for.
                (_, "") => {}
                // Each data type is a box of its own.
                (field, "true") if field.starts_with("only.") => {
                    let only = form
                        .fields
                        .entry("only")
                        .or_insert_with(|| Value::Array(vec![]));
                    if let Value::Array(only) = only {
                        only.push(field.trim_start_matches("only.").into());
                    }
                }
                ("location_ids", ids) => {
                    let ids = ids.split([',', ' ']).filter(|id| !id.is_empty());
                    form.fields.insert(name.into_owned(), ids.collect());
                }
                // What is no number is refused as what it is.
                ("sample", text) if text.parse::<i64>().is_ok() => {
                    let number = text.parse::<i64>().unwrap_or_default();
                    form.fields.insert(name.into_owned(), number.into());
                }
                (_, "true") => {
                    form.fields.insert(name.into_owned(), true.into());
                }
                (_, text) => {
                    let text = Value::from(text);
                    form.fields.insert(name.into_owned(), text);
                }
            }
        }
        form
    }

    fn is_set(&self, field: &str) -> bool {
        self.fields.get(field) == Some(&Value::Bool(true))
    }

    fn into<T: serde::de::DeserializeOwned>(self) -> Result<T, SyncError> {
        serde_path_to_error::deserialize(Value::Object(self.fields)).map_err(|error| {
            let field = match error.path().to_string() {
                path if path == "." => "form".to_owned(),
                path => path,
            };
            SyncError::input(&field, format!("cannot be used ({})", error.inner()))
        })
    }
}

pub(crate) async fn complete_sync(State(app): State<App>, admin: Admin, body: Bytes) -> Response {
    let form = Form::read(&body);
    let destructive = form.is_set("full_refresh") && !form.is_set("dry_run");
    start(&app, admin, form, destructive, |form, admin| {
        // No box ticked is no data type, not all of them.
        let chooses = form.is_set("full_refresh") || form.fields.contains_key("only");
        if !chooses {
            return Err(SyncError::input("only", "wants at least one data type"));
        }
        form.into::<CompleteSync>()?.into_request(&admin.caller)
    })
    .await
}

pub(crate) async fn historical_orders(
    State(app): State<App>,
    admin: Admin,
    body: Bytes,
) -> Response {
    start(&app, admin, Form::read(&body), false, |form, admin| {
        form.into::<HistoricalOrders>()?.into_request(&admin.caller)
    })
    .await
}

pub(crate) async fn migration(State(app): State<App>, admin: Admin, body: Bytes) -> Response {
    start(&app, admin, Form::read(&body), true, |form, admin| {
        form.into::<Migration>()?.into_request(&admin.caller)
    })
    .await
}

pub(crate) async fn spot_check(State(app): State<App>, admin: Admin, body: Bytes) -> Response {
    start(&app, admin, Form::read(&body), false, |form, admin| {
        form.into::<SpotCheck>()?.into_request(&admin.caller)
    })
    .await
}

pub(crate) async fn restore(State(app): State<App>, admin: Admin, body: Bytes) -> Response {
    start(&app, admin, Form::read(&body), true, |form, admin| {
        form.into::<Restore>()?.into_request(&admin.caller)
    })
    .await
}

/// Starts what the form asks for, and shows the run.
async fn start(
    app: &App,
    admin: Admin,
    form: Form,
    wants_confirmation: bool,
    request: impl FnOnce(Form, &Admin) -> Result<Request, SyncError>,
) -> Response {
    if !admin.session.made(&form.csrf_token) {
        return Notice::cross_site().within(admin.frame).into_response();
    }
    if wants_confirmation && !form.confirmed {
        return Notice::not_confirmed().within(admin.frame).into_response();
    }
    let begun = async {
        let request = request(form, &admin)?;
        starts::begin(app.env().await?, &admin.caller, &request).await
    };
    match begun.await {
        Ok((run_id, _)) => Redirect::to(&format!("/admin/sync/runs/{run_id}")).into_response(),
        Err(error) => refusal(&error, admin.frame),
    }
}

/// `POST /admin/sync/runs/{run_id}/stop`
pub(crate) async fn stop(
    State(app): State<App>,
    admin: Admin,
    run_id: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Response {
    if !admin.session.made(&Form::read(&body).csrf_token) {
        return Notice::cross_site().within(admin.frame).into_response();
    }
    let run_id = history::text_of(run_id);
    let stopped = async { history::stop_run(app.env().await?, &admin.caller, &run_id).await };
    match stopped.await {
        Ok(_) => Redirect::to(&format!("/admin/sync/runs/{run_id}")).into_response(),
        Err(error) => refusal(&error, admin.frame),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_the_apis_json() {
        let form = Form::read(
            b"csrf_token=t&idempotency_key=k&only.catalog=true&only.orders=true&reconcile=true&confirm=yes",
        );
        assert_eq!((form.csrf_token.as_str(), form.confirmed), ("t", true));
        let wanted = json!({"idempotency_key": "k", "only": ["catalog", "orders"],
            "reconcile": true});
        assert_eq!(Value::Object(form.fields), wanted);

        let form = Form::read(b"from=2024-01-01&to=&location_ids=A%2C+B&confirm=no");
        assert!(!form.confirmed);
        let wanted = json!({"from": "2024-01-01", "location_ids": ["A", "B"]});
        assert_eq!(Value::Object(form.fields), wanted);
    }

    #[test]
    fn an_unknown_field_starts_nothing() {
        let form = Form::read(b"ful_refresh=true");
        let error = form.into::<CompleteSync>().unwrap_err().to_string();
        assert!(error.contains("ful_refresh"), "{error}");
    }

    #[test]
    fn a_field_of_another_kind_is_named() {
        let form = Form::read(b"reconcile=perhaps");
        let error = form.into::<CompleteSync>().unwrap_err().to_string();
        assert!(error.starts_with("reconcile: cannot be used"), "{error}");
    }
}
