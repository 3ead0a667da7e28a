//! The only code that knows the order of the stages.

mod admission;
mod callers;
mod children;
pub mod clock;
mod code_files;
pub mod control;
pub mod cost;
pub mod counted;
mod doctor;
pub mod error;
pub mod event;
pub mod figures;
mod files;
pub mod findings;
mod idle;
mod kernel;
mod mapped;
mod nearest;
pub mod options;
mod parser;
mod pending;
pub mod pipe;
pub mod placed;
mod probe;
mod programs;
pub mod readings;
pub mod request;
mod target;
mod vars;
mod watchdog;
mod words;

pub use crate::attach::guardian::run as guardian;
pub use crate::binary::debuginfod::{DebugServers, FetchError, ServerOptions, Transport};
pub use crate::resolve::function::parse as parse_location;
pub use doctor::doctor;
pub use parser::run as parser;

use crate::model::abilities::HostAbilities;
use options::Options;
use std::sync::OnceLock;

/// The pipe with all that it keeps between requests. Requests may come from many threads at once;
/// each occupies its thread until it ends.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    kernel: kernel::Slot,
    parsers: parser::Parsers,
    abilities: OnceLock<HostAbilities>,
    programs: programs::Programs,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Engine {
    /// Nothing is loaded before the first request needs it.
    pub fn new(options: Options) -> Self {
        Self::with_servers(options, None)
    }

    /// The same with servers that are asked for debug files.
    pub fn with_servers(options: Options, servers: Option<DebugServers>) -> Self {
        let parsers = parser::Parsers::new(options.guardian.clone(), servers);
        Self {
            options,
            kernel: kernel::Slot::default(),
            parsers,
            abilities: OnceLock::new(),
            programs: programs::Programs::default(),
        }
    }
}
