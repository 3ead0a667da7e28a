//! DWARF expressions, translated to the few forms that the kernel program can run too.
//!
//! In: the bytes of an expression, and what it may refer to at one pc. Out: a [`Location`] without
//! branches, calls or loops, of a bounded length. What can't be expressed so is refused with the
//! name of the operation, never approximated.

mod pieces;
mod stack;

#[cfg(test)]
mod tests;

use self::pieces::Described;
use self::stack::{Kind, Stack};
use super::dwarf::{Dwarf, Reader, Unit};
use crate::model::location::{Expression, Location, Step, Steps};
use crate::model::reason::{Reason, ReasonCode};
use gimli::Reader as _;
use std::fmt;
use tracer_common::code::{Code, Op};
use tracer_common::wire::FS_BASE;

/// Operations of a DWARF expression, and of its translation.
const OPERATIONS_MAX: usize = 64;

/// What an expression may refer to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// DW_AT_frame_base of the function at this pc, already translated to the value it gives.
    pub frame_base: Option<&'a Expression>,
    /// The canonical frame address at this pc (DW_OP_call_frame_cfa).
    pub cfa: Option<&'a Expression>,
    /// What to add to an address stated in the file (DW_OP_addr) to get one in the process.
    pub bias: u64,
    /// What to add to the fs base to get the first byte of the thread-local storage of the
    /// module that the expression is in (psABI x86-64, 3.4.6).
    pub thread_storage: Option<u64>,
    /// The stack starts with this on it: CFI expressions start with the CFA.
    pub initial: Option<&'a Expression>,
    /// What registers held at the function's entry (DW_OP_entry_value) may be made use of.
    pub entry_values: bool,
    /// Where a value is that a pointer which was not kept points to.
    pub pointed: Option<Pointed<'a>>,
    /// The unit that the expression is in, for base types and indexed addresses. CFI has none.
    pub unit: Option<(&'a Dwarf<'a>, &'a Unit<'a>)>,
}

/// Finds where the value is that an entry of `.debug_info` describes (DW_OP_implicit_pointer).
#[derive(Clone, Copy)]
pub struct Pointed<'a>(pub &'a dyn Fn(gimli::DebugInfoOffset) -> Result<Location, Reason>);

impl fmt::Debug for Pointed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pointed")
    }
}

/// Translates a DWARF location description (DWARF 5, 2.6).
///
/// An expression that leaves an address becomes [`Location::Memory`]; so does a CFI expression,
/// whatever its result means.
///
/// # Errors
///
/// The reason why the value can't be had from registers and memory at a hit:
/// [`ReasonCode::OptimizedOut`] for an empty description, else what it needs.
pub fn translate(
    expression: gimli::Expression<Reader<'_>>,
    encoding: gimli::Encoding,
    context: Context<'_>,
) -> Result<Location, Reason> {
    // Most CFI expressions do not use the address that is pushed for them.
    let plain = Translation::new(encoding, context).run(expression.0);
    match context.initial {
        Some(initial) if plain.is_err() => {
            let mut translation = Translation::new(encoding, context);
            translation.stack.inline(initial)?;
            translation.run(expression.0)
        }
        _ => plain,
    }
}

/// Translates an expression that gives a value, not a location (DWARF 5, 2.5), with the help of what
/// registers held at the function's entry.
///
/// # Errors
///
/// As [`translate`].
pub fn translate_value(
    expression: gimli::Expression<Reader<'_>>,
    encoding: gimli::Encoding,
    context: Context<'_>,
) -> Result<Steps, Reason> {
    let context = Context { entry_values: true, ..context };
    let mut translation = Translation::new(encoding, context);
    translation.all(expression.0)?;
    match (translation.place, translation.pieces.as_slice()) {
        (None, []) => translation.stack.value(),
        _ => Err(unsupported("a location where a value is due")),
    }
}

/// Takes the next operation off `bytes`.
///
/// # Errors
///
/// When it is malformed or unknown.
pub fn next_operation<'a>(
    bytes: &mut Reader<'a>,
    encoding: gimli::Encoding,
) -> gimli::Result<gimli::Operation<Reader<'a>>> {
    let mut rest = *bytes;
    if rest.read_u8() == Ok(gimli::DW_OP_piece.0) && rest.read_uleb128()?.checked_mul(8).is_none() {
        // The parser multiplies without a check.
        return Err(gimli::Error::InvalidPiece);
    }
    gimli::Operation::parse(bytes, encoding)
}

/// Where the value of the description that is being read is, when not in memory.
enum Place {
    Register(u8),
    OnStack,
    Bytes(Vec<u8>),
    Pointer(Location),
}

struct Translation<'a> {
    encoding: gimli::Encoding,
    context: Context<'a>,
    stack: Stack,
    place: Option<Place>,
    pieces: Vec<Described>,
}

impl<'a> Translation<'a> {
    fn new(encoding: gimli::Encoding, context: Context<'a>) -> Self {
        Self { encoding, context, stack: Stack::default(), place: None, pieces: Vec::new() }
    }

    fn run(mut self, bytes: Reader<'_>) -> Result<Location, Reason> {
        self.all(bytes)?;
        if self.pieces.is_empty() {
            return self.take()?.ok_or_else(|| ReasonCode::OptimizedOut.into());
        }
        if self.place.is_some() || !self.stack.is_empty() {
            return Err(unsupported("operations behind the last DW_OP_piece"));
        }
        pieces::joined(self.pieces)
    }

    fn all(&mut self, mut bytes: Reader<'_>) -> Result<(), Reason> {
        if self.encoding.address_size != 8 {
            return Err(unsupported("addresses are not 8 bytes wide"));
        }
        let mut count = 0;
        let length = bytes.len();
        while !bytes.is_empty() {
            self.stack.land(length - bytes.len())?;
            count += 1;
            if count > OPERATIONS_MAX {
                return Err(unsupported("more than 64 operations"));
            }
            self.step(&mut bytes, length)?;
        }
        self.stack.land(length)?;
        self.stack.landed()
    }

    fn step(&mut self, bytes: &mut Reader<'_>, length: usize) -> Result<(), Reason> {
        let opcode = gimli::DwOp(bytes.slice().first().copied().unwrap_or_default());
        let operation = next_operation(bytes, self.encoding).map_err(malformed)?;
        if let gimli::Operation::Piece { size_in_bits, bit_offset } = operation {
            return self.piece(size_in_bits, bit_offset.unwrap_or(0));
        }
        match operation {
            gimli::Operation::Nop => Ok(()),
            // Stands behind a complete location: nothing was assigned yet.
            gimli::Operation::Uninitialized => {
                Err(Reason::new(ReasonCode::NotLiveHere, "it is not initialised here"))
            }
            _ if self.place.is_some() => Err(unsupported("operations behind a complete location")),
            gimli::Operation::Bra { target } => {
                self.jump(length - bytes.len(), target, true, opcode)
            }
            gimli::Operation::Skip { target } => {
                self.jump(length - bytes.len(), target, false, opcode)
            }
            operation => self.operation(operation, opcode),
        }
    }

    /// A jump by `distance` from the operation that starts at `next`: forward, so that it ends.
    fn jump(
        &mut self,
        next: usize,
        distance: i16,
        conditional: bool,
        opcode: gimli::DwOp,
    ) -> Result<(), Reason> {
        let target = usize::try_from(distance).ok().and_then(|distance| next.checked_add(distance));
        let target =
            target.ok_or_else(|| unsupported(format!("{} backwards", operation_name(opcode))))?;
        self.stack.jump(target, conditional)
    }

    /// Everything but pieces, marks and jumps.
    fn operation(
        &mut self,
        operation: gimli::Operation<Reader<'_>>,
        opcode: gimli::DwOp,
    ) -> Result<(), Reason> {
        use gimli::Operation as O;
        match operation {
            O::Register { register } => {
                if !self.stack.is_empty() {
                    return Err(unsupported("a register behind other operations"));
                }
                self.place = Some(Place::Register(register_number(register)?));
                Ok(())
            }
            O::ImplicitValue { data } => {
                self.place = Some(Place::Bytes(data.slice().to_vec()));
                Ok(())
            }
            O::StackValue => {
                self.place = Some(Place::OnStack);
                Ok(())
            }
            O::EntryValue { expression } => self.entry_value(expression, opcode),
            O::ImplicitPointer { value, byte_offset: offset } => {
                let pointed = self.context.pointed;
                let find = pointed.ok_or_else(|| unsupported(operation_name(opcode)))?;
                let to = find.0(value).map(Box::new);
                self.place = Some(Place::Pointer(Location::Points { to, offset }));
                Ok(())
            }
            O::ParameterRef { .. } => Err(ReasonCode::EntryValue.into()),
            O::TLS => {
                let start = self.context.thread_storage.ok_or(ReasonCode::ThreadLocal)?;
                let thread = Op::new(Code::Register, FS_BASE as u8, start);
                self.stack.push(thread, Kind::Generic)?;
                self.stack.binary(Code::Add)
            }
            other => self.pushed(other, opcode),
        }
    }

    /// What pushes a value or changes its type (DWARF 5, 2.5.1.1, 2.5.1.2 and 2.5.1.6).
    fn pushed(
        &mut self,
        operation: gimli::Operation<Reader<'_>>,
        opcode: gimli::DwOp,
    ) -> Result<(), Reason> {
        use gimli::Operation as O;
        match operation {
            O::UnsignedConstant { value } => self.stack.constant(value),
            O::SignedConstant { value } => self.stack.constant(value as u64),
            O::Address { address } => self.stack.constant(address.wrapping_add(self.context.bias)),
            O::AddressIndex { index } => {
                let address = self.indexed(index)?;
                self.stack.constant(address.wrapping_add(self.context.bias))
            }
            O::ConstantIndex { index } => {
                let value = self.indexed(index)?;
                self.stack.constant(value)
            }
            O::RegisterOffset { register, offset, base_type } => {
                let number = register_number(register)?;
                let kind = self.kind(base_type, opcode)?;
                self.stack.push(Op::new(Code::Register, number, offset as u64), Kind::Generic)?;
                self.stack.convert(kind)
            }
            O::FrameOffset { offset } => {
                let base = self.context.frame_base;
                self.stack.inline(base.ok_or_else(|| unsupported("no DW_AT_frame_base"))?)?;
                self.stack.add_constant(offset as u64)
            }
            O::CallFrameCFA => {
                let cfa = self.context.cfa;
                self.stack.inline(cfa.ok_or_else(|| unsupported("no call frame information"))?)
            }
            O::Deref { base_type, size, space: false } => {
                let kind = self.kind(base_type, opcode)?;
                self.stack.dereference(size, kind)
            }
            O::TypedLiteral { base_type, value } => {
                let kind = self.kind(base_type, opcode)?;
                self.literal(kind, value, opcode)
            }
            O::Convert { base_type } => {
                let kind = self.kind(base_type, opcode)?;
                self.stack.convert(kind)
            }
            O::Reinterpret { base_type } => {
                let kind = self.kind(base_type, opcode)?;
                self.stack.reinterpret(kind)
            }
            other => self.arithmetic(other, opcode),
        }
    }

    /// DWARF 5, 2.5.1.3 to 2.5.1.5, as far as the kernel program knows them.
    fn arithmetic(
        &mut self,
        operation: gimli::Operation<Reader<'_>>,
        opcode: gimli::DwOp,
    ) -> Result<(), Reason> {
        use gimli::Operation as O;
        match operation {
            O::Drop => self.stack.drop_top(),
            O::Pick { index } => self.stack.pick(index),
            O::Swap => self.stack.swap(),
            O::PlusConstant { value } => self.stack.add_constant(value),
            O::Plus => self.stack.binary(Code::Add),
            O::Minus => self.stack.binary(Code::Sub),
            O::Mul => self.stack.binary(Code::Mul),
            O::And => self.stack.binary(Code::And),
            O::Or => self.stack.binary(Code::Or),
            O::Xor => self.stack.binary(Code::Xor),
            O::Shl => self.stack.binary(Code::Shl),
            O::Shr => self.stack.binary(Code::Shr),
            O::Shra => self.stack.binary(Code::Shra),
            O::Eq => self.stack.binary(Code::Eq),
            O::Ne => self.stack.binary(Code::Ne),
            O::Lt => self.stack.binary(Code::Lt),
            O::Le => self.stack.binary(Code::Le),
            O::Gt => self.stack.binary(Code::Gt),
            O::Ge => self.stack.binary(Code::Ge),
            O::Neg => self.stack.unary(Code::Neg),
            O::Not => self.stack.unary(Code::Not),
            O::Abs => self.stack.absolute(),
            O::Div => self.stack.divide(false),
            O::Mod => self.stack.divide(true),
            O::Rot => self.stack.rotate(),
            _ => Err(unsupported(operation_name(opcode))),
        }
    }

    /// Ends the description of `width` bits that start `shift` bits into it.
    fn piece(&mut self, width: u64, shift: u64) -> Result<(), Reason> {
        let location = self.take()?;
        self.pieces.push(Described { width, shift, location });
        Ok(())
    }

    /// The location that was described since the last piece.
    fn take(&mut self) -> Result<Option<Location>, Reason> {
        self.stack.landed()?;
        let stack = std::mem::take(&mut self.stack);
        Ok(match self.place.take() {
            Some(Place::Register(number)) => Some(Location::Register(number)),
            Some(Place::Bytes(bytes)) => Some(Location::Bytes(bytes)),
            Some(Place::Pointer(location)) => Some(location),
            Some(Place::OnStack) => Some(value_of(stack.value()?)),
            None if stack.is_empty() => None,
            None => match value_of(stack.address()?) {
                Location::Value(address) => Some(Location::Memory(address)),
                Location::Derived(steps) => return Err(address_of(&steps)),
                other => Some(other),
            },
        })
    }

    /// What a register held at the function's entry (DWARF 5, 2.5.1.7).
    fn entry_value(
        &mut self,
        mut expression: Reader<'_>,
        opcode: gimli::DwOp,
    ) -> Result<(), Reason> {
        if !self.context.entry_values {
            return Err(ReasonCode::EntryValue.into());
        }
        let operation = next_operation(&mut expression, self.encoding).map_err(malformed)?;
        match operation {
            gimli::Operation::Register { register } if expression.is_empty() => {
                self.stack.entry(register_number(register)?)
            }
            gimli::Operation::RegisterOffset { register, offset, base_type }
                if expression.is_empty() =>
            {
                let kind = self.kind(base_type, opcode)?;
                self.stack.entry(register_number(register)?)?;
                self.stack.add_constant(offset as u64)?;
                self.stack.convert(kind)
            }
            _ => Err(Reason::new(ReasonCode::EntryValue, "what it pointed to then")),
        }
    }

    fn literal(
        &mut self,
        kind: Kind,
        value: Reader<'_>,
        opcode: gimli::DwOp,
    ) -> Result<(), Reason> {
        let mut wide = [0; 8];
        let bytes = value.slice();
        let size = usize::from(kind.size());
        match (wide.get_mut(..size), bytes.len() == size) {
            (Some(low), true) => low.copy_from_slice(bytes),
            _ => return Err(unsupported(operation_name(opcode))),
        }
        self.stack.typed_constant(u64::from_le_bytes(wide), kind)
    }

    fn indexed(&self, index: gimli::DebugAddrIndex) -> Result<u64, Reason> {
        let (dwarf, unit) = self.context.unit.ok_or_else(|| unsupported("no .debug_addr"))?;
        dwarf.address(unit, index).map_err(malformed)
    }

    /// How the stack holds values of the base type at `offset`; 0 is the generic type.
    fn kind(&self, offset: gimli::UnitOffset, opcode: gimli::DwOp) -> Result<Kind, Reason> {
        if offset.0 == 0 {
            return Ok(Kind::Generic);
        }
        let (_, unit) = self.context.unit.ok_or_else(|| unsupported(operation_name(opcode)))?;
        let entry = unit.entry(offset).map_err(malformed)?;
        let size = entry.attr(gimli::DW_AT_byte_size).and_then(|size| size.u8_value());
        let encoding = match entry.attr_value(gimli::DW_AT_encoding) {
            Some(gimli::AttributeValue::Encoding(encoding)) => Some(encoding),
            _ => None,
        };
        let kind = match (encoding, size) {
            (
                Some(gimli::DW_ATE_signed | gimli::DW_ATE_signed_char),
                Some(size @ (1 | 2 | 4 | 8)),
            ) => Some(Kind::Signed(size)),
            (
                Some(gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char),
                Some(size @ (1 | 2 | 4 | 8)),
            ) => Some(Kind::Unsigned(size)),
            (Some(gimli::DW_ATE_address), Some(8)) => Some(Kind::Generic),
            _ => None,
        };
        kind.filter(|_| entry.tag() == gimli::DW_TAG_base_type).ok_or_else(|| {
            unsupported(format!("{} of a type that is no integer", operation_name(opcode)))
        })
    }
}

/// Why a value is not shown whose address is computed by these steps.
fn address_of(steps: &[Step]) -> Reason {
    if steps.iter().any(|step| matches!(step, Step::Entry(_))) {
        let detail = "it was in memory at an address that was known at entry";
        return Reason::new(ReasonCode::EntryValue, detail);
    }
    unsupported("an address by operations that the kernel program does not have")
}

/// A value by the computation that gives it.
fn value_of(steps: Steps) -> Location {
    let op = |step: &Step| match step {
        Step::Op(op) => Some(*op),
        _ => None,
    };
    match steps.iter().map(op).collect() {
        Some(expression) => Location::Value(expression),
        None => Location::Derived(steps),
    }
}

/// The number of a general register or the pc; psABI x86-64, figure 3.36.
fn register_number(register: gimli::Register) -> Result<u8, Reason> {
    match register.0 {
        number @ 0..=16 => Ok(number as u8),
        // xmm0 to xmm15, st0 to st7, mm0 to mm7; mxcsr, fcw, fsw; xmm16 to xmm31; k0 to k7.
        17..=48 | 64..=82 | 118..=125 => Err(ReasonCode::VectorRegister.into()),
        number => Err(unsupported(format!("DWARF register {number}"))),
    }
}

fn operation_name(opcode: gimli::DwOp) -> String {
    opcode.static_string().map_or_else(|| format!("operation {:#x}", opcode.0), str::to_owned)
}

fn unsupported(detail: impl Into<String>) -> Reason {
    Reason::new(ReasonCode::UnsupportedLocation, detail)
}

fn malformed(error: gimli::Error) -> Reason {
    unsupported(format!("malformed expression: {error}"))
}
