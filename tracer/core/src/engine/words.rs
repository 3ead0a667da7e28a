//! Where a variable is, in words.

use crate::model::location::{Expression, Location, Piece, Step};
use crate::model::types::{Encoding, Scalar, Shape, Type};
use tracer_common::code::{Code, Op};
use tracer_common::wire::FS_BASE;

/// The general registers by DWARF number (psABI x86-64, figure 3.36), then the return address
/// column, which is the pc.
const REGISTERS: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];
/// Longer formulas say no more than that something is computed.
const FORMULA_CHARS_MAX: usize = 60;
/// Bytes of a constant that are told.
const BYTES_SHOWN: usize = 16;
/// Pieces that are told.
const PIECES_SHOWN: usize = 8;
/// Constants of larger magnitude are addresses or bit masks rather than counts.
const DECIMAL_MAX: u64 = 0xffff;

/// `in rdi`, `in memory at rsp+24`, `at CFA-40 (rbp-24)`, `constant 7`, `in pieces: …`,
/// `computed: rax+1`. `cfa` is the canonical frame address at the same pc.
pub(super) fn place(location: &Location, ty: &Type, cfa: Option<&Expression>) -> String {
    match location {
        Location::Pieces(pieces) => {
            let more = pieces.len().saturating_sub(PIECES_SHOWN);
            let shown = pieces.iter().take(PIECES_SHOWN).map(|part| piece(part, cfa));
            let mut words: Vec<String> = shown.collect();
            if more > 0 {
                words.push(format!("{more} more"));
            }
            format!("in pieces: {}", words.join(", "))
        }
        whole => whole_place(whole, Some(ty), cfa),
    }
}

/// A location of a value of an unknown type.
fn place_of(location: &Location, cfa: Option<&Expression>) -> String {
    match location {
        Location::Pieces(pieces) => format!("in {} pieces", pieces.len()),
        whole => whole_place(whole, None, cfa),
    }
}

/// `4 bytes in rax`.
fn piece(piece: &Piece, cfa: Option<&Expression>) -> String {
    let unit = if piece.size == 1 { "byte" } else { "bytes" };
    let place = match &piece.location {
        Some(location) => whole_place(location, None, cfa),
        None => "not kept".to_owned(),
    };
    format!("{} {unit} {place}", piece.size)
}

fn whole_place(location: &Location, ty: Option<&Type>, cfa: Option<&Expression>) -> String {
    match location {
        Location::Register(number) => format!("in {}", register(*number)),
        Location::Memory(expression) => memory(expression, cfa),
        Location::Value(expression) => match expression.as_slice() {
            [op] if op.code() == Some(Code::Const) => {
                let size = ty.and_then(|ty| ty.size).and_then(|size| usize::try_from(size).ok());
                let bytes = op.imm.to_le_bytes();
                constant(bytes.get(..size.unwrap_or(bytes.len())).unwrap_or(&bytes), ty)
            }
            _ => match formula(expression) {
                Some(formula) => format!("computed: {formula}"),
                None => "computed from registers and memory".to_owned(),
            },
        },
        Location::Derived(steps) if let [Step::Entry(number)] = steps.as_slice() => {
            format!("in {} at entry", register(*number))
        }
        Location::Derived(_) => "computed from what was passed at entry".to_owned(),
        Location::Points { to: Ok(to), offset: 0 } => {
            format!("not kept; what it points to is {}", place_of(to, cfa))
        }
        Location::Points { .. } => "not kept; what it points to is known".to_owned(),
        Location::Bytes(bytes) => constant(bytes, ty),
        Location::Bits(pieces) => format!("in {} pieces of bits", pieces.len()),
        // Pieces have no pieces.
        Location::Pieces(pieces) => format!("in {} pieces", pieces.len()),
    }
}

fn memory(expression: &[Op], cfa: Option<&Expression>) -> String {
    let from_cfa = cfa.and_then(|cfa| {
        let ((number, offset), (of_cfa, cfa)) = (register_plus(expression)?, register_plus(cfa)?);
        (number == of_cfa).then(|| offset.wrapping_sub(cfa))
    });
    match (from_cfa, formula(expression)) {
        (Some(0), Some(address)) => format!("at CFA ({address})"),
        (Some(distance), Some(address)) => format!("at CFA{distance:+} ({address})"),
        (_, Some(address)) => format!("in memory at {address}"),
        (_, None) => "in memory at a computed address".to_owned(),
    }
}

/// A computation that is a register plus a constant.
fn register_plus(expression: &[Op]) -> Option<(u8, i64)> {
    match expression {
        [op] if op.code() == Some(Code::Register) => Some((op.arg, op.imm as i64)),
        _ => None,
    }
}

fn register(number: u8) -> &'static str {
    match usize::from(number) {
        FS_BASE => "the thread's fs base",
        number => REGISTERS.get(number).copied().unwrap_or("an unknown register"),
    }
}

/// A computation as people write it, `[x]` for what is in memory at x; `None` where it is too long
/// to be read.
fn formula(expression: &[Op]) -> Option<String> {
    let mut stack: Vec<String> = Vec::new();
    for op in expression {
        let text = match op.code()? {
            Code::Const => number(op.imm),
            Code::Register => plus(register(op.arg), op.imm),
            Code::AddConst => plus(&stack.pop()?, op.imm),
            Code::Deref if op.arg == 8 => format!("[{}]", stack.pop()?),
            Code::Deref => format!("[{}, {} bytes]", stack.pop()?, op.arg),
            Code::Pick => stack.iter().rev().nth(usize::from(op.arg))?.clone(),
            Code::Drop => {
                stack.pop()?;
                continue;
            }
            Code::Swap => {
                let last = stack.len().checked_sub(1)?;
                stack.swap(last, last.checked_sub(1)?);
                continue;
            }
            Code::Neg => format!("-{}", operand(stack.pop()?)),
            Code::Not => format!("~{}", operand(stack.pop()?)),
            code => {
                let (right, left) = (operand(stack.pop()?), operand(stack.pop()?));
                format!("{left} {} {right}", sign(code)?)
            }
        };
        if text.len() > FORMULA_CHARS_MAX {
            return None;
        }
        stack.push(text);
    }
    stack.pop()
}

/// The sign of an operation on two values.
fn sign(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Add => "+",
        Code::Sub => "-",
        Code::Mul => "*",
        Code::And => "&",
        Code::Or => "|",
        Code::Xor => "^",
        Code::Shl => "<<",
        Code::Shr => ">>",
        // With the sign, unlike Shr.
        Code::Shra => "sar",
        Code::Eq => "==",
        Code::Ne => "!=",
        Code::Lt => "<",
        Code::Le => "<=",
        Code::Gt => ">",
        Code::Ge => ">=",
        _ => return None,
    })
}

/// Puts what has operators of its own into parentheses.
fn operand(text: String) -> String {
    let is_one = text.bytes().all(|byte| byte.is_ascii_alphanumeric()) || is_memory(&text);
    if is_one { text } else { format!("({text})") }
}

/// The whole of a formula is what is in memory somewhere.
fn is_memory(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']') && text.matches('[').count() == 1
}

/// `rsp+24`; an operation on two values goes into parentheses.
fn plus(text: &str, addend: u64) -> String {
    let (open, close) = if text.contains(' ') && !is_memory(text) { ("(", ")") } else { ("", "") };
    match addend as i64 {
        0 => text.to_owned(),
        small if small.unsigned_abs() <= DECIMAL_MAX => format!("{open}{text}{close}{small:+}"),
        _ => format!("{open}{text}{close}+{addend:#x}"),
    }
}

fn number(value: u64) -> String {
    match value as i64 {
        small if small.unsigned_abs() <= DECIMAL_MAX => small.to_string(),
        _ => format!("{value:#x}"),
    }
}

/// `constant 7`, as the type writes it; else its bytes.
fn constant(bytes: &[u8], ty: Option<&Type>) -> String {
    if let Some(value) = ty.and_then(|ty| simple_value(bytes, &ty.shape)) {
        return format!("constant {value}");
    }
    if bytes.is_empty() {
        return "it has no bytes".to_owned();
    }
    let shown: Vec<String> =
        bytes.iter().take(BYTES_SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let shown = shown.join(" ");
    match bytes.len() {
        all if all > BYTES_SHOWN => format!("constant bytes {shown} … ({all} in all)"),
        _ => format!("constant bytes {shown}"),
    }
}

/// A value of a type without parts; `None` for others, and where bytes are missing.
fn simple_value(bytes: &[u8], shape: &Shape) -> Option<String> {
    match shape {
        Shape::Scalar(scalar) => scalar_value(bytes, *scalar),
        Shape::Enumeration { scalar, names } => {
            let number = scalar_value(bytes, *scalar)?;
            let name = names.iter().find(|(value, _)| value.to_string() == number);
            Some(name.map_or(number.clone(), |(_, name)| format!("{name} ({number})")))
        }
        Shape::Pointer(_) | Shape::TextPointer | Shape::Function => {
            let address = bytes.get(..8)?.try_into().ok()?;
            Some(format!("{:#x}", u64::from_le_bytes(address)))
        }
        _ => None,
    }
}

fn scalar_value(bytes: &[u8], scalar: Scalar) -> Option<String> {
    let bytes = bytes.get(..usize::from(scalar.size))?;
    let mut wide = [0; 16];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let value = u128::from_le_bytes(wide);
    let unused = 128_u32.checked_sub(u32::from(scalar.size) * 8)?;
    Some(match (scalar.encoding, value) {
        (Encoding::Signed | Encoding::SignedChar, _) => {
            (value.checked_shl(unused)?.cast_signed() >> unused).to_string()
        }
        (Encoding::Bool, 0) => "false".to_owned(),
        (Encoding::Bool, 1) => "true".to_owned(),
        (Encoding::Bool | Encoding::Unsigned | Encoding::UnsignedChar | Encoding::Utf, _) => {
            value.to_string()
        }
        (Encoding::Float, _) => match scalar.size {
            4 => format!("{:?}", f32::from_le_bytes(bytes.try_into().ok()?)),
            8 => format!("{:?}", f64::from_le_bytes(bytes.try_into().ok()?)),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(size: u64, shape: Shape) -> Type {
        Type { name: "T".to_owned(), size: Some(size), shape }
    }

    fn scalar(encoding: Encoding, size: u8) -> Type {
        of_type(size.into(), Shape::Scalar(Scalar { encoding, size }))
    }

    fn op(code: Code, arg: u8, imm: i64) -> Op {
        Op::new(code, arg, imm as u64)
    }

    fn words(location: Location) -> String {
        let cfa = vec![op(Code::Register, 6, 16)];
        place(&location, &scalar(Encoding::Signed, 4), Some(&cfa))
    }

    fn constant_of(ty: &Type, bytes: &[u8]) -> String {
        place(&Location::Bytes(bytes.to_vec()), ty, None)
    }

    #[test]
    fn registers_and_memory_have_their_names() {
        assert_eq!(words(Location::Register(5)), "in rdi");
        assert_eq!(words(Location::Register(16)), "in rip");
        let memory = |ops: &[Op]| words(Location::Memory(ops.to_vec()));
        assert_eq!(memory(&[op(Code::Register, 7, 24)]), "in memory at rsp+24");
        assert_eq!(memory(&[op(Code::Register, 6, -24)]), "at CFA-40 (rbp-24)");
        assert_eq!(memory(&[op(Code::Register, 6, 16)]), "at CFA (rbp+16)");
        assert_eq!(memory(&[op(Code::Register, 6, 24)]), "at CFA+8 (rbp+24)");
        assert_eq!(memory(&[op(Code::Const, 0, 0x55_0000_1000)]), "in memory at 0x5500001000");
        let behind = [op(Code::Register, 3, 8), op(Code::Deref, 8, 0), op(Code::AddConst, 0, -4)];
        assert_eq!(memory(&behind), "in memory at [rbx+8]-4");
    }

    #[test]
    fn computed_values_are_formulas_that_can_be_read() {
        let value = |ops: &[Op]| words(Location::Value(ops.to_vec()));
        let (rax, rcx) = (op(Code::Register, 0, 0), op(Code::Register, 2, 1));
        assert_eq!(value(&[rax]), "computed: rax");
        assert_eq!(value(&[rcx, rax, op(Code::Mul, 0, 0)]), "computed: (rcx+1) * rax");
        let swapped = [rcx, rax, op(Code::Swap, 0, 0), op(Code::Sub, 0, 0)];
        assert_eq!(value(&swapped), "computed: rax - (rcx+1)");
        let picked = [rax, rcx, op(Code::Pick, 1, 0), op(Code::Add, 0, 0), op(Code::Neg, 0, 0)];
        assert_eq!(value(&picked), "computed: -((rcx+1) + rax)");
        let dropped = [rax, rcx, op(Code::Drop, 0, 0), op(Code::Not, 0, 0)];
        assert_eq!(value(&dropped), "computed: ~rax");
        let masked = [rax, op(Code::Const, 0, 3), op(Code::And, 0, 0), op(Code::AddConst, 0, 1)];
        assert_eq!(value(&masked), "computed: (rax & 3)+1");
        let shifted = [rax, op(Code::Deref, 4, 0), op(Code::Const, 0, 3), op(Code::Shra, 0, 0)];
        assert_eq!(value(&shifted), "computed: [rax, 4 bytes] sar 3");
        let mut doubled = vec![rax];
        for _ in 0..60 {
            doubled.extend([op(Code::Pick, 0, 0), op(Code::Add, 0, 0)]);
        }
        assert_eq!(value(&doubled), "computed from registers and memory");
        assert_eq!(value(&[op(Code::Add, 0, 0)]), "computed from registers and memory");
    }

    #[test]
    fn constants_are_as_their_type_writes_them() {
        let value =
            |imm: i64, ty: &Type| place(&Location::Value(vec![op(Code::Const, 0, imm)]), ty, None);
        assert_eq!(value(7, &scalar(Encoding::Signed, 4)), "constant 7");
        assert_eq!(value(0xffff_ffff, &scalar(Encoding::Signed, 4)), "constant -1");
        assert_eq!(value(-1, &scalar(Encoding::Unsigned, 4)), "constant 4294967295");
        assert_eq!(value(-1, &scalar(Encoding::Signed, 8)), "constant -1");
        assert_eq!(value(1, &scalar(Encoding::Bool, 1)), "constant true");
        assert_eq!(value(2, &scalar(Encoding::Bool, 1)), "constant 2");
        let pointer = of_type(8, Shape::TextPointer);
        assert_eq!(value(0x1000, &pointer), "constant 0x1000");
        let color = of_type(
            4,
            Shape::Enumeration {
                scalar: Scalar { encoding: Encoding::Unsigned, size: 4 },
                names: vec![(1, "RED".to_owned())],
            },
        );
        assert_eq!(value(1, &color), "constant RED (1)");
        assert_eq!(value(2, &color), "constant 2");
        let double = scalar(Encoding::Float, 8);
        assert_eq!(constant_of(&double, &1.5_f64.to_le_bytes()), "constant 1.5");
        let wide = scalar(Encoding::Signed, 16);
        assert_eq!(constant_of(&wide, &(-3_i128).to_le_bytes()), "constant -3");
    }

    #[test]
    fn constants_of_other_types_are_bytes() {
        let record = of_type(3, Shape::Record(Vec::new()));
        assert_eq!(constant_of(&record, &[1, 2, 0xff]), "constant bytes 01 02 ff");
        assert_eq!(constant_of(&record, &[]), "it has no bytes");
        let long = constant_of(&record, &[0; 40]);
        assert!(long.starts_with("constant bytes 00 00 "), "{long}");
        assert!(long.ends_with(" 00 … (40 in all)"), "{long}");
        assert_eq!(constant_of(&scalar(Encoding::Signed, 4), &[1]), "constant bytes 01");
        let small = Location::Value(vec![op(Code::Const, 0, 0x0201)]);
        let two = of_type(2, Shape::Record(Vec::new()));
        assert_eq!(place(&small, &two, None), "constant bytes 01 02");
    }

    #[test]
    fn pieces_are_told_one_by_one() {
        let pieces = vec![
            Piece { size: 8, location: Some(Location::Register(5)) },
            Piece { size: 4, location: Some(Location::Memory(vec![op(Code::Register, 7, 0)])) },
            Piece { size: 1, location: None },
            Piece { size: 1, location: Some(Location::Bytes(vec![7])) },
        ];
        assert_eq!(
            words(Location::Pieces(pieces.clone())),
            "in pieces: 8 bytes in rdi, 4 bytes in memory at rsp, 1 byte not kept, \
             1 byte constant bytes 07"
        );
        let many = (0..10).map(|_| pieces[0].clone()).collect();
        assert!(words(Location::Pieces(many)).ends_with("8 bytes in rdi, 2 more"));
    }
}
