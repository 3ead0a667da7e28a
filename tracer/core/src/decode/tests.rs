//! Records with a site → captures.

use super::fake::{FakeCode, object, record_with_stack, words};
use super::*;
use crate::binary::cfi::{CfaRule, RegisterRule, UnwindRow};
use crate::model::address::{Avma, FileOffset, Svma};
use crate::model::capture::{How, StackEnd};
use crate::model::location::Location;
use crate::model::reason::Reason;
use crate::model::resolved::{OtherPc, TrapClass, VariableKind};
use crate::model::types::{Encoding, Scalar, Shape, Type, TypeId};
use tracer_common::code::{Code, Op};
use tracer_common::wire::{RBP, RIP};

const SP: u64 = 0x7000_0000;
const PC: u64 = 0x1010;

fn variable(name: &str, location: Result<Location, Reason>, inline_depth: u32) -> ScopedVariable {
    ScopedVariable {
        name: name.to_owned(),
        kind: VariableKind::Local,
        type_id: TypeId(0),
        location,
        at_entry: None,
        moved: None,
        inline_depth,
    }
}

fn site(variables: Vec<ScopedVariable>) -> Site {
    Site {
        module: 0,
        requested: Avma(PC),
        pc: Avma(PC),
        svma: Svma(PC),
        file_offset: FileOffset(PC),
        instruction: vec![0x90],
        disassembly: "nop".to_owned(),
        trap: TrapClass::Emulated,
        why: String::new(),
        function: None,
        inlined_into: Vec::new(),
        line: None,
        cfa: None,
        variables,
        entry: None,
    }
}

/// `unsigned long` is the only type.
fn types() -> TypeGraph {
    let shape = Shape::Scalar(Scalar { encoding: Encoding::Unsigned, size: 8 });
    let ty = Type { name: "unsigned long".to_owned(), size: Some(8), shape };
    TypeGraph { types: vec![ty], raw: false }
}

/// `inner` and `middle` are inlined into `function`, which `main` calls.
fn code() -> FakeCode {
    let row = |rule| UnwindRow {
        cfa: CfaRule::Register { register: 7, offset: 8 },
        registers: vec![(RIP as u8, rule)],
        signal_frame: false,
    };
    FakeCode {
        modules: vec![(0x1000..0x2000, "program")],
        rows: vec![
            (0x1000..0x1100, row(RegisterRule::AtCfa(-8))),
            (0x1100..0x1200, row(RegisterRule::Undefined)),
        ],
        frames: vec![
            (0x1000..0x1100, vec!["inner", "middle", "function"]),
            (0x1100..0x1200, vec!["main"]),
        ],
        ..FakeCode::default()
    }
}

fn record() -> Record {
    let mut record = record_with_stack(SP, &[0x1180, 42, 43], vec![object(0x5000, &words(&[7]))]);
    record.registers[RIP] = PC;
    record.registers[RBP] = SP + 8;
    record.registers[3] = 33;
    record
}

fn run(record: &Record, variables: Vec<ScopedVariable>) -> Capture {
    decode(record, 4, &site(variables), &types(), &Limits::DEFAULT, &code(), 99)
}

fn register(number: usize, offset: i64) -> Op {
    Op::new(Code::Register, number as u8, offset as u64)
}

#[test]
fn variables_stand_in_the_frame_whose_scope_they_are_in() {
    let location = || Ok(Location::Register(3));
    let variables = vec![
        variable("i", location(), 0),
        variable("m", location(), 1),
        variable("f", location(), 2),
        variable("beyond", location(), 9),
    ];
    let capture = run(&record(), variables);
    let shown: Vec<_> = capture
        .frames
        .iter()
        .map(|frame| {
            let names: Vec<_> = frame.variables.iter().map(|v| v.name.as_str()).collect();
            (frame.function.as_deref().unwrap(), frame.inlined, names)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("inner", true, vec!["i"]),
            ("middle", true, vec!["m"]),
            ("function", false, vec!["f", "beyond"]),
            ("main", false, vec![]),
        ]
    );
    assert_eq!(capture.frames[2].how, How::Registers);
    assert_eq!(capture.frames[3].how, How::Cfi);
    assert_eq!(capture.frames[3].pc, Avma(0x1180));
    assert_eq!(capture.frames[3].module.as_deref(), Some("program"));
    assert_eq!(capture.stack_end, StackEnd::Complete);
    assert_eq!((capture.site, capture.hit, capture.time_unix_ns), (4, 1, 99));
}

#[test]
fn values_come_from_registers_memory_and_the_compiler() {
    let in_memory = Location::Memory(vec![register(RBP, 8)]);
    let through =
        Location::Memory(vec![Op::new(Code::Const, 0, 0x5000), Op::new(Code::AddConst, 0, 0)]);
    let computed =
        Location::Value(vec![register(3, 1), Op::new(Code::Const, 0, 2), Op::new(Code::Mul, 0, 0)]);
    let constant = Location::Bytes(5u64.to_le_bytes().to_vec());
    let known = Location::Value(vec![Op::new(Code::Const, 0, 6)]);
    let gone = Err(ReasonCode::OptimizedOut.into());
    let cases = [
        (Ok(Location::Register(3)), Value::Unsigned(33), Provenance::Live),
        (Ok(in_memory), Value::Unsigned(43), Provenance::Live),
        (Ok(through), Value::Unsigned(7), Provenance::Live),
        (Ok(computed), Value::Unsigned(68), Provenance::Live),
        (Ok(constant), Value::Unsigned(5), Provenance::Constant),
        (Ok(known), Value::Unsigned(6), Provenance::Constant),
        (gone, Value::Unavailable(ReasonCode::OptimizedOut.into()), Provenance::None),
    ];
    let variables = cases.iter().map(|case| variable("v", case.0.clone(), 2)).collect();
    let capture = run(&record(), variables);
    for (variable, (location, value, provenance)) in capture.frames[2].variables.iter().zip(&cases)
    {
        assert_eq!(&variable.value.value, value, "{location:?}");
        assert_eq!(variable.provenance, *provenance, "{location:?}");
        assert_eq!(variable.value.type_name, "unsigned long");
    }
}

/// SEM-9
#[test]
fn a_value_of_another_pc_says_so_and_gives_way_to_one_of_this_pc() {
    let other = OtherPc { pc: Avma(0x1010), line: None };
    let moved = |location, number| {
        let moved = Moved { location: Location::Register(number), other: other.clone() };
        ScopedVariable { moved: Some(moved), ..variable("v", location, 2) }
    };
    let gone = || Err(ReasonCode::NotLiveHere.into());
    let here = Ok(Location::Bytes(5u64.to_le_bytes().to_vec()));
    let unknown = moved(gone(), 99);
    let capture = run(&record(), vec![moved(gone(), 3), moved(here, 3), unknown]);
    let shown = &capture.frames[2].variables;
    assert_eq!(shown[0].value.value, Value::Unsigned(33));
    assert_eq!((shown[0].provenance, &shown[0].moved), (Provenance::MovedPc, &Some(other.clone())));
    assert_eq!(shown[1].value.value, Value::Unsigned(5));
    assert_eq!((shown[1].provenance, &shown[1].moved), (Provenance::Constant, &None));
    let gone = Value::Unavailable(ReasonCode::NotLiveHere.into());
    assert_eq!((&shown[2].value.value, &shown[2].moved), (&gone, &None));
}

/// SEM-1
#[test]
fn memory_that_was_not_copied_gives_the_reason_and_no_value() {
    let beyond = Location::Memory(vec![register(RBP, 0x100)]);
    let fault = Location::Memory(vec![register(3, 0), Op::new(Code::Deref, 8, 0)]);
    let broken = Location::Value(vec![Op::new(Code::Add, 0, 0)]);
    let no_register = Location::Register(200);
    let variables = [beyond, fault, broken, no_register];
    let variables = variables.into_iter().map(|place| variable("v", Ok(place), 0)).collect();
    let capture = run(&record(), variables);
    let codes: Vec<_> = capture.frames[0]
        .variables
        .iter()
        .map(|variable| match &variable.value.value {
            Value::Unavailable(reason) => reason.code,
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ReasonCode::StackCut,
        ReasonCode::ExpressionFault,
        ReasonCode::UnsupportedLocation,
        ReasonCode::UnsupportedLocation,
    ];
    assert_eq!(codes, expected);
}

/// SEM-1
#[test]
fn a_hit_at_another_address_shows_no_value() {
    // After exec the same file can be mapped elsewhere: what was known for the pc is not true.
    let mut moved = record();
    moved.registers[RIP] = PC + 0x10;
    let capture = run(&moved, vec![variable("v", Ok(Location::Register(3)), 0)]);
    let value = &capture.frames[0].variables[0].value.value;
    assert!(matches!(value, Value::Unavailable(reason) if reason.code == ReasonCode::CodeMoved));
}

#[test]
fn code_that_nothing_is_known_of_has_one_nameless_frame_with_the_variables() {
    let capture = decode(
        &record(),
        0,
        &site(vec![variable("v", Ok(Location::Register(3)), 0)]),
        &types(),
        &Limits::DEFAULT,
        &FakeCode::default(),
        0,
    );
    assert_eq!(capture.frames.len(), 1);
    assert_eq!(capture.frames[0].function, None);
    assert_eq!(capture.frames[0].variables.len(), 1);
    assert!(matches!(&capture.stack_end, StackEnd::Lost(why) if why.contains("none for this")));
}
