//! The stack of a DWARF expression while it is translated: the operations so far, and of what
//! type each value would be.
//!
//! A value is held in 64 bits. One of a smaller integer type is held extended by its sign, so that
//! additions, comparisons and shifts of 64 bits give what DWARF asks for after the result is cut to
//! the type again (DWARF 5, 2.5.1.4 and 2.5.1.6).

use super::{OPERATIONS_MAX, unsupported};
use crate::model::location::{Expression, Sign, Step, Steps};
use crate::model::reason::Reason;
use tracer_common::code::{Code, Op};
use tracer_common::limits::STACK_DEPTH;

/// Memory reads of one expression.
const DEREFS_MAX: usize = 16;

/// The type of a value, with its size in bytes: 1, 2, 4 or 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An address-sized integer of no particular sign.
    Generic,
    Signed(u8),
    Unsigned(u8),
}

impl Kind {
    pub(super) fn size(self) -> u8 {
        match self {
            Self::Generic => 8,
            Self::Signed(size) | Self::Unsigned(size) => size,
        }
    }
}

#[derive(Default)]
pub(super) struct Stack {
    steps: Steps,
    kinds: Vec<Kind>,
    /// Jumps whose targets were not reached yet.
    jumps: Vec<Jump>,
    /// What comes next is only reached by one of them.
    skipped: bool,
    /// The number of steps where the last jump landed.
    landing: usize,
}

/// A jump ahead.
struct Jump {
    /// The offset in the expression that it leads to.
    target: usize,
    /// The number of its step.
    step: usize,
    /// The types of the values on the stack there.
    kinds: Vec<Kind>,
}

impl Stack {
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The computation of the topmost value.
    pub(super) fn value(mut self) -> Result<Steps, Reason> {
        if self.is_empty() {
            return Err(underflow());
        }
        for _ in 1..self.kinds.len() {
            self.emit(Op::new(Code::Swap, 0, 0))?;
            self.emit(Op::new(Code::Drop, 0, 0))?;
        }
        Ok(self.steps)
    }

    /// The same, where the value must be as wide as an address.
    pub(super) fn address(self) -> Result<Steps, Reason> {
        match self.kinds.last() {
            Some(kind) if kind.size() == 8 => self.value(),
            Some(_) => Err(unsupported("an address of fewer than 8 bytes")),
            None => Err(underflow()),
        }
    }

    /// DW_OP_skip and DW_OP_bra to an offset in the expression that was not reached yet.
    pub(super) fn jump(&mut self, target: usize, conditional: bool) -> Result<(), Reason> {
        if conditional {
            self.pop()?;
        }
        self.jumps.push(Jump { target, step: self.steps.len(), kinds: self.kinds.clone() });
        self.add(if conditional { Step::Branch(0) } else { Step::Skip(0) })?;
        self.skipped = !conditional;
        Ok(())
    }

    /// The operation at `offset` comes next. All ways to come here must leave values of the same
    /// types.
    pub(super) fn land(&mut self, offset: usize) -> Result<(), Reason> {
        if self.jumps.iter().any(|jump| jump.target < offset) {
            return Err(unsupported("a jump into an operation"));
        }
        let next = self.steps.len();
        for jump in self.jumps.extract_if(.., |jump| jump.target == offset) {
            if self.skipped {
                self.kinds = jump.kinds;
                self.skipped = false;
            } else if self.kinds != jump.kinds {
                return Err(unsupported("branches that leave different values"));
            }
            self.landing = next;
            match self.steps.get_mut(jump.step) {
                Some(Step::Skip(to) | Step::Branch(to)) => *to = next,
                _ => return Err(unsupported("a jump from nowhere")),
            }
        }
        if self.skipped { Err(unsupported("an operation that is never reached")) } else { Ok(()) }
    }

    /// Whether all jumps lead to what was translated so far.
    pub(super) fn landed(&self) -> Result<(), Reason> {
        if self.jumps.is_empty() { Ok(()) } else { Err(unsupported("a jump out of it")) }
    }

    /// DW_OP_div and DW_OP_mod. The first one is signed for the generic type; of which sign the
    /// other one is, DWARF does not say (DWARF 5, 2.5.1.4).
    pub(super) fn divide(&mut self, remainder: bool) -> Result<(), Reason> {
        let (b, a) = (self.pop()?, self.pop()?);
        if a != b {
            return Err(unsupported("operands of different types"));
        }
        self.add(match (a, remainder) {
            (Kind::Generic, true) => Step::Remainder(Sign::Either),
            (Kind::Unsigned(_), true) => Step::Remainder(Sign::Unsigned),
            (Kind::Signed(_), true) => Step::Remainder(Sign::Signed),
            (Kind::Unsigned(_), false) => Step::Divide(Sign::Unsigned),
            (Kind::Signed(_) | Kind::Generic, false) => Step::Divide(Sign::Signed),
        })?;
        self.kinds.push(a);
        self.cut(a)
    }

    /// DW_OP_rot.
    pub(super) fn rotate(&mut self) -> Result<(), Reason> {
        let (top, second, third) = (self.pop()?, self.pop()?, self.pop()?);
        self.kinds.extend([top, third, second]);
        self.add(Step::Rotate)
    }

    /// Appends a computation that leaves one value of the generic type.
    pub(super) fn inline(&mut self, expression: &Expression) -> Result<(), Reason> {
        let deepest = self.kinds.len() + deepest(expression);
        if deepest > STACK_DEPTH as usize {
            return Err(too_deep());
        }
        for op in expression {
            self.emit(*op)?;
        }
        self.kinds.push(Kind::Generic);
        Ok(())
    }

    pub(super) fn push(&mut self, op: Op, kind: Kind) -> Result<(), Reason> {
        self.room(1)?;
        self.emit(op)?;
        self.kinds.push(kind);
        Ok(())
    }

    /// Pushes what a register held at the function's entry.
    pub(super) fn entry(&mut self, number: u8) -> Result<(), Reason> {
        self.room(1)?;
        self.add(Step::Entry(number))?;
        self.kinds.push(Kind::Generic);
        Ok(())
    }

    pub(super) fn constant(&mut self, value: u64) -> Result<(), Reason> {
        self.push(Op::new(Code::Const, 0, value), Kind::Generic)
    }

    /// Pushes the low bytes of `value` as a value of `kind`.
    pub(super) fn typed_constant(&mut self, value: u64, kind: Kind) -> Result<(), Reason> {
        let unused = 64 - u32::from(kind.size()) * 8;
        let extended = match kind {
            Kind::Signed(_) => ((value << unused) as i64 >> unused) as u64,
            Kind::Unsigned(_) | Kind::Generic => value << unused >> unused,
        };
        self.push(Op::new(Code::Const, 0, extended), kind)
    }

    /// DW_OP_plus_uconst: the constant is of the type of the top.
    pub(super) fn add_constant(&mut self, value: u64) -> Result<(), Reason> {
        let kind = self.top()?;
        if value == 0 {
            return Ok(());
        }
        let straight = self.steps.len() > self.landing;
        match self.steps.last_mut() {
            // What was pushed last is the top, so the sum is known here.
            Some(Step::Op(op))
                if straight
                    && kind == Kind::Generic
                    && matches!(op.code(), Some(Code::Const | Code::Register | Code::AddConst)) =>
            {
                op.imm = op.imm.wrapping_add(value);
            }
            _ => self.emit(Op::new(Code::AddConst, 0, value))?,
        }
        self.cut(kind)
    }

    pub(super) fn pick(&mut self, index: u8) -> Result<(), Reason> {
        let below = self.kinds.len().checked_sub(usize::from(index) + 1);
        let kind = below.and_then(|at| self.kinds.get(at)).copied().ok_or_else(underflow)?;
        self.push(Op::new(Code::Pick, index, 0), kind)
    }

    pub(super) fn drop_top(&mut self) -> Result<(), Reason> {
        self.pop()?;
        self.emit(Op::new(Code::Drop, 0, 0))
    }

    pub(super) fn swap(&mut self) -> Result<(), Reason> {
        let (top, below) = (self.pop()?, self.pop()?);
        self.kinds.extend([top, below]);
        self.emit(Op::new(Code::Swap, 0, 0))
    }

    /// Replaces an address by `size` bytes, which are of `kind` or fewer than those.
    pub(super) fn dereference(&mut self, size: u8, kind: Kind) -> Result<(), Reason> {
        if self.pop()?.size() != 8 {
            return Err(unsupported("an address of fewer than 8 bytes"));
        }
        if !(1..=8).contains(&size) || (kind != Kind::Generic && kind.size() != size) {
            return Err(unsupported(format!("a read of {size} bytes")));
        }
        let is_read = |step: &&Step| matches!(step, Step::Op(op) if op.code() == Some(Code::Deref));
        let reads = self.steps.iter().filter(is_read).count();
        if reads >= DEREFS_MAX {
            return Err(unsupported("more than 16 memory reads"));
        }
        self.emit(Op::new(Code::Deref, size, 0))?;
        self.kinds.push(kind);
        // The bytes are zero-extended by the operation itself.
        if matches!(kind, Kind::Signed(_)) { self.cut(kind) } else { Ok(()) }
    }

    /// Both operands must be of one type (DWARF 5, 2.5.1.4); so is the result, except that a
    /// comparison gives a generic value.
    pub(super) fn binary(&mut self, code: Code) -> Result<(), Reason> {
        let (b, a) = (self.pop()?, self.pop()?);
        let shift = matches!(code, Code::Shl | Code::Shr | Code::Shra);
        if a != b && !shift {
            return Err(unsupported("operands of different types"));
        }
        if shift && matches!(b, Kind::Signed(_)) {
            return Err(unsupported("a shift by a signed count"));
        }
        match code {
            Code::Lt | Code::Le | Code::Gt | Code::Ge if a == Kind::Unsigned(8) => {
                self.turn_signs()?;
            }
            Code::Shr if matches!(a, Kind::Signed(1..8)) => {
                // Without the sign's copies above it.
                self.room(3)?;
                self.emit(Op::new(Code::Swap, 0, 0))?;
                self.emit(Op::new(Code::Const, 0, u64::MAX >> (64 - u32::from(a.size()) * 8)))?;
                self.emit(Op::new(Code::And, 0, 0))?;
                self.emit(Op::new(Code::Swap, 0, 0))?;
            }
            Code::Shra if matches!(a, Kind::Unsigned(_)) => {
                return Err(unsupported(format!("{code:?} of {a:?}")));
            }
            _ => {}
        }
        self.emit(Op::new(code, 0, 0))?;
        match code {
            Code::Eq | Code::Ne | Code::Lt | Code::Le | Code::Gt | Code::Ge => {
                self.kinds.push(Kind::Generic);
                Ok(())
            }
            Code::And | Code::Or | Code::Xor | Code::Shra => {
                self.kinds.push(a);
                Ok(())
            }
            _ => {
                self.kinds.push(a);
                self.cut(a)
            }
        }
    }

    /// Makes a signed comparison of two values that are as numbers without a sign are: the order
    /// is kept where the highest bits of both are turned round.
    fn turn_signs(&mut self) -> Result<(), Reason> {
        self.room(3)?;
        for _ in 0..2 {
            self.emit(Op::new(Code::Const, 0, 1 << 63))?;
            self.emit(Op::new(Code::Xor, 0, 0))?;
            self.emit(Op::new(Code::Swap, 0, 0))?;
        }
        Ok(())
    }

    pub(super) fn unary(&mut self, code: Code) -> Result<(), Reason> {
        let kind = self.top()?;
        self.emit(Op::new(code, 0, 0))?;
        self.cut(kind)
    }

    /// |x| as (x ^ s) - s, where s is -1 for a negative x and 0 otherwise.
    pub(super) fn absolute(&mut self) -> Result<(), Reason> {
        let kind = self.top()?;
        if matches!(kind, Kind::Unsigned(_)) {
            return Ok(());
        }
        self.room(2)?;
        for (code, arg, imm) in [
            (Code::Pick, 0, 0),
            (Code::Const, 0, 63),
            (Code::Shra, 0, 0),
            (Code::Swap, 0, 0),
            (Code::Pick, 1, 0),
            (Code::Xor, 0, 0),
            (Code::Swap, 0, 0),
            (Code::Sub, 0, 0),
        ] {
            self.emit(Op::new(code, arg, imm))?;
        }
        self.cut(kind)
    }

    /// DW_OP_convert between integers: the value modulo 2 to the power of the new width.
    pub(super) fn convert(&mut self, kind: Kind) -> Result<(), Reason> {
        let old = self.pop()?;
        self.kinds.push(kind);
        let holds = match (old, kind) {
            (_, Kind::Generic | Kind::Signed(8) | Kind::Unsigned(8)) => true,
            (Kind::Unsigned(from), Kind::Unsigned(to)) => from <= to,
            (Kind::Unsigned(from), Kind::Signed(to)) => from < to,
            (Kind::Signed(from), Kind::Signed(to)) => from <= to,
            (Kind::Signed(_), Kind::Unsigned(_)) | (Kind::Generic, _) => false,
        };
        if holds { Ok(()) } else { self.cut(kind) }
    }

    /// DW_OP_reinterpret: the same bits, so both types have one size.
    pub(super) fn reinterpret(&mut self, kind: Kind) -> Result<(), Reason> {
        if self.top()?.size() != kind.size() {
            return Err(unsupported("DW_OP_reinterpret between sizes"));
        }
        self.convert(kind)
    }

    /// Cuts the top to the width of `kind` and extends it again.
    fn cut(&mut self, kind: Kind) -> Result<(), Reason> {
        match kind {
            Kind::Generic | Kind::Signed(8..) | Kind::Unsigned(8..) => Ok(()),
            Kind::Unsigned(size) => {
                self.room(1)?;
                self.emit(Op::new(Code::Const, 0, u64::MAX >> (64 - u32::from(size) * 8)))?;
                self.emit(Op::new(Code::And, 0, 0))
            }
            Kind::Signed(size) => {
                let unused = 64 - u64::from(size) * 8;
                self.room(1)?;
                self.emit(Op::new(Code::Const, 0, unused))?;
                self.emit(Op::new(Code::Shl, 0, 0))?;
                self.emit(Op::new(Code::Const, 0, unused))?;
                self.emit(Op::new(Code::Shra, 0, 0))
            }
        }
    }

    fn top(&self) -> Result<Kind, Reason> {
        self.kinds.last().copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Kind, Reason> {
        self.kinds.pop().ok_or_else(underflow)
    }

    fn room(&self, values: usize) -> Result<(), Reason> {
        if self.kinds.len() + values > STACK_DEPTH as usize { Err(too_deep()) } else { Ok(()) }
    }

    fn emit(&mut self, op: Op) -> Result<(), Reason> {
        self.add(Step::Op(op))
    }

    fn add(&mut self, step: Step) -> Result<(), Reason> {
        if self.steps.len() >= OPERATIONS_MAX {
            return Err(unsupported("more than 64 operations"));
        }
        self.steps.push(step);
        Ok(())
    }
}

/// The most values that a computation has on the stack at once.
fn deepest(expression: &[Op]) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for op in expression {
        now = match op.code() {
            Some(Code::Const | Code::Register | Code::Pick) => now + 1,
            Some(Code::Deref | Code::AddConst | Code::Swap | Code::Neg | Code::Not) => now,
            _ => now.saturating_sub(1),
        };
        most = most.max(now);
    }
    most
}

fn underflow() -> Reason {
    unsupported("an operation without its operands")
}

fn too_deep() -> Reason {
    unsupported(format!("more than {STACK_DEPTH} values on the stack"))
}
