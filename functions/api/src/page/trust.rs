//! `GET /admin/sync/trust`: whether the numbers can be trusted, and why; and the spot check.

mod verdict;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use shared::part::Part;
use shared::postgres::schema;
use shared::run::freshness;
use shared::run::request::{SAMPLE_DEFAULT, SAMPLE_MAX};

use super::answer::answer;
use super::chart::{self, Bar, Given};
use super::moment::Moment;
use super::spot_check::SpotCheck;
use super::sync::{LATER, at_work, key, schema_words};
use super::words::{amount, capital, count, number, spaced};
use super::{Admin, Frame, state};
use crate::app::{App, Env};
use crate::http::error::ApiError;
use crate::runs::trust::{self, DAYS, DataType, Facts, History};
use crate::runs::view::RunView;
use crate::runs::{history, store};
use verdict::{Answer, Checked, Verdict, verdict};

#[derive(Template)]
#[template(path = "trust.html")]
struct Trust {
    frame: Option<Frame>,
    csrf_token: String,
    key: String,
    interval: u32,
    /// None while the database is of another release, which `schema` tells.
    found: Option<Found>,
    schema: String,
    open: Vec<RunView>,
    /// The last spot check.
    last: Option<RunView>,
    spot_check: Option<SpotCheck>,
    /// Objects of each kind that a spot check draws: usually, and at most.
    sample: (u32, u32),
}

/// What is known, in words.
struct Found {
    verdict: Verdict,
    types: Vec<TypeRow>,
    history: Option<HistoryShown>,
    without_history: i64,
}

/// A data type as a row of the table.
struct TypeRow {
    name: String,
    rows: String,
    listed: Option<Moment>,
    drift: Result<DriftShown, &'static str>,
    waiting: String,
}

/// The drift of the last days.
struct DriftShown {
    bars: Vec<Bar>,
    total: String,
    /// The same for who cannot see the chart.
    words: String,
}

struct HistoryShown {
    percent: i64,
    words: String,
    oldest: Moment,
}

impl Found {
    fn new(facts: &Facts, verdict: Verdict, now: Timestamp) -> Self {
        Self {
            verdict,
            types: facts
                .types
                .iter()
                .map(|one| TypeRow::new(one, now))
                .collect(),
            history: facts
                .history
                .map(|history| HistoryShown::new(history, facts.scrub_days)),
            without_history: facts.without_history,
        }
    }

    /// The class by which the sentence is coloured.
    fn class(&self) -> &'static str {
        match self.verdict.answer {
            Answer::Yes => "yes",
            Answer::Except => "except",
            Answer::No => "no",
            Answer::NotYet => "not-yet",
        }
    }
}

impl TypeRow {
    fn new(one: &DataType, now: Timestamp) -> Self {
        Self {
            name: capital(&spaced(one.name)),
            rows: amount(one.rows),
            listed: one.listed_at.map(Moment::new),
            drift: match one.drift {
                Some(days) => Ok(DriftShown::new(&days, now)),
                // Without a list of changes, nothing can have been missed in one.
                None if one.name == Part::Locations.name() => Err("always listed whole"),
                None => Err("not told yet"),
            },
            waiting: number(one.waiting),
        }
    }
}

impl DriftShown {
    fn new(days: &[i64; DAYS], now: Timestamp) -> Self {
        let given = days.iter().rev().enumerate().rev().map(|(ago, rows)| {
            let ago = i64::try_from(ago).unwrap_or(0);
            let day = now - SignedDuration::from_hours(24 * ago);
            Given {
                class: if *rows > 0 { "failed" } else { "" },
                figure: *rows,
                title: format!("{}: {}", day.strftime("%-d %B"), number(*rows)),
            }
        });
        let total: i64 = days.iter().sum();
        let on = days.iter().filter(|rows| **rows > 0).count();
        let on = count(i64::try_from(on).unwrap_or(i64::MAX), "day");
        Self {
            bars: chart::bars(given.collect()),
            total: number(total),
            words: match total {
                0 => format!("No drift in {DAYS} days"),
                _ => format!("Drift of {} on {on} of {DAYS}", count(total, "row")),
            },
        }
    }
}

impl HistoryShown {
    fn new(history: History, scrub_days: u32) -> Self {
        let words = match scrub_days {
            0 => "Nothing of it is read again: SCRUB_DAYS is 0.".to_owned(),
            days => format!(
                "{} % was read from Square within the last {}.",
                history.percent,
                count(days.into(), "day")
            ),
        };
        Self {
            percent: history.percent,
            words,
            oldest: Moment::in_words(history.oldest),
        }
    }
}

pub(crate) async fn page(State(app): State<App>, admin: Admin) -> Response {
    let page = async { load(app.env().await?, &admin).await };
    answer(admin.frame.clone(), page.await)
}

async fn load(env: &Env, admin: &Admin) -> Result<Trust, ApiError> {
    let mut client = env.database.client().await?;
    let (found, wanted) = (schema::found(&client).await?, schema::wanted());
    let mut page = Trust {
        frame: Some(admin.frame.clone()),
        csrf_token: admin.session.csrf_token.clone(),
        key: key(),
        interval: LATER,
        found: None,
        schema: schema_words(found, wanted),
        open: Vec::new(),
        last: None,
        spot_check: None,
        sample: (SAMPLE_DEFAULT, SAMPLE_MAX),
    };
    if found == 0 {
        let (nothing, now) = (Facts::default(), Timestamp::now());
        let verdict = verdict(&nothing, &[], None, false);
        page.found = Some(Found::new(&nothing, verdict, now));
    }
    if found != wanted {
        return Ok(page);
    }
    let at_work = at_work(env, &admin.caller, Some("spot_check"), &[]).await?;
    page.interval = at_work.interval();
    page.open = at_work.runs;
    let last = store::last_run(&client, "spot_check").await?;
    let last: Vec<_> = last.into_iter().collect();
    page.last = history::shown(env, &admin.caller, &mut client, last)
        .await?
        .pop();
    let mut checked = None;
    if let Some(last) = &page.last {
        let found = store::spot_check(&client, &last.run_id).await?;
        checked = found.as_ref().map(|found| Checked {
            compared: found.compared,
            rows_differ: found.rows_differ,
        });
        page.spot_check = found.as_ref().map(SpotCheck::of);
    }
    let (now, has_synced) = (Timestamp::now(), store::has_synced(&client).await?);
    let fresh = freshness::read(&client).await?;
    let late: Vec<&str> = fresh
        .iter()
        .filter(|one| state::wanting(one, &env.schedule, now, has_synced).is_some())
        .map(|one| one.data_type.as_str())
        .collect();
    let facts = trust::read(&client, env.scrub_days, &fresh).await?;
    let verdict = verdict(&facts, &late, checked, has_synced);
    page.found = Some(Found::new(&facts, verdict, now));
    Ok(page)
}
