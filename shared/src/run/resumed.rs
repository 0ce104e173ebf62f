//! The record of a step that takes several calls: what they have done so far.
//!
//! Each page commits together with what it adds to the step's figures and with
//! the place from which to go on, so that a call that is killed has counted
//! exactly what it wrote. Until the step has succeeded, the place stands in its
//! `result`.

use std::fmt::Debug;

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::types::Json;

use super::stats::{self, Counts, Stats, StepOutput};
use crate::error::SyncError;
use crate::square::Counters;
use crate::text;

/// The work of a step's calls so far.
#[derive(Debug, Default)]
pub struct Resumed<N> {
    pub stats: Stats,
    pub square: Counters,
    /// The place to go on from, and what else the next call must know.
    pub note: N,
    /// Milliseconds since the step's first call began.
    pub duration_ms: u64,
    /// Another invocation has come to the step's end; the note is no longer there.
    pub is_done: bool,
}

impl<N: Default + Debug + Serialize + DeserializeOwned + Sync> Resumed<N> {
    /// Reads the record and keeps other calls from it until the transaction ends.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(
        client: &impl GenericClient,
        run_id: &str,
        step: &str,
    ) -> Result<Self, SyncError> {
        let row = client
            .query_opt(
                "select stats, square, result, status = 'succeeded' as is_done,
                     (extract(epoch from clock_timestamp() - started_at) * 1000)::bigint as ms
                 from sync_steps where run_id = $1 and step = $2 for update",
                &[&run_id, &step],
            )
            .await?;
        let Some(row) = row else {
            return Err(SyncError::input("run_id", "names no run with such a step"));
        };
        let note: Option<serde_json::Value> = row.get("result");
        let milliseconds: Option<i64> = row.get("ms");
        Ok(Self {
            stats: row.get::<_, Json<Stats>>("stats").0,
            square: row.get::<_, Json<Counters>>("square").0,
            // A note that this release cannot read is as good as none: the step
            // then goes over what it has done, which changes nothing.
            note: note
                .and_then(|note| serde_json::from_value(note).ok())
                .unwrap_or_default(),
            duration_ms: u64::try_from(milliseconds.unwrap_or(0)).unwrap_or(0),
            is_done: row.get("is_done"),
        })
    }

    /// Adds to a data type's figures.
    pub fn count(&mut self, data_type: &str, counts: &Counts) {
        self.stats
            .entry(data_type.to_owned())
            .or_default()
            .add(counts);
    }

    /// Returns how many objects of a data type Square gave so far.
    #[must_use]
    pub fn given(&self, data_type: &str) -> i64 {
        self.stats.get(data_type).map_or(0, Counts::given)
    }

    /// Adds what a call asked of Square since it last told.
    pub fn asked(&mut self, counters: &Counters, told: &mut Counters) {
        self.square.add(&counters.since(told));
        *told = *counters;
    }

    /// The step's answer.
    #[must_use]
    pub fn output(
        &self,
        run_id: &str,
        step: &str,
        scope: &str,
        warnings: Vec<String>,
    ) -> StepOutput {
        StepOutput {
            run_id: run_id.to_owned(),
            step: step.to_owned(),
            scope: scope.to_owned(),
            stats: self.stats.clone(),
            square: self.square,
            duration_ms: self.duration_ms,
            rows_per_second: stats::per_second(&self.stats, self.duration_ms),
            warnings: text::within_limits(warnings),
            notes: Vec::new(),
            staged: None,
        }
    }

    /// Writes the record; `done` and `total` are the progress, in the step's own
    /// objects.
    ///
    /// # Errors
    /// The database's.
    pub async fn save(
        &self,
        client: &impl GenericClient,
        run_id: &str,
        step: &str,
        done: i64,
        total: Option<i64>,
    ) -> Result<(), SyncError> {
        client
            .execute(
                "update sync_steps set stats = $3, square = $4, result = $5,
                     progress_done = $6, progress_total = $7
                 where run_id = $1 and step = $2 and status <> 'succeeded'",
                &[
                    &run_id,
                    &step,
                    &Json(&self.stats),
                    &Json(&self.square),
                    &Json(&self.note),
                    &done,
                    &total,
                ],
            )
            .await?;
        Ok(())
    }
}
