//! What the tests share: programs to trace, and what a machine must have for live tests.

pub mod privilege;
pub mod project;
pub mod targets;
pub mod truth;
