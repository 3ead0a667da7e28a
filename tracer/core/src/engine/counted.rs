//! What a probe has counted so far: the figures that a stream, the API and the metrics tell alike.

use super::Engine;
use super::event::Outcomes;
use super::kernel::{Kernel, by_outcome};
use crate::attach::error::AttachError;
use crate::attach::link::{Counts, LinkId};
use crate::model::process::ProcessId;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracer_common::outcome::Outcome;

/// What a probe has counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// How its hits ended.
    pub outcomes: Outcomes,
    /// As in [`super::event::Summary::kernel_misses`].
    pub kernel_misses: u64,
    /// As in [`super::event::Summary::reader_stalls`], up to the reader's last look.
    pub reader_stalls: u64,
}

impl Counted {
    /// Hits that have ended: the sum of the outcomes.
    pub fn hits(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

impl Engine {
    /// What a placed probe has counted so far, exact at this moment; `None` once it is gone: its
    /// summary has the final figures.
    pub fn counted(&self, link: LinkId) -> Option<Counted> {
        let kernel = self.loaded()?;
        let reader = kernel.readers.get(link)?;
        kernel.counted(link, &reader).ok()
    }
}

impl Kernel {
    /// What the probe of `link` has counted so far.
    pub(super) fn counted(&self, link: LinkId, reader: &Reader) -> Result<Counted, AttachError> {
        let counts = self.links.counts(&self.program, link)?;
        Ok(Counted {
            outcomes: by_outcome(&counts),
            kernel_misses: self.program.kernel_misses()?.saturating_sub(reader.misses_before),
            reader_stalls: reader.stalls.load(Relaxed),
        })
    }
}

/// Who reads the ring of one probe.
#[derive(Debug)]
pub(super) struct Reader {
    /// The target.
    pub(super) process: ProcessId,
    /// Kernel misses of the program when the probe was placed.
    misses_before: u64,
    stalls: AtomicU64,
    /// Records that were lost to a full ring, at the last look.
    lost: AtomicU64,
    all_stalls: Arc<AtomicU64>,
}

impl Reader {
    /// A look at the counts: notes whether the ring was full since the last one.
    pub(super) fn look(&self, counts: &Counts) {
        let lost = counts.outcomes[Outcome::LostRingFull as usize];
        if self.lost.swap(lost, Relaxed) < lost {
            self.stalls.fetch_add(1, Relaxed);
            self.all_stalls.fetch_add(1, Relaxed);
        }
    }
}

/// The readers of all probes that are placed.
#[derive(Debug, Default)]
pub(super) struct Readers {
    all: Mutex<HashMap<LinkId, Arc<Reader>>>,
    /// Of those that have gone too.
    stalls: Arc<AtomicU64>,
}

impl Readers {
    /// One more, of the probe of `link`.
    pub(super) fn add(&self, link: LinkId, process: ProcessId, misses_before: u64) -> Arc<Reader> {
        let reader = Arc::new(Reader {
            process,
            misses_before,
            stalls: AtomicU64::default(),
            lost: AtomicU64::default(),
            all_stalls: Arc::clone(&self.stalls),
        });
        self.all().insert(link, Arc::clone(&reader));
        reader
    }

    pub(super) fn get(&self, link: LinkId) -> Option<Arc<Reader>> {
        self.all().get(&link).cloned()
    }

    pub(super) fn remove(&self, link: LinkId) {
        self.all().remove(&link);
    }

    /// All that there were.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<Reader>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_a_look_that_finds_new_losses() {
        let readers = Readers::default();
        let [one, other] = [LinkId::default(); 2].map(|link| {
            let process = ProcessId { pid: 1, start_ticks: 1 };
            readers.add(link, process, 0)
        });
        let mut counts = Counts::default();
        for (lost, stalls) in [(0, 0), (3, 1), (3, 1), (4, 2)] {
            counts.outcomes[Outcome::LostRingFull as usize] = lost;
            one.look(&counts);
            assert_eq!(one.stalls.load(Relaxed), stalls);
        }
        other.look(&counts);
        assert_eq!(readers.stalls(), 3);
    }
}
