//! Over whole files: nothing panics, every id is valid, and an expression means what another
//! evaluator says that it means.

use super::*;
use crate::binary::dwarf::{Dwarf, Reader};
use crate::binary::expression::{Context, translate};
use crate::model::location::{Sign, Step};
use crate::resolve::dies::{Dies, SourceUnit};
use crate::resolve::types::tests::check_ids;
use gimli::{EvaluationResult, Value, ValueType};
use std::path::PathBuf;
use tracer_common::code::binary;

/// Registers and memory of a made-up process: every value follows from its place.
fn made_up(seed: u64) -> u64 {
    let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

fn made_up_bytes(address: u64, size: u8) -> u64 {
    (0..u64::from(size))
        .fold(0, |value, at| value | (made_up(address.wrapping_add(at)) & 0xff) << (8 * at))
}

/// Runs a translated expression.
fn run(expression: &[Op]) -> u64 {
    let mut stack = Vec::new();
    expression.iter().for_each(|op| run_op(*op, &mut stack));
    assert_eq!(stack.len(), 1);
    stack[0]
}

/// Runs what only the decoder can; `None` for a remainder whose sign DWARF does not define.
fn run_steps(steps: &[Step]) -> Option<u64> {
    let (mut stack, mut next) = (Vec::new(), 0);
    while let Some(step) = steps.get(next) {
        next += 1;
        match step {
            Step::Op(op) => run_op(*op, &mut stack),
            Step::Divide(sign) | Step::Remainder(sign) => {
                let (b, a) = (stack.pop().unwrap(), stack.pop().unwrap());
                let (signed_a, signed_b) = (a.cast_signed(), b.cast_signed());
                stack.push(match (step, sign) {
                    (_, Sign::Either) if signed_a < 0 || signed_b < 0 => return None,
                    (Step::Divide(_), Sign::Signed) => {
                        signed_a.wrapping_div(signed_b).cast_unsigned()
                    }
                    (Step::Divide(_), _) => a / b,
                    (_, Sign::Signed) => signed_a.wrapping_rem(signed_b).cast_unsigned(),
                    _ => a % b,
                });
            }
            Step::Rotate => {
                let third = stack.len() - 3;
                stack[third..].rotate_right(1);
            }
            Step::Skip(to) => next = *to,
            Step::Branch(to) if stack.pop().unwrap() != 0 => next = *to,
            Step::Branch(_) => {}
            Step::Entry(_) => return None,
        }
    }
    assert_eq!(stack.len(), 1);
    stack.pop()
}

fn run_op(op: Op, stack: &mut Vec<u64>) {
    let value = match op.code().unwrap() {
        Code::Const => op.imm,
        Code::Register => made_up(u64::from(op.arg)).wrapping_add(op.imm),
        Code::Pick => stack[stack.len() - 1 - usize::from(op.arg)],
        Code::Swap => {
            let last = stack.len() - 1;
            stack.swap(last, last - 1);
            return;
        }
        Code::Drop => {
            stack.pop().unwrap();
            return;
        }
        Code::Deref => made_up_bytes(stack.pop().unwrap(), op.arg),
        Code::AddConst => stack.pop().unwrap().wrapping_add(op.imm),
        Code::Neg => 0u64.wrapping_sub(stack.pop().unwrap()),
        Code::Not => !stack.pop().unwrap(),
        _ => {
            let (b, a) = (stack.pop().unwrap(), stack.pop().unwrap());
            binary(op.code, a, b).unwrap()
        }
    };
    stack.push(value);
    assert!(stack.len() <= tracer_common::limits::STACK_DEPTH as usize);
}

/// What gimli's evaluator says; `None` for what it can't do.
fn evaluated<'a>(
    expression: gimli::Expression<Reader<'a>>,
    unit: &SourceUnit<'_>,
) -> Option<Vec<gimli::Piece<Reader<'a>>>> {
    let mut evaluation = expression.evaluation(unit.unit.encoding());
    let typed = |offset: UnitOffset, bits: u64| {
        let kind = value_type(unit, offset)?;
        Value::from_u64(kind, bits & width_mask(kind)).ok()
    };
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => return Some(evaluation.result()),
            EvaluationResult::RequiresMemory { address, size, base_type, .. } => {
                let value = typed(base_type, made_up_bytes(address, size))?;
                evaluation.resume_with_memory(value).ok()?
            }
            EvaluationResult::RequiresRegister { register, base_type } => {
                let value = typed(base_type, made_up(u64::from(register.0)))?;
                evaluation.resume_with_register(value).ok()?
            }
            EvaluationResult::RequiresFrameBase => {
                evaluation.resume_with_frame_base(made_up(7).wrapping_add(8)).ok()?
            }
            EvaluationResult::RequiresCallFrameCfa => {
                evaluation.resume_with_call_frame_cfa(made_up(7).wrapping_add(8)).ok()?
            }
            EvaluationResult::RequiresRelocatedAddress(address) => {
                evaluation.resume_with_relocated_address(address).ok()?
            }
            EvaluationResult::RequiresIndexedAddress { index, .. } => {
                let address = unit.dwarf.address(&unit.unit, index).ok()?;
                evaluation.resume_with_indexed_address(address).ok()?
            }
            EvaluationResult::RequiresBaseType(offset) => {
                evaluation.resume_with_base_type(value_type(unit, offset)?).ok()?
            }
            _ => return None,
        };
    }
}

fn value_type(unit: &SourceUnit<'_>, offset: UnitOffset) -> Option<ValueType> {
    if offset.0 == 0 {
        return Some(ValueType::Generic);
    }
    ValueType::from_entry(&unit.unit.entry(offset).ok()?).ok().flatten()
}

fn width_mask(kind: ValueType) -> u64 {
    match kind {
        ValueType::I8 | ValueType::U8 => 0xff,
        ValueType::I16 | ValueType::U16 => 0xffff,
        ValueType::I32 | ValueType::U32 => 0xffff_ffff,
        _ => u64::MAX,
    }
}

/// Compares one place; true if it was compared.
fn agrees(ours: Option<&Location>, theirs: &gimli::Location<Reader<'_>>) -> bool {
    match (ours, theirs) {
        (None, gimli::Location::Empty) => true,
        (Some(Location::Register(number)), gimli::Location::Register { register }) => {
            u16::from(*number) == register.0
        }
        (Some(Location::Memory(ops)), gimli::Location::Address { address }) => run(ops) == *address,
        (Some(Location::Value(ops)), gimli::Location::Value { value }) => {
            let mask = width_mask(value.value_type());
            let Ok(bits) = value.to_u64(u64::MAX) else { return false };
            run(ops) & mask == bits & mask
        }
        (Some(Location::Derived(steps)), gimli::Location::Value { value }) => {
            let mask = width_mask(value.value_type());
            let Ok(bits) = value.to_u64(u64::MAX) else { return false };
            run_steps(steps).is_none_or(|ours| ours & mask == bits & mask)
        }
        (Some(Location::Bytes(bytes)), gimli::Location::Bytes { value }) => bytes == value.slice(),
        _ => false,
    }
}

/// Translates one expression; true if it could be compared with what gimli makes of it.
fn compare(expression: gimli::Expression<Reader<'_>>, unit: &SourceUnit<'_>) -> bool {
    let base = vec![Op::new(Code::Register, 7, 8)];
    let context = Context {
        frame_base: Some(&base),
        cfa: Some(&base),
        bias: 0,
        initial: None,
        entry_values: false,
        pointed: None,
        thread_storage: None,
        unit: Some((unit.dwarf, &unit.unit)),
    };
    let Ok(ours) = translate(expression, unit.unit.encoding(), context) else { return false };
    let Some(theirs) = evaluated(expression, unit) else { return false };
    let agree = match &ours {
        Location::Pieces(pieces) => {
            pieces.len() == theirs.len()
                && pieces.iter().zip(&theirs).all(|(our, their)| {
                    their.bit_offset.is_some_and(|offset| offset != 0)
                        || (Some(u64::from(our.size) * 8) == their.size_in_bits
                            && agrees(our.location.as_ref(), &their.location))
                })
        }
        whole => matches!(theirs.as_slice(), [only] if agrees(Some(whole), &only.location)),
    };
    assert!(agree, "{:x?}: {ours:?}, {theirs:?}", expression.0.slice());
    true
}

/// Compares every expression of every variable of a unit.
fn compare_unit<'a>(unit: &SourceUnit<'a>) -> usize {
    let mut compared = 0;
    let mut entries = unit.unit.entries();
    while let Ok(Some(entry)) = entries.next_dfs() {
        match entry.attr_value(gimli::DW_AT_location) {
            Some(gimli::AttributeValue::Exprloc(expression)) => {
                compared += usize::from(compare(expression, unit));
            }
            Some(value) => {
                let Ok(Some(mut list)) = unit.dwarf.attr_locations(&unit.unit, value) else {
                    continue;
                };
                while let Ok(Some(entry)) = list.next() {
                    compared += usize::from(compare(entry.data, unit));
                }
            }
            None => {}
        }
    }
    compared
}

/// The variables of a function at some pcs, with all their types.
fn walk<'a>(builder: &mut TypeBuilder<'a>, function: &Function<'a>) -> usize {
    let cfa = vec![Op::new(Code::Register, 7, 8)];
    let span = function.high - function.low;
    let mut shown = 0;
    for pc in [0, span / 3, span / 2, span - 1].map(|offset| function.low + offset) {
        let stored = |offset: i64| offset % 2 == 0;
        for home_stored in [None, Some(&stored as &dyn Fn(i64) -> bool)] {
            let frame = FrameAt {
                subprogram: function.offset,
                pc: Svma(pc),
                cfa: Some(&cfa),
                entry: None,
                thread_storage: None,
                body_cfa: Some(&cfa),
                bias: 0x1000,
                home_stored,
                paths: None,
                lines: &[],
            };
            if let Ok(variables) = variables_at(builder, &function.unit.unit, &frame) {
                shown +=
                    variables.iter().filter(|declared| declared.variable.location.is_ok()).count();
            }
        }
        let dies = builder.dies();
        // Errors are those of the file; what counts is that there is an answer.
        let _answer =
            meaning_at(&dies, &function.unit.unit, function.offset, Svma(pc), None).is_ok();
    }
    let dies = builder.dies();
    let _answer = is_unoptimised(&dies, &function.unit.unit, function.offset).is_ok();
    shown
}

/// Walks every `step`th function; gives functions walked and locations shown.
fn walk_all(dwarf: &Dwarf<'_>, step: usize) -> (usize, usize) {
    let mut builder = TypeBuilder::new(dwarf, TypeGraph::default());
    let functions = functions(dwarf, &builder.dies());
    let mut shown = 0;
    let mut walked = 0;
    for function in functions.iter().step_by(step) {
        shown += walk(&mut builder, function);
        walked += 1;
    }
    let graph = builder.into_graph();
    assert!(graph.types.len() <= 20_002);
    check_ids(&graph);
    (walked, shown)
}

/// The debug file of the C library.
fn libc_debug_file() -> PathBuf {
    let output = std::process::Command::new("dpkg").args(["-L", "libc6-dbg"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let files = list.lines().filter(|line| line.ends_with(".debug"));
    files
        .filter_map(|path| Some((std::fs::metadata(path).ok()?.len(), PathBuf::from(path))))
        .max()
        .map(|(_, path)| path)
        .expect("libc6-dbg is installed: `cargo xtask setup` does it")
}

#[test]
fn every_function_of_the_c_library_has_an_answer() {
    let fixture = Fixture::open(&libc_debug_file());
    let dwarf = fixture.dwarf();
    let (walked, shown) = walk_all(&dwarf, 1);
    assert!(walked > 3000 && shown > 10_000, "{walked} functions, {shown} locations");
}

#[test]
fn every_expression_of_the_c_library_means_what_gimli_says() {
    let fixture = Fixture::open(&libc_debug_file());
    let dwarf = fixture.dwarf();
    let dies = Dies::new(&dwarf);
    let mut headers = dwarf.units();
    let mut compared = 0;
    while let Some(header) = headers.next().unwrap() {
        let unit = dies.unit(&Unit::whole(&dwarf, dwarf.unit(header).unwrap())).unwrap();
        compared += compare_unit(&unit);
    }
    assert!(compared > 50_000, "{compared}");
}

const OPTIMISED_RUST: &str = r#"
use std::collections::HashMap;
fn main() {
    let mut map: HashMap<String, Vec<u32>> = HashMap::new();
    for (i, word) in std::env::args().enumerate() {
        map.entry(word).or_default().push(i as u32);
    }
    let mut sorted: Vec<_> = map.into_iter().collect();
    sorted.sort();
    println!("{sorted:?}");
}
"#;

#[test]
fn every_function_of_a_rust_program_has_an_answer() {
    for level in ["-Copt-level=0", "-Copt-level=2"] {
        let fixture = Fixture::compile("rustc", &["-g", "-Awarnings", level], OPTIMISED_RUST);
        let dwarf = fixture.dwarf();
        let (walked, shown) = walk_all(&dwarf, 7);
        assert!(walked > 100 && shown > 100, "{walked} functions, {shown} locations");
        let dies = Dies::new(&dwarf);
        let mut headers = dwarf.units();
        let mut compared = 0;
        while let Some(header) = headers.next().unwrap() {
            let unit = dies.unit(&Unit::whole(&dwarf, dwarf.unit(header).unwrap())).unwrap();
            compared += compare_unit(&unit);
        }
        assert!(compared > 1000, "{compared}");
    }
}

/// The same numbers every time.
fn generator() -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Any byte of the debug info may be wrong: the answer may be an error or a reason, never a panic.
#[test]
fn damaged_debug_info_never_panics() {
    let mut random = generator();
    for (compiler, arguments, source) in [
        ("gcc", &["-gdwarf-4", "-O2"][..], INLINED),
        ("gcc", &["-gdwarf-5", "-O2"][..], INLINED),
        ("gcc", &["-gdwarf-5", "-O0"][..], C),
        ("gcc", &["-gdwarf-4", "-O1", "-fdebug-types-section"][..], C),
    ] {
        let mut fixture = Fixture::compile(compiler, arguments, source);
        for name in
            [".debug_info", ".debug_abbrev", ".debug_loc", ".debug_loclists", ".debug_types"]
        {
            let Some(original) = fixture.sections.get(name).cloned() else { continue };
            for _ in 0..300 {
                let mut damaged = original.clone();
                for _ in 0..=random() % 3 {
                    let at = random() as usize % damaged.len();
                    damaged[at] = random() as u8;
                }
                fixture.sections.insert(name, damaged);
                walk_all(&fixture.dwarf(), 1);
            }
            fixture.sections.insert(name, original);
        }
    }
}

/// Random operations, typed ones too.
#[test]
fn random_expressions_mean_what_gimli_says() {
    let source = "char a; signed char b; short c; unsigned short d; int e; unsigned f; long g;\
                  unsigned long h; unsigned char i; double j; int main(void) { return 0; }";
    let fixture = Fixture::compile("gcc", &["-g"], source);
    let dwarf = fixture.dwarf();
    let dies = Dies::new(&dwarf);
    let first = dwarf.unit(dwarf.units().next().unwrap().unwrap()).unwrap();
    let unit = dies.unit(&Unit::whole(&dwarf, first)).unwrap();
    let mut types = Vec::new();
    let mut entries = unit.unit.entries();
    while let Some(entry) = entries.next_dfs().unwrap() {
        if entry.tag() == gimli::DW_TAG_base_type {
            let size = entry.attr(gimli::DW_AT_byte_size).unwrap().u8_value().unwrap();
            types.push((u8::try_from(entry.offset().0).unwrap_or(0), size));
        }
    }
    let mut random = generator();
    let mut compared = 0;
    for _ in 0..200_000 {
        let mut bytes = Vec::new();
        for _ in 0..random() % 12 {
            let (kind, size) = types[random() as usize % types.len()];
            // LEB128 of an offset below 16384.
            let offset = [kind & 0x7f | 0x80, kind >> 7];
            match random() % 10 {
                0 => bytes.extend([0x70 + (random() % 8) as u8, random() as u8 & 0x7f]),
                1 => bytes.extend([0x09, random() as u8]),
                2 => bytes.push(0x30 + (random() % 32) as u8),
                3 => bytes.extend(
                    [[0xa8, offset[0], offset[1]], [0xa9, offset[0], offset[1]]]
                        [(random() % 4 / 3) as usize],
                ),
                4 => bytes.extend([0xa5, (random() % 8) as u8, offset[0], offset[1]]),
                5 => bytes.extend([0xa6, size, offset[0], offset[1]]),
                6 => bytes.extend([0x94, (random() % 9) as u8]),
                7 => bytes.extend([0x23, random() as u8 & 0x7f]),
                8 => bytes.extend([0x15, (random() % 4) as u8]),
                _ => {
                    let plain = [
                        0x12, 0x13, 0x14, 0x16, 0x19, 0x1a, 0x1c, 0x1e, 0x1f, 0x20, 0x21, 0x22,
                        0x24, 0x25, 0x26, 0x27, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x91, 0x06,
                    ];
                    bytes.push(plain[random() as usize % plain.len()]);
                    if bytes.last() == Some(&0x91) {
                        bytes.push(random() as u8 & 0x7f);
                    }
                }
            }
        }
        if random().is_multiple_of(2) {
            bytes.push(0x9f);
        }
        let expression = gimli::Expression(Reader::new(&bytes, gimli::LittleEndian));
        compared += usize::from(compare(expression, &unit));
    }
    assert!(compared > 10_000, "{compared}");
}
