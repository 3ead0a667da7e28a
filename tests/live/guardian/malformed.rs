//! The guardian is told what makes no sense: it lets go of all that it holds, or of nothing.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use std::io::{PipeReader, PipeWriter, Read as _, pipe};
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use tracer_core::attach::guardian::{Order, OrderKind, Report, ReportKind};
use tracer_tests::project;
use tracer_tests::random::Random;
use zerocopy::{FromBytes as _, IntoBytes as _};

/// A guardian of the test's own. What it holds is the writing end of a pipe: the other end tells when
/// it has let go.
struct Guardian {
    child: Child,
    socket: OwnedFd,
}

impl Guardian {
    fn start() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let mut command = Command::new(project::tracer().unwrap());
        command.arg0("tracer-guardian").arg("guardian").stdin(theirs).stdout(Stdio::null());
        Self { child: command.spawn().unwrap(), socket }
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
        // It may have ended by what was said before.
        let _sent =
            sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
    }

    fn order(&self, kind: OrderKind, id: u64, fds: &[BorrowedFd<'_>]) {
        let order = Order { kind: kind as u32, id, ..Order::default() };
        self.send(order.as_bytes(), fds);
    }

    /// Has it hold a pipe's end; gives the other one.
    fn hold(&self, id: u64) -> PipeReader {
        let (reader, writer): (PipeReader, PipeWriter) = pipe().unwrap();
        self.order(OrderKind::Hold, id, &[writer.as_fd()]);
        assert_eq!(self.report().unwrap().kind, ReportKind::Alive as u32);
        reader
    }

    /// The next report; `None` at the end.
    fn report(&self) -> Option<Report> {
        let mut bytes = [0; size_of::<Report>()];
        let (length, _) = recv(&self.socket, &mut bytes, RecvFlags::empty()).unwrap_or((0, 0));
        (length > 0).then(|| Report::read_from_bytes(&bytes).unwrap())
    }

    fn ends(mut self) -> ExitStatus {
        while self.report().is_some() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until nobody holds the other end.
fn is_let_go(mut reader: PipeReader) {
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_it_holds_is_closed_when_asked_to() {
    let guardian = Guardian::start();
    let readers: Vec<_> = (1..=40).map(|id| (id, guardian.hold(id))).collect();
    for (id, reader) in readers {
        guardian.order(OrderKind::Close, id, &[]);
        // Once more changes nothing.
        guardian.order(OrderKind::Close, id, &[]);
        is_let_go(reader);
        let report = guardian.report().unwrap();
        assert_eq!((report.kind, report.id), (ReportKind::Asked as u32, id));
    }
    guardian.order(OrderKind::Beat, 0, &[]);
    assert_eq!(guardian.report().unwrap().kind, ReportKind::Alive as u32);
}

#[test]
fn when_nobody_is_there_it_lets_go_and_ends() {
    let mut guardian = Guardian::start();
    let reader = guardian.hold(1);
    let (other, _) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    drop(std::mem::replace(&mut guardian.socket, other));
    is_let_go(reader);
    assert!(guardian.child.wait().unwrap().success());
}

/// HOST-1
#[test]
fn nonsense() {
    let zeros = [0; 64];
    let order = |kind: u32| Order { kind, id: 7, ..Order::default() };
    let (unknown, holds) = (order(99), order(OrderKind::Hold as u32));
    let watches = order(OrderKind::Watch as u32);
    // Too short, too long, of no kind, without what must come with it.
    let packets: [&[u8]; 7] = [
        &zeros[..1],
        &zeros[..size_of::<Order>() - 1],
        &zeros,
        &zeros[..size_of::<Order>()],
        unknown.as_bytes(),
        holds.as_bytes(),
        watches.as_bytes(),
    ];
    for packet in packets {
        let guardian = Guardian::start();
        let reader = guardian.hold(1);
        guardian.send(packet, &[]);
        is_let_go(reader);
        assert_eq!(guardian.ends().code(), Some(1), "{packet:?}");
    }
}

/// HOST-1
#[test]
fn file_descriptors_that_make_no_sense() {
    let (reader, writer) = pipe().unwrap();
    for (kind, count) in [(OrderKind::Watch, 1), (OrderKind::Hold, 3), (OrderKind::Hold, 8)] {
        let guardian = Guardian::start();
        let held = guardian.hold(1);
        guardian.order(kind, 2, &vec![writer.as_fd(); count]);
        is_let_go(held);
        assert_eq!(guardian.ends().code(), Some(1), "{kind:?} with {count}");
    }
    // The same link twice.
    let guardian = Guardian::start();
    let held = guardian.hold(1);
    guardian.order(OrderKind::Hold, 1, &[writer.as_fd()]);
    is_let_go(held);
    assert_eq!(guardian.ends().code(), Some(1));
    drop(writer);
    is_let_go(reader);
}

/// More than it has room for is refused, and random packets end it at worst.
///
/// HOST-1
#[test]
fn floods() {
    let guardian = Guardian::start();
    let (reader, writer) = pipe().unwrap();
    let mut refused = 0;
    for id in 1..=2500 {
        guardian.order(OrderKind::Hold, id, &[writer.as_fd()]);
        let report = guardian.report().unwrap();
        refused += u32::from(report.kind == ReportKind::Refused as u32);
    }
    assert_eq!(refused, 2500 - 2048);
    drop(writer);
    drop(guardian);
    is_let_go(reader);
    let mut random = Random::from_environment("packets");
    for _ in 0..20 {
        let guardian = Guardian::start();
        let reader = guardian.hold(1);
        for _ in 0..100 {
            let mut order = Order { kind: random.below(6) as u32, ..Order::default() };
            (order.id, order.expires_ns) = (random.below(4), random.number());
            guardian.send(order.as_bytes(), &[]);
        }
        drop(guardian);
        is_let_go(reader);
    }
}
