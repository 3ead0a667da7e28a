//! What we and the guardian say to each other: packets of one size, links beside them.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::mem::MaybeUninit;
use tracer_common::maps::Trip;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// File descriptors of one link: itself, and the event of one that was made by perf events.
pub(super) const FDS_MAX: usize = 2;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident: $($kind:ident = $number:literal, $text:literal;)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum $name { $(#[doc = $text] $kind = $number,)+ }

        impl $name {
            /// The kind of a number; `None` if there is none.
            pub fn of(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// What the guardian is told to do.
    OrderKind:
    Beat = 1, "We are alive.";
    Watch = 2, "Read trips from the ring that comes with it.";
    Hold = 3, "Hold the link that comes with it.";
    Expire = 4, "Close the link at another time.";
    Close = 5, "Close the link.";
}

kinds! {
    /// What the guardian tells.
    ReportKind:
    Alive = 1, "It has heard us.";
    Asked = 2, "The link is closed, as it was asked to.";
    Tripped = 3, "The link is closed: the kernel program tripped the probe.";
    Expired = 4, "The link is closed: its time was over.";
    Refused = 5, "The link is closed: there was no room for it.";
    Lost = 6, "The link is closed: the process that held it was killed.";
    Silence = 7, "All links are being closed: nothing was heard of us.";
    Signal = 8, "All links are being closed: a signal said so.";
}

/// What the guardian is told.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Order {
    /// An [`OrderKind`].
    pub kind: u32,
    /// Index of the probe's first site, which names the probe in trips.
    pub gate: u32,
    /// The link.
    pub id: u64,
    /// Nanoseconds since boot when the probe began: an earlier trip was another probe's.
    pub since_boot_ns: u64,
    /// When to close the link, in nanoseconds since boot; 0 for never.
    pub expires_ns: u64,
}

/// What the guardian tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Report {
    /// A [`ReportKind`].
    pub kind: u32,
    /// Always zero.
    pub reserved: u32,
    /// The link.
    pub id: u64,
    /// Nanoseconds that the closing took.
    pub took_ns: u64,
    /// Why it was tripped, if it was.
    pub trip: Trip,
}

/// File descriptors that came with a packet.
pub(super) type Fds = [Option<OwnedFd>; FDS_MAX];

/// What came out of a socket.
pub(super) enum Received<T> {
    Packet(T, Fds),
    /// The other side is gone.
    End,
    /// Nothing that we know.
    Malformed,
}

/// Sends one packet.
pub(super) fn send<T: IntoBytes + Immutable>(
    socket: impl AsFd,
    packet: &T,
    fds: &[BorrowedFd<'_>],
    wait: bool,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    let flags = if wait { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::DONTWAIT };
    loop {
        match sendmsg(&socket, &[IoSlice::new(packet.as_bytes())], &mut control, flags) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Receives one packet. Allocates nothing.
pub(super) fn receive<T: FromBytes + IntoBytes>(
    socket: impl AsFd,
    wait: bool,
) -> Result<Received<T>, Errno> {
    let mut packet = T::new_zeroed();
    // Room for one more than there may be, so that it is seen.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, !wait);
    let received = loop {
        let into = &mut [IoSliceMut::new(packet.as_mut_bytes())];
        match recvmsg(&socket, into, &mut control, flags) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut fds = Fds::default();
    let mut is_known = received.bytes == size_of::<T>();
    is_known &= !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    for message in control.drain() {
        let RecvAncillaryMessage::ScmRights(sent) = message else { continue };
        for fd in sent {
            match fds.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(fd),
                None => is_known = false,
            }
        }
    }
    Ok(match (received.bytes, is_known) {
        (0, _) => Received::End,
        (_, true) => Received::Packet(packet, fds),
        (_, false) => Received::Malformed,
    })
}
