//! Variables of compiled programs, whole files and damaged files.

use super::*;
use crate::binary::lines::path_of;
use crate::model::resolved::VariableKind;
use crate::model::types::TypeGraph;
use crate::resolve::dies::Dies;
use crate::resolve::fixture::{Fixture, Function, function_at, functions};
use std::collections::BTreeSet;
use tracer_common::code::{Code, Op};

mod hostile;
mod real;

const C: &str = r#"
struct big { long a[4]; };
static int *escaped;
int __attribute__((noinline)) probe(int first, const char *text, long c, long d, long e, long f,
                                    long on_stack, struct big big) {
    static int calls;
    int local = first + 1;
    escaped = &local;
    for (int local = 0; local < 3; local++) {
        int inner = local * 2;
        calls += inner;
    }
    return local + calls + (int)(c + d + e + f + on_stack + big.a[0]) + text[0];
}
int main(void) {
    struct big big = {{1, 2, 3, 4}};
    return probe(1, "x", 2, 3, 4, 5, 6, big);
}
"#;

/// The variables of `function` at a pc.
fn at(
    fixture: &Fixture,
    pc: u64,
    home_stored: Option<&dyn Fn(i64) -> bool>,
) -> Vec<ScopedVariable> {
    at_body(fixture, pc, home_stored, None)
}

fn at_body(
    fixture: &Fixture,
    pc: u64,
    home_stored: Option<&dyn Fn(i64) -> bool>,
    body: Option<u64>,
) -> Vec<ScopedVariable> {
    on_lines(fixture, pc, home_stored, body, &[])
}

fn on_lines(
    fixture: &Fixture,
    pc: u64,
    home_stored: Option<&dyn Fn(i64) -> bool>,
    body: Option<u64>,
    lines: &[LineAt],
) -> Vec<ScopedVariable> {
    let dwarf = fixture.dwarf();
    let mut builder = TypeBuilder::new(&dwarf, TypeGraph::default());
    let function = function_at(&dwarf, &builder.dies(), Svma(pc));
    let (cfa, body) = (fixture.cfa(pc), body.and_then(|body| fixture.cfa(body)));
    let frame = FrameAt {
        subprogram: function.offset,
        pc: Svma(pc),
        entry: Some(Svma(function.low)),
        cfa: cfa.as_ref(),
        body_cfa: body.as_ref(),
        bias: 0x10_0000,
        thread_storage: Some(0u64.wrapping_sub(0x40)),
        home_stored,
        paths: None,
        lines,
    };
    let variables = variables_at(&mut builder, &function.unit.unit, &frame).unwrap();
    let variables: Vec<_> = variables.into_iter().map(|declared| declared.variable).collect();
    let graph = builder.into_graph();
    assert!(variables.iter().all(|variable| (variable.type_id.0 as usize) < graph.types.len()));
    variables
}

fn names(variables: &[ScopedVariable]) -> Vec<&str> {
    variables.iter().map(|variable| variable.name.as_str()).collect()
}

fn location<'v>(variables: &'v [ScopedVariable], name: &str) -> &'v Result<Location, Reason> {
    &variables.iter().find(|variable| variable.name == name).expect(name).location
}

fn code(location: &Result<Location, Reason>) -> Option<ReasonCode> {
    location.as_ref().err().map(|reason| reason.code)
}

fn memory(register: u8, offset: i64) -> Result<Location, Reason> {
    Ok(Location::Memory(vec![Op::new(Code::Register, register, offset as u64)]))
}

/// The pcs of a function where its variables are as at its body's beginning: from where rbp is
/// set to the last instruction before it is restored.
fn unoptimised() -> impl Iterator<Item = Fixture> {
    ["-gdwarf-4", "-gdwarf-5"]
        .into_iter()
        .map(|version| Fixture::compile("gcc", &[version, "-O0", "-fcf-protection=none"], C))
}

#[test]
fn scopes_come_innermost_first_and_hidden_names_stay() {
    for fixture in unoptimised() {
        let (start, size) = fixture.symbol("probe");
        let all: BTreeSet<Vec<String>> = (start..start + size)
            .map(|pc| at(&fixture, pc, None).into_iter().map(|v| v.name).collect())
            .collect();
        let parameters =
            ["first", "text", "c", "d", "e", "f", "on_stack", "big"].map(String::from).to_vec();
        let with = |inner: &[&str], outer: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            [own(inner), parameters.clone(), own(outer)].concat()
        };
        let expected = BTreeSet::from([
            with(&[], &["calls", "local"]),
            with(&["local"], &["calls", "local"]),
            with(&["inner", "local"], &["calls", "local"]),
        ]);
        assert_eq!(all, expected);
    }
}

/// SEM-4
#[test]
fn a_local_is_not_shown_before_its_declaration() {
    for fixture in unoptimised() {
        let (start, _) = fixture.symbol("probe");
        let dwarf = fixture.dwarf();
        let function = function_at(&dwarf, &Dies::new(&dwarf), Svma(start));
        let file = path_of(&function.unit.unit, 1).unwrap();
        // `int local = first + 1;` is on line 7 of the source.
        for (line, starts, shown) in
            [(6, true, false), (7, true, false), (7, false, true), (8, true, true)]
        {
            let file = file.clone();
            let here = [LineAt { line: SourceLine { file, line }, starts }];
            let variables = on_lines(&fixture, start + 4, None, None, &here);
            let local = location(&variables, "local");
            assert_eq!(local.is_ok(), shown, "line {line}, starts {starts}: {local:?}");
            if !shown {
                assert_eq!(code(local), Some(ReasonCode::NotDeclaredYet));
            }
            // Parameters and statics are there from the beginning.
            assert!(location(&variables, "first").is_ok());
            assert!(location(&variables, "calls").is_ok());
        }
    }
}

#[test]
fn unoptimised_variables_are_at_the_frame() {
    for fixture in unoptimised() {
        let (start, _) = fixture.symbol("probe");
        // Behind `push %rbp; mov %rsp, %rbp` the CFA is rbp + 16.
        let variables = at(&fixture, start + 4, None);
        assert_eq!(location(&variables, "on_stack"), &memory(6, 16));
        assert_eq!(location(&variables, "big"), &memory(6, 24));
        let Ok(Location::Memory(first)) = location(&variables, "first") else { panic!("first") };
        assert!(matches!(first.as_slice(), [op] if op.arg == 6 && (op.imm as i64) < 0));
        let Ok(Location::Memory(calls)) = location(&variables, "calls") else { panic!("calls") };
        assert!(matches!(calls.as_slice(), [op] if op.code() == Some(Code::Const)
            && op.imm > 0x10_0000));
        let kinds: Vec<_> = variables.iter().map(|variable| variable.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == VariableKind::Parameter).count(), 8);
        assert!(variables.iter().all(|variable| variable.inline_depth == 0));
    }
}

/// SEM-3
#[test]
fn before_the_prologue_ends_only_what_is_stored_is_shown() {
    for fixture in unoptimised() {
        let (start, _) = fixture.symbol("probe");
        let variables = at(&fixture, start, Some(&|_| false));
        assert_eq!(code(location(&variables, "first")), Some(ReasonCode::BeforePrologue));
        assert_eq!(code(location(&variables, "text")), Some(ReasonCode::BeforePrologue));
        // Pushed by the caller: the CFA is rsp + 8 at entry.
        assert_eq!(location(&variables, "on_stack"), &memory(7, 8));
        assert_eq!(location(&variables, "big"), &memory(7, 16));
        assert!(matches!(location(&variables, "calls"), Ok(Location::Memory(_))));

        // The offsets that are asked about are those from the CFA.
        let asked = std::cell::RefCell::new(BTreeSet::new());
        let stored = |offset| {
            asked.borrow_mut().insert(offset);
            offset == -36 - 16 || asked.borrow().len() > 100
        };
        at(&fixture, start + 4, Some(&stored));
        let after = at(&fixture, start + 4, None);
        let homes: BTreeSet<i64> = ["first", "text", "c", "d", "e", "f"]
            .iter()
            .map(|name| match location(&after, name) {
                Ok(Location::Memory(ops)) => ops[0].imm as i64 - 16,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(*asked.borrow(), homes);
        let proven = at(&fixture, start + 4, Some(&|_| true));
        assert_eq!(location(&proven, "first"), location(&after, "first"));
    }
}

#[test]
fn unoptimised_code_is_told_by_its_variables() {
    let told = |arguments: &[&str]| {
        let fixture = Fixture::compile("gcc", arguments, C);
        let dwarf = fixture.dwarf();
        let builder = TypeBuilder::new(&dwarf, TypeGraph::default());
        let dies = builder.dies();
        let function = function_at(&dwarf, &dies, Svma(fixture.symbol("probe").0));
        is_unoptimised(&dies, &function.unit.unit, function.offset).unwrap()
    };
    assert!(told(&["-g", "-O0"]));
    assert!(told(&["-gdwarf-4", "-O0", "-fomit-frame-pointer"]));
    assert!(!told(&["-g", "-O2"]));
    assert!(!told(&["-gdwarf-4", "-Og"]));
    for (level, expected) in [("-Copt-level=0", true), ("-Copt-level=2", false)] {
        let fixture = Fixture::compile("rustc", &["-g", "-Awarnings", level], RUST);
        let dwarf = fixture.dwarf();
        let dies = TypeBuilder::new(&dwarf, TypeGraph::default()).dies();
        let function = function_at(&dwarf, &dies, Svma(fixture.symbol("probe").0));
        let told = is_unoptimised(&dies, &function.unit.unit, function.offset).unwrap();
        assert_eq!(told, expected, "{level}");
    }
}

const INLINED: &str = r#"
extern int getpid(void);
volatile long sink;
static inline __attribute__((always_inline)) long inner(long deep, long unused) {
    const long seven = 7;
    long product = deep * seven;
    sink = product;
    return product;
}
static inline __attribute__((always_inline)) long middle(long between) {
    long sum = between + 3;
    return inner(sum, 42) + 1;
}
long __attribute__((noinline)) outer(long wide, double real, long dead) {
    long result = middle(wide) + (long)real;
    sink = getpid();
    return result;
}
int main(void) { return (int)outer(getpid(), 1.5, 3); }
"#;

fn optimised() -> impl Iterator<Item = Fixture> {
    ["-gdwarf-4", "-gdwarf-5"]
        .into_iter()
        .map(|version| Fixture::compile("gcc", &[version, "-O2", "-fcf-protection=none"], INLINED))
}

#[test]
fn optimised_variables_are_where_the_lists_say() {
    for fixture in optimised() {
        let (start, size) = fixture.symbol("outer");
        let entry = at(&fixture, start, None);
        assert_eq!(location(&entry, "wide"), &Ok(Location::Register(5)));
        assert_eq!(code(location(&entry, "real")), Some(ReasonCode::VectorRegister));
        // After the call the argument's register has another value; only the caller knows it.
        let reasons: BTreeSet<_> = (start..start + size)
            .filter_map(|pc| code(location(&at(&fixture, pc, None), "dead")))
            .map(ReasonCode::code)
            .collect();
        assert_eq!(reasons, BTreeSet::from(["entry_value"]));
    }
}

/// The first instructions are not those of the first statement.
const CHANGED_AT_ENTRY: &str = r#"
short prices[4096];
static inline int price(int p, int bit) { return bit ? prices[(2048 - p) >> 2] : prices[p >> 2]; }
__attribute__((noinline)) int probe(const int *table, unsigned symbol) {
    symbol |= 64;
    unsigned bit = symbol & 1;
    symbol >>= 1;
    int sum = price(table[symbol], bit);
    bit = symbol & 1;
    symbol >>= 1;
    sum += price(table[symbol], bit);
    bit = symbol & 1;
    symbol >>= 1;
    return sum + price(table[symbol], bit);
}
int main(int argc, char **argv) { int numbers[128] = {0}; return probe(numbers, argc); }
"#;

#[test]
fn a_parameter_at_the_entry_is_what_was_passed() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let flags = [version, "-O2", "-fcf-protection=none"];
        let fixture = Fixture::compile("gcc", &flags, CHANGED_AT_ENTRY);
        let (start, _) = fixture.symbol("probe");
        assert_eq!(location(&at(&fixture, start, None), "symbol"), &Ok(Location::Register(4)));
    }
}

#[test]
fn inlined_calls_are_counted_from_the_innermost() {
    for fixture in optimised() {
        let (start, size) = fixture.symbol("outer");
        let deepest = (start..start + size)
            .map(|pc| at(&fixture, pc, None))
            .find(|variables| variables.iter().any(|variable| variable.name == "product"))
            .expect("a pc in the innermost call");
        let depth = |name: &str| {
            deepest.iter().find(|variable| variable.name == name).expect(name).inline_depth
        };
        assert_eq!((depth("deep"), depth("product")), (0, 0));
        assert_eq!((depth("between"), depth("sum")), (1, 1));
        assert_eq!((depth("wide"), depth("result")), (2, 2));
        // Names, types and values come from the abstract function.
        assert_eq!(location(&deepest, "seven"), &Ok(Location::Bytes(vec![7, 0, 0, 0, 0, 0, 0, 0])));
        let at = |name: &str| names(&deepest).iter().position(|other| *other == name).unwrap();
        assert!(at("product") < at("between") && at("between") < at("wide"));
        let unused = location(&deepest, "unused");
        assert!(
            matches!(unused, Ok(Location::Value(ops)) if ops == &[Op::new(Code::Const, 0, 42)])
                || code(unused) == Some(ReasonCode::OptimizedOut),
            "{unused:?}"
        );
    }
}

#[test]
fn pcs_of_one_meaning_have_the_same_locations() {
    for fixture in optimised() {
        let dwarf = fixture.dwarf();
        let builder = TypeBuilder::new(&dwarf, TypeGraph::default());
        let dies = builder.dies();
        let (start, size) = fixture.symbol("outer");
        let function = function_at(&dwarf, &dies, Svma(start));
        let meaning =
            |pc| meaning_at(&dies, &function.unit.unit, function.offset, Svma(pc), None).unwrap();
        let entry = meaning(start);
        assert!(entry.same_as(&entry.clone()));
        // rdi and rsi hold parameters; xmm0 is no general register.
        assert!(entry.registers.contains(&5), "{:?}", entry.registers);
        assert!(entry.registers.iter().all(|number| *number <= 16));
        assert!(!entry.memory);
        assert!(!entry.same_as(&meaning(start + size - 1)));
    }
    for fixture in unoptimised() {
        let dwarf = fixture.dwarf();
        let builder = TypeBuilder::new(&dwarf, TypeGraph::default());
        let dies = builder.dies();
        let (start, _) = fixture.symbol("probe");
        let function = function_at(&dwarf, &dies, Svma(start));
        let meaning =
            |pc| meaning_at(&dies, &function.unit.unit, function.offset, Svma(pc), None).unwrap();
        assert!(meaning(start).same_as(&meaning(start + 4)));
        assert!(meaning(start).memory);
        // The frame base is the CFA.
        assert_eq!(meaning(start).registers, BTreeSet::new());
    }
}

const RUST: &str = r#"
#[inline(never)]
#[no_mangle]
pub extern "C" fn probe(first: u64, text: &str) -> u64 {
    let local = first + 1;
    let unit = ();
    std::hint::black_box((&local, &unit, text));
    local
}
fn main() { std::hint::black_box(probe(1, "x")); }
"#;

/// The frame base of unoptimised Rust is the stack pointer, which moves.
#[test]
fn a_frame_base_in_the_stack_pointer_holds_only_in_the_body() {
    let arguments = ["-g", "-Awarnings", "-Cforce-frame-pointers=no"];
    let fixture = Fixture::compile("rustc", &arguments, RUST);
    let (start, size) = fixture.symbol("probe");
    // Behind `sub $N, %rsp`, which has 4 or 7 bytes.
    let body =
        (start..start + 16).find(|pc| fixture.cfa(*pc) != fixture.cfa(start)).expect("a prologue");
    let inside = at_body(&fixture, body, None, Some(body));
    assert!(matches!(location(&inside, "first"), Ok(Location::Memory(ops)) if ops[0].arg == 7));
    let entry = at_body(&fixture, start, Some(&|_| true), Some(body));
    assert_eq!(code(location(&entry, "first")), Some(ReasonCode::BeforePrologue));
    let unproven = at_body(&fixture, body, Some(&|_| false), Some(body));
    assert_eq!(code(location(&unproven, "first")), Some(ReasonCode::BeforePrologue));
    let proven = at_body(&fixture, body, Some(&|offset| offset < 0), Some(body));
    assert_eq!(location(&proven, "first"), location(&inside, "first"));
    // At the `ret` the frame is gone.
    let last = at_body(&fixture, start + size - 1, None, Some(body));
    if fixture.cfa(start + size - 1) == fixture.cfa(start) {
        assert_eq!(code(location(&last, "first")), Some(ReasonCode::NotLiveHere));
    }
    // A value without bytes is always there.
    let unit = (body..start + size)
        .map(|pc| at_body(&fixture, pc, None, Some(body)))
        .find(|variables| names(variables).contains(&"unit"))
        .expect("a pc in the scope of `unit`");
    assert_eq!(location(&unit, "unit"), &Ok(Location::Bytes(Vec::new())));
}

/// GCC states places by the CFA, which is the same everywhere.
#[test]
fn a_frame_base_that_is_the_cfa_holds_before_the_body() {
    let flags = ["-g", "-O0", "-fomit-frame-pointer", "-mno-red-zone", "-fcf-protection=none"];
    let fixture = Fixture::compile("gcc", &flags, C);
    let (start, size) = fixture.symbol("probe");
    let cfa = |pc: u64| fixture.cfa(pc);
    let body = (start..start + size).find(|pc| cfa(*pc) != cfa(start)).expect("a frame");
    let variables = at_body(&fixture, start, Some(&|_| false), Some(body));
    assert_eq!(location(&variables, "on_stack"), &memory(7, 8));
    assert_eq!(location(&variables, "big"), &memory(7, 16));
    assert_eq!(code(location(&variables, "first")), Some(ReasonCode::BeforePrologue));
}

const EARLY_RETURN: &str = r#"
#[inline(never)]
fn touch(array: &[u64; 4], more: u64) -> u64 { std::hint::black_box(array)[1] + more }
#[inline(never)]
#[no_mangle]
pub extern "C" fn probe(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, passed: u64) -> u64 {
    if a == 0 { return b; }
    let array = [a, b, c, d];
    let sum = touch(&array, passed) + touch(&array, e);
    sum + array[1] + passed + e + f
}
fn main() { std::hint::black_box(probe(1, 2, 3, 4, 5, 6, 7)); }
"#;

/// LLVM states places by the stack pointer of the body for the whole function.
#[test]
fn what_is_stated_by_the_stack_pointer_of_the_body_is_not_read_by_another_one() {
    let arguments = ["-g", "-O", "-Awarnings", "-Cforce-frame-pointers=no"];
    let fixture = Fixture::compile("rustc", &arguments, EARLY_RETURN);
    let (start, size) = fixture.symbol("probe");
    let offset = |pc: u64| match fixture.cfa(pc).as_deref() {
        Some([op]) if op.arg == 7 => op.imm as i64,
        other => panic!("{other:?}"),
    };
    let body =
        (start..start + size).max_by_key(|pc| (offset(*pc), std::cmp::Reverse(*pc))).unwrap();
    assert_eq!(offset(start), 8);
    let mut depths = BTreeSet::new();
    for pc in start..body {
        let variables = at_body(&fixture, pc, Some(&|_| true), Some(body));
        // The first argument in memory, at the CFA.
        assert_eq!(location(&variables, "passed"), &memory(7, offset(pc)), "{pc:#x}");
        if let Some(array) = variables.iter().find(|variable| variable.name == "array") {
            assert_eq!(code(&array.location), Some(ReasonCode::BeforePrologue), "{pc:#x}");
        }
        depths.insert(offset(pc));
    }
    assert!(depths.len() > 2, "{depths:?}");
    let inside = at_body(&fixture, body, Some(&|_| true), Some(body));
    assert_eq!(location(&inside, "passed"), &memory(7, offset(body)));
    let scope = (body..start + size)
        .map(|pc| (pc, at_body(&fixture, pc, Some(&|_| true), Some(body))))
        .find(|(_, variables)| names(variables).contains(&"array"))
        .expect("a pc in the scope of `array`");
    assert!(matches!(location(&scope.1, "array"), Ok(Location::Memory(ops)) if ops[0].arg == 7));
}

#[test]
fn a_frame_base_in_the_frame_pointer_holds_where_the_cfa_is_computed_from_it() {
    let arguments = ["-g", "-Awarnings", "-Cforce-frame-pointers=yes"];
    let fixture = Fixture::compile("rustc", &arguments, RUST);
    let (start, size) = fixture.symbol("probe");
    let body = (start..start + size)
        .find(|pc| matches!(fixture.cfa(*pc).as_deref(), Some([op]) if op.arg == 6))
        .expect("a pc behind `mov %rsp, %rbp`");
    let inside = at(&fixture, body, None);
    let Ok(Location::Memory(ops)) = location(&inside, "first") else { panic!("no memory") };
    assert_eq!(ops[0].arg, 6);
    let entry = at(&fixture, start, Some(&|_| true));
    assert_eq!(code(location(&entry, "first")), Some(ReasonCode::BeforePrologue));
    let home = ops[0].imm as i64 - 16;
    let proven = at(&fixture, body, Some(&|offset| offset == home));
    assert_eq!(location(&proven, "first"), location(&inside, "first"));
    let last = at(&fixture, start + size - 1, None);
    assert_eq!(code(location(&last, "first")), Some(ReasonCode::NotLiveHere));
}

#[test]
fn a_location_shorter_than_its_type_is_refused_or_filled_up() {
    let reason = |location, size| fitted(location, Some(size)).map_err(|reason| reason.code);
    assert_eq!(reason(Location::Register(0), 16), Err(ReasonCode::UnsupportedLocation));
    assert_eq!(reason(Location::Value(vec![]), 9), Err(ReasonCode::UnsupportedLocation));
    assert_eq!(reason(Location::Bytes(vec![1]), 2), Err(ReasonCode::UnsupportedLocation));
    assert_eq!(reason(Location::Register(0), 8), Ok(Location::Register(0)));
    let piece = Piece { size: 4, location: Some(Location::Register(0)) };
    assert_eq!(
        reason(Location::Pieces(vec![piece.clone()]), 12),
        Ok(Location::Pieces(vec![piece, Piece { size: 8, location: None }]))
    );
}

const WIDE: &str = r#"
volatile long sink;
long __attribute__((noipa)) wide(__int128 value) {
    __int128 more = value + 1;
    sink = 1;
    sink = (long)(more >> 64) + (long)more;
    return sink;
}
int main(void) { return (int)wide(5); }
"#;

/// GCC 12 names the registers of `value` for the whole function, and adds 1 to them.
#[test]
fn a_wide_parameter_is_not_taken_from_registers_that_hold_its_successor() {
    let fixture = Fixture::compile("gcc", &["-g", "-O2"], WIDE);
    let (start, size) = fixture.symbol("wide");
    for pc in start..start + size {
        let variables = at(&fixture, pc, None);
        let single = location(&variables, "value");
        // Where it is stated for some of the code only it may be right.
        assert!(single.is_err() || pc == start, "{pc:#x}: {single:?}");
    }
}
