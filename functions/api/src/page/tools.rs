//! The pages of orders' history, migration, backups and quarantine.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use shared::postgres::schema;

use super::answer::answer;
use super::sync::{LATER, at_work, key, schema_words};
use super::words::amount;
use super::{Admin, Frame};
use crate::app::{App, Env};
use crate::http::error::ApiError;
use crate::runs::contents::{self, Backup, Quarantined};
use crate::runs::view::RunView;
use crate::runs::{history, store};

const QUARANTINE_SHOWN: i64 = 200;
const LOCATIONS_SHOWN: i64 = 20;

/// The parts that the pages of one kind of run have in common.
struct Tool {
    csrf_token: String,
    key: String,
    interval: u32,
    open: Vec<RunView>,
    busy: bool,
    last: Option<RunView>,
    found: i64,
}

impl Tool {
    async fn load(env: &Env, admin: &Admin, kind: &str, leases: &[&str]) -> Result<Self, ApiError> {
        let mut client = env.database.client().await?;
        let found = schema::found(&client).await?;
        let mut tool = Self {
            csrf_token: admin.session.csrf_token.clone(),
            key: key(),
            interval: LATER,
            open: Vec::new(),
            busy: false,
            last: None,
            found,
        };
        if found > 0 {
            let at_work = at_work(env, &admin.caller, Some(kind), leases).await?;
            tool.interval = at_work.interval();
            tool.busy = at_work.busy;
            tool.open = at_work.runs;
            let last = store::last_run(&client, kind).await?;
            let last = last.into_iter().collect();
            tool.last = history::shown(env, &admin.caller, &mut client, last)
                .await?
                .pop();
        }
        Ok(tool)
    }
}

#[derive(Template)]
#[template(path = "orders.html")]
struct Orders {
    frame: Option<Frame>,
    tool: Tool,
    /// Locations whose orders nobody has imported, while others' have been.
    without_history: Vec<String>,
    /// There are more of them.
    and_more: bool,
}

pub(crate) async fn orders(State(app): State<App>, admin: Admin) -> Response {
    let page = async {
        let env = app.env().await?;
        let tool = Tool::load(env, &admin, "historical_orders", &["orders"]).await?;
        let mut without_history = Vec::new();
        if tool.found == schema::wanted() {
            let client = env.database.client().await?;
            let locations = contents::without_history(&client, LOCATIONS_SHOWN + 1).await?;
            without_history.extend(locations.into_iter().map(|(id, name)| match name {
                Some(name) => format!("{name} ({id})"),
                None => id,
            }));
        }
        let shown = usize::try_from(LOCATIONS_SHOWN).unwrap_or(usize::MAX);
        let and_more = without_history.len() > shown;
        without_history.truncate(shown);
        Ok(Orders {
            frame: Some(admin.frame.clone()),
            tool,
            without_history,
            and_more,
        })
    };
    answer(admin.frame.clone(), page.await)
}

#[derive(Template)]
#[template(path = "migration.html")]
struct Migration {
    frame: Option<Frame>,
    tool: Tool,
    schema: String,
}

pub(crate) async fn migration(State(app): State<App>, admin: Admin) -> Response {
    let page = async {
        let env = app.env().await?;
        let tool = Tool::load(env, &admin, "migration", &["catalog", "orders"]).await?;
        Ok(Migration {
            frame: Some(admin.frame.clone()),
            schema: format!(
                "The schema: {}.",
                schema_words(tool.found, schema::wanted())
            ),
            tool,
        })
    };
    answer(admin.frame.clone(), page.await)
}

#[derive(Template)]
#[template(path = "backups.html")]
struct Backups {
    frame: Option<Frame>,
    tool: Tool,
    backups: Vec<Backup>,
}

pub(crate) async fn backups(State(app): State<App>, admin: Admin) -> Response {
    let page = async {
        let env = app.env().await?;
        let tool = Tool::load(env, &admin, "restore", &["catalog", "orders"]).await?;
        let backups = if tool.found == 0 {
            Vec::new()
        } else {
            let client = env.database.client().await?;
            contents::backups(&client, schema::wanted()).await?
        };
        Ok(Backups {
            frame: Some(admin.frame.clone()),
            backups,
            tool,
        })
    };
    answer(admin.frame.clone(), page.await)
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct Quarantine {
    frame: Option<Frame>,
    quarantine: Vec<Quarantined>,
    waiting: String,
}

pub(crate) async fn quarantine(State(app): State<App>, admin: Admin) -> Response {
    let page = async {
        let client = app.env().await?.database.client().await?;
        let is_empty = schema::found(&client).await? == 0;
        Ok(Quarantine {
            frame: Some(admin.frame.clone()),
            quarantine: if is_empty {
                Vec::new()
            } else {
                contents::quarantine(&client, None, QUARANTINE_SHOWN).await?
            },
            waiting: if is_empty {
                String::new()
            } else {
                amount(contents::waiting(&client).await?)
            },
        })
    };
    answer(admin.frame.clone(), page.await)
}
