//! What a second breakpoint at the function's entry can tell at a site inside of it: the arguments
//! that are gone by then, where debug info says that they are in registers at the entry.

use super::FunctionAt;
use crate::binary::cfi::{CfaRule, RegisterRule, UnwindRow};
use crate::model::address::Svma;
use crate::model::location::{Expression, Location, Piece};
use crate::model::reason::ReasonCode;
use crate::model::resolved::{Entry, ScopedVariable, VariableKind};
use crate::resolve::lang::Language;
use crate::resolve::types::TypeBuilder;
use crate::resolve::variables::Declared;
use tracer_common::code::{Code as OpCode, Op};
use tracer_common::wire::{ENTRY_REGISTERS, RBP, RSP};

/// rbx, rbp, r12 to r15: what a function restores for its caller (psABI x86-64, 3.2.1).
const SAVED: [usize; 6] = [3, RBP, 12, 13, 14, 15];

impl<'t> FunctionAt<'t, '_> {
    /// Gives the parameters that are gone at `pc` the place where they were at the function's
    /// entry, and the entry if there is one.
    pub(super) fn rescue(
        &self,
        builder: &mut TypeBuilder<'t>,
        pc: Svma,
        variables: &mut [Declared],
    ) -> Option<Entry> {
        if !variables.iter().any(is_gone) || !self.keeps_its_frame() {
            return None;
        }
        // The site must know its frame to ask for what was kept for it.
        self.cfa(pc)?;
        let (svma, entry) = self.entered(pc)?;
        let there = self.variables(builder, svma).ok()?;
        let mut rescued = false;
        for declared in variables.iter_mut().filter(|declared| is_gone(declared)) {
            let then = there.iter().find(|other| other.own && other.id == declared.id);
            let location = then.and_then(|then| then.variable.location.as_ref().ok());
            declared.variable.kept = location.and_then(kept);
            rescued |= declared.variable.kept.is_some();
        }
        rescued.then_some(entry)
    }

    /// Where a call of the function that comes to `pc` passes first, with its registers and its
    /// frame as the caller left them.
    fn entered(&self, pc: Svma) -> Option<(Svma, Entry)> {
        let start = self.entry?;
        let placement = self.place(start).ok()?;
        let svma = placement.svma;
        // A site in front of it is hit before anything is kept.
        if svma < start || pc <= svma {
            return None;
        }
        let row = |svma| self.code.row_at(self.target.module, svma).ok();
        // Where no frame begins no call begins.
        if frame_offset(&row(start)?) != Some(WORD) {
            return None;
        }
        let row = row(svma)?;
        let entry = Entry {
            pc: self.module.to_avma(svma),
            file_offset: self.module.file_offset(svma)?,
            instruction: placement.instruction,
            trap: placement.trap,
            frame_offset: frame_offset(&row)?,
            untouched: untouched(&row),
        };
        Some((svma, entry))
    }

    /// A call's frame stays where it is, and calls begin at the function's first instruction. Go
    /// moves its stacks, and of other languages too little is known.
    fn keeps_its_frame(&self) -> bool {
        let unit = self.debug.as_ref().and_then(|debug| debug.dies.unit(debug.die.unit).ok());
        let language = unit.and_then(|unit| unit.language);
        matches!(language, Some(Language::C | Language::Cpp | Language::Rust))
    }
}

const WORD: u32 = 8;

/// A parameter of the function itself that can't be shown here and may be told by its entry.
fn is_gone(declared: &Declared) -> bool {
    let ScopedVariable { kind, location, .. } = &declared.variable;
    let is_gone = |code| {
        matches!(
            code,
            ReasonCode::NotLiveHere
                | ReasonCode::OptimizedOut
                | ReasonCode::EntryValue
                | ReasonCode::VectorRegister
        )
    };
    declared.own
        && *kind == VariableKind::Parameter
        && location.as_ref().is_err_and(|reason| is_gone(reason.code))
}

/// The canonical frame address counted from the stack pointer.
fn frame_offset(row: &UnwindRow) -> Option<u32> {
    match row.cfa {
        CfaRule::Register { register, offset } if usize::from(register) == RSP => {
            u32::try_from(offset).ok()
        }
        _ => None,
    }
}

/// The caller's registers that are in place still, as bits.
fn untouched(row: &UnwindRow) -> u32 {
    let is_saved = |number: &usize| {
        let mut rules = row.registers.iter().filter(|(of, _)| usize::from(*of) == *number);
        rules.any(|(_, rule)| *rule != RegisterRule::SameValue)
    };
    SAVED.iter().filter(|number| !is_saved(number)).fold(0, |bits, number| bits | 1 << number)
}

/// A place in registers, by what was kept of them; `None` for what is in memory, where the function
/// may have written since.
fn kept(location: &Location) -> Option<Location> {
    match location {
        Location::Register(number) => register(*number, 0).map(|op| Location::Value(vec![op])),
        Location::Value(expression) => computed(expression).map(Location::Value),
        Location::Pieces(pieces) => {
            let piece = |piece: &Piece| {
                let location = match &piece.location {
                    Some(Location::Pieces(_)) => return None,
                    Some(location) => Some(kept(location)?),
                    None => None,
                };
                Some(Piece { size: piece.size, location })
            };
            pieces.iter().map(piece).collect::<Option<_>>().map(Location::Pieces)
        }
        Location::Memory(_) | Location::Bytes(_) | Location::Derived(_) => None,
    }
}

fn computed(expression: &Expression) -> Option<Expression> {
    let of_entry = |op: &Op| match op.code() {
        Some(OpCode::Register) => register(op.arg, op.imm),
        Some(OpCode::Deref) | None => None,
        Some(_) => Some(*op),
    };
    expression.iter().map(of_entry).collect()
}

fn register(number: u8, addend: u64) -> Option<Op> {
    let is_kept = usize::from(number) < ENTRY_REGISTERS;
    is_kept.then(|| Op::new(OpCode::EntryRegister, number, addend))
}
