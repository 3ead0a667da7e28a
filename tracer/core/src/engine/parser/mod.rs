//! The parser: a process of our own program that has no rights, and reads what others wrote: the
//! files of targets and their debug info.
//!
//! It lives as long as we do and keeps what it has read. Each question is a session: a socket, and a
//! thread of the parser. It opens nothing itself: it asks for a file, and who may opens it by rules
//! of its own ([`desk`]). What comes back is checked as if somebody else had written it. Files that
//! take too long, take too much memory or are a bug's match end the parser and nothing else.

mod channel;
mod confine;
mod desk;
mod limits;
mod message;
mod process;
mod questions;
mod session;
mod start;
mod view;

pub use process::run;

pub(super) use message::{Hits, Question, Resolution};
pub(super) use process::label;
pub(super) use session::Session;
pub(super) use start::Parsers;
