//! The nouns of the pipe: plain data with public fields, no I/O.

pub mod abilities;
pub mod action;
pub mod address;
pub mod admission;
pub mod budget;
pub mod caller;
pub mod capture;
pub mod container;
pub mod cost;
pub mod issue;
pub mod limits;
pub mod location;
pub mod plan;
pub mod process;
pub mod reason;
pub mod record;
pub mod resolved;
pub mod serial;
pub mod types;
pub mod value;
