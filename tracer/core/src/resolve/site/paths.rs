//! What registers still hold on the way from one instruction of a function to another.
//!
//! All parts of the function are looked at together. Where control may come from somewhere that is
//! not known, nothing is held.

use super::effects::{writes_memory, written};
use crate::model::address::Svma;
use crate::resolve::instruction::{self, Flow};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// Instructions of one function; what has more is not looked at.
const STEPS_MAX: usize = 100_000;
/// Instructions on the ways to one place that are looked at.
const BEFORE_MAX: usize = 4_096;
/// Instructions ahead of a place that are looked at.
const AHEAD_MAX: usize = 64;
/// rax, rdx, rcx, rsi, rdi, r8 to r11: what a function need not restore for its caller (psABI
/// x86-64, 3.2.1).
const CALL_WRITES: u32 = 0b1111_0011_0111;

/// Beside the bits of registers: memory, but for what `push` writes below the stack.
pub const MEMORY: u32 = 1 << 16;

/// The code of a function as a graph.
#[derive(Debug)]
pub struct Paths {
    /// In ascending order.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    svma: u64,
    end: u64,
    /// Registers as bits by DWARF number, and [`MEMORY`].
    writes: u32,
    /// Steps that control comes from.
    from: Vec<usize>,
    /// Control may come from elsewhere.
    is_entered: bool,
    /// The step to which control always goes on.
    next: Option<usize>,
}

/// Whether a variable is in some place at an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lives {
    /// There.
    Here,
    /// In another place, or in one that is not understood.
    Otherwise,
    /// In none.
    Nowhere,
}

impl Paths {
    /// Of the parts of a function, each with its code from its start on. `entered` are the
    /// addresses where control comes in: the function's entry and landing pads. `rows` are those
    /// where rows of the line table start: a jump whose target is not known leads to one of them.
    ///
    /// `None` where the code is not understood.
    pub fn of(parts: &[(Svma, &[u8])], entered: &[Svma], rows: &[Svma]) -> Option<Self> {
        let mut steps = Vec::new();
        let mut flows = Vec::new();
        for (start, bytes) in parts {
            let mut at = *start;
            let mut rest = *bytes;
            while !rest.is_empty() {
                let instruction = instruction::decode(rest, at)?;
                let end = Svma(instruction.next_ip());
                rest = rest.get(instruction.len()..)?;
                let flow = instruction::flow(&instruction);
                let writes = match flow {
                    // The callee takes its return address off the stack again.
                    Flow::Call(_) | Flow::IndirectCall => CALL_WRITES | MEMORY,
                    _ if writes_memory(&instruction) => written(&instruction) | MEMORY,
                    _ => written(&instruction),
                };
                let (svma, end) = (at.0, end.0);
                steps.push(Step { svma, end, writes, from: vec![], is_entered: false, next: None });
                flows.push(flow);
                at = Svma(end);
            }
            if steps.len() > STEPS_MAX {
                return None;
            }
        }
        if !steps.is_sorted_by(|a, b| a.end <= b.svma) {
            return None;
        }
        let mut paths = Self { steps };
        for (index, flow) in flows.into_iter().enumerate() {
            paths.connect(index, flow, rows)?;
        }
        entered.iter().for_each(|svma| paths.enter(*svma));
        Some(paths)
    }

    fn connect(&mut self, index: usize, flow: Flow, rows: &[Svma]) -> Option<()> {
        let end = Svma(self.steps.get(index)?.end);
        let (target, goes_on) = match flow {
            Flow::Next | Flow::IndirectCall => (None, true),
            Flow::Call(to) => {
                self.enter(to);
                (None, true)
            }
            Flow::Jump(to) => (Some(to), false),
            Flow::Branch(to) => (Some(to), true),
            Flow::IndirectJump { fixed_slot: true } | Flow::Return => (None, false),
            Flow::IndirectJump { fixed_slot: false } => {
                rows.iter().for_each(|row| self.enter(*row));
                (None, false)
            }
            Flow::Other => {
                self.enter(end);
                (None, false)
            }
        };
        let behind = self.index_of(end).filter(|_| goes_on);
        let target = match target {
            // Into the middle of an instruction: the code is not what it looks like.
            Some(to) if self.index_of(to).is_none() && self.covers(to) => return None,
            Some(to) => self.index_of(to),
            None => None,
        };
        for to in [behind, target].into_iter().flatten() {
            self.steps.get_mut(to)?.from.push(index);
        }
        let is_certain = matches!(flow, Flow::Next | Flow::Jump(_));
        self.steps.get_mut(index)?.next = behind.or(target).filter(|_| is_certain);
        Some(())
    }

    fn enter(&mut self, svma: Svma) {
        let step = self.index_of(svma).and_then(|index| self.steps.get_mut(index));
        if let Some(step) = step {
            step.is_entered = true;
        }
    }

    fn index_of(&self, svma: Svma) -> Option<usize> {
        self.steps.binary_search_by_key(&svma.0, |step| step.svma).ok()
    }

    fn covers(&self, svma: Svma) -> bool {
        let behind = self.steps.partition_point(|step| step.svma <= svma.0);
        let step = behind.checked_sub(1).and_then(|index| self.steps.get(index));
        step.is_some_and(|step| svma.0 < step.end)
    }

    /// Where control was last, on all ways to `at`, while a variable was in a place that is made
    /// of `registers` (bits by DWARF number, and [`MEMORY`]), if these hold at `at` what they held
    /// there. The ways stay `inside` and pass no instruction where the variable is in another place.
    pub fn behind(
        &self,
        at: Svma,
        registers: u32,
        inside: &[Range<u64>],
        lives: &dyn Fn(Svma) -> Lives,
    ) -> Option<BTreeSet<Svma>> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut open = vec![self.index_of(at)?];
        while let Some(index) = open.pop() {
            let step = self.steps.get(index)?;
            if step.is_entered || step.from.is_empty() || !is_inside(inside, step.svma) {
                return None;
            }
            for from in &step.from {
                let before = self.steps.get(*from)?;
                if before.writes & registers != 0 || !is_inside(inside, before.svma) {
                    return None;
                }
                match lives(Svma(before.svma)) {
                    Lives::Otherwise => return None,
                    Lives::Here => {
                        found.insert(Svma(before.svma));
                    }
                    Lives::Nowhere if seen.insert(*from) => open.push(*from),
                    Lives::Nowhere => {}
                }
            }
            if seen.len() > BEFORE_MAX {
                return None;
            }
        }
        Some(found)
    }

    /// The first instruction `inside` to which control always comes from `at`, before any call, where
    /// a variable has a place that is made of registers which hold at `at` already what they hold
    /// there. `lives` gives these, as for [`Self::behind`]; or that its place is not understood.
    pub fn ahead(
        &self,
        at: Svma,
        inside: &[Range<u64>],
        lives: &dyn Fn(Svma) -> Option<Option<u32>>,
    ) -> Option<Svma> {
        let mut index = self.index_of(at)?;
        let mut written = 0;
        for _ in 0..AHEAD_MAX {
            let step = self.steps.get(index)?;
            written |= step.writes;
            index = step.next?;
            let svma = Svma(self.steps.get(index)?.svma);
            // Compilers put code of the caller between the entry of an inlined call and its own.
            let place = lives(svma).filter(|_| is_inside(inside, svma.0));
            if let Some(registers) = place {
                let holds = |registers| registers & written == 0;
                return registers.is_some_and(holds).then_some(svma);
            }
        }
        None
    }
}

fn is_inside(ranges: &[Range<u64>], svma: u64) -> bool {
    ranges.iter().any(|range| range.contains(&svma))
}

#[cfg(test)]
mod tests;
