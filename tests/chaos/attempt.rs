//! One attempt at a history: whatever fails in it, an assertion too, becomes its result.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::runtime::Builder;

use crate::history::History;
use crate::local_aws::LocalAws;
use crate::play;
use crate::story::Story;
use crate::world::World;

/// Why a history failed, and its story.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) why: String,
    pub(crate) story: Vec<String>,
}

/// Plays a history on a thread of its own: so its own work, at least, is done in the same
/// order each time.
pub(crate) async fn attempt(history: History, is_aloud: bool) -> Result<(), Failure> {
    let story = Story::new(is_aloud);
    let told = story.clone();
    let played = tokio::task::spawn_blocking(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(play::play(history, told))
    });
    let why = match played.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(why)) => why,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => said(&*payload),
            Err(error) => error.to_string(),
        },
    };
    Err(Failure {
        why,
        story: story.lines(),
    })
}

/// The same in the local AWS, which belongs to this runtime.
pub(crate) async fn in_local_aws(
    history: &History,
    is_aloud: bool,
    aws: &Arc<LocalAws>,
) -> Result<(), Failure> {
    let story = Story::new(is_aloud);
    let told = story.clone();
    let played = async {
        let world = World::in_local_aws(history, told.clone(), aws).await;
        play::through(history, world, told.clone()).await
    };
    let why = match AssertUnwindSafe(Box::pin(played)).catch_unwind().await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(why)) => why,
        Err(payload) => said(&*payload),
    };
    Err(Failure {
        why,
        story: story.lines(),
    })
}

/// What a panic said.
fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
