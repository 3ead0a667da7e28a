//! What registers still hold on the way from one instruction of a function to another.
//!
//! All parts of the function are looked at together. Where control may come from somewhere that is
//! not known, nothing is held.

use super::effects::{writes_memory, written};
use crate::model::address::Svma;
use crate::resolve::instruction::{self, Flow};
use iced_x86::{Instruction, Mnemonic};
use std::collections::{BTreeSet, HashSet};

/// Instructions of one function; what has more is not looked at.
const STEPS_MAX: usize = 100_000;
/// Instructions on the ways to one place that are looked at.
const BEFORE_MAX: usize = 4_096;
/// rax, rdx, rcx, rsi, rdi, r8 to r11: what a function need not restore for its caller (psABI
/// x86-64, 3.2.1). Border: functions of another convention (`preserve_none`) may write more.
const CALL_WRITES: u32 = 0b1111_0011_0111;
const STACK_POINTER: u32 = 1 << 7;

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
    /// addresses where control comes in: the function's entry and landing pads. `leaves` tells whether
    /// a jump out of the function goes to where another function begins: from elsewhere it may come
    /// back, to nobody knows where.
    ///
    /// `None` where the code is not understood, or jumps to what is only known when it runs.
    pub fn of(
        parts: &[(Svma, &[u8])],
        entered: &[Svma],
        leaves: &dyn Fn(Svma) -> bool,
    ) -> Option<Self> {
        let mut paths = Self { steps: Vec::new() };
        let (mut flows, mut named) = (Vec::new(), Vec::new());
        for (start, bytes) in parts {
            let mut at = *start;
            let mut rest = *bytes;
            while !rest.is_empty() {
                if paths.steps.len() >= STEPS_MAX {
                    return None;
                }
                let instruction = instruction::decode(rest, at)?;
                rest = rest.get(instruction.len()..)?;
                let flow = instruction::flow(&instruction);
                if matches!(flow, Flow::IndirectJump { fixed_slot: false }) {
                    return None;
                }
                named.extend(names(&instruction));
                let (svma, end) = (at.0, instruction.next_ip());
                let writes = writes(&instruction, flow);
                paths.steps.push(Step { svma, end, writes, from: vec![], is_entered: false });
                flows.push(flow);
                at = Svma(end);
            }
        }
        if !paths.steps.is_sorted_by(|a, b| a.end <= b.svma) {
            return None;
        }
        for (index, flow) in flows.into_iter().enumerate() {
            paths.connect(index, flow, leaves)?;
        }
        // Who has an address of code may jump there: computed gotos, `longjmp` of a compiler.
        for svma in entered.iter().chain(&named) {
            paths.enter(*svma)?;
        }
        Some(paths)
    }

    fn connect(&mut self, index: usize, flow: Flow, leaves: &dyn Fn(Svma) -> bool) -> Option<()> {
        let end = Svma(self.steps.get(index)?.end);
        let (target, goes_on) = match flow {
            Flow::Next | Flow::IndirectCall => (None, true),
            Flow::Call(to) => {
                self.enter(to)?;
                (None, true)
            }
            Flow::Jump(to) => (Some(to), false),
            Flow::Branch(to) => (Some(to), true),
            Flow::IndirectJump { .. } | Flow::Return => (None, false),
            Flow::Other => {
                self.enter(end)?;
                (None, false)
            }
        };
        let behind = self.index_of(end).filter(|_| goes_on);
        let inside = target.and_then(|to| self.index_of(to));
        if let (Some(to), None) = (target, inside)
            && (self.covers(to) || !leaves(to))
        {
            return None;
        }
        for to in [behind, inside].into_iter().flatten() {
            self.steps.get_mut(to)?.from.push(index);
        }
        Some(())
    }

    /// Control may come from elsewhere to an address. `None` if that is inside of an instruction: then
    /// the code is not what it looks like.
    fn enter(&mut self, svma: Svma) -> Option<()> {
        let Some(index) = self.index_of(svma) else {
            return (!self.covers(svma)).then_some(());
        };
        self.steps.get_mut(index)?.is_entered = true;
        Some(())
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
    /// there. The ways pass no instruction where the variable is in another place.
    pub fn behind(
        &self,
        at: Svma,
        registers: u32,
        lives: &dyn Fn(Svma) -> Lives,
    ) -> Option<BTreeSet<Svma>> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut open = vec![self.index_of(at)?];
        while let Some(index) = open.pop() {
            let step = self.steps.get(index)?;
            if step.is_entered || step.from.is_empty() {
                return None;
            }
            for from in &step.from {
                let before = self.steps.get(*from)?;
                if before.writes & registers != 0 {
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
}

/// What an instruction writes: registers as bits by DWARF number, and [`MEMORY`].
fn writes(instruction: &Instruction, flow: Flow) -> u32 {
    // The callee takes its return address off the stack again.
    if matches!(flow, Flow::Call(_) | Flow::IndirectCall) {
        return CALL_WRITES | MEMORY;
    }
    let registers = written(instruction);
    // What is below the stack from now on is anybody's.
    let gives_back = registers & STACK_POINTER != 0 && instruction.mnemonic() != Mnemonic::Push;
    let is_written = gives_back || writes_memory(instruction);
    registers | if is_written { MEMORY } else { 0 }
}

/// The addresses that an instruction speaks of, other than by going there.
fn names(instruction: &Instruction) -> Vec<Svma> {
    let mut named = Vec::new();
    if instruction.is_ip_rel_memory_operand() {
        named.push(Svma(instruction.ip_rel_memory_address()));
    }
    for operand in 0..instruction.op_count() {
        if let Ok(constant) = instruction.try_immediate(operand) {
            named.push(Svma(constant));
        }
    }
    named
}

#[cfg(test)]
mod tests;
