//! The only code that knows the order of the stages.

pub mod clock;
mod doctor;
pub mod error;
pub mod event;
pub mod findings;
mod mapped;
pub mod options;
pub mod pipe;
mod probe;
pub mod request;
mod vars;
mod watchdog;
mod words;

pub use crate::binary::cache::CacheReadings;
pub use crate::resolve::function::parse as parse_location;
pub use doctor::doctor;

use crate::attach::link::LinkId;
use crate::binary::cache::{Cache, CacheOptions};
use crate::binary::index_store::IndexStore;
use options::Options;
use std::collections::BTreeMap;
use std::sync::Arc;
use tracer_common::outcome::Outcome;

/// The pipe with all that it keeps between requests. Requests may come from many threads at once;
/// each occupies its thread until it ends.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    cache: Arc<Cache>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Engine {
    /// Nothing is loaded before the first request needs it.
    pub fn new(options: Options) -> Self {
        let cache = Cache::new(CacheOptions::default(), IndexStore::of_user());
        Self { options, cache: Arc::new(cache) }
    }

    /// How the cache of files stands.
    pub fn cache(&self) -> CacheReadings {
        self.cache.readings()
    }

    /// How the hits of a placed probe ended so far, exact at this moment; `None` once it is gone:
    /// its summary has the final figures.
    pub fn outcomes(&self, _link: LinkId) -> Option<BTreeMap<Outcome, u64>> {
        None
    }
}
