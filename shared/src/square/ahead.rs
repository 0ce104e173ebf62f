//! Reading ahead: while one page is written to PostgreSQL, the next are already
//! on their way. A bound on pages in flight keeps memory flat.

use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::SyncError;

/// Pages that wait for the writer, beside the one that each reader may hold.
const WAITING_PAGES: usize = 2;

/// The pages of several lists, as they come.
pub struct Ahead<T> {
    pages: mpsc::Receiver<Result<T, SyncError>>,
    readers: JoinSet<()>,
}

/// Reads `lists` in the background, at most `concurrency` of them at once. Each reader
/// stands on its own: one that waits until its page is taken has no request under way,
/// with a place among the few that may be, that would wait along with it.
pub fn read_ahead<T, L>(lists: Vec<L>, concurrency: usize) -> Ahead<T>
where
    T: Send + 'static,
    L: Stream<Item = Result<T, SyncError>> + Send + Unpin + 'static,
{
    let (sender, pages) = mpsc::channel(WAITING_PAGES);
    let readers_count = concurrency.clamp(1, lists.len().max(1));
    let lists = Arc::new(Mutex::new(lists.into_iter()));
    let mut readers = JoinSet::new();
    for _ in 0..readers_count {
        let (lists, sender) = (Arc::clone(&lists), sender.clone());
        readers.spawn(async move {
            let next = || {
                let mut lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
                lists.next()
            };
            while let Some(mut list) = next() {
                while let Some(page) = list.next().await {
                    // Nobody waits any more: the step ended.
                    if sender.send(page).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
    Ahead { pages, readers }
}

impl<T> Ahead<T> {
    /// The next page, or none when all lists have ended; not to be called after that.
    ///
    /// # Errors
    /// The first error of any list.
    pub async fn next(&mut self) -> Result<Option<T>, SyncError> {
        if let Some(page) = self.pages.recv().await {
            return page.map(Some);
        }
        // Silence is the end of the lists only if the readers got there: one that
        // died must not make the rest of the account look deleted.
        while let Some(reader) = self.readers.join_next().await {
            reader
                .map_err(|error| SyncError::Internal(format!("reading ahead failed: {error}")))?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::stream;
    use tokio::sync::Semaphore;

    use super::*;

    /// A list of many pages, each of which wants one of the places.
    fn list(places: &Arc<Semaphore>) -> impl Stream<Item = Result<u32, SyncError>> + Unpin + use<> {
        let places = Arc::clone(places);
        stream::iter(0..100)
            .then(move |page| {
                let places = Arc::clone(&places);
                async move {
                    let _place = places.acquire().await.unwrap();
                    tokio::task::yield_now().await;
                    Ok(page)
                }
            })
            .boxed()
    }

    #[tokio::test]
    async fn pages_that_nobody_takes_keep_no_place_from_others() {
        for places in 1..4 {
            let places = Arc::new(Semaphore::new(places));
            let lists = (0..5).map(|_| list(&places)).collect();
            let mut pages = read_ahead(lists, 4);
            assert!(pages.next().await.unwrap().is_some());
            // Until nothing moves any more.
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            let place = tokio::time::timeout(Duration::from_secs(60), places.acquire()).await;
            drop(place.expect("somebody holds every place and waits"));
            let mut rest = 0;
            while pages.next().await.unwrap().is_some() {
                rest += 1;
            }
            assert_eq!(rest, 499);
        }
    }

    #[tokio::test]
    async fn a_reader_that_dies_is_no_end_of_its_list() {
        let broken = stream::iter(0..1).map(|_| -> Result<u32, SyncError> { panic!("broken") });
        let lists = vec![broken.boxed(), stream::iter([Ok(1)]).boxed()];
        let mut pages = read_ahead(lists, 2);
        assert_eq!(pages.next().await.unwrap(), Some(1));
        assert!(pages.next().await.is_err());
    }
}
