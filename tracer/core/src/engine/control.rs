//! How a door controls a probe while it lives: it ends it, pauses it, resumes it and gives it more
//! time, from any thread.

use super::error::EngineError;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a door may order of a probe that lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Take the breakpoints out; the probe keeps all else. Nothing happens if it is paused.
    Pause,
    /// Place them again, after all checks. Nothing happens if it is not paused.
    Resume,
    /// Live until then, and not only until now.
    Until(Instant),
}

/// Told once an order is carried out, or why it could not be. Where the probe ends before, it is
/// dropped untold.
type Done = Box<dyn FnOnce(Result<(), EngineError>) + Send>;

/// Orders on their way to one probe.
pub struct Orders {
    waiting: Mutex<Waiting>,
    /// Readable while orders wait.
    wake: OwnedFd,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<(Order, Done)>,
    /// The probe has ended: nobody takes any more.
    closed: bool,
}

impl Orders {
    /// None yet.
    ///
    /// # Errors
    ///
    /// The operating system has no file descriptor.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { waiting: Mutex::default(), wake })
    }

    /// Gives an order; `done` is told what became of it on the probe's thread, and dropped untold
    /// if the probe has ended or ends before.
    pub fn give(&self, order: Order, done: impl FnOnce(Result<(), EngineError>) + Send + 'static) {
        let mut waiting = self.waiting();
        if waiting.closed {
            return;
        }
        waiting.orders.push_back((order, Box::new(done)));
        if let Err(error) = write(&self.wake, &1_u64.to_ne_bytes()) {
            tracing::warn!(%error, "a probe can't be woken; it sees the order a little later");
        }
    }

    /// The next order.
    pub(super) fn next(&self) -> Option<(Order, Done)> {
        let mut waiting = self.waiting();
        let next = waiting.orders.pop_front();
        if waiting.orders.is_empty() {
            // It is empty already if the wake failed.
            let _count = read(&self.wake, &mut [0; 8]);
        }
        next
    }

    /// Takes no more, and drops those that wait.
    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.orders.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").field("waiting", &self.waiting().orders.len()).finish()
    }
}

/// How one probe is controlled while it lives.
#[derive(Clone, Copy, Debug)]
pub struct Control<'a> {
    stop: BorrowedFd<'a>,
    orders: Option<&'a Orders>,
}

impl<'a> Control<'a> {
    /// The probe ends as soon as `stop` is readable, and obeys `orders` until then.
    pub fn new(stop: BorrowedFd<'a>, orders: &'a Orders) -> Self {
        Self { stop, orders: Some(orders) }
    }

    /// Readable once the probe is to end.
    pub(super) fn stop(&self) -> BorrowedFd<'a> {
        self.stop
    }

    /// Readable while orders wait.
    pub(super) fn wake(&self) -> Option<BorrowedFd<'a>> {
        self.orders.map(|orders| orders.wake.as_fd())
    }

    /// The next order.
    pub(super) fn next_order(&self) -> Option<(Order, Done)> {
        self.orders.and_then(Orders::next)
    }

    /// Lets nobody wait for orders that will not be carried out, once this is dropped.
    pub(super) fn closed_at_end(&self) -> ClosedAtEnd<'a> {
        ClosedAtEnd(self.orders)
    }
}

/// A probe that is only ever ended.
impl<'a> From<BorrowedFd<'a>> for Control<'a> {
    fn from(stop: BorrowedFd<'a>) -> Self {
        Self { stop, orders: None }
    }
}

/// Closes orders when it is dropped.
pub(super) struct ClosedAtEnd<'a>(Option<&'a Orders>);

impl Drop for ClosedAtEnd<'_> {
    fn drop(&mut self) {
        if let Some(orders) = self.0 {
            orders.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::is_readable;
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn orders_are_taken_in_their_turn_and_wake_who_polls() {
        let orders = Orders::new().unwrap();
        let control = Control::new(orders.wake.as_fd(), &orders);
        assert!(!is_readable(control.wake().unwrap()));
        orders.give(Order::Pause, |_| {});
        orders.give(Order::Resume, |_| {});
        for order in [Order::Pause, Order::Resume] {
            assert!(is_readable(control.wake().unwrap()));
            assert_eq!(control.next_order().map(|(order, _)| order), Some(order));
        }
        assert!(!is_readable(control.wake().unwrap()));
        assert!(control.next_order().is_none());
    }

    #[test]
    fn nobody_waits_for_a_probe_that_has_ended() {
        let orders = Orders::new().unwrap();
        let (tell, told) = channel();
        let give = |tell: std::sync::mpsc::Sender<bool>| {
            orders.give(Order::Pause, move |done| tell.send(done.is_ok()).unwrap());
        };
        give(tell.clone());
        drop(Control::new(orders.wake.as_fd(), &orders).closed_at_end());
        give(tell);
        assert!(told.recv().is_err(), "both are dropped untold");
    }
}
