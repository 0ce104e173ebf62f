//! `GET /admin/sync`: how fresh the data is, what is at work, and starting a sync.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use oauth2::CsrfToken;
use shared::part::Part;
use shared::postgres::schema;
use shared::run::freshness;

use super::answer::answer;
use super::state::{self, Group};
use super::words::{amount, capital};
use super::{Admin, Frame};
use crate::app::{App, Env};
use crate::caller::Caller;
use crate::http::error::ApiError;
use crate::runs::contents::{self, Backup};
use crate::runs::view::RunView;
use crate::runs::{history, store};

/// Seconds until the page asks again: while something is at work, and else.
pub(crate) const SOON: u32 = 1;
pub(crate) const LATER: u32 = 15;

/// The parts by their names, as they are shown, and whether a sync has them unless it
/// is asked otherwise.
fn parts() -> Vec<(&'static str, String, bool)> {
    let shown = |part: Part| (part.name(), capital(part.name()), part.is_staged());
    Part::ALL.map(shown).to_vec()
}

#[derive(Template)]
#[template(path = "sync.html")]
struct Sync {
    frame: Option<Frame>,
    csrf_token: String,
    key: String,
    interval: u32,
    groups: Vec<Group>,
    open: Vec<RunView>,
    busy: bool,
    parts: Vec<(&'static str, String, bool)>,
    counts: Vec<(String, String)>,
    /// The newest one.
    backup: Option<Backup>,
    last: Option<RunView>,
    /// The database is of an older release: a migration comes before anything else.
    outdated: bool,
}

pub(crate) async fn page(State(app): State<App>, admin: Admin) -> Response {
    let page = async { load(app.env().await?, &admin).await };
    answer(admin.frame.clone(), page.await)
}

impl Sync {
    /// Of a database that holds nothing yet.
    fn empty() -> Self {
        Self {
            frame: None,
            csrf_token: String::new(),
            key: String::new(),
            interval: LATER,
            groups: Vec::new(),
            open: Vec::new(),
            busy: false,
            parts: parts(),
            counts: Vec::new(),
            backup: None,
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
        outdated: found > 0 && found < wanted,
        ..Sync::empty()
    };
    let schema = state::schema(found, wanted, schema_words(found, wanted));
    if found < wanted {
        let schedule = state::schedule(&env.schedule, None);
        page.groups = state::groups(Vec::new(), vec![schema, schedule]);
        return Ok(page);
    }
    let at_work = at_work(env, &admin.caller, None, &["catalog"]).await?;
    page.interval = at_work.interval();
    if !at_work.busy {
        let counts = contents::counts(&client).await?;
        page.counts = counts
            .into_iter()
            .map(|(table, rows)| (table, amount(rows)))
            .collect();
        page.backup = contents::backups(&client, wanted).await?.into_iter().next();
    }
    let last = store::last_run(&client, "complete_sync").await?;
    page.last = history::shown(env, &admin.caller, &mut client, last.into_iter().collect())
        .await?
        .pop();
    let (now, has_synced) = (Timestamp::now(), store::has_synced(&client).await?);
    let fresh = freshness::read(&client).await?;
    let fresh = fresh
        .iter()
        .map(|fresh| state::fresh(fresh, &env.schedule, now, has_synced));
    let last_scheduled = store::last_scheduled(&client).await?;
    let service = vec![
        schema,
        state::schedule(&env.schedule, env.schedule.next(now, last_scheduled)),
        state::quarantine(contents::waiting(&client).await?),
    ];
    page.groups = state::groups(fresh.collect(), service);
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use shared::run::freshness::Freshness;

    use super::*;
    use crate::page::moment::Moment;
    use crate::runs::amount::Amount;
    use crate::schedule::Schedule;

    fn schedule(state: &str) -> Schedule {
        Schedule::read(|name| match name {
            "SCHEDULE_EXPRESSION" => Some("rate(1 day)".to_owned()),
            name if name.ends_with("_STATE") => Some(state.to_owned()),
            _ => None,
        })
    }

    fn page(groups: Vec<Group>) -> String {
        let page = Sync {
            groups,
            ..Sync::empty()
        };
        page.render().unwrap()
    }

    #[test]
    fn the_next_run_is_a_moment_beside_the_words() {
        let next = Timestamp::now() + SignedDuration::from_hours(24);
        let shown = |state: &str, next: Option<Timestamp>| {
            page(state::groups(
                vec![],
                vec![state::schedule(&schedule(state), next)],
            ))
        };
        let words = format!("every day<small>next {}</small>", Moment::new(next));
        let page = shown("ENABLED", Some(next));
        assert!(page.contains(&words), "{page}");
        // Without a run to count from, the words alone.
        let page = shown("ENABLED", None);
        assert!(page.contains("<dd>every day</dd>"), "{page}");
        let page = shown("DISABLED", None);
        assert!(page.contains("<dd>off</dd>"), "{page}");
    }

    #[test]
    fn what_needs_attention_says_so_in_words_as_well() {
        let now = Timestamp::now();
        let fresh = Freshness {
            data_type: "catalog".to_owned(),
            as_of: Some(now - SignedDuration::from_hours(49)),
            age_seconds: Some(49 * 3_600),
        };
        let shown = page(state::groups(
            vec![state::fresh(&fresh, &schedule("ENABLED"), now, true)],
            vec![state::quarantine(Amount::Exactly(0))],
        ));
        let words = "<div class=\"attention\"><dt>catalog</dt><dd>2 d 1 h ago";
        assert!(shown.contains(words), "{shown}");
        let words = "<small class=\"why\">older than it should be</small>";
        assert!(shown.contains(words), "{shown}");
        let calm = "<div><dt>In quarantine</dt><dd><a href=\"/admin/sync/quarantine\">0</a></dd>";
        assert!(shown.contains(calm), "{shown}");
    }
}
