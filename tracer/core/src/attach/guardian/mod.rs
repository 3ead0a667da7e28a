//! The guardian: a small process that owns the file descriptor of every link, so that breakpoints
//! go in time whatever happens to us.
//!
//! It closes a link when the kernel program tripped the probe, when its time is over and when it is
//! asked to. All links go, by its own end, when we die or fall silent, when it is told so by SIGTERM
//! or SIGUSR1, and when it hears what it does not understand: its only way to fail is to let go.
//! When it dies itself, the kernel closes what it held and we start another one for later probes.

mod client;
mod keeper;
mod message;
mod process;
mod system;

pub use message::{Order, OrderKind, Report, ReportKind};
pub use process::run;

pub(super) use client::{Guardian, Guardians, Handover, Held, Notice, boot_ns};
