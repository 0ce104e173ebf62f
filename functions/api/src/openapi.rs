//! The API's description, made from the handlers and types themselves.

use axum::Json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::runs::starts::Started;
use crate::runs::{backups, complete_sync, historical_orders, history, migration, spot_check};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Square Sync",
        description = "Starts and stops syncs of a Square account into PostgreSQL, and shows them. \
            Every refusal is `{\"error\": {\"name\", \"message\", …}}`.",
    ),
    paths(
        complete_sync::post,
        historical_orders::post,
        migration::post,
        spot_check::post,
        backups::list,
        backups::restore,
        history::list,
        history::get,
        history::stop,
        crate::http::health,
        description,
    ),
    // What only a set of answers names is not collected by itself.
    components(schemas(Started)),
    tags(
        (name = "runs", description = "Syncs: start, follow, stop."),
        (name = "backups", description = "Replaced accounts: list, put back."),
        (name = "service", description = "The service itself."),
    ),
    security(("bearer" = [])),
    modifiers(&BearerTokens, &Alternatives),
)]
struct Description;

/// What cannot be described field by field.
struct Alternatives;

impl Modify for Alternatives {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let schemas = openapi.components.as_mut().map(|all| &mut all.schemas);
        let body = schemas.and_then(|all| all.get_mut("CompleteSync"));
        if let Some(body) = body
            && let RefOr::T(Schema::Object(whole)) = &*body
        {
            *body = Schema::OneOf(complete_sync::alternatives(whole)).into();
        }
    }
}

struct BearerTokens;

impl Modify for BearerTokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "A token of the configured OpenID Connect issuer, whose owner is in the admin \
                 group or which has the admin scope.",
            ))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getDescription",
    tag = "service",
    security(()),
    responses((status = 200, description = "An OpenAPI document.", body = serde_json::Value)),
)]
pub(crate) async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
