//! One call of the step that reads fresh orders: what it knows, and its record.

use deadpool_postgres::{Object, Transaction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chunks::Chunk;
use super::late::{self, Named};
use super::page::{Figures, Sorter};
use super::place::Place;
use super::round::Scrub;
use super::store;
use super::types::{LINE_ITEMS, ORDERS};
use crate::error::SyncError;
use crate::run::lease;
use crate::run::resumed::Resumed;
use crate::run::stats::{StepOutput, total};
use crate::run::step::{self, StepContext};
use crate::square::Counters;
use crate::text;
use crate::times::Now;

/// The step's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    #[serde(flatten)]
    pub step: StepOutput,
    /// Whether everything is read; else it is to be called again.
    pub done: bool,
}

/// The note of the step's calls for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// None before the first page, and in a note of an older release.
    #[serde(default)]
    pub(super) plan: Option<Plan>,
    /// Batches of waiting orders that were tried again.
    #[serde(default)]
    pub(super) tried: u64,
    /// Whether what cannot be read was asked for anew.
    #[serde(default)]
    pub(super) has_asked: bool,
    /// Chunks that are read to their end.
    pub(super) chunks: usize,
    /// The place of the chunk after them: all orders updated before are in.
    pub(super) place: Option<Timestamp>,
    /// Orders that are counted and may come again from there.
    pub(super) place_ids: Vec<String>,
    /// The newest change that the chunk has brought.
    #[serde(default)]
    pub(super) newest: Option<Timestamp>,
    /// Whether a page of that chunk held a newer change than was known.
    pub(super) moved: bool,
    /// Characters that PostgreSQL cannot hold and that were taken out.
    pub(super) cleaned: u64,
    /// Some of what has drifted.
    #[serde(default)]
    pub(super) drifted: Named,
    /// What of the past is to be read again once all chunks are read.
    #[serde(default)]
    pub(super) scrub: Option<Scrub>,
    /// Whether that has begun, and the run makes way.
    #[serde(default)]
    pub(super) scrub_yields: bool,
}

/// The work that the step's first call has found. Later calls keep to it: watermarks
/// move with each page, so they would group the locations anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// When it began to ask.
    pub(super) asked_at: Now,
    pub(super) chunks: Vec<Chunk>,
}

/// Fresh orders while one call reads them.
pub(super) struct Reading<'a> {
    pub(super) context: &'a StepContext<'a>,
    pub(super) sorter: Sorter,
    pub(super) told: Counters,
    pub(super) cleaned: u64,
    /// The place of the chunk that is being read.
    pub(super) place: Place,
    /// The note in the step's record, unless another invocation has changed it.
    pub(super) stored: Note,
    pub(super) note: Note,
}

impl Reading<'_> {
    /// Adds to the step's record, unless another invocation has.
    pub(super) async fn record(
        &mut self,
        transaction: &Transaction<'_>,
        figures: &Figures,
    ) -> Result<Option<Resumed<Note>>, SyncError> {
        let run_id = &self.context.run.run_id;
        lease::fence(transaction, &self.context.lease).await?;
        let mut resumed: Resumed<Note> = Resumed::load(transaction, run_id, "orders").await?;
        if resumed.is_done || resumed.note != self.stored {
            return Ok(None);
        }
        resumed.count(ORDERS, &figures.orders);
        resumed.count(LINE_ITEMS, &figures.lines);
        late::add(&mut self.note.drifted, figures.drifted.clone());
        resumed.asked(&self.context.square.counters(), &mut self.told);
        let cleaned = self.context.square.cleaned();
        self.note.cleaned += cleaned - self.cleaned;
        self.cleaned = cleaned;
        resumed.note = self.note.clone();
        self.stored = self.note.clone();
        let done = resumed.given(ORDERS);
        resumed
            .save(transaction, run_id, "orders", done, None)
            .await?;
        Ok(Some(resumed))
    }

    /// The step is done. Returns nothing if another invocation has come to its end.
    pub(super) async fn close(&mut self, client: &mut Object) -> Result<Option<Output>, SyncError> {
        let transaction = self.context.begin(client).await?;
        let Some(resumed) = self.record(&transaction, &Figures::default()).await? else {
            return Ok(None);
        };
        let output = self.succeed(&transaction, &resumed).await?;
        transaction.commit().await?;
        Ok(Some(output))
    }

    pub(super) async fn succeed(
        &self,
        transaction: &Transaction<'_>,
        resumed: &Resumed<Note>,
    ) -> Result<Output, SyncError> {
        let run_id = &self.context.run.run_id;
        store::analyze(transaction, total([&resumed.stats]).written()).await?;
        let output = self.output(resumed, true);
        let (stats, square) = (&resumed.stats, &resumed.square);
        let done = resumed.given(ORDERS);
        step::succeed(transaction, run_id, "orders", done, stats, square, &output).await?;
        Ok(output)
    }

    pub(super) async fn hand_over(&self, client: &Object) -> Result<Output, SyncError> {
        let run_id = &self.context.run.run_id;
        let resumed = Resumed::load(client, run_id, "orders").await?;
        Ok(self.output(&resumed, false))
    }

    fn output(&self, resumed: &Resumed<Note>, done: bool) -> Output {
        let run_id = &self.context.run.run_id;
        let warnings = late::warnings(&resumed.stats, &resumed.note.drifted);
        Output {
            step: StepOutput {
                notes: text::note(resumed.note.cleaned).into_iter().collect(),
                ..resumed.output(run_id, "orders", "delta", warnings)
            },
            done,
        }
    }
}
