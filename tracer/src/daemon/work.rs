//! Questions to the engine that take a while: each on a thread of its own, a few at a time, so
//! that the one thread of the daemon stays free.

use super::probe::STACK_BYTES;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::types::Error;
use std::sync::Arc;
use std::thread;
use tokio::sync::{Semaphore, oneshot};

/// Questions that are worked on at once; others wait.
const AT_ONCE: usize = 4;

/// Where questions wait for their turn.
#[derive(Clone, Debug)]
pub(super) struct Work {
    turns: Arc<Semaphore>,
}

impl Default for Work {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Work {
    /// What `question` gives.
    ///
    /// # Errors
    ///
    /// Its own; or that there is no thread for it, or that it panicked.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T, Box<Error>> + Send + 'static,
    ) -> Result<T, Box<Error>> {
        let busy = |detail: String| Refusal::new(RefusalKind::Busy, "a thread", detail);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|error| busy(error.to_string()))?;
        let (give, answer) = oneshot::channel();
        let builder = thread::Builder::new().name("question".to_owned()).stack_size(STACK_BYTES);
        builder
            .spawn(move || {
                let _turn = turn;
                // Whoever asked may have gone.
                let _heard = give.send(question()).is_ok();
            })
            .map_err(|error| busy(error.to_string()))?;
        let fault = |_| Refusal::new(RefusalKind::Panic, "the question", "").into();
        answer.await.unwrap_or_else(|died| Err(fault(died)))
    }
}
