//! Where one variable is at a pc.
//!
//! Besides translating the expression this checks that the frame it speaks of is set up: a single
//! location is stated for the whole function, but it is not true in the prologue and epilogue.

use super::passed::passed;
use super::scopes::Found;
use super::stated::{Stated, listed, stated};
use super::{FrameAt, fitted};
use crate::binary::dwarf::Reader;
use crate::binary::expression::{Context, Pointed, next_operation, translate};
use crate::model::address::Svma;
use crate::model::location::{Expression, Location};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::VariableKind;
use crate::resolve::dies::{Attribute, DieError, Dies, SourceUnit};
use crate::resolve::types::TypeBuilder;
use gimli::{AttributeValue, UnitOffset};
use std::rc::Rc;
use tracer_common::code::{Code, Op};
use tracer_common::wire::{RBP, RSP};

/// Pointers that were not kept, each to the next one.
const POINTERS_MAX: u32 = 4;

/// The frame of a function at a pc.
pub(super) struct Frame<'f> {
    pub(super) at: &'f FrameAt<'f>,
    base: Option<Expression>,
    kind: Base,
    /// Lists name the stack and frame pointer as they are in the body, in the prologue and
    /// epilogue too: LLVM does, GCC does not.
    lists_speak_of_body: bool,
}

/// What the frame base is, as far as it tells where it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The canonical frame address, or a location that a list gives for this pc.
    Exact,
    /// A register plus this.
    Register(u8),
    /// The stack pointer of the body, which is not the one at this pc, counted from the CFA.
    Body,
    /// Something else, or nothing.
    Unknown,
}

impl<'f> Frame<'f> {
    /// Reads DW_AT_frame_base of the function.
    pub(super) fn new<'a>(dies: &Dies<'a>, unit: &Rc<SourceUnit<'a>>, at: &'f FrameAt<'f>) -> Self {
        let lists_speak_of_body = !unit.producer.slice().starts_with(b"GNU ");
        let none = Self { at, base: None, kind: Base::Unknown, lists_speak_of_body };
        let Ok(stated) = frame_base(dies, unit, at.subprogram, at.pc) else { return none };
        let (expression, single) = match stated {
            Stated::Single(expression) => (Some(expression), true),
            Stated::Listed(expressions) => (expressions.into_iter().next(), false),
            _ => (None, false),
        };
        let Some(expression) = expression else { return none };
        let context = Context {
            cfa: at.cfa,
            bias: at.bias,
            unit: Some((unit.dwarf, &unit.unit)),
            ..Context::default()
        };
        let base = match translate(expression, unit.unit.encoding(), context) {
            Ok(Location::Register(number)) => vec![Op::new(Code::Register, number, 0)],
            Ok(Location::Memory(base) | Location::Value(base)) => base,
            _ => return none,
        };
        let cfa = expression.0.slice() == [gimli::DW_OP_call_frame_cfa.0];
        let kind = match register_of(&base) {
            _ if cfa || !single => Base::Exact,
            Some((number, _)) => Base::Register(number),
            None => Base::Unknown,
        };
        let moved = body_base(at, &base).filter(|_| matches!(kind, Base::Register(_)));
        match moved {
            Some(base) => Self { base: Some(base), kind: Base::Body, ..none },
            None => Self { base: Some(base), kind, ..none },
        }
    }

    /// Checks that an expression means what it says at this pc, wherever it speaks of the frame.
    /// Gives the location where it is known though the expression does not hold.
    fn check(
        &self,
        expression: gimli::Expression<Reader<'_>>,
        encoding: gimli::Encoding,
        kind: VariableKind,
        single: bool,
    ) -> Result<Option<Location>, Reason> {
        let mut bytes = expression.0;
        let mut operations = 0;
        // What is malformed is refused when it is translated.
        while let Ok(operation) = next_operation(&mut bytes, encoding) {
            operations += 1;
            let (offset, base, distance) = match operation {
                gimli::Operation::FrameOffset { offset } => {
                    (offset, self.kind, self.distance_to_cfa(self.base.as_deref().unwrap_or(&[])))
                }
                gimli::Operation::RegisterOffset { register, offset, .. }
                    if self.speaks_of_frame(register, single) =>
                {
                    let number = register.0 as u8;
                    let start = [Op::new(Code::Register, number, 0)];
                    if !self.holds(Base::Register(number)) {
                        let whole = operations == 1 && bytes.is_empty();
                        let passed = self.passed(number, offset);
                        return match passed.filter(|_| whole && kind == VariableKind::Parameter) {
                            Some(location) => Ok(Some(location)),
                            None => Err(self.not_here()),
                        };
                    }
                    (offset, Base::Register(number), self.distance_to_cfa(&start))
                }
                _ => continue,
            };
            let home = distance.and_then(|distance| distance.checked_add(offset));
            let parameter = kind == VariableKind::Parameter;
            match base {
                // Where the caller passed it; the frame of the callee itself does not stand.
                Base::Body if parameter && home.is_some_and(|home| home >= 0) => continue,
                base if !self.holds(base) => return Err(self.not_here()),
                _ => {}
            }
            let Some(home_stored) = self.at.home_stored.filter(|_| single && parameter) else {
                continue;
            };
            match home {
                // Passed on the stack, by the caller.
                Some(0..) => {}
                Some(home) if home_stored(home) => {}
                _ => return Err(ReasonCode::BeforePrologue.into()),
            }
        }
        Ok(None)
    }

    /// Whether a place relative to a register is one in the frame.
    fn speaks_of_frame(&self, register: gimli::Register, single: bool) -> bool {
        match usize::from(register.0) {
            RSP => single || self.lists_speak_of_body,
            // In lists it may hold any address where it is not the frame pointer.
            RBP => {
                let body = self.at.body_cfa.and_then(|cfa| register_of(cfa));
                let frame_pointer = body.is_some_and(|(number, _)| usize::from(number) == RBP);
                single || (self.lists_speak_of_body && frame_pointer)
            }
            _ => false,
        }
    }

    /// Where an argument is that the caller passed in memory, by its place in the body; `None`
    /// where that is in the callee's own frame.
    fn passed(&self, number: u8, offset: i64) -> Option<Location> {
        let (of_body, body_cfa) = register_of(self.at.body_cfa?)?;
        let (register, cfa) = register_of(self.at.cfa?)?;
        let home = offset.checked_sub_unsigned(body_cfa).filter(|home| *home >= 0)?;
        let address = Op::new(Code::Register, register, cfa.wrapping_add_signed(home));
        (of_body == number).then(|| Location::Memory(vec![address]))
    }

    /// Whether the frame base has its value at this pc.
    fn holds(&self, base: Base) -> bool {
        let before = self.at.home_stored.is_some();
        match base {
            Base::Exact => true,
            // The frame pointer is this function's where the CFA is computed from it.
            Base::Register(number) if usize::from(number) == RBP => match self.at.cfa {
                Some(cfa) => cfa.first().is_some_and(|op| register(op) == Some(number)),
                None => !before,
            },
            Base::Register(number) if usize::from(number) == RSP => {
                match (self.at.cfa, self.at.body_cfa) {
                    (Some(cfa), Some(body)) => cfa == body,
                    _ => !before,
                }
            }
            Base::Register(_) | Base::Unknown => !before,
            Base::Body => false,
        }
    }

    fn not_here(&self) -> Reason {
        if self.at.home_stored.is_some() {
            ReasonCode::BeforePrologue.into()
        } else {
            Reason::new(ReasonCode::NotLiveHere, "the function's frame is not set up here")
        }
    }

    /// What the CFA must be moved by to get `start`.
    fn distance_to_cfa(&self, start: &[Op]) -> Option<i64> {
        let cfa = self.at.cfa?;
        if start == cfa.as_slice() {
            return Some(0);
        }
        let ((number, value), (of_cfa, cfa)) = (register_of(start)?, register_of(cfa)?);
        (number == of_cfa).then(|| value.wrapping_sub(cfa) as i64)
    }
}

/// A frame base that is the stack pointer plus a constant, where the stack pointer is not that of
/// the body: the CFA stays, so the body's value is a constant away from it.
fn body_base(at: &FrameAt<'_>, base: &[Op]) -> Option<Expression> {
    let (number, offset) = register_of(base)?;
    let (register, cfa) = register_of(at.cfa?)?;
    let (of_body, body_cfa) = register_of(at.body_cfa?)?;
    let moved = usize::from(number) == RSP && of_body == number && at.cfa != at.body_cfa;
    let offset = cfa.wrapping_sub(body_cfa).wrapping_add(offset);
    moved.then(|| vec![Op::new(Code::Register, register, offset)])
}

/// Where `found` is; `size` is that of its type.
pub(super) fn location_of<'a>(
    builder: &TypeBuilder<'a>,
    found: &Found<'a>,
    frame: &Frame<'_>,
    size: Option<u64>,
) -> Result<Location, Reason> {
    Search { builder, frame, entry_values: false, pointers: 0 }.located(found, size)
}

/// Where `found`, which has no location at this pc, was at the function's entry, or how it is
/// computed from what was known there. `own` says that it belongs to the function itself, not to
/// one that is inlined into it.
pub(super) fn at_entry<'a>(
    builder: &TypeBuilder<'a>,
    found: &Found<'a>,
    frame: &Frame<'_>,
    size: Option<u64>,
    own: bool,
) -> Option<Location> {
    let search = Search { builder, frame, entry_values: true, pointers: 0 };
    if let Ok(location) = search.located(found, size) {
        return Some(location);
    }
    passed(found, frame).filter(|_| own)
}

/// Where a variable is that a list gives such a location for, at any pc of the function. Where the
/// expression speaks of the frame, it is that of this pc.
pub(super) fn listed_location<'a>(
    builder: &TypeBuilder<'a>,
    found: &Found<'a>,
    frame: &Frame<'_>,
    unit: &Rc<SourceUnit<'a>>,
    expression: gimli::Expression<Reader<'a>>,
) -> Result<Location, Reason> {
    let search = Search { builder, frame, entry_values: true, pointers: 0 };
    search.translated(found, unit, expression, false)
}

/// What the search for a location may make use of.
#[derive(Clone, Copy)]
struct Search<'s, 'a> {
    builder: &'s TypeBuilder<'a>,
    frame: &'s Frame<'s>,
    /// What registers held at the function's entry.
    entry_values: bool,
    /// Pointers that were not kept and led here.
    pointers: u32,
}

impl<'a> Search<'_, 'a> {
    /// Where `found` is; `size` is that of its type.
    fn located(self, found: &Found<'a>, size: Option<u64>) -> Result<Location, Reason> {
        let malformed = |error: DieError| {
            let detail = format!("malformed location list: {error}");
            Reason::new(ReasonCode::UnsupportedLocation, detail)
        };
        let frame = self.frame;
        let Some((stated, unit)) = stated(found, frame.at.pc, frame.at.entry).map_err(malformed)?
        else {
            return Err(ReasonCode::OptimizedOut.into());
        };
        let translated = |expression, single| self.translated(found, unit, expression, single);
        match stated {
            Stated::Single(expression) if is_untracked(unit, expression) => {
                let detail =
                    "GCC names registers for the whole function, which hold other values too";
                Err(Reason::new(ReasonCode::UnsupportedLocation, detail))
            }
            Stated::Single(expression) => translated(expression, true),
            Stated::Listed(expressions) => {
                let mut result = Err(ReasonCode::OptimizedOut.into());
                for (index, expression) in expressions.into_iter().enumerate() {
                    let location = translated(expression, false);
                    if location.is_ok() {
                        return location;
                    }
                    if index == 0 {
                        result = location;
                    }
                }
                result
            }
            Stated::Elsewhere => Err(ReasonCode::NotLiveHere.into()),
            Stated::Constant(value) => constant(unit, value, size, frame.at.bias),
            Stated::Nothing => Err(ReasonCode::OptimizedOut.into()),
        }
    }

    /// What an expression means at this pc.
    fn translated(
        self,
        found: &Found<'a>,
        unit: &Rc<SourceUnit<'a>>,
        expression: gimli::Expression<Reader<'a>>,
        single: bool,
    ) -> Result<Location, Reason> {
        let frame = self.frame;
        let pointed = |entry| self.pointed(unit, entry);
        let context = Context {
            frame_base: frame.base.as_ref(),
            cfa: frame.at.cfa,
            bias: frame.at.bias,
            unit: Some((unit.dwarf, &unit.unit)),
            initial: None,
            entry_values: self.entry_values,
            pointed: Some(Pointed(&pointed)),
            thread_storage: frame.at.thread_storage,
        };
        let encoding = unit.unit.encoding();
        match frame.check(expression, encoding, found.kind, single)? {
            Some(location) => Ok(location),
            None => translate(expression, encoding, context),
        }
    }

    /// Where the value is that an entry describes, for a pointer to it that was not kept (DWARF 5,
    /// 2.6.1.1.4).
    fn pointed(
        self,
        unit: &Rc<SourceUnit<'a>>,
        entry: gimli::DebugInfoOffset,
    ) -> Result<Location, Reason> {
        let broken = |error: DieError| {
            Reason::new(ReasonCode::UnsupportedLocation, format!("what it points to: {error}"))
        };
        if self.pointers >= POINTERS_MAX {
            let detail = format!("more than {POINTERS_MAX} pointers that were not kept");
            return Err(Reason::new(ReasonCode::UnsupportedLocation, detail));
        }
        let dies = self.builder.dies();
        let die = dies.follow(unit, AttributeValue::DebugInfoRef(entry)).map_err(broken)?;
        let kind = match die.tag() {
            gimli::DW_TAG_formal_parameter => VariableKind::Parameter,
            _ => VariableKind::Local,
        };
        let found = Found { chain: dies.origins(&die).map_err(broken)?, kind };
        let typed = found.chain.iter().find(|die| die.entry.has_attr(gimli::DW_AT_type));
        let size = typed.and_then(|die| self.builder.size_at(die));
        let deeper = Self { pointers: self.pointers + 1, ..self };
        deeper.located(&found, size).and_then(|location| fitted(location, size))
    }
}

/// GCC does not track what is wider than a register: it states the registers that the value was in
/// for some of the time, also for where they hold its successor or are not set yet.
fn is_untracked(unit: &SourceUnit<'_>, expression: gimli::Expression<Reader<'_>>) -> bool {
    if !unit.producer.slice().starts_with(b"GNU ") {
        return false;
    }
    let (mut bytes, mut registers) = (expression.0, 0);
    while let Ok(operation) = next_operation(&mut bytes, unit.unit.encoding()) {
        registers += u32::from(matches!(operation, gimli::Operation::Register { .. }));
    }
    registers > 1
}

/// DW_AT_frame_base of the function at the pc.
pub(super) fn frame_base<'a>(
    dies: &Dies<'a>,
    unit: &Rc<SourceUnit<'a>>,
    subprogram: UnitOffset,
    pc: Svma,
) -> Result<Stated<'a>, DieError> {
    let function = dies.at(unit, subprogram)?;
    match function.entry.attr_value(gimli::DW_AT_frame_base) {
        Some(value) => listed(unit, value, pc, false),
        None => Ok(Stated::Nothing),
    }
}

/// DW_AT_const_value as the bytes that the value would have in memory (DWARF 5, 4.1). A number in
/// a form without a sign is not negative.
fn constant<'a>(
    unit: &SourceUnit<'a>,
    value: Attribute<'a>,
    size: Option<u64>,
    bias: u64,
) -> Result<Location, Reason> {
    let unsupported = |detail: &str| Reason::new(ReasonCode::UnsupportedLocation, detail);
    if let Ok(text) = unit.dwarf.attr_string(&unit.unit, value) {
        let mut bytes = text.slice().to_vec();
        if size == Some(bytes.len() as u64 + 1) {
            bytes.push(0);
        }
        let whole = size == Some(bytes.len() as u64);
        return if whole {
            Ok(Location::Bytes(bytes))
        } else {
            Err(unsupported("a string constant of another size than its type"))
        };
    }
    let wide = match value {
        AttributeValue::Block(block) => {
            let whole = size.is_none_or(|size| size == block.len() as u64);
            return if whole {
                Ok(Location::Bytes(block.slice().to_vec()))
            } else {
                Err(unsupported("a constant of another size than its type"))
            };
        }
        AttributeValue::Sdata(value) => i128::from(value),
        AttributeValue::Data16(value) => value as i128,
        AttributeValue::Addr(address) => i128::from(address.wrapping_add(bias)),
        value => match value.udata_value() {
            Some(value) => i128::from(value),
            None => return Err(unsupported("a constant of an unknown form")),
        },
    };
    let bytes = size.and_then(|size| usize::try_from(size).ok());
    let bytes = bytes.and_then(|size| wide.to_le_bytes().get(..size).map(<[u8]>::to_vec));
    bytes.map(Location::Bytes).ok_or_else(|| unsupported("a constant wider than a number"))
}

/// A computation that is a register plus a constant.
fn register_of(expression: &[Op]) -> Option<(u8, u64)> {
    match expression {
        [op] => register(op).map(|number| (number, op.imm)),
        _ => None,
    }
}

fn register(op: &Op) -> Option<u8> {
    (op.code() == Some(Code::Register)).then_some(op.arg)
}
