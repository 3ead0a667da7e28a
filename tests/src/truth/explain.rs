//! Why two values may differ though neither view is wrong about its run, or gdb is the wrong one.

use super::leaf::Leaf;
use super::programs::Program;
use std::ops::Range;

/// The addresses of a process's heap.
pub type Heap = Range<i128>;

/// Where two values were seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The program.
    pub program: &'a Program,
    /// The build of it.
    pub build: &'a str,
    /// The location as it was asked for.
    pub location: &'a str,
    /// The heaps of the run under tracer and of the one under gdb.
    pub heaps: [&'a Heap; 2],
}

impl Seen<'_> {
    /// Why the two values at a path may differ; `None` if they may not.
    pub fn explain(&self, path: &str, ours: &Leaf, gdb: &Leaf) -> Option<&'static str> {
        self.of_time(path).or_else(|| self.of_gdb(path)).or_else(|| self.of_heap(path, ours, gdb))
    }

    fn of_time(&self, path: &str) -> Option<&'static str> {
        let mut volatile = self.program.volatile.iter();
        volatile.find(|(end, _)| path.ends_with(end)).map(|(_, why)| *why)
    }

    fn of_gdb(&self, path: &str) -> Option<&'static str> {
        let is_of = |name: &str| {
            let rest = path.strip_prefix("#0 ").and_then(|path| path.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut errors = self.program.gdb_errors.iter().filter(|error| {
            self.build.starts_with(error.builds) && self.location == error.location
        });
        errors.find(|error| error.variables.iter().any(|name| is_of(name))).map(|error| error.why)
    }

    fn of_heap(&self, path: &str, ours: &Leaf, gdb: &Leaf) -> Option<&'static str> {
        if !self.program.heap_moves {
            return None;
        }
        let is_in = |leaf: &Leaf, heap: &Heap| match leaf {
            Leaf::Number(number) => heap.contains(number),
            _ => false,
        };
        let [our_heap, gdb_heap] = self.heaps;
        if is_in(ours, our_heap) && is_in(gdb, gdb_heap) {
            return Some("an address in the heap, where things are at other places");
        }
        let computes = path.starts_with("$r") && !["$rip", "$rsp", "$rbp"].contains(&path);
        computes.then_some("a register that holds what was computed from such an address")
    }
}
