//! The only code that knows the order of the stages.

pub mod clock;
mod doctor;
pub mod error;
pub mod event;
pub mod findings;
mod mapped;
pub mod pipe;
mod probe;
pub mod request;
mod vars;
mod watchdog;
mod words;

pub use crate::resolve::function::parse as parse_location;
pub use doctor::doctor;
pub use pipe::{find, snapshot};
pub use vars::vars;
