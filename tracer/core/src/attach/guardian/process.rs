//! The guardian itself: waits, and has links closed. Nothing on the way to a close allocates,
//! waits for another close, or trusts what came in.

use super::keeper::{Done, Keeper, LINKS_EACH, connection};
use super::message::{Fds, Order, OrderKind, Received, Report, ReportKind, receive, send};
use super::system;
use crate::attach::ring::Ring;
use rustix::event::{PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::mm::munlockall;
use rustix::net::sockopt::{set_socket_send_buffer_size_force, socket_type};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::io;
use std::time::Duration;
use tracer_common::maps::{Trip, trip};
use zerocopy::FromBytes;

/// How long nothing may be heard of who placed the links.
const SILENCE: Duration = Duration::from_secs(5);
/// Threads that hold links.
const KEEPERS_MAX: usize = 256;
/// Those that are there from the start.
const KEEPERS_FIRST: usize = 4;
const LINKS_MAX: usize = KEEPERS_MAX * LINKS_EACH;
/// Packets and trips that are taken before the others have their turn.
const AT_ONCE: usize = 64;
/// Trips that are kept for links that come after them.
const STRAYS: usize = 64;
/// Room for what nobody reads for a while: a report for each of 1 000 links and more.
const REPORTS_BYTES: usize = 4 << 20;
/// The ring has a record that is not written to its end: its writer needs the cpu for that.
const RING_PAUSE: Duration = Duration::from_millis(1);

/// Why the guardian ends; all links go with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Who started it is gone.
    Alone,
    Silence,
    Signal,
    /// It was told what it does not know, or the kernel failed it.
    Confused,
}

impl From<Errno> for End {
    fn from(_error: Errno) -> Self {
        Self::Confused
    }
}

/// A link.
struct Link {
    id: u64,
    gate: u32,
    since_boot_ns: u64,
    expires_ns: u64,
    keeper: usize,
    /// Why it is being closed.
    closing: Option<(ReportKind, Trip)>,
}

struct Guardian {
    engine: OwnedFd,
    signals: OwnedFd,
    done: OwnedFd,
    /// The other end of `done`, for keepers.
    tell_done: OwnedFd,
    ring: Option<Ring>,
    ring_pauses: bool,
    keepers: Vec<Keeper>,
    links: Vec<Link>,
    strays: [Trip; STRAYS],
    next_stray: usize,
    heard_ns: u64,
}

/// The body of the process. It was started with one end of a `SOCK_SEQPACKET` connection as its
/// standard input; what is said there are [`Order`] and [`Report`]. Gives the exit code.
pub fn run() -> u8 {
    let engine = system::inherited_socket();
    if socket_type(&engine).is_err() {
        eprintln!("tracer guardian: not for people; tracer starts it to hold its breakpoints");
        return 2;
    }
    let end = match Guardian::start(engine) {
        Ok(mut guardian) => guardian.serve(),
        Err(_) => End::Confused,
    };
    u8::from(end == End::Confused)
}

impl Guardian {
    fn start(engine: OwnedFd) -> io::Result<Self> {
        system::leave_the_rest()?;
        let signals = system::signals()?;
        // Without the right to it there is less room, and more than it takes in common.
        let _more = set_socket_send_buffer_size_force(&engine, REPORTS_BYTES);
        let (done, tell_done) = connection()?;
        system::harden();
        let mut guardian = Self {
            engine,
            signals,
            done,
            tell_done,
            ring: None,
            ring_pauses: false,
            keepers: Vec::with_capacity(KEEPERS_MAX),
            links: Vec::with_capacity(LINKS_MAX),
            strays: [Trip::default(); STRAYS],
            next_stray: 0,
            heard_ns: now_ns(ClockId::Monotonic),
        };
        for _ in 0..KEEPERS_FIRST {
            guardian.add_keeper()?;
        }
        guardian.rehearse()?;
        Ok(guardian)
    }

    /// Closes something once, so that the code of it is in memory.
    fn rehearse(&mut self) -> io::Result<()> {
        let nothing = eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        if let Some(keeper) = self.keepers.first_mut() {
            keeper.hold(0, &[nothing.as_fd()])?;
            keeper.close(0)?;
            receive::<Done>(&self.done, true)?;
            keeper.held = 0;
        }
        Ok(())
    }

    fn serve(&mut self) -> End {
        loop {
            if let Err(end) = self.turn() {
                let kind = match end {
                    End::Silence => ReportKind::Silence,
                    End::Signal => ReportKind::Signal,
                    End::Alone | End::Confused => return end,
                };
                // Who does not read it sees our end.
                let _told = self.report(kind, 0, 0, Trip::default());
                return end;
            }
        }
    }

    /// Waits for something to do, and does it: trips first.
    fn turn(&mut self) -> Result<(), End> {
        let [engine, signals, done, ring] = self.wait()?;
        if ring {
            self.take_trips()?;
        }
        if signals {
            while let Some(ends) = system::next_signal(&self.signals) {
                if ends {
                    return Err(End::Signal);
                }
            }
        }
        if done {
            self.take_done()?;
        }
        if engine {
            self.take_orders()?;
        }
        self.close_expired()?;
        // After what was heard: we may have been stopped ourselves.
        let silent =
            now_ns(ClockId::Monotonic).saturating_sub(self.heard_ns) > nanoseconds(SILENCE);
        if silent && !self.links.is_empty() { Err(End::Silence) } else { Ok(()) }
    }

    /// Waits until something is readable or due: who started us, a signal, a keeper, the ring.
    fn wait(&mut self) -> Result<[bool; 4], End> {
        let pause = self.time_left();
        let ring = self.ring.as_ref().filter(|_| !self.ring_pauses);
        let engine = self.engine.as_fd();
        // Without a ring the same one twice.
        let ring_fd = ring.map_or(engine, Ring::fd);
        let has_ring = ring.is_some();
        let mut fds = [engine, self.signals.as_fd(), self.done.as_fd(), ring_fd]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [engine, signals, done, ring] = fds.map(|fd| !fd.revents().is_empty());
        self.ring_pauses = false;
        Ok([engine, signals, done, has_ring && ring])
    }

    /// Until the next thing is due.
    fn time_left(&self) -> Option<Timespec> {
        if self.ring_pauses {
            return RING_PAUSE.try_into().ok();
        }
        let silence = self.heard_ns.saturating_add(nanoseconds(SILENCE));
        let silence = silence.saturating_sub(now_ns(ClockId::Monotonic));
        let open = self.links.iter().filter(|link| link.closing.is_none());
        let due = open.map(|link| link.expires_ns).filter(|at| *at != 0).min();
        let due = due.map_or(u64::MAX, |due| due.saturating_sub(now_ns(ClockId::Boottime)));
        // A nanosecond more: it is over then.
        let left = Duration::from_nanos(silence.min(due).saturating_add(1));
        if self.links.is_empty() { None } else { left.try_into().ok() }
    }

    /// Closes the links of probes that were tripped.
    fn take_trips(&mut self) -> Result<(), End> {
        for count in 0..AT_ONCE {
            let read = |bytes: &[u8]| Trip::read_from_prefix(bytes).ok().map(|(trip, _)| trip);
            let Some(trip) = self.ring.as_mut().and_then(|ring| ring.take(read)) else {
                // Readable, and nothing to read: its writer has not finished.
                self.ring_pauses = count == 0;
                return Ok(());
            };
            let Some(trip) = trip else { return Err(End::Confused) };
            if !self.close_tripped(trip)? {
                self.strays[self.next_stray % STRAYS] = trip;
                self.next_stray = self.next_stray.wrapping_add(1);
            }
        }
        Ok(())
    }

    /// Closes the links of one probe; false if there is none.
    fn close_tripped(&mut self, trip: Trip) -> Result<bool, End> {
        let mut found = false;
        for index in 0..self.links.len() {
            let link = &self.links[index];
            if link.gate == trip.gate && link.since_boot_ns <= trip.time_boot_ns {
                found = true;
                self.close(index, kind_of(trip), trip)?;
            }
        }
        Ok(found)
    }

    fn close_expired(&mut self) -> Result<(), End> {
        let now = now_ns(ClockId::Boottime);
        for index in 0..self.links.len() {
            let at = self.links[index].expires_ns;
            if at != 0 && at <= now {
                self.close(index, ReportKind::Expired, Trip::default())?;
            }
        }
        Ok(())
    }

    /// Has a link closed, unless it is being closed.
    fn close(&mut self, index: usize, why: ReportKind, trip: Trip) -> Result<(), End> {
        let link = &mut self.links[index];
        if link.closing.is_none() {
            link.closing = Some((why, trip));
            self.keepers[link.keeper].close(link.id)?;
        }
        Ok(())
    }

    /// Tells of links that are closed, and forgets them.
    fn take_done(&mut self) -> Result<(), End> {
        for _ in 0..AT_ONCE {
            let done = match receive::<Done>(&self.done, false) {
                Ok(Received::Packet(done, _)) => done,
                Ok(Received::End | Received::Malformed) => return Err(End::Confused),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let Some(at) = self.links.iter().position(|link| link.id == done.id) else { continue };
            let link = self.links.swap_remove(at);
            self.keepers[link.keeper].held -= 1;
            let (why, trip) = link.closing.unwrap_or((ReportKind::Asked, Trip::default()));
            self.report(why, link.id, done.took_ns, trip)?;
        }
        Ok(())
    }

    fn take_orders(&mut self) -> Result<(), End> {
        for _ in 0..AT_ONCE {
            let (order, fds) = match receive::<Order>(&self.engine, false) {
                Ok(Received::Packet(order, fds)) => (order, fds),
                Ok(Received::End) | Err(Errno::CONNRESET) => return Err(End::Alone),
                Ok(Received::Malformed) => return Err(End::Confused),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.heard_ns = now_ns(ClockId::Monotonic);
            self.obey(order, fds)?;
        }
        Ok(())
    }

    fn obey(&mut self, order: Order, fds: Fds) -> Result<(), End> {
        match OrderKind::of(order.kind).ok_or(End::Confused)? {
            OrderKind::Beat => self.report(ReportKind::Alive, 0, 0, Trip::default()),
            OrderKind::Watch => {
                let [Some(ring), _] = fds else { return Err(End::Confused) };
                self.ring = Some(Ring::open(ring).map_err(|_| End::Confused)?);
                Ok(())
            }
            OrderKind::Hold => self.hold(order, fds),
            OrderKind::Expire => {
                let links = self.links.iter_mut().filter(|link| link.id == order.id);
                links.for_each(|link| link.expires_ns = order.expires_ns);
                Ok(())
            }
            // What is not there is closed, and that was told.
            OrderKind::Close => match self.links.iter().position(|link| link.id == order.id) {
                Some(index) => self.close(index, ReportKind::Asked, Trip::default()),
                None => Ok(()),
            },
        }
    }

    fn hold(&mut self, order: Order, fds: Fds) -> Result<(), End> {
        let is_new = self.links.iter().all(|link| link.id != order.id);
        if fds[0].is_none() || !is_new {
            return Err(End::Confused);
        }
        let Some(keeper) = self.free_keeper() else {
            drop(fds);
            return self.report(ReportKind::Refused, order.id, 0, Trip::default());
        };
        let (mut borrowed, mut count) = ([self.done.as_fd(); 2], 0);
        for fd in fds.iter().flatten() {
            borrowed[count] = fd.as_fd();
            count += 1;
        }
        self.keepers[keeper].hold(order.id, &borrowed[..count])?;
        let Order { id, gate, since_boot_ns, expires_ns, .. } = order;
        self.links.push(Link { id, gate, since_boot_ns, expires_ns, keeper, closing: None });
        self.report(ReportKind::Alive, 0, 0, Trip::default())?;
        let is_its = |trip: &&Trip| {
            trip.cause != 0 && trip.gate == gate && trip.time_boot_ns >= since_boot_ns
        };
        if let Some(trip) = self.strays.iter().find(is_its).copied() {
            self.close(self.links.len() - 1, kind_of(trip), trip)?;
        }
        self.keep_one_free();
        Ok(())
    }

    /// The keeper with the fewest links; `None` if all are full.
    fn free_keeper(&self) -> Option<usize> {
        let keepers = self.keepers.iter().enumerate().filter(|(_, k)| k.held < LINKS_EACH);
        keepers.min_by_key(|(_, keeper)| keeper.held).map(|(index, _)| index)
    }

    /// Starts a keeper if all have links: the next link has one of its own.
    fn keep_one_free(&mut self) {
        if self.keepers.len() < KEEPERS_MAX && self.keepers.iter().all(|k| k.held > 0) {
            // Without, links share those that there are.
            let _added = self.add_keeper();
        }
    }

    fn add_keeper(&mut self) -> io::Result<()> {
        let keeper = Keeper::start(&self.tell_done).or_else(|_| {
            // Its stack may be more than may be locked.
            munlockall()?;
            Keeper::start(&self.tell_done)
        })?;
        self.keepers.push(keeper);
        Ok(())
    }

    /// Tells who started us. Without room for it nobody has read for long: then all links go.
    fn report(&self, kind: ReportKind, id: u64, took_ns: u64, trip: Trip) -> Result<(), End> {
        let report = Report { kind: kind as u32, reserved: 0, id, took_ns, trip };
        match send(&self.engine, &report, &[], false) {
            Err(Errno::PIPE | Errno::CONNRESET) => Err(End::Alone),
            other => Ok(other?),
        }
    }
}

fn kind_of(trip: Trip) -> ReportKind {
    if trip.cause == trip::EXPIRED { ReportKind::Expired } else { ReportKind::Tripped }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds on a clock: deadlines are told in boot time, silence is measured without the time
/// that the machine was asleep.
fn now_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    Duration::try_from(now).map_or(0, nanoseconds)
}
