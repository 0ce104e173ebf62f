//! The course of every staged step, from its list's watermark to its result. A step
//! reads its lists in between, and says how its rows are applied.

use deadpool_postgres::{Object, Transaction};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::column::Column;
use super::copies::{Among, Copies};
use super::drift::Expected;
use super::load::clear_staging;
use super::quarantine;
use super::table::Table;
use crate::error::SyncError;
use crate::postgres;
use crate::postgres::plan::{self, Access};
use crate::run::ledger::Ledger;
use crate::run::stats::{StagedStep, Stats, StepOutput, total};
use crate::run::step::StepContext;
use crate::run::watermark::Watermark;
use crate::square::Broken;
use crate::times::Now;

/// A list that can be asked for its changes.
#[derive(Debug)]
pub(crate) struct List {
    /// The name of its watermark.
    pub(crate) name: &'static str,
    /// The longest delay between the time that a change carries and its appearance.
    pub(crate) overlap: SignedDuration,
}

/// A step's rows on their way from Square into staging.
pub(crate) struct Intake<'a> {
    pub(crate) context: &'a StepContext<'a>,
    pub(crate) client: Object,
    pub(crate) ledger: Ledger,
    copies: Copies,
    /// Whether everything is listed, or only what has changed.
    pub(crate) lists_all: bool,
    /// When this step began to ask.
    pub(crate) now: Now,
    /// Whether applying this asks for all counts to be listed.
    pub(crate) wants_inventory: bool,
    list: Option<(&'static List, Watermark)>,
    /// The last object in quarantine that was tried again.
    tried: i64,
}

impl<'a> Intake<'a> {
    /// Begins a step that stages these tables; one without a `list` lists everything
    /// each time.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn open(
        context: &'a StepContext<'a>,
        tables: &[&Table],
        list: Option<&'static List>,
    ) -> Result<Self, SyncError> {
        let client = context.env.database.client().await?;
        let request = &context.run.request;
        let mut lists_all = request.reconcile || request.full_refresh;
        let list = match list {
            Some(list) => {
                let reconcile_after = context.env.settings.reconcile_after;
                let watermark = Watermark::load(&client, list.name, reconcile_after).await?;
                lists_all |= watermark.reconcile_due;
                Some((list, watermark))
            }
            None => {
                lists_all = true;
                None
            }
        };
        // What an earlier step of this run has set aside waits there for `publish`.
        let keeps_quarantine = request.stages_only() && !context.is_first();
        clear_staging(&client, tables, keeps_quarantine).await?;
        let now = postgres::now(&client).await?;
        Ok(Self {
            context,
            client,
            ledger: Ledger::default(),
            copies: Copies::default(),
            lists_all,
            now,
            wants_inventory: false,
            list,
            tried: 0,
        })
    }

    /// Up to where the list was read by the last run.
    pub(crate) fn position(&self) -> Option<Timestamp> {
        self.list.as_ref()?.1.position
    }

    /// The time from which to ask for changes.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        let (list, watermark) = self.list.as_ref()?;
        watermark.start(list.overlap)
    }

    /// Copies rows into the table's staging, and sets those aside that PostgreSQL
    /// refuses. Returns how many these are.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn copy<R: Serialize + Sync>(
        &mut self,
        table: &'static Table,
        columns: &[&[Column<R>]],
        rows: &[R],
    ) -> Result<usize, SyncError> {
        self.copies.add(table, columns, rows);
        let (client, attempt) = (&self.client, self.context.attempt);
        let refused = table
            .copy_in(client, attempt, columns, rows, &mut self.ledger)
            .await?;
        let count = refused.len();
        quarantine::stage_refused(client, attempt, refused, &mut self.ledger).await?;
        Ok(count)
    }

    /// Sets objects aside that cannot be read, under the ids in `key_fields`; of which
    /// data type one without is, nobody knows.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn set_aside(
        &mut self,
        key_fields: &[&str],
        broken: Vec<(Option<&'static str>, Broken)>,
        default_type: &'static str,
    ) -> Result<(), SyncError> {
        let (client, attempt) = (&self.client, self.context.attempt);
        let ledger = &mut self.ledger;
        quarantine::stage_broken(client, attempt, key_fields, broken, default_type, ledger).await
    }

    /// Stages once more what waits in quarantine for its parent.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn replay(&mut self, table: &Table) -> Result<(), SyncError> {
        let (client, attempt) = (&self.client, self.context.attempt);
        if table.replay(client, attempt, &mut self.ledger).await? {
            self.copies.may_be(table);
        }
        Ok(())
    }

    /// The next objects in quarantine, as JSON, that could not be read when they came:
    /// a later release may. Empty when all have been tried.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn next_unreadable(
        &mut self,
        data_types: &[&str],
    ) -> Result<Vec<String>, SyncError> {
        let waiting = quarantine::unreadable_after(&self.client, data_types, self.tried).await?;
        if let Some((last, _)) = waiting.last() {
            self.tried = *last;
        }
        Ok(waiting.into_iter().map(|(_, payload)| payload).collect())
    }

    /// Tells the planner of what was staged, before it is joined.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn analyze(&self, tables: &[&Table]) -> Result<(), SyncError> {
        for table in tables {
            table.analyze(&self.client).await?;
        }
        Ok(())
    }

    /// Leaves one copy of each object in the table's staging, if any may have two.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn keep_one_copy(&mut self, table: &Table) -> Result<(), SyncError> {
        let (client, attempt) = (&self.client, self.context.attempt);
        let among = match self.copies.among(table) {
            Among::Nothing => return Ok(()),
            Among::These(keys) => Some(keys),
            Among::All => None,
        };
        table
            .dedupe(client, attempt, among.as_deref(), &mut self.ledger)
            .await
    }

    /// The time before which all changes should have come with a delta; none where a
    /// delta is read, or where a listing has been made no longer ago than rows that are
    /// not of this account's course.
    fn expected_before(&self) -> Option<Timestamp> {
        let (list, watermark) = self.list.as_ref()?;
        let counts = self.lists_all && watermark.counts_drift;
        let position = watermark.position.filter(|_| counts)?;
        position.checked_sub(list.overlap).ok()
    }

    /// Returns the way in which the rows are looked up where they are applied.
    pub(crate) fn access(&self) -> Access {
        Access::of(self.lists_all)
    }

    /// Ends the step: checks that staging still holds what was written there, and then
    /// applies it, moves the watermark to `newest` and commits, all in one transaction;
    /// or leaves it to `publish`, where the run stages only. `apply` writes the tables
    /// `written`.
    ///
    /// # Errors
    /// The database's, `DeletionGuard`, `LeaseLost`, `Cancelled`.
    pub(crate) async fn end(
        mut self,
        newest: Option<Timestamp>,
        warnings: Vec<String>,
        written: &[&str],
        apply: impl AsyncFnOnce(
            &StepContext<'_>,
            &Transaction<'_>,
            bool,
            &mut Expected,
        ) -> Result<Stats, SyncError>,
    ) -> Result<StepOutput, SyncError> {
        let (context, lists_all) = (self.context, self.lists_all);
        let unnamed = quarantine::unnamed_warning(&self.client, context.attempt).await?;
        let mut warnings: Vec<String> = unnamed.into_iter().chain(warnings).collect();
        let mut expected = Expected {
            before: self.expected_before(),
            ..Expected::default()
        };
        let mark = self.list.map(|(list, watermark)| {
            let mark = watermark.advance(newest, self.now, list.overlap);
            (list.name, mark)
        });
        let transaction = context.begin(&mut self.client).await?;
        self.ledger.verify(&transaction, context.attempt).await?;
        if context.run.request.stages_only() {
            let staged = StagedStep {
                attempt: context.attempt,
                rows: self.ledger,
                listed_all: lists_all,
                position: mark.and_then(|(_, mark)| mark.position),
                wants_inventory: self.wants_inventory,
                expected_before: expected.before,
            };
            return context.leave_staged(transaction, staged, warnings).await;
        }
        let stats = apply(context, &transaction, lists_all, &mut expected).await?;
        warnings.append(&mut expected.warnings);
        plan::analyze_written(&transaction, written, total([&stats]).written()).await?;
        if let Some((list, mark)) = mark {
            let run_id = &context.run.run_id;
            mark.save(&transaction, list, lists_all, run_id).await?;
        }
        let scope = if lists_all { "reconcile" } else { "delta" };
        context.commit(transaction, scope, stats, warnings).await
    }
}
