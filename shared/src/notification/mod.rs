//! Tells people that a run has ended, and closes runs that could not do it
//! themselves.
//!
//! EventBridge reports the end of every execution here, also of one that was
//! aborted in the console or ran out of time: no state of it could have said so.
//! These reports are best effort and may come twice, so an alarm stands behind
//! them, and a mail may be sent again.

mod advice;
mod event;
mod history;
mod mail;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use deadpool_postgres::Object;
use serde_json::Value;

use self::event::{Ended, Status};
pub use self::mail::Mail;
use self::mail::Occasion;
use crate::aws::{self, Failure};
use crate::env::Variables;
use crate::error::SyncError;
use crate::postgres::{Database, schema};
use crate::run::metrics;
use crate::run::request::{Request, Trigger};
use crate::run::summary::{self, Summary};
use crate::run::{start, store};

/// The notices to send, and to whom; by default none to anybody.
#[derive(Default)]
pub struct Notices {
    topic: Option<Topic>,
    /// Whether every success is told.
    success: bool,
    /// Whether the first success after failures is told.
    recovery: bool,
    /// The public address below which the admin page is.
    page: Option<String>,
}

struct Topic {
    client: Client,
    arn: String,
}

impl Notices {
    /// Reads `NOTIFICATION_TOPIC_ARN`, `NOTIFY_SUCCESS`, `NOTIFY_RECOVERY` and
    /// `PUBLIC_URL`. Without a topic nobody is told anything.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the variable.
    pub async fn from_environment() -> Result<Self, SyncError> {
        let variables = Variables::default();
        let flag = |name: &str| match variables.get(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(SyncError::config(name, "must be true or false")),
        };
        let topic = match variables.get("NOTIFICATION_TOPIC_ARN") {
            Some(arn) => Some(Topic {
                client: Client::new(&aws::config().await),
                arn,
            }),
            None => None,
        };
        Ok(Self {
            topic,
            success: flag("NOTIFY_SUCCESS")?,
            recovery: flag("NOTIFY_RECOVERY")?,
            page: variables.get("PUBLIC_URL"),
        })
    }

    /// Whether there is something to tell, and what.
    fn occasion(&self, status: Status, run: &Summary) -> Option<Occasion> {
        match status {
            // It made way for another run, and its end could not be told of.
            _ if run.status == "skipped" => None,
            Status::Failed | Status::TimedOut if !is_news(run) => None,
            Status::Failed => Some(Occasion::Failed),
            Status::TimedOut => Some(Occasion::TimedOut),
            Status::Aborted => Some(Occasion::Stopped),
            Status::Succeeded if run.status != "succeeded" || run.dry_run => None,
            Status::Succeeded if run.failures_before > 0 && self.recovery => {
                Some(Occasion::Recovered)
            }
            Status::Succeeded => self.success.then_some(Occasion::Succeeded),
        }
    }

    /// Whether it is worth asking if failures came before of which there is no record.
    fn may_be_recovery(&self, status: Status, run: &Summary) -> bool {
        let is_good = status == Status::Succeeded && run.status == "succeeded" && !run.dry_run;
        self.topic.is_some() && self.recovery && is_good && run.failures_before == 0
    }
}

/// Whether a failure is worth a mail: that of a run that somebody started always is. Of
/// the schedule's the first of its name in a row is, and then every sixth, so that an
/// outage overnight is told of a few times rather than every hour.
fn is_news(run: &Summary) -> bool {
    run.trigger != Trigger::Schedule.name()
        || run.failures_alike == 0
        || (run.failures_before + 1) % TOLD_EACH == 0
}

/// Of failures in a row one in so many is told.
const TOLD_EACH: i64 = 6;

/// Takes up EventBridge's report that an execution has ended. A database that is
/// away keeps nobody from being told: that may be the very failure.
///
/// # Errors
/// `InputInvalid` for another event; `AwsUnavailable` or `ConfigInvalid` if SNS does not
/// take the mail, so that Lambda tries again and at last leaves the event in the
/// dead-letter queue.
pub async fn execution_ended(
    notices: &Notices,
    database: Result<&Database, SyncError>,
    event: &Value,
) -> Result<(), SyncError> {
    let ended = Ended::read(event)?;
    let recorded = match database {
        Ok(database) => close_and_read(notices, database, &ended).await,
        Err(error) => Err(error),
    };
    let run = match recorded {
        Ok(Some(run)) => run,
        // A second delivery of a schedule's start leaves no record.
        Ok(None) if ended.status == Status::Succeeded => return Ok(()),
        // The database is there, but its schema is not yet.
        Ok(None) => history::remembered(ended.summary(), &ended).await,
        Err(error) => {
            tracing::warn!(name = error.name(), %error, "told without the database");
            if ended.status == Status::Succeeded {
                return Ok(());
            }
            history::remembered(ended.summary(), &ended).await
        }
    };
    if let (Some(topic), Some(occasion)) = (&notices.topic, notices.occasion(ended.status, &run)) {
        let mail = mail::compose(occasion, &run, notices.page.as_deref());
        topic.publish(&mail, &run).await?;
        tracing::info!(
            run_id = run.run_id,
            subject = mail.subject,
            "notification sent"
        );
    }
    let has_failed = matches!(ended.status, Status::Failed | Status::TimedOut);
    metrics::failures_told(&run.kind, has_failed.into());
    Ok(())
}

async fn close_and_read(
    notices: &Notices,
    database: &Database,
    ended: &Ended,
) -> Result<Option<Summary>, SyncError> {
    let mut client = database.client().await?;
    if schema::found(&client).await? == 0 {
        return Ok(None);
    }
    if close(&mut client, ended).await? {
        metrics::run_ended(&client, &ended.name).await;
    }
    match summary::read(&client, &ended.name).await? {
        Some(run) if notices.may_be_recovery(ended.status, &run) => {
            history::with_unrecorded(&client, run, ended)
                .await
                .map(Some)
        }
        run => Ok(run),
    }
}

/// Closes the record of a run whose execution ended without doing so, and frees
/// its lease. Returns whether it did.
async fn close(client: &mut Object, ended: &Ended) -> Result<bool, SyncError> {
    let run_id = ended.name.as_str();
    let status = store::find(client, run_id).await?.map(|run| run.status);
    let is_open = matches!(status.as_deref(), Some("queued" | "running"));
    match ended.status {
        Status::Succeeded => Ok(false),
        Status::Aborted if is_open => start::stop(client, run_id).await,
        Status::Failed | Status::TimedOut if is_open => fail(client, ended).await,
        // It failed before preflight could write its record.
        Status::Failed | Status::TimedOut if status.is_none() => {
            let request = Request::parse(ended.kind(), ended.request()).unwrap_or(Request {
                kind: ended.kind(),
                ..Request::default()
            });
            store::insert_ended(client, run_id, &request).await?;
            fail(client, ended).await
        }
        _ => Ok(false),
    }
}

async fn fail(client: &mut Object, ended: &Ended) -> Result<bool, SyncError> {
    let failure = ended.failure();
    store::set_arn(client, &ended.name, Some(&ended.execution_arn)).await?;
    start::close_failed(client, &ended.name, &failure.name, &failure.message).await
}

impl Topic {
    /// Subscribers can filter by the attributes.
    async fn publish(&self, mail: &Mail, run: &Summary) -> Result<(), SyncError> {
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(&mail.subject)
            .message(&mail.body);
        for (name, value) in [
            ("run_id", &run.run_id),
            ("kind", &run.kind),
            ("status", &run.status),
        ] {
            let attribute = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| SyncError::Internal(error.to_string()))?;
            request = request.message_attributes(name, attribute);
        }
        let sent = request.send().await.map(drop);
        sent.map_err(|error| Failure::of(&error).about("SNS", "NOTIFICATION_TOPIC_ARN", "topic"))
    }
}

#[cfg(test)]
pub(crate) mod tests;
