//! The only code that knows the order of the stages.

pub mod error;
pub mod event;
pub mod findings;
pub mod request;
