//! Questions to the engine that take a while: each on a thread of its own, a few at a time, so
//! that the one thread of the daemon stays free.

use super::peer::Peer;
use super::probe::STACK_BYTES;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::types::Error;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

/// Questions of root that are worked on at once; others of root wait.
const AT_ONCE: usize = 4;
/// Of all users who are not root: root does not wait for them.
const OF_USERS_AT_ONCE: usize = 4;
/// Of one user who is not root: a program of theirs may be made so that a question takes minutes.
const OF_USER_AT_ONCE: usize = 2;

/// Where questions wait for their turn.
#[derive(Debug)]
pub(super) struct Work {
    root: Arc<Semaphore>,
    users: Arc<Semaphore>,
    /// By user id, of those who have questions.
    user: Mutex<HashMap<u32, Arc<Semaphore>>>,
}

/// A turn of a question.
type Turn = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

impl Default for Work {
    fn default() -> Self {
        let turns = |count| Arc::new(Semaphore::new(count));
        Self { root: turns(AT_ONCE), users: turns(OF_USERS_AT_ONCE), user: Mutex::default() }
    }
}

impl Work {
    /// Waits for a turn of `peer`. One that waits for a turn of its own takes none of the others.
    async fn turn(&self, peer: Peer) -> Result<Turn, AcquireError> {
        if peer.is_root() {
            return Ok((None, Arc::clone(&self.root).acquire_owned().await?));
        }
        let own = self.of_user(peer.uid).acquire_owned().await?;
        Ok((Some(own), Arc::clone(&self.users).acquire_owned().await?))
    }

    fn of_user(&self, uid: u32) -> Arc<Semaphore> {
        let mut user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has no question has all turns.
        user.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(user.entry(uid).or_insert_with(|| Arc::new(Semaphore::new(OF_USER_AT_ONCE))))
    }

    /// What `question` gives.
    ///
    /// # Errors
    ///
    /// Its own; or that there is no thread for it, or that it panicked.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        peer: Peer,
        question: impl FnOnce() -> Result<T, Box<Error>> + Send + 'static,
    ) -> Result<T, Box<Error>> {
        let busy = |detail: String| Refusal::new(RefusalKind::Busy, "a thread", detail);
        let turn = self.turn(peer).await.map_err(|error| busy(error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Asks until a question gets no turn; gives how many did, and what holds them up.
    async fn occupy(work: &Arc<Work>, uid: u32) -> Vec<std::sync::mpsc::Sender<()>> {
        let peer = Peer { uid, gid: 0, other_pids: false };
        let mut held = Vec::new();
        loop {
            let (release, wait) = channel::<()>();
            let (begin, begun) = oneshot::channel();
            let own = Arc::clone(work);
            let asked = tokio::spawn(async move {
                own.ask(peer, move || {
                    let _told = begin.send(());
                    let _released = wait.recv();
                    Ok(())
                })
                .await
            });
            match tokio::time::timeout(std::time::Duration::from_secs(1), begun).await {
                Ok(_) => held.push(release),
                Err(_) => {
                    asked.abort();
                    return held;
                }
            }
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_the_questions_of_one_user_and_root_for_none_of_users() {
        let work = Arc::new(Work::default());
        let first = occupy(&work, 1000).await;
        assert_eq!(first.len(), OF_USER_AT_ONCE);
        let second = occupy(&work, 1001).await;
        assert_eq!(second.len(), OF_USERS_AT_ONCE - OF_USER_AT_ONCE);
        assert_eq!(occupy(&work, 1002).await.len(), 0);
        assert_eq!(occupy(&work, 0).await.len(), AT_ONCE);
        drop((first, second));
        assert_eq!(occupy(&work, 1002).await.len(), OF_USER_AT_ONCE);
    }
}
