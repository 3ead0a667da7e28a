//! The guardian itself: waits, and has links closed. Nothing on the way to a close allocates,
//! waits for another close, or trusts what came in.

use super::keeper::Keeper;
use super::message::{FDS_MAX, Fds, Order, OrderKind, Received, Report, ReportKind, receive, send};
use super::system::{self, Signal, Stacks};
use crate::attach::ring::Ring;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_send_buffer_size_force, socket_type};
use rustix::process::{Pid, WaitOptions, wait, waitpid};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::io;
use std::time::Duration;
use tracer_common::maps::{Trip, trip};
use zerocopy::FromBytes;

/// How long nothing may be heard of who placed the links.
const SILENCE: Duration = Duration::from_secs(5);
/// Keepers, and links.
pub(super) const KEEPERS_MAX: usize = 2048;
/// Those that are ready for a link.
const SPARE: usize = 4;
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
    /// Who holds it, by number.
    keeper: usize,
    closing: Option<Closing>,
}

/// Why a link is being closed, and since when.
#[derive(Clone, Copy)]
struct Closing {
    why: ReportKind,
    trip: Trip,
    since_ns: u64,
}

struct Guardian {
    engine: OwnedFd,
    signals: OwnedFd,
    ring: Option<Ring>,
    ring_pauses: bool,
    stacks: Stacks,
    /// By the number of their stack.
    keepers: Vec<Option<Keeper>>,
    /// Keepers without a link.
    spare: Vec<usize>,
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
        let stacks = Stacks::new(KEEPERS_MAX)?;
        let mut keepers = Vec::new();
        keepers.resize_with(KEEPERS_MAX, || None);
        system::harden();
        let mut guardian = Self {
            engine,
            signals,
            ring: None,
            ring_pauses: false,
            stacks,
            keepers,
            spare: Vec::with_capacity(KEEPERS_MAX),
            links: Vec::with_capacity(KEEPERS_MAX),
            strays: [Trip::default(); STRAYS],
            next_stray: 0,
            heard_ns: now_ns(ClockId::Monotonic),
        };
        guardian.rehearse()?;
        guardian.keep_spare();
        Ok(guardian)
    }

    /// Closes something once, so that the code of it is in memory.
    fn rehearse(&mut self) -> io::Result<()> {
        let keeper = Keeper::start(&mut self.stacks, 0)?;
        let nothing = eventfd(0, EventfdFlags::CLOEXEC)?;
        keeper.hold(&[nothing.as_fd()])?;
        keeper.end()?;
        waitpid(Some(keeper.pid), WaitOptions::empty())?;
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
        let [engine, signals, ring] = self.wait()?;
        if ring {
            self.take_trips()?;
        }
        if signals {
            while let Some(signal) = system::next_signal(&self.signals) {
                if signal == Signal::LetGo {
                    return Err(End::Signal);
                }
            }
            self.take_ended()?;
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

    /// Waits until something is readable or due: who started us, a signal, the ring.
    fn wait(&mut self) -> Result<[bool; 3], End> {
        let pause = self.time_left();
        let ring = self.ring.as_ref().filter(|_| !self.ring_pauses);
        let engine = self.engine.as_fd();
        // Without a ring the same one twice.
        let ring_fd = ring.map_or(engine, Ring::fd);
        let has_ring = ring.is_some();
        let mut fds = [engine, self.signals.as_fd(), ring_fd]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [engine, signals, ring] = fds.map(|fd| !fd.revents().is_empty());
        self.ring_pauses = false;
        Ok([engine, signals, has_ring && ring])
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
            self.close_tripped(trip)?;
            // Of a probe that is being placed more links may come.
            self.strays[self.next_stray % STRAYS] = trip;
            self.next_stray = self.next_stray.wrapping_add(1);
        }
        Ok(())
    }

    /// Closes the links of one probe.
    fn close_tripped(&mut self, trip: Trip) -> Result<(), End> {
        for index in 0..self.links.len() {
            let link = &self.links[index];
            if link.gate == trip.gate && link.since_boot_ns <= trip.time_boot_ns {
                self.close(index, kind_of(trip), trip)?;
            }
        }
        Ok(())
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
            let since_ns = now_ns(ClockId::Monotonic);
            link.closing = Some(Closing { why, trip, since_ns });
            if let Some(keeper) = &self.keepers[link.keeper] {
                keeper.end()?;
            }
        }
        Ok(())
    }

    /// Tells of links whose keepers have ended, and forgets them.
    fn take_ended(&mut self) -> Result<(), End> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, _))) => self.forget(pid)?,
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn forget(&mut self, pid: Pid) -> Result<(), End> {
        let is_it = |keeper: &Option<Keeper>| keeper.as_ref().is_some_and(|k| k.pid == pid);
        let Some(number) = self.keepers.iter().position(is_it) else { return Ok(()) };
        self.keepers[number] = None;
        self.spare.retain(|spare| *spare != number);
        let of_link = self.links.iter().position(|link| link.keeper == number);
        let Some(index) = of_link else { return Ok(()) };
        let link = self.links.swap_remove(index);
        let now = now_ns(ClockId::Monotonic);
        // Who ended it otherwise told nobody why.
        let lost = Closing { why: ReportKind::Lost, trip: Trip::default(), since_ns: now };
        let Closing { why, trip, since_ns } = link.closing.unwrap_or(lost);
        self.report(why, link.id, now.saturating_sub(since_ns), trip)
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
        self.keep_spare();
        let Some(number) = self.spare.pop() else {
            drop(fds);
            return self.report(ReportKind::Refused, order.id, 0, Trip::default());
        };
        let mut borrowed = [self.engine.as_fd(); FDS_MAX];
        let mut count = 0;
        for fd in fds.iter().flatten() {
            borrowed[count] = fd.as_fd();
            count += 1;
        }
        let keeper = self.keepers[number].as_ref().ok_or(End::Confused)?;
        if keeper.hold(&borrowed[..count]).is_err() {
            // It was killed a moment ago. That is no reason to let go of the others.
            drop(fds);
            return self.report(ReportKind::Lost, order.id, 0, Trip::default());
        }
        let Order { id, gate, since_boot_ns, expires_ns, .. } = order;
        self.links.push(Link {
            id,
            gate,
            since_boot_ns,
            expires_ns,
            keeper: number,
            closing: None,
        });
        self.report(ReportKind::Alive, 0, 0, Trip::default())?;
        let is_its = |trip: &&Trip| {
            trip.cause != 0 && trip.gate == gate && trip.time_boot_ns >= since_boot_ns
        };
        if let Some(trip) = self.strays.iter().find(is_its).copied() {
            self.close(self.links.len() - 1, kind_of(trip), trip)?;
        }
        Ok(())
    }

    /// Starts keepers, so that a link finds one: as many as there may be.
    fn keep_spare(&mut self) {
        while self.spare.len() < SPARE {
            let Some(number) = self.keepers.iter().position(Option::is_none) else { return };
            // Where there is no process for it, there is none for a probe.
            let Ok(keeper) = Keeper::start(&mut self.stacks, number) else { return };
            self.keepers[number] = Some(keeper);
            self.spare.push(number);
        }
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
