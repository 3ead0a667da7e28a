//! Where a probe sits: an instruction boundary on the allow-list, an emulated instruction where
//! one means the same to the user.
//!
//! A probe may move only within straight-line code: whoever reaches one of the two addresses
//! reaches the other, and between them nothing that can be shown changes.

mod code;
mod effects;
mod flow;
mod home;
mod paths;

#[cfg(test)]
mod acceptance;
#[cfg(test)]
mod tests;

pub use code::Code;
pub use home::{Home, parameter_home};
pub use paths::{Lives, MEMORY, Paths};

use super::instruction::{self, Refusal};
use crate::model::address::Svma;
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::TrapClass;
use code::Step;

/// How far a probe at a function's entry may move, whatever lines it passes: `endbr64` and the
/// first `push` of a prologue.
const ENTRY_MOVE_BYTES: u64 = 16;
/// Instructions looked at in each direction for a place to move to.
const RUN_INSTRUCTIONS: usize = 64;
/// Places named in each direction where the requested one can't be probed.
const NEAREST: usize = 2;

/// A contiguous part of a function's code; a function without a `.cold` part has just one.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The code, as it is in the file.
    pub bytes: &'a [u8],
    /// Where it starts: an instruction boundary. A symbol says so; the range of an FDE does too,
    /// but not that of a signal trampoline (augmentation `S`), which starts a byte early.
    pub start: Svma,
    /// The function's entry; `None` where it is in another part.
    pub entry: Option<Svma>,
    /// The line table's rows in this part, in ascending order.
    pub rows: &'a [Row],
    /// Addresses in this part that control reaches from outside of it: targets of branches in the
    /// function's other parts ([`Code::branch_targets`]), landing pads of exceptions.
    pub targets: &'a [Svma],
    /// This machine's kernel does no harm under a breakpoint on a nop of 5 bytes.
    pub nop5_is_safe: bool,
}

/// A row of the line table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Where it starts; it ends where the next one starts.
    pub svma: Svma,
    /// Number of the file, any numbering that tells files apart.
    pub file: u64,
    /// From 1; 0 where the compiler gives none.
    pub line: u64,
    /// Recommended for breakpoints.
    pub is_stmt: bool,
}

/// What placement asks about the variables in scope.
pub trait Variables {
    /// Whether the same variables are in scope at both addresses, each with the same location.
    /// Locations relative to the CFA or the frame base are compared by their offset from it: the
    /// CFA is the same at every address of a function.
    fn same(&self, a: Svma, b: Svma) -> bool;

    /// The registers that the variables' locations at `pc` read, as bits by DWARF number (psABI
    /// x86-64, figure 3.36). A location relative to the CFA reads none, for a changed stack
    /// pointer is made up for by the CFI.
    fn registers(&self, pc: Svma) -> u32;
}

/// The variables of code without debug info: at its entry the registers of the psABI's calling
/// sequence (3.2.3) are what a user looks at.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentRegisters;

impl Variables for ArgumentRegisters {
    fn same(&self, _a: Svma, _b: Svma) -> bool {
        true
    }

    fn registers(&self, _pc: Svma) -> u32 {
        // rdi, rsi, rdx, rcx, r8, r9; rax for variable arguments, r10 for the static chain.
        1 << 5 | 1 << 4 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 9 | 1 << 0 | 1 << 10
    }
}

/// The address that is probed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Its address.
    pub svma: Svma,
    /// The instruction's bytes, 1 to 15.
    pub instruction: Vec<u8>,
    /// Its disassembly.
    pub disassembly: String,
    /// What its trap costs.
    pub trap: TrapClass,
    /// Why this address: one sentence for people.
    pub why: String,
}

/// Why an address can't be probed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unplaceable {
    /// [`IssueKind::NotOnInstruction`] or [`IssueKind::RefusedInstruction`].
    pub kind: IssueKind,
    /// What is there.
    pub detail: String,
    /// The nearest addresses that can be probed.
    pub nearest: Vec<Svma>,
}

impl Unplaceable {
    /// The issue, in the words of the request: `subject` is the location, `show` writes an address
    /// so that it can be asked for.
    pub fn into_issue(self, subject: &str, show: impl Fn(Svma) -> String) -> Issue {
        Issue::new(self.kind, subject, self.detail)
            .with_candidates(self.nearest.into_iter().map(show).collect())
    }
}

impl Code<'_> {
    /// Chooses the address to probe for the one that the location means.
    ///
    /// In this order: an emulated instruction there, an emulated one that means the same, forward
    /// before backward, the instruction there, another one that means the same.
    ///
    /// # Errors
    ///
    /// `requested` is not on an instruction boundary, or the instruction there is refused and no
    /// other means the same.
    pub fn place(
        &self,
        requested: Svma,
        variables: &dyn Variables,
    ) -> Result<Placement, Unplaceable> {
        let index = match self.boundary(requested) {
            Ok(index) => index,
            Err(detail) => {
                return Err(Unplaceable {
                    kind: IssueKind::NotOnInstruction,
                    detail,
                    nearest: self.nearest(self.at_or_below(requested), variables),
                });
            }
        };
        if let Some(chosen) = self.choose(index, variables) {
            return Ok(self.placement(index, chosen));
        }
        let what = match self.classify(index) {
            Err(refusal) => refusal.to_string(),
            Ok(allowed) => allowed.text,
        };
        Err(Unplaceable {
            kind: IssueKind::RefusedInstruction,
            detail: what,
            nearest: self.nearest(Some(index), variables),
        })
    }

    /// The step to probe for the one at `index`.
    fn choose(&self, index: usize, variables: &dyn Variables) -> Option<usize> {
        let here = self.step(index)?.trap;
        if here == Some(TrapClass::Emulated) {
            return Some(index);
        }
        self.moved(index, |trap| trap == TrapClass::Emulated, variables)
            .or_else(|| here.map(|_| index))
            .or_else(|| self.moved(index, |_| true, variables))
    }

    /// The nearest step whose trap class is wanted and that means the same as the one at `index`.
    fn moved(
        &self,
        index: usize,
        wanted: impl Fn(TrapClass) -> bool,
        variables: &dyn Variables,
    ) -> Option<usize> {
        let from = self.step(index)?;
        let read = variables.registers(from.svma);
        let mut written = 0;
        for next in (index..).take(RUN_INSTRUCTIONS).map(|i| i.saturating_add(1)) {
            match self.pass(next.saturating_sub(1), next) {
                Some(registers) => written |= registers,
                None => break,
            }
            let to = self.step(next)?;
            let entry = self.part.entry == Some(from.svma);
            let same = if entry { self.same_entry(from, to) } else { self.same_line(from, to) };
            if written & read != 0 || !same {
                break;
            }
            if self.takes(next, &wanted) && same_variables(from, to, written, variables) {
                return Some(next);
            }
        }
        written = 0;
        for previous in (0..index).rev().take(RUN_INSTRUCTIONS) {
            written |= self.pass(previous, previous.saturating_add(1))?;
            let to = self.step(previous)?;
            if written & read != 0 || !self.same_line(to, from) {
                break;
            }
            if self.takes(previous, &wanted) && same_variables(from, to, written, variables) {
                return Some(previous);
            }
        }
        None
    }

    /// Whether a probe may sit on a step and its trap class is wanted.
    fn takes(&self, index: usize, wanted: impl Fn(TrapClass) -> bool) -> bool {
        self.step(index).and_then(|step| step.trap).is_some_and(wanted)
    }

    /// Whether `to` still is the function's entry to a user.
    fn same_entry(&self, entry: &Step, to: &Step) -> bool {
        // Where the jumps of a jump table go is not known. But none goes behind a `push` of the
        // prologue, for the stack would not be balanced.
        to.svma.0.wrapping_sub(entry.svma.0) <= ENTRY_MOVE_BYTES
            && (to.push
                || !self.jump_table
                || self.rows_between(entry.svma, to.svma).next().is_none())
    }

    /// Whether two steps, `low` before `high`, are on the same line, and no jump table may come
    /// in between: its targets start a row.
    fn same_line(&self, low: &Step, high: &Step) -> bool {
        let mut rows = self.rows_between(low.svma, high.svma);
        self.row_at(low.svma).is_some_and(|at| {
            rows.all(|row| !self.jump_table && (row.file, row.line) == (at.file, at.line))
        })
    }

    /// The registers that the step at `index` writes, as bits by DWARF number, where control
    /// always goes on to the one at `next` and comes there only from it, and where nothing else
    /// that can be shown changes.
    fn pass(&self, index: usize, next: usize) -> Option<u32> {
        let certain = self.undisputed(index) && self.undisputed(next);
        let (step, next) = (self.step(index)?, self.step(next)?);
        let contiguous = step.end() == next.svma;
        if !certain || !contiguous || !step.plain || self.is_target(step.svma, next.svma) {
            return None;
        }
        effects::passable(&instruction::decode(self.bytes(step), step.svma)?)
    }

    /// Addresses around the step at `index` that can be probed, in ascending order.
    fn nearest(&self, index: Option<usize>, variables: &dyn Variables) -> Vec<Svma> {
        let index = index.unwrap_or(0);
        let placeable = |&i: &usize| self.undisputed(i) && self.choose(i, variables).is_some();
        let below = (0..=index).rev().take(RUN_INSTRUCTIONS).filter(placeable).take(NEAREST);
        let above = (index.saturating_add(1)..self.len())
            .take(RUN_INSTRUCTIONS)
            .filter(placeable)
            .take(NEAREST);
        let mut nearest: Vec<Svma> =
            below.chain(above).filter_map(|i| Some(self.step(i)?.svma)).collect();
        nearest.sort_unstable();
        nearest
    }

    /// The placement at the step `chosen` for the one at `requested`.
    fn placement(&self, requested: usize, chosen: usize) -> Placement {
        let svma = |index| self.step(index).map_or(self.part.start, |step| step.svma);
        let text = |index| match self.classify(index) {
            Ok(allowed) => allowed.text,
            Err(Refusal { text, .. }) => text,
        };
        let trap = self.step(chosen).and_then(|s| s.trap).unwrap_or(TrapClass::SingleStepped);
        let note = match (trap, requested == chosen) {
            (TrapClass::Emulated, true) => "emulated",
            (TrapClass::Emulated, false) => "emulated; a single-stepped site costs many times more",
            (TrapClass::SingleStepped, _) => {
                "single-stepped; no emulated instruction means the same"
            }
        };
        let disassembly = text(chosen);
        let why = if requested == chosen {
            format!("{disassembly} at the requested address ({note})")
        } else {
            let distance = svma(chosen).0.wrapping_sub(svma(requested).0).cast_signed();
            let how = match chosen.checked_sub(requested) {
                Some(1) => format!("past {}", text(requested)),
                Some(passed) => format!("past {passed} instructions"),
                None => "back".to_owned(),
            };
            let refused = match self.classify(requested) {
                Ok(_) => String::new(),
                Err(refusal) => format!("; {refusal}"),
            };
            format!("moved {distance:+} {how} to {disassembly} ({note}){refused}")
        };
        let instruction = self.step(chosen).map_or(&[][..], |step| self.bytes(step)).to_vec();
        Placement { svma: svma(chosen), instruction, disassembly, trap, why }
    }
}

/// Whether the variables look the same from two steps between which `written` registers change.
fn same_variables(from: &Step, to: &Step, written: u32, variables: &dyn Variables) -> bool {
    written & variables.registers(to.svma) == 0 && variables.same(from.svma, to.svma)
}
