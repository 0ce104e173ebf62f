//! `POST /admin/complete-sync`: the account as it is now.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use shared::error::SyncError;
use shared::part::Part;
use shared::run::request::{Kind, Request};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    ArrayBuilder, Object as Schema, ObjectBuilder, OneOf, OneOfBuilder, Schema as Description,
    SchemaType, Type,
};

use super::starts::{self, StartResponses, Started};
use crate::app::App;
use crate::caller::Caller;
use crate::http::body;
use crate::http::error::ApiError;

/// The parts to sync, and the way to do it. Everything is optional: `{}` asks for an
/// incremental sync of locations, catalog and inventory.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CompleteSync {
    /// Replace the whole account in one go. Readers see the old one until the new one
    /// is complete; the old one is kept as a backup.
    full_refresh: bool,
    // Described in `alternatives`.
    #[schema(ignore)]
    only: Option<Vec<Part>>,
    /// List everything that Square has, instead of what changed since the last run.
    reconcile: bool,
    /// Preview: the figures and a sample of what would change, and nothing changed.
    dry_run: bool,
    /// Go on even where the deletion guard would stop the run.
    allow_mass_deletion: bool,
    #[schema(schema_with = starts::key)]
    idempotency_key: Option<String>,
}

/// Starts a complete sync.
#[utoipa::path(
    post,
    path = "/admin/complete-sync",
    operation_id = "startCompleteSync",
    tag = "runs",
    request_body(content = CompleteSync, description = "May be empty, which means `{}`."),
    responses(StartResponses)
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: CompleteSync = body::read(&headers, body).await?;
    starts::accept(&app, &caller, &asked.into_request(&caller)?).await
}

/// The description of the body, which tells what goes with what: all that can be asked
/// for as one object, taken apart into the three kinds of a complete sync.
pub(crate) fn alternatives(whole: &Schema) -> OneOf {
    let staged = Part::staged();
    let of = |title: &str, flags: &[(&str, bool)], only: RefOr<Description>| {
        let mut one = whole.clone();
        one.title = Some(title.to_owned());
        one.properties.insert("only".to_owned(), only);
        for (field, value) in flags {
            if let Some(RefOr::T(Description::Object(flag))) = one.properties.get_mut(*field) {
                flag.enum_values = Some(vec![(*value).into()]);
            }
            if *value {
                one.required.push((*field).to_owned());
            }
        }
        one
    };
    let (refresh, preview) = ("full_refresh", "dry_run");
    OneOfBuilder::new()
        .item(of(
            "Sync",
            &[(refresh, false), (preview, false)],
            some_of(&Part::ALL, 1),
        ))
        .item(of(
            "Preview",
            &[(refresh, false), (preview, true)],
            some_of(&staged, 1),
        ))
        .item(of(
            "FullRefresh",
            &[(refresh, true)],
            some_of(&staged, staged.len()),
        ))
        .description(whole.description.clone())
        .build()
}

const ONLY: &str = "The parts to sync, each once; left out, all but orders.";

/// The description of that many of these parts, or more.
fn some_of(parts: &[Part], least: usize) -> RefOr<Description> {
    let part = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(parts.iter().map(|part| part.name())));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(part)
        .min_items(Some(least))
        .unique_items(true)
        .description(Some(ONLY))
        .into()
}

/// A part that is named twice is more likely meant to be another one.
fn check_once(only: &[Part]) -> Result<(), SyncError> {
    for (place, part) in only.iter().enumerate() {
        if only[..place].contains(part) {
            let problem = format!("names {} a second time", part.name());
            return Err(SyncError::input(&format!("only[{place}]"), problem));
        }
    }
    Ok(())
}

impl CompleteSync {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<Request, SyncError> {
        check_once(self.only.as_deref().unwrap_or_default())?;
        let request = Request {
            only: self.only,
            full_refresh: self.full_refresh,
            dry_run: self.dry_run,
            reconcile: self.reconcile,
            allow_mass_deletion: self.allow_mass_deletion,
            ..starts::request(Kind::CompleteSync, caller, self.idempotency_key)
        };
        request.checked()
    }
}

#[cfg(test)]
mod tests;
