//! The words shared by the kernel program and userspace, and the capture interpreter.
//!
//! The same source is compiled for both sides, so the two can't disagree:
//! [`code`] is what a plan is written in, [`vm`] runs it over a [`machine::Machine`],
//! [`wire`] is what a record looks like, [`maps`] is how the two sides meet.
#![no_std]
#![warn(missing_docs)]

pub mod code;
pub mod limits;
pub mod machine;
pub mod maps;
pub mod outcome;
pub mod status;
pub mod vm;
pub mod wire;
