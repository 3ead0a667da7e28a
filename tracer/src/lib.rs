//! The doors: how people and programs reach the pipe of `tracer_core`.

pub mod api;
pub mod cli;
pub mod escape;
