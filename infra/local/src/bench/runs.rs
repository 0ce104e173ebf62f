//! One run from its start to its end, and what it cost.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::{Client, NoTls};

use super::Measured;
use super::sizes::Size;
use crate::api::{Api, ImportRequest, Run, SyncRequest, Wanted};
use crate::error::StackError;
use crate::http;
use crate::stack::Stack;

/// All parts, orders included: a sync that names none leaves those out.
const ALL_PARTS: [&str; 4] = ["locations", "catalog", "inventory", "orders"];

/// The cost of a run, or of a part of one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cost {
    /// From the first step to the end, with what the state machine takes in between.
    pub(super) seconds: f64,
    /// The steps' own seconds.
    pub(super) steps: Vec<(String, f64)>,
    /// Rows that were written or found unchanged.
    pub(super) rows: u64,
    /// Requests to Square.
    pub(super) requests: u64,
    pub(super) wal_bytes: u64,
}

/// A run that was performed.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) run: Measured,
    pub(super) is_measured: bool,
    pub(super) cost: Cost,
    /// Parts of it that are told by themselves.
    pub(super) parts: Vec<(&'static str, Cost)>,
}

/// The part of the first load that brings all but the orders.
const COMPLETE_SYNC: &str = "complete sync";
/// The part of the first load that brings the orders.
const HISTORY: &str = "history";
/// The step of a refresh that replaces the account.
pub(super) const PUBLISH: &str = "publish";

impl Cost {
    fn new(run: &Run, wal_bytes: u64) -> Self {
        let seconds = |ms: Option<u64>| Duration::from_millis(ms.unwrap_or(0)).as_secs_f64();
        let steps = run.steps.iter();
        let steps = steps.map(|step| (step.step.clone(), seconds(step.duration_ms)));
        let totals = run.totals.unwrap_or_default();
        let rows = totals.created + totals.updated + totals.deleted + totals.unchanged;
        let square = run.steps.iter().filter_map(|step| step.square);
        Self {
            seconds: seconds(run.duration_ms),
            steps: steps.collect(),
            rows: u64::try_from(rows).unwrap_or(0),
            requests: square.map(|square| square.requests).sum(),
            wal_bytes,
        }
    }

    /// The steps' own seconds, all together.
    pub(super) fn in_steps(&self) -> f64 {
        self.steps.iter().map(|(_, seconds)| seconds).sum()
    }

    /// The cost of this and then of another one.
    fn and(&self, other: &Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            steps: [self.steps.as_slice(), &other.steps].concat(),
            rows: self.rows + other.rows,
            requests: self.requests + other.requests,
            wal_bytes: self.wal_bytes + other.wal_bytes,
        }
    }

    /// What is known of one step.
    fn of_step(&self, name: &str) -> Option<Self> {
        let step = self.steps.iter().find(|(step, _)| step == name)?;
        Some(Self {
            seconds: step.1,
            steps: vec![step.clone()],
            rows: self.rows,
            ..Self::default()
        })
    }
}

impl Ran {
    /// The cost of a part that is told by itself.
    pub(super) fn part(&self, name: &str) -> Option<&Cost> {
        let part = self.parts.iter().find(|(part, _)| *part == name)?;
        Some(&part.1)
    }
}

/// Performs runs on one stack.
pub(super) struct Runner<'a> {
    stack: &'a Stack,
    size: Size,
    api: Api,
    database: Client,
    /// The backup that the refresh made.
    backup_id: Option<String>,
}

impl<'a> Runner<'a> {
    pub(super) async fn new(stack: &'a Stack, size: Size) -> Result<Self, StackError> {
        let file = stack.file();
        Ok(Self {
            stack,
            size,
            api: Api::new(&file.api_url, &file.bearer_token, stack.aws().clone()),
            database: connect(&file.database_url).await?,
            backup_id: None,
        })
    }

    /// Performs a run of that kind.
    ///
    /// # Errors
    /// `RunFailed`; as [`Api::start`] and [`Api::follow`].
    pub(super) async fn perform(
        &mut self,
        run: Measured,
        is_measured: bool,
    ) -> Result<Ran, StackError> {
        let mut parts = Vec::new();
        let cost = match run {
            Measured::FirstLoad => {
                let sync = self.sync(run, SyncRequest::default()).await?;
                let import = Wanted::Import(ImportRequest::default());
                let history = self.one(run, &import).await?.1;
                let both = sync.and(&history);
                parts = vec![(COMPLETE_SYNC, sync), (HISTORY, history)];
                both
            }
            Measured::Idle => self.sync(run, SyncRequest::default()).await?,
            Measured::Delta => {
                self.change_one_per_cent().await?;
                let only = ALL_PARTS.map(str::to_owned).to_vec();
                let request = SyncRequest {
                    only,
                    ..SyncRequest::default()
                };
                self.sync(run, request).await?
            }
            Measured::Reconcile => {
                let request = SyncRequest {
                    reconcile: true,
                    ..SyncRequest::default()
                };
                self.sync(run, request).await?
            }
            Measured::Refresh => {
                let request = SyncRequest {
                    full_refresh: true,
                    ..SyncRequest::default()
                };
                let (refreshed, cost) = self.one(run, &Wanted::Sync(request)).await?;
                self.backup_id = Some(refreshed.run_id);
                parts.extend(cost.of_step(PUBLISH).map(|publish| (PUBLISH, publish)));
                cost
            }
            Measured::Preview => {
                let request = SyncRequest {
                    dry_run: true,
                    ..SyncRequest::default()
                };
                self.sync(run, request).await?
            }
            Measured::Restore => {
                let backup_id = self.backup_id.clone().unwrap_or_default();
                self.one(run, &Wanted::Restore { backup_id }).await?.1
            }
            Measured::Rederive => self.one(run, &Wanted::Migration).await?.1,
        };
        Ok(Ran {
            run,
            is_measured,
            cost,
            parts,
        })
    }

    async fn sync(&self, run: Measured, request: SyncRequest) -> Result<Cost, StackError> {
        Ok(self.one(run, &Wanted::Sync(request)).await?.1)
    }

    async fn one(&self, name: Measured, wanted: &Wanted) -> Result<(Run, Cost), StackError> {
        let failed = || StackError::database("while measuring");
        self.settle().await.map_err(failed())?;
        let place = self.database.query_one(WAL_PLACE, &[]).await;
        let place: String = place.map_err(failed())?.get(0);
        let started = self.api.start(wanted).await?;
        let run = self.api.follow(&started, |_| {}).await?;
        if !run.succeeded() {
            let error = run.error.unwrap_or_default();
            return Err(StackError::RunFailed {
                run: format!("{} at {} size", name.name(), self.size.name),
                status: run.status,
                error: format!("{}: {}", error.name, error.message),
            });
        }
        let written = self.database.query_one(WAL_SINCE, &[&place]).await;
        let written: i64 = written.map_err(failed())?.get(0);
        let cost = Cost::new(&run, u64::try_from(written).unwrap_or(0));
        Ok((run, cost))
    }

    /// Waits until what came before is vacuumed and written out, that it is not meanwhile.
    /// A vacuum costs more than its work: PostgreSQL gives it a second (`deadlock_timeout`)
    /// to end when a preview wants to watch its table, and cancels it then.
    async fn settle(&self) -> Result<(), tokio_postgres::Error> {
        while self.database.query_one(IS_VACUUMING, &[]).await?.get(0) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.database.batch_execute("checkpoint").await
    }

    /// Changes one per cent of what changes from day to day.
    async fn change_one_per_cent(&self) -> Result<(), StackError> {
        let size = self.size;
        let changes = json!([
            {"op": "edit_item", "count": size.items / 100},
            {"op": "edit_variation", "count": size.variations / 100},
            {"op": "recount", "times": size.counts / 100},
            {"op": "edit_order", "count": size.orders / 100},
        ]);
        let url = format!("{}/__sim/change", self.stack.file().square_base_url);
        let request = http::client().post(url).json(&changes);
        http::succeed("square-sim", request).await.map(drop)
    }
}

const IS_VACUUMING: &str =
    "select exists (select from pg_stat_activity where backend_type = 'autovacuum worker')";

const WAL_PLACE: &str = "select pg_current_wal_insert_lsn()::text";

/// Parameter: the place since which.
const WAL_SINCE: &str =
    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::bigint";

/// Connects to a database.
pub(super) async fn connect(url: &str) -> Result<Client, StackError> {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.map_err(StackError::database("connecting"))?;
    tokio::spawn(connection);
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(run: serde_json::Value) -> Cost {
        Cost::new(&serde_json::from_value(run).unwrap(), 7)
    }

    #[test]
    fn a_cost_is_read_from_the_run() {
        let cost = cost(json!({
            "duration_ms": 2_500,
            "totals": {"created": 1, "updated": 2, "deleted": 3, "unchanged": 4, "quarantined": 9},
            "steps": [
                {"step": "catalog", "duration_ms": 500, "square": {"requests": 2}},
                {"step": "publish", "duration_ms": 1_000},
                {"step": "finish", "square": {"requests": 1}},
            ],
        }));
        assert_eq!((cost.rows, cost.requests, cost.wal_bytes), (10, 3, 7));
        assert!((cost.seconds - 2.5).abs() < 1e-9);
        assert!((cost.in_steps() - 1.5).abs() < 1e-9);
        let publish = cost.of_step(PUBLISH).unwrap();
        assert!((publish.seconds - 1.0).abs() < 1e-9);
        assert_eq!((publish.rows, publish.requests), (10, 0));
        assert_eq!(cost.of_step("orders"), None);
    }

    #[test]
    fn costs_add_up() {
        let one = cost(json!({"duration_ms": 1_000, "totals": {"created": 5},
            "steps": [{"step": "catalog", "duration_ms": 900, "square": {"requests": 2}}]}));
        let both = one.and(&one);
        assert_eq!((both.rows, both.requests, both.wal_bytes), (10, 4, 14));
        assert!((both.seconds - 2.0).abs() < 1e-9 && (both.in_steps() - 1.8).abs() < 1e-9);
    }
}
