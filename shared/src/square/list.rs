//! A paged list as a stream of pages.
//!
//! The pages are the stream's items, because a page is what a step writes at
//! once. Square ends a list by leaving the cursor out, and by nothing else: a
//! short or an empty page may well have a successor. A list that never ends
//! would keep a step busy until its time is up, so it is found out: by a cursor
//! that came before, and by a bound on the number of pages.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use futures::stream::{Stream, StreamExt, try_unfold};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{ListAnswer, read_list};
use super::client::Square;
use super::counters::add;
use super::endpoint::{Endpoint, Method};
use super::page::Page;
use super::request::{Call, Unanswered};
use crate::error::SyncError;

/// The request's body with its place in the list: Square wants the same body
/// again with every cursor.
#[derive(Serialize)]
struct WithCursor<'a, Q> {
    #[serde(flatten)]
    request: &'a Q,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

/// All pages of the list that `request` asks for. The stream ends after its
/// first error.
pub(super) fn pages<Q, T>(
    square: Square,
    endpoint: &'static Endpoint,
    request: Q,
) -> impl Stream<Item = Result<Page<T>, SyncError>> + Send + Unpin + 'static
where
    Q: Serialize + Send + Sync + 'static,
    T: DeserializeOwned + Send + 'static,
{
    let list = List {
        square,
        endpoint,
        request,
        place: Place::default(),
    };
    // Boxed, so that a step can hold the stream in a plain variable.
    try_unfold(list, |mut list| async move {
        let page = list.next_page().await?;
        Ok(page.map(|page| (page, list)))
    })
    .boxed()
}

impl Square {
    /// A list that is one page. A `GET` sends nothing of `request`.
    ///
    /// # Errors
    /// One of the `Square…` errors; see `request`.
    pub(super) async fn only_page<T: DeserializeOwned>(
        &self,
        endpoint: &'static Endpoint,
        request: &(impl Serialize + Sync),
    ) -> Result<Page<T>, SyncError> {
        let body = match endpoint.method {
            Method::Get => Bytes::new(),
            Method::Post => written(request)?,
        };
        let call = Call {
            endpoint,
            body,
            has_cursor: false,
        };
        let answer = self
            .request(&call, read_list)
            .await
            .map_err(|unanswered| unanswered.error)?;
        add(&self.tally.pages, 1);
        Ok(answer.page)
    }
}

fn written(request: &impl Serialize) -> Result<Bytes, SyncError> {
    let body = serde_json::to_vec(request);
    body.map(Bytes::from).map_err(|error| {
        SyncError::Internal(format!("a request cannot be written as JSON: {error}"))
    })
}

struct List<Q> {
    square: Square,
    endpoint: &'static Endpoint,
    request: Q,
    place: Place,
}

impl<Q: Serialize + Sync> List<Q> {
    async fn next_page<T: DeserializeOwned>(&mut self) -> Result<Option<Page<T>>, SyncError> {
        while !self.place.is_done {
            self.check_page_count()?;
            match self.fetch().await {
                Ok(ListAnswer { page, cursor }) => {
                    add(&self.square.tally.pages, 1);
                    self.place
                        .advance(cursor)
                        .map_err(|Repeated| self.endless("it repeats a cursor"))?;
                    return Ok(Some(page));
                }
                Err(unanswered) => self.restart(unanswered)?,
            }
        }
        Ok(None)
    }

    async fn fetch<T: DeserializeOwned>(&self) -> Result<ListAnswer<T>, Unanswered> {
        let cursor = self.place.cursor.as_deref();
        let body = WithCursor {
            request: &self.request,
            cursor,
        };
        let body = written(&body).map_err(|error| Unanswered {
            error,
            is_stale_cursor: false,
        })?;
        let call = Call {
            endpoint: self.endpoint,
            body,
            has_cursor: cursor.is_some(),
        };
        self.square.request(&call, read_list).await
    }

    /// Goes back to the first page if the cursor expired, a few times at most.
    fn restart(&mut self, unanswered: Unanswered) -> Result<(), SyncError> {
        let is_allowed = self.place.restarts < self.square.link.policy.restarts_max;
        if !unanswered.is_stale_cursor || !is_allowed {
            return Err(unanswered.error);
        }
        tracing::warn!(
            endpoint = self.endpoint.path,
            pages = self.place.pages,
            "Square no longer knows the list's cursor, starting the list over"
        );
        self.place.restart();
        Ok(())
    }

    fn check_page_count(&self) -> Result<(), SyncError> {
        let page_count_max = self.square.link.policy.page_count_max;
        if self.place.pages < page_count_max {
            return Ok(());
        }
        Err(self.endless(&format!("it has more than {page_count_max} pages")))
    }

    fn endless(&self, detail: &str) -> SyncError {
        SyncError::SquarePageLimit {
            endpoint: self.endpoint.path.to_owned(),
            detail: format!("{detail} (after {} pages)", self.place.pages),
        }
    }
}

/// The place that a list has come to.
#[derive(Default)]
struct Place {
    /// Leads to the next page; none for the first.
    cursor: Option<String>,
    is_done: bool,
    /// Pages read so far, those before a restart included.
    pages: u32,
    restarts: u32,
    /// Hashes of the cursors so far: eight bytes a page instead of a long text.
    seen: HashSet<u64>,
    hasher: RandomState,
}

/// A cursor that came before in the same list.
struct Repeated;

impl Place {
    fn advance(&mut self, cursor: Option<String>) -> Result<(), Repeated> {
        self.pages += 1;
        match &cursor {
            None => self.is_done = true,
            Some(cursor) if !self.seen.insert(self.hasher.hash_one(cursor)) => {
                return Err(Repeated);
            }
            Some(_) => {}
        }
        self.cursor = cursor;
        Ok(())
    }

    fn restart(&mut self) {
        self.cursor = None;
        self.seen.clear();
        self.restarts += 1;
    }
}
