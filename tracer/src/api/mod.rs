//! The machine-readable form of what the engine gives: types, conversion, JSON.

pub mod convert;
pub mod json;
pub mod probes;
mod read;
pub mod refusal;
pub mod report;
pub mod scalar;
pub mod stream;
pub mod top;
pub mod types;
pub mod value;
pub mod vars;

/// The JSON Schema (2020-12) of every line that `tracer snapshot --json` writes.
pub const SNAPSHOT_SCHEMA: &str = include_str!("snapshot.schema.json");

/// The JSON Schema (2020-12) of the line that `tracer vars --json` writes.
pub const VARS_SCHEMA: &str = include_str!("vars.schema.json");

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
