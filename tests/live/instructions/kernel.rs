//! A program that counts the hits of each site, and links to it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use tracer_tests::bpf::{self, Numbers, Place, instruction};

const FUNC_MAP_LOOKUP_ELEM: i32 = 1;
const FUNC_GET_ATTACH_COOKIE: i32 = 174;

/// Counts hits by attach cookie.
pub(super) struct Counter {
    counts: Numbers,
    program: OwnedFd,
}

/// Probes; dropping it removes them.
pub(super) struct Link {
    _fd: OwnedFd,
}

impl Counter {
    /// Loads a counter for this many sites.
    pub(super) fn load(sites: usize) -> Self {
        let counts = Numbers::new(sites).expect("a BPF map: this test needs root");
        let code = [
            // r0 = cookie; *(u32 *)(r10 - 4) = r0
            instruction(0x85, 0, 0, 0, FUNC_GET_ATTACH_COOKIE),
            instruction(0x63, 10, 0, -4, 0),
            // r1 = map; r2 = r10 - 4; r0 = lookup
            instruction(0x18, 1, 1, 0, counts.fd().as_raw_fd()),
            instruction(0, 0, 0, 0, 0),
            instruction(0xbf, 2, 10, 0, 0),
            instruction(0x07, 2, 0, 0, -4),
            instruction(0x85, 0, 0, 0, FUNC_MAP_LOOKUP_ELEM),
            // if r0 != 0: atomic *r0 += 1
            instruction(0x15, 0, 0, 2, 0),
            instruction(0xb7, 1, 0, 0, 1),
            instruction(0xdb, 0, 1, 0, 0),
            // return 0
            instruction(0xb7, 0, 0, 0, 0),
            instruction(0x95, 0, 0, 0, 0),
        ];
        let program = bpf::load(&code).expect("a BPF program: this test needs root and Linux 6.6");
        Self { counts, program }
    }

    /// Probes the sites with these indices in every process that maps `path`.
    pub(super) fn attach(
        &self,
        path: &Path,
        indices: &[usize],
        offset: impl Fn(usize) -> u64,
    ) -> io::Result<Link> {
        let place = |&index| Place { offset: offset(index), cookie: index as u64 };
        let places: Vec<Place> = indices.iter().map(place).collect();
        Ok(Link { _fd: bpf::link(self.program.as_fd(), path, 0, &places)? })
    }

    /// Hits of the site with this index.
    pub(super) fn hits(&self, index: usize) -> u64 {
        self.counts.get(index).expect("a site's counter")
    }
}
