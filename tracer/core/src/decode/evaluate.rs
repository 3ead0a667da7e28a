//! Evaluates what debug info says about a value's place, over the registers and the image.

use super::bits::{self, Bits};
use super::image::Image;
use super::registers::Registers;
use super::source::{Piece, Source};
use crate::model::location::{BitPiece, Location, Sign, Step};
use crate::model::reason::{Reason, ReasonCode};
use tracer_common::code::{Code, Op, binary};
use tracer_common::wire::{RBP, RSP};

/// Values on the expression stack. More than the kernel program has, because call frame
/// information is evaluated here alone.
const STACK_DEPTH: usize = 64;

/// Computes an expression: the value on the top when it ends.
///
/// # Errors
///
/// Memory that it reads and that was not copied, a register that is not known, or an operation
/// that is not an expression's.
pub(super) fn evaluate(
    expression: &[Op],
    registers: &Registers,
    image: &Image<'_>,
) -> Result<u64, Reason> {
    let mut stack = Stack::default();
    for op in expression {
        step(*op, &mut stack, registers, image)?;
    }
    stack.pop()
}

/// What a register held when the function was entered, by its DWARF number.
pub(super) type AtEntry<'e> = dyn Fn(u8) -> Result<u64, Reason> + 'e;

/// Computes a value that only the decoder can: the one on the top when the steps end.
///
/// # Errors
///
/// Those of [`evaluate`] and of `at_entry`.
pub(super) fn derive(
    steps: &[Step],
    registers: &Registers,
    image: &Image<'_>,
    at_entry: &AtEntry<'_>,
) -> Result<u64, Reason> {
    let mut stack = Stack::default();
    let mut next = 0;
    // A jump leads ahead, so this ends.
    while let Some(it) = steps.get(next) {
        next += 1;
        match it {
            Step::Op(op) => step(*op, &mut stack, registers, image)?,
            Step::Entry(number) => stack.push(at_entry(*number)?)?,
            Step::Divide(sign) | Step::Remainder(sign) => {
                let (b, a) = (stack.pop()?, stack.pop()?);
                stack.push(divide(a, b, *sign, matches!(it, Step::Remainder(_)))?)?;
            }
            Step::Rotate => {
                let (top, second, third) = (stack.pop()?, stack.pop()?, stack.pop()?);
                stack.push(top)?;
                stack.push(third)?;
                stack.push(second)?;
            }
            Step::Skip(to) => next = ahead(next, *to)?,
            Step::Branch(to) => {
                if stack.pop()? != 0 {
                    next = ahead(next, *to)?;
                }
            }
        }
    }
    stack.pop()
}

fn ahead(next: usize, to: usize) -> Result<usize, Reason> {
    if to >= next { Ok(to) } else { Err(malformed("a jump backwards")) }
}

/// a / b, or what is left of that.
fn divide(a: u64, b: u64, sign: Sign, remainder: bool) -> Result<u64, Reason> {
    if b == 0 {
        return Err(malformed("a division by zero"));
    }
    let (signed_a, signed_b) = (a.cast_signed(), b.cast_signed());
    if sign == Sign::Either && (signed_a < 0 || signed_b < 0) {
        return Err(malformed("the rest of a division whose sign DWARF does not define"));
    }
    Ok(match (sign, remainder) {
        (Sign::Signed, false) => signed_a.wrapping_div(signed_b).cast_unsigned(),
        (Sign::Signed, true) => signed_a.wrapping_rem(signed_b).cast_unsigned(),
        (_, false) => a / b,
        (_, true) => a % b,
    })
}

fn step(op: Op, stack: &mut Stack, registers: &Registers, image: &Image<'_>) -> Result<(), Reason> {
    match op.code().ok_or_else(|| malformed("an unknown operation"))? {
        Code::Const => stack.push(op.imm),
        Code::Register => {
            let value = registers.get(usize::from(op.arg)).ok_or_else(|| unknown(op.arg))?;
            stack.push(value.wrapping_add(op.imm))
        }
        Code::Deref => {
            let address = stack.pop()?;
            stack.push(dereference(image, address, op.arg)?)
        }
        Code::Pick => {
            let value = stack.pick(usize::from(op.arg))?;
            stack.push(value)
        }
        Code::Drop => stack.pop().map(drop),
        Code::Swap => {
            let (top, below) = (stack.pop()?, stack.pop()?);
            stack.push(top)?;
            stack.push(below)
        }
        Code::AddConst => {
            let value = stack.pop()?;
            stack.push(value.wrapping_add(op.imm))
        }
        Code::Neg => {
            let value = stack.pop()?;
            stack.push(value.wrapping_neg())
        }
        Code::Not => {
            let value = stack.pop()?;
            stack.push(!value)
        }
        code => {
            let (b, a) = (stack.pop()?, stack.pop()?);
            let value = binary(code as u8, a, b)
                .ok_or_else(|| malformed("an operation that computes no value"))?;
            stack.push(value)
        }
    }
}

/// The expression stack; every access is checked.
#[derive(Default)]
struct Stack(Vec<u64>);

impl Stack {
    fn push(&mut self, value: u64) -> Result<(), Reason> {
        if self.0.len() >= STACK_DEPTH {
            return Err(malformed("more values than the stack holds"));
        }
        self.0.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<u64, Reason> {
        self.0.pop().ok_or_else(|| malformed("an operand is missing"))
    }

    fn pick(&self, below: usize) -> Result<u64, Reason> {
        let index = self.0.len().checked_sub(1).and_then(|top| top.checked_sub(below));
        index
            .and_then(|index| self.0.get(index).copied())
            .ok_or_else(|| malformed("an operand is missing"))
    }
}

fn malformed(detail: &str) -> Reason {
    Reason::new(ReasonCode::UnsupportedLocation, detail)
}

fn unknown(register: u8) -> Reason {
    let detail = format!("register {register} is not known in this frame");
    Reason::new(ReasonCode::UnsupportedLocation, detail)
}

/// The `size` bytes at `address`, zero-extended.
fn dereference(image: &Image<'_>, address: u64, size: u8) -> Result<u64, Reason> {
    if !(1..=8).contains(&size) {
        return Err(malformed("a read that is not of 1 to 8 bytes"));
    }
    let bytes =
        image.read_stack(address, usize::from(size)).map_err(|reason| match reason.code {
            // These say what to do about it, which is worth more than where it happened.
            ReasonCode::StackCut
            | ReasonCode::LimitBytes
            | ReasonCode::LimitNodes
            | ReasonCode::LimitSteps => reason,
            code => Reason::new(
                ReasonCode::ExpressionFault,
                format!("at {address:#x}: {}", code.text()),
            ),
        })?;
    Ok(word(bytes))
}

/// Up to 8 little-endian bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Where the bytes of a value are, by its location.
pub(super) fn locate(
    location: &Location,
    registers: &Registers,
    image: &Image<'_>,
    at_entry: &AtEntry<'_>,
) -> Source {
    match location {
        Location::Pieces(pieces) => {
            let mut start = 0u64;
            let place = |piece: &crate::model::location::Piece| {
                let size = u64::from(piece.size);
                let source = match &piece.location {
                    None => Source::Missing(ReasonCode::OptimizedOut.into()),
                    Some(Location::Pieces(_) | Location::Bits(_)) => {
                        Source::Missing(malformed("pieces of pieces"))
                    }
                    Some(location) => locate_whole(location, registers, image, at_entry),
                };
                let placed = Piece { start, size, source };
                start = start.saturating_add(size);
                placed
            };
            Source::Pieces(pieces.iter().map(place).collect())
        }
        Location::Bits(pieces) => {
            let bits = |piece: &BitPiece| {
                let value = match &piece.location {
                    None => Err(ReasonCode::OptimizedOut.into()),
                    Some(location) => word_of(locate_whole(location, registers, image, at_entry)),
                };
                let shift = |(word, passed): (u64, bool)| {
                    (word.checked_shr(piece.shift).unwrap_or(0), passed)
                };
                Bits { width: piece.width, value: value.map(shift) }
            };
            bits::joined(pieces.iter().map(bits))
        }
        whole => locate_whole(whole, registers, image, at_entry),
    }
}

/// Up to 8 bytes as a number, and whether the caller passed them.
fn word_of(source: Source) -> Result<(u64, bool), Reason> {
    match source {
        Source::Bytes(bytes) => Ok((word(bytes.get(..8).unwrap_or(&bytes)), false)),
        Source::Passed(bytes) => Ok((word(bytes.get(..8).unwrap_or(&bytes)), true)),
        Source::Missing(reason) => Err(reason),
        _ => Err(malformed("bits of what is no number")),
    }
}

/// A location that is not made of pieces.
fn locate_whole(
    location: &Location,
    registers: &Registers,
    image: &Image<'_>,
    at_entry: &AtEntry<'_>,
) -> Source {
    let place = match location {
        Location::Points { to, offset } => {
            let to = match to {
                Ok(to) => locate(to, registers, image, at_entry),
                Err(reason) => Source::Missing(reason.clone()),
            };
            Ok(Source::Points { to: Box::new(to), offset: *offset })
        }
        Location::Register(number) => registers
            .get(usize::from(*number))
            .map(|value| Source::Bytes(value.to_le_bytes().to_vec()))
            .ok_or_else(|| unknown(*number)),
        Location::Memory(expression) => evaluate(expression, registers, image)
            .map(|address| Source::Memory { address, stack: of_the_stack(expression) }),
        Location::Value(expression) => evaluate(expression, registers, image)
            .map(|value| Source::Bytes(value.to_le_bytes().to_vec())),
        Location::Derived(steps) => derive(steps, registers, image, at_entry).map(|value| {
            let bytes = value.to_le_bytes().to_vec();
            if steps.iter().any(|it| matches!(it, Step::Entry(_))) {
                Source::Passed(bytes)
            } else {
                Source::Bytes(bytes)
            }
        }),
        Location::Bytes(bytes) => Ok(Source::Bytes(bytes.clone())),
        Location::Pieces(_) | Location::Bits(_) => Err(malformed("pieces of pieces")),
    };
    place.unwrap_or_else(Source::Missing)
}

/// An address computed from the stack or frame pointer, without a read between, is of the stack.
fn of_the_stack(expression: &[Op]) -> bool {
    let uses =
        |op: &Op| op.code() == Some(Code::Register) && [RSP, RBP].contains(&usize::from(op.arg));
    expression.iter().any(uses) && !expression.iter().any(|op| op.code() == Some(Code::Deref))
}

/// Whether the compiler knew the value when it wrote the debug info.
pub(super) fn is_constant(location: &Location) -> bool {
    let computes = |op: &Op| matches!(op.code(), Some(Code::Register | Code::Deref) | None);
    match location {
        Location::Bytes(_) => true,
        Location::Value(expression) => !expression.iter().any(computes),
        Location::Register(_)
        | Location::Memory(_)
        | Location::Derived(_)
        | Location::Points { .. } => false,
        Location::Bits(pieces) => {
            pieces.iter().all(|piece| piece.location.as_ref().is_some_and(is_constant_whole))
        }
        Location::Pieces(pieces) => {
            pieces.iter().all(|piece| piece.location.as_ref().is_some_and(is_constant_whole))
        }
    }
}

fn is_constant_whole(location: &Location) -> bool {
    !matches!(location, Location::Pieces(_) | Location::Bits(_)) && is_constant(location)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::fake::{object, record, words};
    use crate::random::Random;

    fn run(ops: &[Op]) -> Result<u64, ReasonCode> {
        let mut record = record(vec![object(0x1000, &words(&[0x1122_3344_5566_7788, 9]))]);
        record.registers[3] = 0x1000;
        record.registers[RSP] = 0x7000_0000_0000;
        let image = Image::new(&record);
        let registers = Registers::known(&record.registers);
        evaluate(ops, &registers, &image).map_err(|reason| reason.code)
    }

    fn op(code: Code) -> Op {
        Op::new(code, 0, 0)
    }

    fn constant(value: u64) -> Op {
        Op::new(Code::Const, 0, value)
    }

    #[test]
    fn every_operation_does_what_dwarf_says() {
        let register = Op::new(Code::Register, 3, 8);
        let deref = |size| Op::new(Code::Deref, size, 0);
        let pick = |below| Op::new(Code::Pick, below, 0);
        assert_eq!(run(&[constant(5)]), Ok(5));
        assert_eq!(run(&[register]), Ok(0x1008));
        assert_eq!(run(&[register, deref(8)]), Ok(9));
        assert_eq!(run(&[constant(0x1000), deref(3)]), Ok(0x66_7788));
        assert_eq!(run(&[constant(1), constant(2), pick(1)]), Ok(1));
        assert_eq!(run(&[constant(1), constant(2), op(Code::Drop)]), Ok(1));
        let swapped = [constant(1), constant(2), op(Code::Swap), op(Code::Sub)];
        assert_eq!(run(&swapped), Ok(1));
        assert_eq!(run(&[constant(1), constant(2), op(Code::Sub)]), Ok(u64::MAX));
        assert_eq!(run(&[constant(1), Op::new(Code::AddConst, 0, u64::MAX)]), Ok(0));
        assert_eq!(run(&[constant(1), op(Code::Neg)]), Ok(u64::MAX));
        assert_eq!(run(&[constant(1), op(Code::Not)]), Ok(u64::MAX - 1));
        assert_eq!(run(&[constant(u64::MAX), constant(0), op(Code::Lt)]), Ok(1));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let unsupported = Err(ReasonCode::UnsupportedLocation);
        assert_eq!(run(&[]), unsupported);
        assert_eq!(run(&[op(Code::Add)]), unsupported);
        assert_eq!(run(&[constant(1), Op::new(Code::Pick, 1, 0)]), unsupported);
        assert_eq!(run(&[constant(1), constant(1), op(Code::Copy)]), unsupported);
        assert_eq!(run(&[constant(1), constant(1), op(Code::Root)]), unsupported);
        assert_eq!(run(&[constant(0x1000), Op::new(Code::Deref, 9, 0)]), unsupported);
        assert_eq!(run(&[Op::new(Code::Register, 77, 0)]), unsupported);
        assert_eq!(run(&[constant(1); 65]), unsupported);
        let outside = [constant(0x9000), Op::new(Code::Deref, 8, 0)];
        assert_eq!(run(&outside), Err(ReasonCode::ExpressionFault));
    }

    fn run_steps(steps: &[Step]) -> Result<u64, ReasonCode> {
        let record = record(Vec::new());
        let image = Image::new(&record);
        let at_entry = |number| match number {
            5 => Ok(500),
            _ => Err(ReasonCode::EntryValue.into()),
        };
        let registers = Registers::known(&record.registers);
        derive(steps, &registers, &image, &at_entry).map_err(|reason| reason.code)
    }

    fn divided(a: i64, b: i64, step: Step) -> Result<i64, ReasonCode> {
        let push = |value: i64| Step::Op(constant(value.cast_unsigned()));
        run_steps(&[push(a), push(b), step]).map(u64::cast_signed)
    }

    #[test]
    fn what_only_the_decoder_can_compute() {
        let unsupported = Err(ReasonCode::UnsupportedLocation);
        assert_eq!(divided(-7, 2, Step::Divide(Sign::Signed)), Ok(-3));
        assert_eq!(divided(-7, 2, Step::Divide(Sign::Unsigned)), Ok((-7i64 as u64 / 2) as i64));
        assert_eq!(divided(-7, 2, Step::Remainder(Sign::Signed)), Ok(-1));
        assert_eq!(divided(7, 2, Step::Remainder(Sign::Either)), Ok(1));
        assert_eq!(divided(-7, 2, Step::Remainder(Sign::Either)), unsupported);
        assert_eq!(divided(7, 0, Step::Divide(Sign::Signed)), unsupported);
        assert_eq!(divided(i64::MIN, -1, Step::Divide(Sign::Signed)), Ok(i64::MIN));
        let one = |value| Step::Op(constant(value));
        // [1 2 3] becomes [3 1 2].
        let rotated = [one(1), one(2), one(3), Step::Rotate];
        assert_eq!(run_steps(&rotated), Ok(2));
        let below = [&rotated[..], &[Step::Op(op(Code::Drop)), Step::Op(op(Code::Drop))]].concat();
        assert_eq!(run_steps(&below), Ok(3));
        assert_eq!(run_steps(&[Step::Entry(5)]), Ok(500));
        assert_eq!(run_steps(&[Step::Entry(4)]), Err(ReasonCode::EntryValue));
    }

    #[test]
    fn jumps_lead_ahead_only() {
        let one = |value| Step::Op(constant(value));
        let either = |condition| [one(condition), Step::Branch(4), one(1), Step::Skip(5), one(2)];
        assert_eq!(run_steps(&either(0)), Ok(1));
        assert_eq!(run_steps(&either(9)), Ok(2));
        assert_eq!(run_steps(&[one(7), Step::Skip(99)]), Ok(7));
        let back = [one(1), Step::Skip(0)];
        assert_eq!(run_steps(&back), Err(ReasonCode::UnsupportedLocation));
        assert_eq!(run_steps(&[Step::Rotate]), Err(ReasonCode::UnsupportedLocation));
    }

    #[test]
    fn random_operations_never_panic() {
        let mut random = Random::new(23);
        for _ in 0..20_000 {
            let ops: Vec<Op> = (0..random.below(12))
                .map(|_| Op {
                    code: random.below(32) as u8,
                    arg: random.below(20) as u8,
                    imm: if random.below(2) == 0 { 0x1000 } else { random.next() },
                    ..Op::default()
                })
                .collect();
            if let Err(code) = run(&ops) {
                let known = [ReasonCode::UnsupportedLocation, ReasonCode::ExpressionFault];
                assert!(known.contains(&code), "{code:?}");
            }
        }
    }
}
