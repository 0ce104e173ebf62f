//! Reading ahead: while one page is written to PostgreSQL, the next are already
//! on their way. A bound on pages in flight keeps memory flat.

use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::SyncError;

/// Pages that wait for the writer.
const WAITING_PAGES: usize = 2;

/// The pages of several lists, as they come.
pub struct Ahead<T> {
    pages: mpsc::Receiver<Result<T, SyncError>>,
    reader: JoinHandle<()>,
}

/// Reads `lists` in the background, at most `concurrency` of them at once.
pub fn read_ahead<T, L>(lists: Vec<L>, concurrency: usize) -> Ahead<T>
where
    T: Send + 'static,
    L: Stream<Item = Result<T, SyncError>> + Send + Unpin + 'static,
{
    let (sender, pages) = mpsc::channel(WAITING_PAGES);
    let reader = tokio::spawn(async move {
        let mut all = stream::iter(lists).flatten_unordered(concurrency);
        while let Some(page) = all.next().await {
            // Nobody waits any more: the step ended.
            if sender.send(page).await.is_err() {
                return;
            }
        }
    });
    Ahead { pages, reader }
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
        // Silence is the end of the lists only if the reader got there: one that
        // died must not make the rest of the account look deleted.
        (&mut self.reader)
            .await
            .map_err(|error| SyncError::Internal(format!("reading ahead failed: {error}")))?;
        Ok(None)
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
