//! A function's code as steps: where instructions start, where branches go, what may be probed.

use super::{Part, Row};
use crate::model::address::Svma;
use crate::model::resolved::TrapClass;
use crate::resolve::instruction::{self, Classified, Flow, Refusal, RefusalCode};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use std::ops::Range;

/// Bytes of a part that are decoded; more is no function that a compiler made.
const CODE_BYTES: usize = 16 * 1024 * 1024;

/// Instructions between the stated entry of an inlined copy and its code.
const STRAIGHT_INSTRUCTIONS: usize = 64;

/// A decoded [`Part`].
#[derive(Debug)]
pub struct Code<'a> {
    pub(super) part: Part<'a>,
    /// In ascending order, without overlap.
    steps: Vec<Step>,
    /// Addresses in this part that control reaches other than from the instruction before.
    /// In ascending order.
    targets: Vec<Svma>,
    /// Where the part's direct branches go, this part or not.
    branch_targets: Vec<Svma>,
    /// There are jumps whose targets are not known.
    pub(super) jump_table: bool,
}

/// An instruction of a [`Code`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Its address.
    pub(super) svma: Svma,
    /// Bytes, 1 to 15.
    pub(super) length: u8,
    /// What its trap costs; `None` if it may not be probed.
    pub(super) trap: Option<TrapClass>,
    /// Control always goes on to the next one.
    pub(super) plain: bool,
    /// It pushes something.
    pub(super) push: bool,
    /// It is the nop of 5 bytes that some kernels rewrite into a call.
    nop5: bool,
}

impl Step {
    /// The address behind it.
    pub(super) fn end(&self) -> Svma {
        self.svma.offset(i64::from(self.length))
    }
}

impl<'a> Code<'a> {
    /// Decodes a part from its start. Behind bytes that are no instruction, decoding goes on at
    /// the next row of the line table, if there is one.
    pub fn decode(part: Part<'a>) -> Self {
        let mut code = Self {
            part,
            steps: Vec::new(),
            targets: part.targets.to_vec(),
            branch_targets: Vec::new(),
            jump_table: false,
        };
        // Addresses don't wrap, so they ascend with the position.
        let room = usize::try_from(u64::MAX.wrapping_sub(part.start.0)).unwrap_or(usize::MAX);
        let bytes = part.bytes.get(..room.min(CODE_BYTES)).unwrap_or(part.bytes);
        let mut decoder = Decoder::with_ip(64, bytes, part.start.0, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            let position = decoder.position();
            let svma = Svma(decoder.ip());
            decoder.decode_out(&mut instruction);
            if !instruction.is_invalid() {
                code.push(&instruction, bytes.get(position..).unwrap_or_default());
                continue;
            }
            let next = part.rows.partition_point(|row| row.svma <= svma);
            let Some(resume) = part.rows.get(next).map(|row| row.svma) else {
                break;
            };
            let offset = resume.0.wrapping_sub(part.start.0);
            let resumed = usize::try_from(offset).is_ok_and(|o| decoder.set_position(o).is_ok());
            if !resumed {
                break;
            }
            decoder.set_ip(resume.0);
        }
        code.targets.extend_from_slice(&code.branch_targets);
        code.targets.sort_unstable();
        code.targets.dedup();
        code.keep_targets_whole();
        code
    }

    /// Takes nops of 5 bytes that control enters in the middle from what may be probed: the
    /// kernel rewrites all of them at once.
    fn keep_targets_whole(&mut self) {
        let is_entered = |step: &Step| self.is_target(step.svma, step.end().offset(-1));
        let entered: Vec<usize> = (0..self.steps.len())
            .filter(|index| self.steps.get(*index).is_some_and(|s| s.nop5 && is_entered(s)))
            .collect();
        for index in entered {
            if let Some(step) = self.steps.get_mut(index) {
                step.trap = None;
            }
        }
    }

    /// Adds a step; `bytes` starts with `instruction`.
    fn push(&mut self, instruction: &Instruction, bytes: &[u8]) {
        let flow = instruction::flow(instruction);
        match flow {
            Flow::Jump(to) | Flow::Branch(to) | Flow::Call(to) => self.branch_targets.push(to),
            Flow::IndirectJump { fixed_slot: false } => self.jump_table = true,
            _ => {}
        }
        let nop5 = instruction::is_nop5(bytes);
        let emulated = (nop5 && self.part.nop5_is_safe).then_some(TrapClass::Emulated);
        self.steps.push(Step {
            svma: Svma(instruction.ip()),
            // An instruction is at most 15 bytes.
            length: instruction.len() as u8,
            trap: instruction::verdict(instruction, bytes).ok().map(|e| e.trap).or(emulated),
            nop5,
            plain: flow == Flow::Next,
            push: instruction.mnemonic() == Mnemonic::Push,
        });
    }

    /// Where this part's direct branches and calls go, inside and outside of it: what the
    /// function's other parts need as their [`Part::targets`].
    pub fn branch_targets(&self) -> &[Svma] {
        &self.branch_targets
    }

    /// The first instruction of some ranges that straight code leads to from `from`: whoever comes to
    /// one of the two comes to the other.
    pub fn first_of(&self, ranges: &[Range<u64>], from: Svma) -> Option<Svma> {
        let start = self.boundary(from).ok()?;
        for index in (start..self.len()).take(STRAIGHT_INSTRUCTIONS) {
            let step = self.step(index)?;
            if ranges.iter().any(|range| range.contains(&step.svma.0)) {
                return Some(step.svma);
            }
            let next = self.step(index.saturating_add(1))?;
            if !step.plain || step.end() != next.svma || self.is_target(step.svma, next.svma) {
                return None;
            }
        }
        None
    }

    /// Whether a direct jump in some ranges of this part leads to an address.
    pub fn jumps_to(&self, to: Svma, from: &[Range<u64>]) -> bool {
        let is_inside = |svma: Svma| from.iter().any(|range| range.contains(&svma.0));
        let jumps = self.steps.iter().filter(|step| !step.plain && is_inside(step.svma));
        let flow = |step: &Step| {
            Some(instruction::flow(&instruction::decode(self.bytes(step), step.svma)?))
        };
        self.branch_targets.contains(&to)
            && jumps
                .filter_map(flow)
                .any(|flow| matches!(flow, Flow::Jump(at) | Flow::Branch(at) if at == to))
    }

    /// Whether a jump leads to where only the running program knows, as by a table.
    pub fn jumps_anywhere(&self) -> bool {
        let flow = |step: &Step| {
            Some(instruction::flow(&instruction::decode(self.bytes(step), step.svma)?))
        };
        let mut flows = self.steps.iter().filter(|step| !step.plain).filter_map(flow);
        flows.any(|flow| matches!(flow, Flow::IndirectJump { fixed_slot: false }))
    }

    /// Addresses of all instructions that were decoded, in ascending order.
    pub fn boundaries(&self) -> impl Iterator<Item = Svma> {
        self.steps.iter().map(|step| step.svma)
    }

    /// The number of steps.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The step with this index.
    pub(super) fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index)
    }

    /// The bytes of a step.
    pub(super) fn bytes(&self, step: &Step) -> &'a [u8] {
        usize::try_from(step.svma.0.wrapping_sub(self.part.start.0))
            .ok()
            .and_then(|offset| self.part.bytes.get(offset..)?.get(..usize::from(step.length)))
            .unwrap_or_default()
    }

    /// What is at the step with this index.
    pub(super) fn classify(&self, index: usize) -> Result<Classified, Refusal> {
        match self.step(index) {
            Some(step) => instruction::classify(self.bytes(step), step.svma),
            None => Err(Refusal { code: RefusalCode::NotCode, text: "(bad)".to_owned() }),
        }
    }

    /// The step that starts at or below `svma`.
    pub(super) fn at_or_below(&self, svma: Svma) -> Option<usize> {
        self.steps.partition_point(|step| step.svma <= svma).checked_sub(1)
    }

    /// The step that starts at `svma`.
    pub(super) fn index_of(&self, svma: Svma) -> Option<usize> {
        self.steps.binary_search_by_key(&svma, |step| step.svma).ok()
    }

    /// The step that starts at `svma`, if decoding from the part's start and from the nearest row
    /// of the line table both land there.
    ///
    /// # Errors
    ///
    /// What is there instead.
    pub(super) fn boundary(&self, svma: Svma) -> Result<usize, String> {
        let Some((index, step)) = self.at_or_below(svma).and_then(|i| Some((i, self.step(i)?)))
        else {
            return Err("the address is not in this part of the function".to_owned());
        };
        if step.svma == svma {
            return if self.undisputed(index) {
                Ok(index)
            } else {
                Err("the disassembly and the line table disagree where instructions start"
                    .to_owned())
            };
        }
        Err(if svma < step.end() {
            let inside = svma.0.wrapping_sub(step.svma.0);
            let text = match self.classify(index) {
                Ok(allowed) => allowed.text,
                Err(refusal) => refusal.text,
            };
            format!("byte {inside} of {text}, which starts at {}", step.svma)
        } else {
            "there is data between the code before this address".to_owned()
        })
    }

    /// Whether the row that covers the step with this index starts at a step too.
    pub(super) fn undisputed(&self, index: usize) -> bool {
        self.step(index).is_some_and(|step| {
            self.row_at(step.svma).is_none_or(|row| {
                self.steps.binary_search_by_key(&row.svma, |step| step.svma).is_ok()
            })
        })
    }

    /// The row that covers `svma`.
    pub(super) fn row_at(&self, svma: Svma) -> Option<&'a Row> {
        let rows = self.part.rows;
        rows.get(rows.partition_point(|row| row.svma <= svma).checked_sub(1)?)
    }

    /// The rows that start behind `low`, up to and with `high`.
    pub(super) fn rows_between(&self, low: Svma, high: Svma) -> impl Iterator<Item = &'a Row> {
        let rows = self.part.rows;
        let from = rows.partition_point(|row| row.svma <= low);
        rows.get(from..).unwrap_or_default().iter().take_while(move |row| row.svma <= high)
    }

    /// Whether control comes from elsewhere to an address behind `low`, up to and with `high`.
    pub(super) fn is_target(&self, low: Svma, high: Svma) -> bool {
        let from = self.targets.partition_point(|&target| target <= low);
        self.targets.get(from).is_some_and(|&target| target <= high)
    }
}
