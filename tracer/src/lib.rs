//! The doors: how people and programs reach the pipe of `tracer_core`.

pub mod api;
pub mod cli;
pub mod client;
pub mod daemon;
pub mod debuginfod;
pub mod escape;
