//! Captures for tests, with every form that a value can have.

use super::probes::{PROBE, ProbeLine, ProbeRequest, ProbeState};
use std::path::PathBuf;
use std::time::Duration;
use tracer_common::outcome::Outcome;
use tracer_common::status::flags;
use tracer_core::engine::event::{
    Armed, Attached, AttachedBy, Counted, Ended, Event, ModuleLabel, Predicted, Summary,
};
use tracer_core::engine::findings::{FrameVars, Missing, Placed, SiteVars, Vars};
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::address::{Avma, FileOffset, Svma};
use tracer_core::model::caller::Caller;
use tracer_core::model::capture::{Capture, Frame, How, Provenance, StackEnd, Variable};
use tracer_core::model::issue::{Issue, IssueKind};
use tracer_core::model::limits::Limits;
use tracer_core::model::process::{Process, ProcessId, ProcessSpec};
use tracer_core::model::reason::{Reason, ReasonCode};
use tracer_core::model::resolved::{
    Elsewhere, InlinedInto, LocationSpec, Resolved, Site, SourceLine, TrapClass, VariableKind,
};
use tracer_core::model::types::TypeGraph;
use tracer_core::model::value::{Field, Said, Typed, Value};

pub(crate) fn typed(type_name: &str, value: Value) -> Typed {
    Typed { type_name: type_name.to_owned(), value }
}

pub(crate) fn field(name: &str, type_name: &str, value: Value) -> Field {
    Field { name: Some(name.to_owned()), value: typed(type_name, value) }
}

pub(crate) fn text(bytes: &[u8]) -> Value {
    Value::Text {
        address: None,
        bytes: bytes.to_vec(),
        total: None,
        at_least: false,
        cut: None,
        provenance: Provenance::Live,
    }
}

pub(crate) fn numbers(range: std::ops::Range<i128>, total: u64) -> Value {
    let shown = range.clone().count() as u64;
    Value::Array {
        items: range.map(|number| typed("int", Value::Signed(number))).collect(),
        total: Some(total),
        cut: (shown < total).then(|| ReasonCode::LimitItems.into()),
    }
}

pub(crate) fn pointer(address: u64, type_name: &str, target: Value) -> Value {
    late_pointer(address, type_name, target, Provenance::Live)
}

/// A pointer to something that was not in memory at the hit.
pub(crate) fn late_pointer(
    address: u64,
    type_name: &str,
    target: Value,
    provenance: Provenance,
) -> Value {
    Value::Pointer {
        address: Some(address),
        target: Box::new(typed(type_name, target)),
        provenance,
    }
}

/// Name, type and value of variables: every kind of value, and what is special about some.
pub(crate) fn every_value() -> Vec<(&'static str, &'static str, Value)> {
    let mut values = numbers_of_all_kinds();
    values.extend(values_with_parts());
    values.extend(pointers_and_texts());
    values
}

fn numbers_of_all_kinds() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("small", "int", Value::Signed(-42)),
        ("exact", "long", Value::Signed(-(1 << 53))),
        ("beyond", "unsigned long", Value::Unsigned((1 << 53) + 1)),
        ("widest", "__int128", Value::Signed(i128::MIN)),
        ("widest_unsigned", "unsigned __int128", Value::Unsigned(u128::MAX)),
        ("yes", "bool", Value::Bool(true)),
        ("letter", "char", Value::Char { code: 65, character: Some('A') }),
        ("escape", "char", Value::Char { code: 27, character: Some('\x1b') }),
        ("no_letter", "char", Value::Char { code: -1, character: None }),
        ("single", "float", Value::Float32(0.1)),
        ("double", "double", Value::Float64(1.0)),
        ("nan", "double", Value::Float64(f64::NAN)),
        ("infinite", "float", Value::Float32(f32::NEG_INFINITY)),
        ("wide", "long double", Value::FloatText("3.14159265358979323851".to_owned())),
        ("color", "enum color", Value::Enumerator { name: Some("RED".to_owned()), number: 1 }),
        ("no_color", "enum color", Value::Enumerator { name: None, number: 77 }),
    ]
}

fn values_with_parts() -> Vec<(&'static str, &'static str, Value)> {
    let point = || vec![field("x", "int", Value::Signed(1)), field("y", "int", Value::Signed(-2))];
    let anonymous = Field {
        name: None,
        value: typed(
            "union {...}",
            Value::Union(vec![
                field("as_int", "int", Value::Signed(1)),
                field("as_float", "float", Value::Float32(1e-45)),
            ]),
        ),
    };
    vec![
        ("point", "struct point", Value::Record(point())),
        ("empty", "struct empty", Value::Record(Vec::new())),
        ("tagged", "struct tagged", Value::Record(vec![anonymous])),
        ("none", "Option<u8>", Value::Variant { name: "None".to_owned(), fields: Vec::new() }),
        ("some", "Option<point>", Value::Variant { name: "Some".to_owned(), fields: point() }),
        ("few", "int [3]", numbers(0..3, 3)),
        ("many", "int [100]", numbers(0..12, 100)),
        ("no_items", "int []", Value::Array { items: Vec::new(), total: None, cut: None }),
        ("torn", "int [2]", torn_array()),
        ("big", "struct big", big_record()),
        ("map", "std::map<int, int>", map(vec![1, 2], 1000)),
        ("no_map", "std::map<int, int>", map(Vec::new(), 0)),
        ("noted", "std::vector<int>", noted(numbers(0..3, 3))),
        ("tuple", "(i32, i32)", Value::Record(tuple())),
    ]
}

fn map(keys: Vec<i128>, total: u64) -> Value {
    let cut = (keys.len() as u64) < total;
    let entry = |key: i128| (typed("int", Value::Signed(key)), typed("int", Value::Signed(-key)));
    Value::Map {
        entries: keys.into_iter().map(entry).collect(),
        total: Some(total),
        cut: cut.then(|| ReasonCode::LimitItems.into()),
    }
}

fn noted(value: Value) -> Value {
    let notes = vec![
        ("capacity".to_owned(), Said::Number(8)),
        ("state".to_owned(), Said::Text("locked".to_owned())),
    ];
    Value::Noted { notes, of: Box::new(typed("std::vector<int>", value)) }
}

fn tuple() -> Vec<Field> {
    vec![field("__0", "i32", Value::Signed(1)), field("__1", "i32", Value::Signed(2))]
}

fn torn_array() -> Value {
    let reason = Reason::new(ReasonCode::NotResident, "0x7f0000001000");
    Value::Array {
        items: vec![typed("int", Value::Signed(1)), typed("int", Value::Unavailable(reason))],
        total: Some(2),
        cut: None,
    }
}

fn big_record() -> Value {
    let place = |street: &str| {
        Value::Record(vec![
            field("street", "char [32]", text(street.as_bytes())),
            field("number", "unsigned int", Value::Unsigned(12)),
        ])
    };
    Value::Record(vec![
        field("id", "unsigned long", Value::Unsigned(4242)),
        field("home", "struct place", place("Long Street of Many Words")),
        field(
            "work",
            "struct place *",
            pointer(0x5581_0000_2000, "struct place", place("High St")),
        ),
        field("hits", "int [64]", numbers(1000..1040, 64)),
        field(
            "places",
            "struct place [2]",
            Value::Array {
                items: vec![typed("struct place", place("A")), typed("struct place", place("B"))],
                total: Some(2),
                cut: None,
            },
        ),
    ])
}

fn pointers_and_texts() -> Vec<(&'static str, &'static str, Value)> {
    let depth = Value::Unavailable(ReasonCode::LimitDepth.into());
    let long_text = |at_least| Value::Text {
        address: Some(0x5581_0000_3000),
        bytes: b"the start of a long".to_vec(),
        total: Some(4000),
        at_least,
        cut: Some(ReasonCode::LimitBytes.into()),
        provenance: Provenance::Live,
    };
    let constant = Value::Text {
        address: Some(0x5581_0000_5000),
        bytes: b"never read before".to_vec(),
        total: None,
        at_least: false,
        cut: None,
        provenance: Provenance::MappedFile,
    };
    let zero = late_pointer(0x5581_0000_6000, "int", Value::Signed(0), Provenance::Untouched);
    let swapped = Value::Record(vec![field("x", "int", Value::Signed(5))]);
    let swapped = late_pointer(0x5581_0000_7000, "struct s", swapped, Provenance::ReadAfterHit);
    vec![
        ("constant", "const char *", constant),
        ("zero", "int *", zero),
        ("swapped", "struct s *", swapped),
        ("count", "int *", pointer(0x5581_0000_1000, "int", Value::Signed(7))),
        ("deep", "struct node *", pointer(0x5581_0000_1010, "struct node", depth)),
        (
            "again",
            "struct node *",
            Value::Reference { address: 0x5581_0000_1020, shown_at: "head->next".to_owned() },
        ),
        ("null", "void *", Value::Address(0)),
        ("raw", "void *", Value::Address(0x7f00_0000_0010)),
        (
            "callback",
            "int (*)(int)",
            Value::Function { address: 0x5581_0000_1139, name: Some("on_hit".to_owned()) },
        ),
        ("unknown", "int (*)(int)", Value::Function { address: 0x10, name: None }),
        ("name", "char *", text("Grüße, \"x\"\n".as_bytes())),
        ("bytes", "char [4]", text(b"\xff\x00\x1b[")),
        ("long_text", "char *", long_text(false)),
        ("longer_text", "char *", long_text(true)),
        ("nothing", "void", Value::Nothing),
        ("gone", "int", Value::Unavailable(ReasonCode::OptimizedOut.into())),
    ]
}

pub(crate) fn variable(name: &str, kind: VariableKind, value: Typed) -> Variable {
    let provenance = match value.value {
        Value::Unavailable(_) => Provenance::None,
        _ => Provenance::Live,
    };
    Variable { name: name.to_owned(), kind, value, provenance, moved: None }
}

/// A capture whose innermost frame has these variables.
pub(crate) fn capture(variables: Vec<Variable>) -> Capture {
    let frame = |function: &str, line, how| Frame {
        pc: Avma(0x5581_0000_1234),
        function: Some(function.to_owned()),
        module: Some("billing".to_owned()),
        line: Some(SourceLine { file: "/no/such/src/billing.c".to_owned(), line }),
        inlined: false,
        how,
        variables: Vec::new(),
    };
    let inner = Frame { inlined: true, variables, ..frame("price_of", 42, How::Registers) };
    let unnamed = Frame {
        pc: Avma(0x7f00_0000_beef),
        function: None,
        module: None,
        line: None,
        ..frame("", 0, How::FramePointer("no unwind information".to_owned()))
    };
    Capture {
        site: 0,
        hit: 3,
        time_boot_ns: 5_000_000_000,
        time_unix_ns: 1_769_862_896_789_012_345,
        start_boot_ns: 4_000_000_000,
        pid: 4242,
        tid: 4245,
        cpu: 3,
        comm: b"worker".to_vec(),
        frames: vec![
            inner,
            frame("process_payment", 40, How::Registers),
            frame("main", 99, How::Cfi),
            unnamed,
        ],
        stack_end: StackEnd::StackCut,
        flags: flags::LIMIT_BYTES | flags::LIMIT_DEPTH,
        registers: vec![0; 17],
    }
}

fn inlined_into() -> Vec<InlinedInto> {
    let line = SourceLine { file: "/no/such/src/billing.c".to_owned(), line: 40 };
    vec![InlinedInto { function: Some("process_payment".to_owned()), line: Some(line) }]
}

pub(crate) fn armed() -> Armed {
    let site = Site {
        module: 0,
        requested: Avma(0x5581_0000_1230),
        pc: Avma(0x5581_0000_1234),
        svma: Svma(0x1234),
        file_offset: FileOffset(0x1234),
        instruction: vec![0x55],
        disassembly: "push rbp".to_owned(),
        trap: TrapClass::Emulated,
        why: "push rbp is emulated by the kernel, endbr64 is not".to_owned(),
        function: Some("price_of".to_owned()),
        inlined_into: inlined_into(),
        line: Some(SourceLine { file: "/no/such/src/billing.c".to_owned(), line: 42 }),
        cfa: None,
        variables: Vec::new(),
        entry: None,
    };
    Armed {
        link: tracer_core::engine::event::LinkId::default(),
        attached: Attached { by: AttachedBy::Multi, took: Duration::from_millis(12) },
        entries: tracer_core::engine::event::Entries::default(),
        predicted: Predicted { trap_ns: 512.0, program_ns: 1288.0, wake_ns: 8000.0 },
        forecast: None,
        lives: Duration::from_secs(30),
        location_text: "billing.c:42".to_owned(),
        process: Process {
            id: ProcessId { pid: 4242, start_ticks: 400 },
            comm: b"billing".to_vec(),
            exe: PathBuf::from("/usr/bin/billing"),
            mappings: Vec::new(),
        },
        resolved: Resolved { sites: vec![site], types: TypeGraph::default(), issues: Vec::new() },
        modules: vec![ModuleLabel {
            path: "/usr/bin/billing".to_owned(),
            build_id: Some("00ff12".to_owned()),
            debug_issue: None,
        }],
    }
}

/// What was asked for; the place is written as `text`.
pub(crate) fn request(text: &str) -> SnapshotRequest {
    SnapshotRequest {
        budget: tracer_core::model::budget::CpuShare::percent(1.0),
        caller: Caller::Root,
        process: ProcessSpec::Pid(4242),
        location: LocationSpec::Address(Avma(0)),
        location_text: text.to_owned(),
        action: tracer_core::model::action::Action::Snapshot,
        hits: 1,
        rate: 0,
        learn: Duration::ZERO,
        force: false,
        entry_probe: true,
        raw: false,
        timeout: Duration::from_secs(30),
        idle: None,
        retry: None,
        limits: Limits::DEFAULT,
        ring_bytes: 4096,
    }
}

/// A probe with two captures.
pub(crate) fn events() -> Vec<Event> {
    let capture = || Event::Capture { capture: Box::new(capture(Vec::new())), counted: counted() };
    vec![
        Event::Armed(Box::new(armed())),
        capture(),
        capture(),
        Event::Finished(summary(Ended::Complete)),
    ]
}

pub(crate) fn counted() -> Counted {
    let outcomes = [(Outcome::Captured, 3), (Outcome::RateLimit, 2)].into();
    Counted { outcomes, kernel_misses: 0, reader_stalls: 0 }
}

pub(crate) fn summary(ended: Ended) -> Summary {
    Summary {
        hits: 5,
        outcomes: counted().outcomes,
        entered: 0,
        entries: tracer_core::engine::event::Entries::default(),
        kernel_misses: 0,
        reader_stalls: 0,
        received: 3,
        malformed: 0,
        removal: None,
        text_restored: Some(true),
        children: 0,
        paused: Duration::ZERO,
        overload: None,
        ended,
        why: None,
    }
}

/// A variable of `tracer vars`.
pub(crate) fn placed(name: &str, kind: VariableKind, place: Result<&str, Missing>) -> Placed {
    let (name, type_name) = (name.to_owned(), "int".to_owned());
    Placed { name, type_name, kind, place: place.map(str::to_owned) }
}

pub(crate) fn missing(code: ReasonCode, elsewhere: Elsewhere) -> Missing {
    Missing { reason: code.into(), elsewhere }
}

/// Line `line` of the sample's source.
pub(crate) fn nearest(line: u64, whole: bool) -> Elsewhere {
    let line = SourceLine { file: "/no/such/src/billing.c".to_owned(), line };
    Elsewhere::Line { line, pc: Avma(0x5581_0000_1240), whole }
}

/// A location with one site in an inlined function, its variables `variables`.
pub(crate) fn vars(variables: Vec<Placed>) -> Vars {
    let armed = armed();
    let frame = |function: &str, line, inlined, variables| FrameVars {
        function: Some(function.to_owned()),
        line: Some(SourceLine { file: "/no/such/src/billing.c".to_owned(), line }),
        inlined,
        variables,
    };
    let outer = placed("amount", VariableKind::Parameter, Ok("at CFA-40 (rsp+24)"));
    let site = SiteVars {
        requested: Avma(0x5581_0000_1230),
        pc: Avma(0x5581_0000_1234),
        why: "moved +4 past endbr64 to push rbp (emulated)".to_owned(),
        disassembly: "push rbp".to_owned(),
        trap: TrapClass::Emulated,
        module: armed.modules[0].clone(),
        inlined_into: inlined_into(),
        frames: vec![
            frame("price_of", 42, true, variables),
            frame("process_payment", 40, false, vec![outer]),
        ],
    };
    Vars {
        location_text: "billing.c:42".to_owned(),
        process: armed.process,
        sites: vec![site],
        issues: vec![Issue::new(IssueKind::RefusedInstruction, "billing.c:42", "syscall")],
    }
}

/// A location in which everything that a target can choose is `payload`.
pub(crate) fn hostile_vars(payload: &[u8]) -> Vars {
    let text = String::from_utf8_lossy(payload).into_owned();
    let line = SourceLine { file: text.clone(), line: 7 };
    let elsewhere = Elsewhere::Line { line: line.clone(), pc: Avma(0x1000), whole: true };
    let reason = Reason::new(ReasonCode::UnsupportedLocation, text.clone());
    let mut variables = vec![
        placed(&text, VariableKind::Parameter, Ok(&text)),
        placed(&text, VariableKind::Local, Err(Missing { reason, elsewhere: elsewhere.clone() })),
        placed(&text, VariableKind::Local, Err(missing(ReasonCode::NotInScope, elsewhere))),
    ];
    variables.iter_mut().for_each(|variable| variable.type_name.clone_from(&text));
    let mut vars = vars(variables);
    vars.location_text.clone_from(&text);
    vars.process.comm = payload.to_vec();
    vars.process.exe = PathBuf::from(&text);
    vars.issues = vec![Issue::new(IssueKind::RefusedInstruction, text.clone(), text.clone())];
    let site = &mut vars.sites[0];
    site.why.clone_from(&text);
    site.inlined_into =
        vec![InlinedInto { function: Some(text.clone()), line: Some(line.clone()) }];
    site.disassembly.clone_from(&text);
    site.module.path.clone_from(&text);
    site.frames[0].function = Some(text);
    site.frames[0].line = Some(SourceLine { file: "x".to_owned(), ..line });
    vars
}

/// A probe of a daemon.
pub(crate) fn probe_line(id: &str, state: ProbeState) -> ProbeLine {
    ProbeLine {
        schema: PROBE.into(),
        id: id.to_owned(),
        state,
        ended: None,
        error: None,
        owner_uid: 0,
        created_unix_ms: 0,
        expires_unix_ms: 0,
        request: ProbeRequest::of(&request("f"), true),
        pid: Some(4242),
        sites: 1,
        hits: None,
        outcomes: None,
        kernel_misses: None,
        reader_stalls: None,
        cost: None,
        text_restored: None,
        children: 0,
        written: 0,
    }
}
