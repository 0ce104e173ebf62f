//! `GET /admin/sync`: how fresh the data is, what is at work, and starting a sync.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use oauth2::CsrfToken;
use shared::part::Part;
use shared::postgres::schema;
use shared::run::freshness::{self, Freshness};

use super::answer::answer;
use super::words::{duration, number, time};
use super::{Admin, Frame};
use crate::app::{App, Env};
use crate::caller::Caller;
use crate::http::error::ApiError;
use crate::runs::view::RunView;
use crate::runs::{history, store};
use crate::schedule::Schedule;

/// Seconds until the page asks again: while something is at work, and else.
pub(crate) const SOON: u32 = 1;
pub(crate) const LATER: u32 = 15;

/// The parts by their names, as they are shown, and whether a sync has them unless it
/// is asked otherwise.
fn parts() -> Vec<(&'static str, String, bool)> {
    let shown = |part: Part| {
        let (first, rest) = part.name().split_at(1);
        (part.name(), first.to_uppercase() + rest, part.is_staged())
    };
    Part::ALL.map(shown).to_vec()
}

#[derive(Template)]
#[template(path = "sync.html")]
struct Sync {
    frame: Option<Frame>,
    csrf_token: String,
    key: String,
    interval: u32,
    fresh: Vec<Fresh>,
    schema: String,
    schedule: String,
    next: Option<Moment>,
    quarantined: String,
    open: Vec<RunView>,
    busy: bool,
    parts: Vec<(&'static str, String, bool)>,
    counts: Vec<(String, String)>,
    backup: String,
    last: Option<RunView>,
    /// The database is of an older release: a migration comes before anything else.
    outdated: bool,
}

struct Fresh {
    name: String,
    age: String,
    since: String,
}

pub(crate) async fn page(State(app): State<App>, admin: Admin) -> Response {
    let page = async { load(app.env().await?, &admin).await };
    answer(admin.frame.clone(), page.await)
}

impl Sync {
    /// Of a database that holds nothing yet.
    fn empty(schedule: &Schedule) -> Self {
        Self {
            frame: None,
            csrf_token: String::new(),
            key: String::new(),
            interval: LATER,
            fresh: Vec::new(),
            schema: String::new(),
            schedule: schedule.words(),
            next: None,
            quarantined: "0".to_owned(),
            open: Vec::new(),
            busy: false,
            parts: parts(),
            counts: Vec::new(),
            backup: String::new(),
            last: None,
            outdated: false,
        }
    }
}

async fn load(env: &Env, admin: &Admin) -> Result<Sync, ApiError> {
    let mut client = env.database.client().await?;
    let (found, wanted) = (schema::found(&client).await?, schema::wanted());
    let mut page = Sync {
        frame: Some(admin.frame.clone()),
        csrf_token: admin.session.csrf_token.clone(),
        key: key(),
        schema: schema_words(found, wanted),
        outdated: found > 0 && found < wanted,
        ..Sync::empty(&env.schedule)
    };
    if found < wanted {
        return Ok(page);
    }
    let at_work = at_work(env, &admin.caller, None, &["catalog"]).await?;
    page.interval = at_work.interval();
    page.fresh = freshness::read(&client)
        .await?
        .into_iter()
        .map(Fresh::new)
        .collect();
    let last_scheduled = store::last_scheduled(&client).await?;
    page.next = next_run(&env.schedule, last_scheduled);
    page.quarantined = number(store::waiting(&client).await?);
    if !at_work.busy {
        let counts = store::counts(&client).await?;
        page.counts = counts
            .into_iter()
            .map(|(table, rows)| (table, number(rows)))
            .collect();
        let newest = store::backups(&client, wanted).await?.into_iter().next();
        page.backup = newest.map_or_else(
            || "There is no backup yet; this refresh will make the first.".to_owned(),
            |backup| format!("The newest backup: {}", backup.facts()),
        );
    }
    let last = store::last_run(&client, "complete_sync").await?;
    page.last = history::shown(env, &admin.caller, &mut client, last.into_iter().collect())
        .await?
        .pop();
    page.busy = at_work.busy;
    page.open = at_work.runs;
    Ok(page)
}

/// The runs at work.
pub(crate) struct AtWork {
    pub(crate) runs: Vec<RunView>,
    /// A lease that is wanted is held.
    pub(crate) busy: bool,
}

impl AtWork {
    pub(crate) fn interval(&self) -> u32 {
        if self.runs.is_empty() { LATER } else { SOON }
    }
}

/// The runs at work, of one kind or all, and whether any holds one of `leases`.
pub(crate) async fn at_work(
    env: &Env,
    caller: &Caller,
    kind: Option<&str>,
    leases: &[&str],
) -> Result<AtWork, ApiError> {
    let mut client = env.database.client().await?;
    let open = store::open_runs(&client).await?;
    let mut runs = history::shown(env, caller, &mut client, open).await?;
    // Some may have been closed just now.
    runs.retain(|run| run.is_open() && kind.is_none_or(|kind| run.kind == kind));
    let held = store::leases_held(&client).await?;
    let busy = held.iter().any(|lease| leases.contains(&lease.as_str()));
    Ok(AtWork { runs, busy })
}

/// A form's key: sent twice, it starts one run.
pub(crate) fn key() -> String {
    format!("page-{}", CsrfToken::new_random().secret())
}

pub(crate) fn schema_words(found: i64, wanted: i64) -> String {
    match found {
        0 => "none yet; the first run makes it".to_owned(),
        _ if found == wanted => format!("version {found}, up to date"),
        _ if found < wanted => {
            format!("version {found}; this release needs {wanted}: start a migration")
        }
        _ => format!("version {found}, newer than this release's {wanted}"),
    }
}

/// A moment for people and for programs.
struct Moment {
    text: String,
    rfc_3339: String,
}

fn next_run(schedule: &Schedule, last: Option<Timestamp>) -> Option<Moment> {
    let next = schedule.next(Timestamp::now(), last)?;
    Some(Moment {
        text: time(next),
        rfc_3339: next.to_string(),
    })
}

impl Fresh {
    fn new(fresh: Freshness) -> Self {
        let age = fresh.age_seconds.map(|seconds| duration(seconds * 1_000));
        Self {
            name: fresh.data_type,
            age: age.map_or_else(|| "never".to_owned(), |age| format!("{age} ago")),
            since: fresh.as_of.map(time).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(schedule: &Schedule, last: Option<Timestamp>) -> String {
        let page = Sync {
            next: next_run(schedule, last),
            ..Sync::empty(schedule)
        };
        page.render().unwrap()
    }

    #[test]
    fn the_next_run_is_a_moment_beside_the_words() {
        let schedule = |state: &str| {
            Schedule::read(|name| match name {
                "SCHEDULE_EXPRESSION" => Some("rate(1 day)".to_owned()),
                "SCHEDULE_STATE" => Some(state.to_owned()),
                _ => None,
            })
        };
        let last = Timestamp::now() - jiff::SignedDuration::from_hours(1);
        let next = last + jiff::SignedDuration::from_hours(24);
        let words = format!(
            "every day<small>next <time datetime=\"{next}\">{}</time></small>",
            time(next)
        );
        let shown = page(&schedule("ENABLED"), Some(last));
        assert!(shown.contains(&words), "{shown}");
        // Without a run to count from, the words alone.
        let shown = page(&schedule("ENABLED"), None);
        assert!(shown.contains("<dd>every day</dd>"), "{shown}");
        let shown = page(&schedule("DISABLED"), Some(last));
        assert!(shown.contains("<dd>off</dd>"), "{shown}");
    }
}
