//! Reads much of a file at once, on a few threads.

use super::dwarf::{DebugInfo, Unit, UnitIndex};
use super::opener;
use super::sections::Part;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that read at once, at most: the machine has other work.
const THREADS_MAX: usize = 4;
/// Units that a thread takes at once.
const UNITS_AT_ONCE: usize = 16;
/// What of a unit is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// Its DIEs.
    Bare,
    /// Its line program too.
    WithLines,
    /// Its line program; of a unit that is split no DIEs.
    Lines,
    /// Its own DIE; of a unit that is split that of its skeleton.
    Root,
}

/// Calls `visit` for each of some units, in no order. Each thread adds to a state of its own.
pub(super) fn units<'d, S: Default + Send>(
    info: &'d DebugInfo,
    wanted: &[UnitIndex],
    read: Read,
    visit: impl Fn(&mut S, UnitIndex, &Unit<'d>) + Sync,
) -> Vec<S> {
    units_on(threads(), info, wanted, read, visit)
}

fn units_on<'d, S: Default + Send>(
    threads: usize,
    info: &'d DebugInfo,
    wanted: &[UnitIndex],
    read: Read,
    visit: impl Fn(&mut S, UnitIndex, &Unit<'d>) + Sync,
) -> Vec<S> {
    let some: Vec<&[UnitIndex]> = wanted.chunks(UNITS_AT_ONCE).collect();
    each_on(threads, &some, |state, indices| {
        for index in *indices {
            let unit = match read {
                Read::Bare => info.read_bare_unit(Part::Main, *index),
                Read::WithLines => info.read_unit(*index),
                Read::Lines => info.read_own_unit(*index, false),
                Read::Root => info.read_own_unit(*index, true),
            };
            let Some(unit) = unit else { continue };
            visit(state, *index, &unit);
            info.touched(unit.header.length_including_self());
        }
    })
}

/// Calls `visit` for each item, in no order. Each thread adds to a state of its own.
pub(super) fn each<T: Sync, S: Default + Send>(
    items: &[T],
    visit: impl Fn(&mut S, &T) + Sync,
) -> Vec<S> {
    each_on(threads(), items, visit)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

fn each_on<T: Sync, S: Default + Send>(
    threads: usize,
    items: &[T],
    visit: impl Fn(&mut S, &T) + Sync,
) -> Vec<S> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<S>> = Mutex::default();
    let work = || {
        let mut state = S::default();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            visit(&mut state, item);
        }
        if let Ok(mut done) = done.lock() {
            done.push(state);
        }
    };
    // No more threads than there is work for.
    let threads = threads.min(items.len()).max(1);
    let behalf = opener::behalf();
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where there are no more threads, this one does it all.
            let helper = std::thread::Builder::new().name("scan".to_owned());
            let behalf = behalf.clone();
            let help = || {
                opener::work_for(behalf);
                work();
            };
            if let Err(error) = helper.spawn_scoped(scope, help) {
                tracing::debug!(%error, "no thread for a scan");
                break;
            }
        }
        work();
    });
    done.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::cache::Cache;
    use crate::binary::functions::UnitFunctions;
    use crate::binary::module::Module;
    use std::collections::BTreeMap;

    #[test]
    fn many_threads_find_what_one_finds() {
        let exe = std::env::current_exe().unwrap();
        let module = Module::from_path(&exe, &Cache::default()).unwrap();
        let info = module.code().debug_info().unwrap();
        let all: Vec<UnitIndex> = (0..info.unit_count()).collect();
        assert!(all.len() > 2 * UNITS_AT_ONCE, "{}", all.len());
        let functions = |threads| {
            type Found = BTreeMap<UnitIndex, Vec<usize>>;
            let found = units_on(threads, info, &all, Read::Bare, |found: &mut Found, at, unit| {
                let functions = UnitFunctions::read(info, unit).offsets();
                found.insert(at, functions.into_iter().map(|offset| offset.0).collect());
            });
            assert!(found.len() <= threads);
            found.into_iter().flatten().collect::<Found>()
        };
        let one = functions(1);
        assert_eq!(one.len(), all.len());
        assert!(functions(4) == one);
    }
}
