//! Reads much of a file at once, on a few threads, in bounded memory.

use super::dwarf::{DebugInfo, Part, Unit, UnitIndex};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that read at once, at most: the machine has other work.
const THREADS_MAX: usize = 4;
/// Units that a thread takes at once.
const UNITS_AT_ONCE: usize = 16;
/// Bytes that a thread touches before the pages are given back.
pub(super) const READ_BYTES: usize = 8 << 20;

/// What of a unit is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// Its DIEs.
    Bare,
    /// Its line program too.
    WithLines,
}

/// Calls `visit` for each of some units, in no order. Each thread adds to a state of its own.
pub(super) fn units<'d, S: Default + Send>(
    info: &'d DebugInfo,
    wanted: &[UnitIndex],
    read: Read,
    visit: impl Fn(&mut S, UnitIndex, &Unit<'d>) + Sync,
) -> Vec<S> {
    let some: Vec<&[UnitIndex]> = wanted.chunks(UNITS_AT_ONCE).collect();
    each(&some, info, |state, indices| {
        let mut bytes = 0;
        for index in *indices {
            let unit = match read {
                Read::Bare => info.read_bare_unit(Part::Main, *index),
                Read::WithLines => info.read_unit(*index),
            };
            let Some(unit) = unit else { continue };
            visit(state, *index, &unit);
            bytes += unit.header.length_including_self();
        }
        bytes
    })
}

/// Calls `visit` for each item, in no order. Each thread adds to a state of its own. `visit` gives
/// about how many bytes of the files of `info` it has touched.
pub(super) fn each<T: Sync, S: Default + Send>(
    items: &[T],
    info: &DebugInfo,
    visit: impl Fn(&mut S, &T) -> usize + Sync,
) -> Vec<S> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    on_threads(threads, items, info, visit)
}

fn on_threads<T: Sync, S: Default + Send>(
    threads: usize,
    items: &[T],
    info: &DebugInfo,
    visit: impl Fn(&mut S, &T) -> usize + Sync,
) -> Vec<S> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<S>> = Mutex::default();
    let work = || {
        let mut state = S::default();
        let mut bytes = 0;
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            bytes += visit(&mut state, item);
            if bytes >= READ_BYTES {
                info.release();
                bytes = 0;
            }
        }
        if let Ok(mut done) = done.lock() {
            done.push(state);
        }
    };
    // No more threads than there is work for.
    let threads = threads.min(items.len()).max(1);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    done.into_inner().unwrap_or_default()
}
