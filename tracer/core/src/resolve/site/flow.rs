//! Where control comes into some of a function's code.

use super::code::Code;
use crate::model::address::Svma;
use crate::resolve::instruction::{self, Flow};
use std::collections::BTreeSet;
use std::ops::Range;

/// Ways into an inlined copy that are looked at.
const WAYS_MAX: usize = 64;

impl Code<'_> {
    /// The addresses of some ranges of this part where control comes in from the rest of it for the
    /// first time: what is reached through another of them only is a way back in, after code of the
    /// caller that the compiler has put in between. Nothing where jumps lead nobody knows where.
    pub fn entered(&self, ranges: &[Range<u64>]) -> BTreeSet<Svma> {
        if self.jump_table {
            return BTreeSet::new();
        }
        let next: Vec<[Option<usize>; 2]> = (0..self.len()).map(|index| self.next(index)).collect();
        let is_inside = |index: usize| {
            let step = self.step(index);
            step.is_some_and(|step| ranges.iter().any(|range| range.contains(&step.svma.0)))
        };
        let starts = self.part.targets.iter().copied();
        let starts = starts.chain([self.part.entry.unwrap_or(self.part.start)]);
        let starts: Vec<usize> = starts.filter_map(|svma| self.index_of(svma)).collect();
        let mut ways: BTreeSet<usize> =
            starts.iter().copied().filter(|index| is_inside(*index)).collect();
        for (_, next) in next.iter().enumerate().filter(|(index, _)| !is_inside(*index)) {
            ways.extend(next.iter().flatten().copied().filter(|next| is_inside(*next)));
        }
        let reached = |way: &&usize| reaches(&next, &starts, **way, &ways);
        let first = ways.iter().take(WAYS_MAX).filter(reached);
        first.filter_map(|index| Some(self.step(*index)?.svma)).collect()
    }

    /// Where control goes from a step, within this part.
    fn next(&self, index: usize) -> [Option<usize>; 2] {
        let Some(step) = self.step(index) else { return [None; 2] };
        let behind = self.index_of(step.end());
        if step.plain {
            return [behind, None];
        }
        let flow = instruction::decode(self.bytes(step), step.svma);
        match flow.as_ref().map(instruction::flow) {
            Some(Flow::Jump(to)) => [self.index_of(to), None],
            Some(Flow::Branch(to)) => [behind, self.index_of(to)],
            Some(Flow::IndirectJump { .. } | Flow::Return) | None => [None; 2],
            Some(_) => [behind, None],
        }
    }
}

/// Whether a step is reached from some others, and not only through one of `without`.
fn reaches(
    next: &[[Option<usize>; 2]],
    from: &[usize],
    wanted: usize,
    without: &BTreeSet<usize>,
) -> bool {
    let mut seen = vec![false; next.len()];
    let mut open = from.to_vec();
    while let Some(index) = open.pop() {
        if index == wanted {
            return true;
        }
        match seen.get_mut(index) {
            Some(seen) if !*seen && !without.contains(&index) => *seen = true,
            _ => continue,
        }
        open.extend(next.get(index).into_iter().flatten().flatten().copied());
    }
    false
}
