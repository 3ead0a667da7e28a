//! A thread that may be left behind: what it does can hang, and the pipe must not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Threads of the whole program that may hang before no more is started.
const HANGING_MAX: usize = 4;

static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Where a job sends what it finds; all is there when it is dropped.
pub(super) type Answers<A> = Sender<A>;

/// Does jobs.
pub(super) trait Handle<J> {
    /// Does one.
    fn handle(&mut self, job: J);
}

/// Jobs for one thread, which is started when the first one comes.
pub(super) struct Worker<J> {
    start: Box<dyn Fn() -> Box<dyn Handle<J> + Send> + Send>,
    thread: Option<Thread<J>>,
}

struct Thread<J> {
    jobs: Sender<J>,
    is_left: Arc<AtomicBool>,
}

impl<J: Send + 'static> Worker<J> {
    /// `handler` makes what does the jobs.
    pub(super) fn new<H>(handler: impl Fn() -> H + Send + 'static) -> Self
    where
        H: Handle<J> + Send + 'static,
    {
        Self { start: Box::new(move || Box::new(handler())), thread: None }
    }

    /// Hands a job to the thread; false where no thread can be had.
    pub(super) fn start(&mut self, job: J) -> bool {
        if self.thread.is_none() {
            if HANGING.load(Ordering::Relaxed) >= HANGING_MAX {
                return false;
            }
            self.thread = spawn((self.start)());
        }
        let sent = self.thread.as_ref().is_some_and(|thread| thread.jobs.send(job).is_ok());
        if !sent {
            // It has ended; the next job gets another one.
            self.thread = None;
        }
        sent
    }

    /// Leaves the thread behind; it ends when its job does.
    pub(super) fn abandon(&mut self) {
        if let Some(thread) = self.thread.take() {
            HANGING.fetch_add(1, Ordering::Relaxed);
            thread.is_left.store(true, Ordering::Release);
        }
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("runs", &self.thread.is_some()).finish_non_exhaustive()
    }
}

fn spawn<J: Send + 'static>(mut handler: Box<dyn Handle<J> + Send>) -> Option<Thread<J>> {
    let (jobs, inbox) = channel();
    let is_left = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_left);
    let work = move || {
        for job in inbox {
            handler.handle(job);
        }
        // The inbox is closed behind `abandon`, so what it said is seen here.
        if seen.load(Ordering::Acquire) {
            HANGING.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let spawned = thread::Builder::new().name("late-reader".to_owned()).spawn(work);
    spawned.is_ok().then_some(Thread { jobs, is_left })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, RecvTimeoutError};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    /// The count of hanging threads is the whole program's.
    pub(in crate::attach::late) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that lasts until its gate opens.
    struct Wait {
        gate: Receiver<()>,
        answers: Answers<u32>,
    }

    struct Waiter;

    impl Handle<Wait> for Waiter {
        fn handle(&mut self, job: Wait) {
            job.gate.recv().ok();
            job.answers.send(7).ok();
        }
    }

    #[test]
    fn a_job_that_hangs_is_left_behind_and_their_number_is_bounded() {
        let _alone = alone();
        let mut worker = Worker::new(|| Waiter);
        let mut gates = Vec::new();
        let mut start = |worker: &mut Worker<Wait>| {
            let (open, gate) = channel();
            let (answers, answered) = channel();
            gates.push(open);
            worker.start(Wait { gate, answers }).then_some(answered)
        };
        for _ in 0..HANGING_MAX {
            let answered = start(&mut worker).unwrap();
            let nothing = answered.recv_timeout(Duration::from_millis(5));
            assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
            worker.abandon();
        }
        assert!(start(&mut worker).is_none());

        // They end by themselves once they can, and then there is room again.
        gates.clear();
        while HANGING.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        let (open, gate) = channel();
        let (answers, answered) = channel();
        assert!(worker.start(Wait { gate, answers }));
        open.send(()).unwrap();
        assert_eq!(answered.recv(), Ok(7));
        assert!(answered.recv().is_err());
    }
}
