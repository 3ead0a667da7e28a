//! What the tests share: programs to trace, and what a machine must have for live tests.

pub mod bombs;
pub mod bpf;
pub mod cli;
pub mod container;
pub mod daemon;
pub mod deploy;
pub mod flat;
pub mod forms;
pub mod fuse;
pub mod meaning;
pub mod placed;
pub mod privilege;
pub mod project;
pub mod random;
pub mod scrape;
pub mod snapshot;
pub mod targets;
pub mod text;
pub mod truth;
pub mod workload;
