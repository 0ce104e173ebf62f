//! Orders that could not be read, asked for anew: what was spoilt on its way to us
//! comes whole then. Nothing else asks for them again, unless they change at Square.
//! Every import does, and fresh orders do with their look-back.
//!
//! It is a question beside the lists: whatever Square says to it, they are read.

use deadpool_postgres::Object;
use futures::TryStreamExt;
use jiff::Timestamp;

use crate::error::SyncError;
use crate::square::{
    BatchRetrieveOrders, Broken, ID_BYTES_MAX, OrderTime, OrderWithSource, Page, SearchOrders,
    Square,
};

/// Orders that one run asks for at most, and its requests for them.
const ORDERS_MAX: i64 = 1_000;
const REQUESTS_MAX: usize = 100;

/// A question to Square.
#[derive(Debug)]
enum Question {
    /// Orders by their ids.
    Named(Vec<String>),
    /// One that came without its id, by where and when it was made.
    Made(String, Timestamp),
}

/// The questions that are still to be asked.
pub(crate) struct Anew {
    square: Square,
    questions: Vec<Question>,
    requests: usize,
}

impl Anew {
    /// Reads what waits.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(
        client: &Object,
        square: &Square,
        run_id: &str,
    ) -> Result<Self, SyncError> {
        let (mut ids, mut questions) = (Vec::new(), Vec::new());
        for row in client.query(UNREADABLE, &[&run_id, &ORDERS_MAX]).await? {
            let broken = Broken {
                problem: String::new(),
                payload: row.get(0),
            };
            let id = broken.text("id").filter(|id| !id.is_empty());
            match id {
                Some(id) if id.len() <= ID_BYTES_MAX => ids.push(id),
                Some(_) => {}
                None => {
                    let place = broken.text("location_id").zip(broken.read("created_at"));
                    questions.extend(place.map(|(id, time)| Question::Made(id, time)));
                }
            }
        }
        let named = ids.chunks(BatchRetrieveOrders::IDS_MAX);
        questions.extend(named.map(|ids| Question::Named(ids.to_vec())));
        Ok(Self {
            square: square.clone(),
            questions,
            requests: 0,
        })
    }

    /// Returns what Square gives to the next question; none after the last. What it does
    /// not give waits on, as does what still cannot be read.
    pub(crate) async fn next(&mut self) -> Option<Page<OrderWithSource>> {
        let question = self
            .questions
            .pop()
            .filter(|_| self.requests < REQUESTS_MAX)?;
        self.requests += 1;
        let objects = match self.ask(&question).await {
            Ok(objects) => objects,
            Err(error) => {
                tracing::warn!(%error, "orders that wait cannot be asked for");
                self.go_on(question, &error);
                Vec::new()
            }
        };
        Some(Page::of(objects))
    }

    async fn ask(&self, question: &Question) -> Result<Vec<OrderWithSource>, SyncError> {
        match question {
            Question::Named(ids) => {
                let order_ids = ids.clone();
                let request = BatchRetrieveOrders { order_ids };
                Ok(self.square.batch_retrieve_orders(&request).await?.objects)
            }
            Question::Made(location_id, time) => {
                let (ids, at, by) = (vec![location_id.clone()], *time, OrderTime::CreatedAt);
                let request = SearchOrders::ascending(ids, by, Some(at), Some(at), 1_000);
                let pages = self.square.search_orders(request);
                pages.map_ok(|page| page.objects).try_concat().await
            }
        }
    }

    /// Asks in halves for what Square refuses, for it may be for one of them; asks for
    /// nothing more if it is away.
    fn go_on(&mut self, question: Question, error: &SyncError) {
        match (error, question) {
            (
                SyncError::SquareRejected { .. } | SyncError::SquareMalformed { .. },
                Question::Named(ids),
            ) => {
                let (first, second) = ids.split_at(ids.len() / 2);
                let halves = [first, second].map(<[String]>::to_vec);
                let halves = halves.into_iter().filter(|half| !half.is_empty());
                if ids.len() > 1 {
                    self.questions.extend(halves.map(Question::Named));
                }
            }
            (
                SyncError::SquareRejected { .. }
                | SyncError::SquareMalformed { .. }
                | SyncError::SquareForbidden { .. },
                _,
            ) => {}
            _ => self.questions.clear(),
        }
    }
}

/// Others in each run, if there are too many. Parameters: run id, how many.
const UNREADABLE: &str = "
    select coalesce(payload #>> '{}', 'null') from sync_quarantine
    where data_type = 'orders' and resolved_at is null and not replayable
    order by md5(id || $1::text) limit $2";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 1] = [UNREADABLE];
