//! Sends one request until it is answered, refused or out of time.
//!
//! This is the only place that talks to the network. It decides nothing by
//! itself: `refusal` says what an answer means, `retry` what follows on it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::Answer;
use super::body;
use super::client::Square;
use super::counters::add;
use super::endpoint::{self, Endpoint};
use super::gate;
use super::refusal::{Asked, Failure, describe_transport, errors_in};
use super::retry::{self, Attempts, Next};
use crate::error::SyncError;

/// The request that is sent; the same bytes in every attempt.
pub(super) struct Call {
    pub(super) endpoint: &'static Endpoint,
    /// JSON, or nothing.
    pub(super) body: Bytes,
    /// Whether the body names a cursor, which may have expired.
    pub(super) has_cursor: bool,
}

/// A request that ended without its answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) error: SyncError,
    /// The list has to start over from its first page.
    pub(super) is_stale_cursor: bool,
}

/// Reads a whole body of that endpoint's.
pub(super) type Read<R> = fn(&[u8], &Endpoint) -> Answer<R>;

impl Square {
    /// Sends `call` and reads its answer with `read`.
    ///
    /// Sent again, with exponential backoff and full jitter, never earlier than
    /// `Retry-After` says (up to 30 s): status 408, 429 and 5xx other than 501;
    /// connections that fail, break or stay silent; bodies that are cut off; and,
    /// at most twice, answers with status 2xx that are not Square's JSON. All of
    /// Square's operations that we use only read, so sending them twice is safe.
    ///
    /// Not sent again: any other status, 401 and 403 above all.
    ///
    /// It ends after 10 attempts, after 40 s, or at the step's deadline, whichever
    /// comes first (see `Policy`). Requests wait for a permit and for their turn at
    /// the pace that is allowed; a permit is given back while waiting for the next
    /// attempt.
    pub(super) async fn request<R>(&self, call: &Call, read: Read<R>) -> Result<R, Unanswered> {
        let mut attempts = Attempts::default();
        // The budget runs from the first attempt: waiting for our own limits is
        // no fault of Square's.
        let mut give_up_at = None;
        let mut last = None;
        loop {
            let Some(permit) = self.permit(give_up_at.or(self.deadline)).await else {
                let failure = last.map_or_else(
                    || Failure::unavailable("time ran out while waiting to send"),
                    Failure::out_of_time,
                );
                return Err(unanswered(failure, call, attempts.count));
            };
            let end = *give_up_at.get_or_insert_with(|| self.give_up_at());
            if attempts.count > 0 {
                add(&self.tally.retries, 1);
            }
            let outcome = timeout_at(end, self.attempt(call, read)).await;
            drop(permit);
            let failure = match outcome {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::unavailable("no whole answer in time"),
            };
            if matches!(failure, Failure::RateLimited { .. }) {
                add(&self.tally.rate_limited, 1);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self
                .link
                .policy
                .next(&mut attempts, &failure, left, retry::random())
            {
                Next::Retry(wait) => {
                    warn(&failure, call.endpoint, attempts.count, wait);
                    sleep(wait).await;
                    last = Some(failure);
                }
                Next::Spent => return Err(unanswered(failure, call, attempts.count)),
                Next::OutOfTime => {
                    let failure = match self.deadline {
                        Some(deadline) if deadline <= end => failure.out_of_time(),
                        _ => failure,
                    };
                    return Err(unanswered(failure, call, attempts.count));
                }
            }
        }
    }

    /// The end of a request that starts now.
    fn give_up_at(&self) -> Instant {
        let budget_end = Instant::now() + self.link.policy.budget;
        self.deadline
            .map_or(budget_end, |deadline| deadline.min(budget_end))
    }

    /// Waits for one of the permits and for its turn; none if `until`
    /// comes first. The permit comes first, so that requests leave at an even pace
    /// and not in the bursts in which permits come free.
    async fn permit(&self, until: Option<Instant>) -> Option<SemaphorePermit<'_>> {
        let turn = async {
            let permit = self.link.permits.acquire().await.ok();
            self.pace.turn().await;
            permit
        };
        match until {
            Some(until) => timeout_at(until, turn).await.ok().flatten(),
            None => turn.await,
        }
    }

    async fn attempt<R>(&self, call: &Call, read: Read<R>) -> Result<R, Failure> {
        add(&self.tally.requests, 1);
        let response = self
            .link
            .http
            .execute(self.http_request(call))
            .await
            .map_err(|error| describe_transport(&error))?;
        let status = response.status();
        let retry_after = retry::retry_after(response.headers(), Timestamp::now());
        let body = body::read(response, &self.tally.bytes).await;
        let asked = Asked {
            endpoint: call.endpoint,
            has_cursor: call.has_cursor,
            token: &self.link.token,
        };
        if !status.is_success() {
            // The body only adds detail here, so a cut one is no failure of its own.
            let errors = body.map_or_else(|_| Vec::new(), |body| errors_in(&body.bytes));
            return Err(asked.judge_status(status, retry_after, &errors));
        }
        let mut body = body?;
        add(&self.tally.cleaned, gate::clean(&mut body.bytes));
        match Self::read_or_mend(&body.bytes, call.endpoint, read) {
            Answer::Read(answer) => Ok(answer),
            Answer::Errors(errors) => Err(asked.judge_errors(&errors)),
            Answer::Unreadable { ends_early, .. } if ends_early && !body.has_known_end => {
                Err(Failure::unavailable("the answer was cut off"))
            }
            Answer::Unreadable { problem, .. } => Err(Failure::Malformed { detail: problem }),
        }
    }

    /// Reads a cleaned body; one that is no JSON is mended and read once more.
    fn read_or_mend<R>(body: &[u8], endpoint: &Endpoint, read: Read<R>) -> Answer<R> {
        match read(body, endpoint) {
            Answer::Unreadable {
                ends_early: false, ..
            } if body.trim_ascii_start().starts_with(b"{") => read(&gate::mend(body), endpoint),
            answer => answer,
        }
    }

    fn http_request(&self, call: &Call) -> reqwest::Request {
        let mut url = self.link.base_url.clone();
        // The override may have a path of its own, as behind a proxy.
        url.set_path(&format!(
            "{}{}",
            url.path().trim_end_matches('/'),
            call.endpoint.path
        ));
        let method = match call.endpoint.method {
            endpoint::Method::Post => Method::POST,
            endpoint::Method::Get => Method::GET,
        };
        let mut request = reqwest::Request::new(method.clone(), url);
        if call.body.is_empty() {
            if method == Method::POST {
                // Gateways may refuse a POST that does not say how long it is.
                let headers = request.headers_mut();
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
        } else {
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(call.body.clone().into());
        }
        request
    }
}

fn unanswered(failure: Failure, call: &Call, attempts: u32) -> Unanswered {
    Unanswered {
        is_stale_cursor: matches!(failure, Failure::StaleCursor(_)),
        error: failure.into_error(call.endpoint, attempts),
    }
}

fn warn(failure: &Failure, endpoint: &Endpoint, attempt: u32, wait: Duration) {
    let reason = match failure {
        Failure::RateLimited { .. } => "rate limited",
        Failure::Unavailable { detail, .. } | Failure::Malformed { detail } => detail,
        Failure::Refused(_) | Failure::StaleCursor(_) => "refused",
    };
    tracing::warn!(
        endpoint = endpoint.path,
        reason,
        attempt,
        wait_ms = wait.as_millis(),
        "Square did not answer, asking again"
    );
}
