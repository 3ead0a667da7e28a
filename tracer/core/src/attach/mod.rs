//! Plan → kernel: loads the program, writes plans to its maps, places and removes breakpoints.
//!
//! Breakpoints are known outside by opaque link ids only; no file descriptor leaves this stage.

mod arming;
pub mod breakpoints;
pub mod btf;
pub mod calibrate;
pub mod cpu_clock;
pub mod error;
pub mod guardian;
pub mod late;
pub mod link;
pub mod load;
pub mod maps;
mod perf;
mod place;
pub mod ring;
pub mod selftest;
pub mod site;
pub mod support;
mod sys;
pub mod text;
