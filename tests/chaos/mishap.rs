//! What befalls a call while it works. Where is counted in how often it had to wait,
//! not in milliseconds, so that a fast machine and a slow one are hit at about the same
//! places; how PostgreSQL's sessions and Square's answers interleave is still not the
//! same each time.

use std::pin::pin;
use std::task::Poll;

/// Works; once the work has had to wait so many times, `strike` goes on beside it. What
/// has begun to strike ends before this does; none if the work was done sooner.
pub(crate) async fn struck<T, S>(
    waits: usize,
    work: impl Future<Output = T>,
    strike: impl Future<Output = S>,
) -> (T, Option<S>) {
    let (mut work, mut strike) = (pin!(work), pin!(strike));
    let (mut left, mut done, mut hit) = (waits, None, None);
    std::future::poll_fn(move |context| {
        if done.is_none() {
            match work.as_mut().poll(context) {
                Poll::Ready(output) => done = Some(output),
                Poll::Pending => left = left.saturating_sub(1),
            }
        }
        let has_begun = left == 0;
        if has_begun
            && hit.is_none()
            && let Poll::Ready(output) = strike.as_mut().poll(context)
        {
            hit = Some(output);
        }
        if done.is_some() && (!has_begun || hit.is_some()) {
            let output = done.take().map(|output| (output, hit.take()));
            return output.map_or(Poll::Pending, Poll::Ready);
        }
        Poll::Pending
    })
    .await
}
