//! What people see, character by character, without colours.

use super::line::{Ink, Line, Page};
use super::source::Sources;
use super::value::{Row, WIDTH};
use super::{capture, error, lists, summary, vars};
use crate::api::samples::{self, armed, counted, every_value, typed, variable};
use crate::api::types::{CaptureLine, Error};
use crate::api::vars::line;
use crate::api::{convert, json};
use crate::escape::Escaped;
use crate::escape::tests::{hostile_payloads, is_harmless};
use std::path::PathBuf;
use tracer_common::outcome::Outcome;
use tracer_core::engine::event::{Armed, Ended, Forecast, Summary};
use tracer_core::engine::findings::{Check, CheckStatus, Found, Vars};
use tracer_core::model::address::{Avma, Svma};
use tracer_core::model::capture::{Capture, How, Provenance, StackEnd};
use tracer_core::model::reason::{Reason, ReasonCode};
use tracer_core::model::resolved::{OtherPc, SourceLine, VariableKind};
use tracer_core::model::value::Value;

/// The page of a line. It is the same whether the line was made here or has come as JSON.
fn page_of<T: serde::Serialize + serde::de::DeserializeOwned>(
    line: &T,
    print: impl Fn(&T) -> Page,
) -> Page {
    let page = print(line);
    let read = json::read(&json::line(line).unwrap()).unwrap();
    assert_eq!(print(&read).as_str(), page.as_str());
    page
}

fn capture_page(armed: &Armed, hit: &Capture) -> Page {
    let armed_line = convert::armed("p1", &samples::request("f"), armed);
    let line = convert::capture("p1", 1, armed, hit, &counted());
    page_of(&armed_line, |armed| {
        page_of(&line, |line| capture::capture(&armed.armed, line, &mut Sources::default()))
    })
}

fn armed_page(armed: &Armed) -> Page {
    let line = convert::armed("p1", &samples::request("f"), armed);
    page_of(&line, |line| summary::armed(&line.armed))
}

fn finished_page(counts: &Summary, written: u64) -> Page {
    let line = convert::summary("p1", written, counts);
    page_of(&line, |line| summary::finished(&line.summary))
}

fn error_page(error: &Error) -> Page {
    page_of(error, error::error)
}

fn found_page(found: &Found) -> Page {
    page_of(&convert::found(found), lists::found)
}

fn check_page(check: &Check) -> Page {
    page_of(&convert::check(check), lists::check)
}

pub(super) fn vars_page(sample: &Vars) -> Page {
    page_of(&line(sample), |line| vars::vars(line, &mut Sources::default()))
}

fn rendered(name: &str, type_name: &str, value: Value) -> String {
    let value = variable(name, VariableKind::Local, typed(type_name, value));
    let line = convert::capture("p1", 1, &armed(), &samples::capture(vec![value]), &counted());
    let print = |line: &CaptureLine| {
        let variable = &line.frames[0].variables[0];
        let label = Line::new().with(Ink::Name, Escaped::name(&variable.name));
        let mut page = Page::new();
        Row::labelled(label, &variable.type_name, &variable.node, WIDTH)
            .write(&Line::new(), &mut page);
        page
    };
    page_of(&line, print).plain()
}

/// Every kind of value as it is printed, in the order of the samples.
const EVERY_VALUE: &str = r#"small: int = -42
exact: long = -9007199254740992
beyond: unsigned long = 9007199254740993
widest: __int128 = -170141183460469231731687303715884105728
widest_unsigned: unsigned __int128 = 340282366920938463463374607431768211455
yes: bool = true
letter: char = 'A' (65)
escape: char = '\x1b' (27)
no_letter: char = -1
single: float = 0.1
double: double = 1.0
nan: double = NaN
infinite: float = -inf
wide: long double = 3.14159265358979323851
color: enum color = RED (1)
no_color: enum color = 77 (no enumerator)
point: struct point = {x = 1, y = -2}
empty: struct empty = {}
tagged: struct tagged = {union {as_int = 1, as_float = 1e-45}}
none: Option<u8> = None
some: Option<point> = Some {x = 1, y = -2}
few: int [3] = [0, 1, 2]
many: int [100] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … 88 more; raise --max-items]
no_items: int [] = [… length unknown]
torn: int [2] =
├─ [0] 1
└─ [1] = <unavailable: not resident: the page is mapped but was not in memory at the hit (0x7f0000001000)>
big: struct big =
├─ id: unsigned long = 4242
├─ home: struct place = {street = "Long Street of Many Words", number = 12}
├─ work: struct place * = 0x558100002000 -> {street = "High St", number = 12}
├─ hits: int [64] =
│  ├─ [0] 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014
│  ├─ [15] 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1025, 1026, 1027, 1028, 1029
│  ├─ [30] 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039
│  └─ … 24 more; raise --max-items
└─ places: struct place [2] = [{street = "A", number = 12}, {street = "B", number = 12}]
map: std::map<int, int> = {1: -1, 2: -2, … 998 more; raise --max-items}
no_map: std::map<int, int> = {}
noted: std::vector<int> = [0, 1, 2] (capacity 8, state locked)
tuple: (i32, i32) = (1, 2)
constant: const char * = "never read before" (from the mapped file)
zero: int * = 0x558100006000 -> 0 (never touched)
swapped: struct s * = 0x558100007000 -> {x = 5} (read after the hit)
count: int * = 0x558100001000 -> 7
deep: struct node * = 0x558100001010 -> <unavailable: the depth limit was met; raise --depth>
again: struct node * = 0x558100001020 -> shown at head->next
null: void * = null
raw: void * = 0x7f0000000010
callback: int (*)(int) = 0x558100001139 <on_hit>
unknown: int (*)(int) = 0x10 <unknown function>
name: char * = "Grüße, \"x\"\n"
bytes: char [4] = "\xff\x00\x1b["
long_text: char * = "the start of a long"… of 4000 bytes; the byte limit was met; raise --limit-bytes
longer_text: char * = "the start of a long"… of at least 4000 bytes; the byte limit was met; raise --limit-bytes
nothing: void = void
gone: int = <unavailable: the compiler kept no location for it here; try another line of the same function>
"#;

#[test]
fn every_kind_of_value_reads_as_expected() {
    let all: String =
        every_value().into_iter().map(|(name, ty, value)| rendered(name, ty, value)).collect();
    assert_eq!(all, EVERY_VALUE);
}

#[test]
fn a_wide_structure_behind_a_pointer_is_a_tree_under_its_address() {
    let wide = |n: i128| {
        let name = "a_rather_long_member_name_for_a_number";
        Value::Record(vec![
            samples::field(name, "int", Value::Signed(n)),
            samples::field(name, "int", Value::Signed(n)),
        ])
    };
    let next = samples::field("next", "struct w *", samples::pointer(32, "struct w", wide(2)));
    let Value::Record(mut fields) = wide(1) else { panic!() };
    fields.push(next);
    let text = rendered("w", "struct w *", samples::pointer(16, "struct w", Value::Record(fields)));
    assert_eq!(
        text,
        "\
w: struct w * = 0x10 ->
├─ a_rather_long_member_name_for_a_number: int = 1
├─ a_rather_long_member_name_for_a_number: int = 1
└─ next: struct w * = 0x20 ->
   ├─ a_rather_long_member_name_for_a_number: int = 2
   └─ a_rather_long_member_name_for_a_number: int = 2
"
    );
}

#[test]
fn lines_with_parts_keep_within_the_width() {
    for (name, type_name, value) in every_value() {
        let has_parts = matches!(value, Value::Record(_) | Value::Array { .. });
        let text = rendered(name, type_name, value);
        let longest = text
            .lines()
            .filter(|line| !line.contains("<unavailable"))
            .map(|line| line.chars().count())
            .max();
        assert!(!has_parts || longest.unwrap_or(0) <= WIDTH, "{text}");
    }
}

#[test]
fn a_value_nested_beyond_reason_is_cut_not_fatal() {
    let mut value = Value::Signed(1);
    for level in 0..2000 {
        value = samples::pointer(level + 1, "void **", value);
    }
    assert!(rendered("v", "void **", value).contains("nested too deeply"));
}

#[test]
fn a_number_reads_the_same_whether_it_has_come_as_json() {
    // Half-way between two decimals of the same length.
    assert_eq!(rendered("x", "", Value::Float32(14_811_681.0 / 4.0)), "x = 3702920.3\n");
    let mut state = 1_u64;
    for _ in 0..500 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let single = f32::from_bits((state >> 32) as u32);
        assert_eq!(rendered("x", "", Value::Float32(single)), format!("x = {single:?}\n"));
        let double = f64::from_bits(state);
        assert_eq!(rendered("x", "", Value::Float64(double)), format!("x = {double:?}\n"));
        let wide = u128::from(state) << (state % 64);
        assert_eq!(rendered("x", "", Value::Unsigned(wide)), format!("x = {wide}\n"));
    }
}

fn sample() -> Capture {
    let local = |name, value| variable(name, VariableKind::Local, typed("int", value));
    let mut constant = local("limit", Value::Signed(10));
    constant.provenance = Provenance::Constant;
    let item = typed(
        "struct item *",
        samples::pointer(
            0x5581_0000_4000,
            "struct item",
            Value::Record(vec![
                samples::field("name", "char *", samples::text(b"tea")),
                samples::field("price", "int", Value::Signed(250)),
            ]),
        ),
    );
    samples::capture(vec![
        local("total", Value::Signed(500)),
        variable("item", VariableKind::Parameter, item),
        constant,
    ])
}

/// SEM-9
#[test]
fn a_value_of_another_pc_says_where_it_is_from() {
    let line = Some(SourceLine { file: "/no/such/billing.c".to_owned(), line: 40 });
    let mut gone = variable("gone", VariableKind::Local, typed("int", Value::Signed(7)));
    gone.provenance = Provenance::MovedPc;
    gone.moved = Some(OtherPc { pc: Avma(0x401120), line });
    let mut next = gone.clone();
    next.moved = Some(OtherPc { pc: Avma(0x401140), line: None });
    let page = capture_page(&armed(), &samples::capture(vec![gone, next])).plain();
    assert!(page.contains("gone: int = 7  (as it was at billing.c:40, *0x401120)"), "{page}");
    assert!(page.contains("gone: int = 7  (as it was at *0x401140)"), "{page}");
}

#[test]
fn a_capture_reads_from_when_and_where_to_the_stack() {
    let page = capture_page(&armed(), &sample());
    assert_eq!(
        page.plain(),
        r#"2026-01-31T12:34:56.789Z  hit 3  billing[4242], thread 4245 "worker", cpu 3
billing.c:42  pc 0x558100001234 in /usr/bin/billing
  instead of 0x558100001230: push rbp is emulated by the kernel, endbr64 is not
  inlined into process_payment at /no/such/src/billing.c:40
#0  price_of at /no/such/src/billing.c:42 in billing  (inlined)
    arguments
      item: struct item * = 0x558100004000 -> {name = "tea", price = 250}
    locals
      total: int = 500
      limit: int = 10  (constant)
#1  process_payment at /no/such/src/billing.c:40 in billing
#2  main at /no/such/src/billing.c:99 in billing
#3  0x7f000000beef <unknown function>  (by frame pointer: no unwind information)
    … the stack goes on, but the copied part of it ends here; raise --stack
limit: the byte limit was met; raise --limit-bytes

"#
    );
}

#[test]
fn a_site_that_was_not_moved_and_a_whole_stack_need_no_words() {
    let mut armed = armed();
    armed.resolved.sites[0].requested = armed.resolved.sites[0].pc;
    let mut hit = sample();
    hit.stack_end = StackEnd::Complete;
    hit.flags = 0;
    let text = capture_page(&armed, &hit).plain();
    for word in ["instead of", "…", "limit: the"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn the_source_line_is_shown_where_its_file_is_readable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "int a;\n\tint b;\n").unwrap();
    let mut armed = armed();
    armed.modules[0].path = file.path().display().to_string();
    let path = file.path().display().to_string();
    armed.resolved.sites[0].line = Some(SourceLine { file: path, line: 2 });
    let text = capture_page(&armed, &sample()).plain();
    assert!(text.contains("\n  2 | int b;\n"), "{text}");
}

#[test]
fn the_end_tells_how_each_hit_ended() {
    let mut counts = samples::summary(Ended::Timeout);
    counts.malformed = 1;
    counts.kernel_misses = 7;
    counts.reader_stalls = 2;
    counts.text_restored = Some(false);
    assert_eq!(
        finished_page(&counts, 1).plain(),
        "\
1 capture of 5 hits; the timeout passed
  2 rate_limit: the probe's capture rate was exceeded
  1 captured, but not shown: it came after the end
  1 malformed: records that could not be read
  2 reader stalls: looks at the ring that found records lost: the reader was too slow
  7 kernel misses: hits that the kernel did not hand to the program; not among the hits above
  the code of the target could not be verified to be as before
"
    );
    assert_eq!(
        finished_page(&samples::summary(Ended::Complete), 3).plain(),
        "\
3 captures of 5 hits; all that were asked for; the probe is out, the code is as before
  2 rate_limit: the probe's capture rate was exceeded
"
    );
}

#[test]
fn while_it_waits_it_says_for_what() {
    assert_eq!(
        armed_page(&armed()).plain(),
        "probing billing.c:42 in billing[4242]; waiting up to 30s for a hit (Ctrl-C ends it)\n  \
         0x558100001234 inlined into process_payment at /no/such/src/billing.c:40\n  \
         predicted: 9.8 µs a hit\n"
    );
}

#[test]
fn what_was_learned_is_told() {
    let mut facts = armed();
    let hit = facts.predicted;
    let captures_per_second = Some(25);
    let (hits_per_second, cores, slowdown) = (1234.0, 0.000_8, 1.0);
    facts.forecast = Some(Forecast {
        hit,
        load: tracer_core::model::admission::Load::default(),
        hits_per_second,
        captures_per_second,
        cores,
        slowdown,
    });
    let page = armed_page(&facts).plain();
    assert!(page.contains("  predicted: 9.8 µs a hit, 1234 hits/s: 0.08 % of a core\n"), "{page}");
    assert!(page.contains("  sampled: at most 25 captures a second"), "{page}");
}

fn sample_error(text: &str) -> Error {
    Error {
        code: "ambiguous".into(),
        exit_code: 19,
        subject: text.to_owned(),
        text: "the location means several things".to_owned(),
        detail: format!("2 functions{text}"),
        remedy: format!("write one of the candidates{text}"),
        candidates: vec![format!("a!get{text}"), "b!get".to_owned()],
    }
}

#[test]
fn an_error_says_what_is_wrong_what_could_be_meant_and_what_to_do() {
    assert_eq!(
        error_page(&Error { detail: "2 functions".to_owned(), ..sample_error("get") }).plain(),
        "\
error: get: the location means several things (2 functions)
  a!getget
  b!get
help: write one of the candidatesget
"
    );
}

#[test]
fn lists_line_up() {
    let mut check = Check {
        name: "uprobe_multi".to_owned(),
        status: CheckStatus::Ok,
        detail: "works".to_owned(),
        remedy: String::new(),
    };
    assert_eq!(check_page(&check).plain(), "ok    uprobe_multi          works\n");
    check.status = CheckStatus::Fail;
    check.remedy = "use Linux 6.6".to_owned();
    assert_eq!(
        check_page(&check).plain(),
        "FAIL  uprobe_multi          works\n      help: use Linux 6.6\n"
    );
    assert_eq!(found_page(&found("f")).plain(), "0x1000  f  f:1  in f\n");
}

fn found(text: &str) -> Found {
    Found {
        copies: 0,
        callers: Vec::new(),
        function: text.to_owned(),
        module: text.to_owned(),
        svma: Svma(0),
        address: Avma(0x1000),
        line: Some(SourceLine { file: text.to_owned(), line: 1 }),
    }
}

/// The page without the colours that it can have by itself; any other escape sequence stays.
fn without_own_colours(page: &Page) -> String {
    const INKS: [Ink; 7] =
        [Ink::Dim, Ink::Bold, Ink::Name, Ink::Value, Ink::Missing, Ink::Error, Ink::Advice];
    let mut sequences: Vec<String> = INKS.iter().map(|ink| ink.sequence()).collect();
    // One sequence can be the end of another.
    sequences.sort_by_key(|sequence| std::cmp::Reverse(sequence.len()));
    let text = page.as_str().replace("\x1b[0m", "");
    sequences.iter().fold(text, |text, sequence| text.replace(sequence, ""))
}

/// A capture in which everything that a target can choose is `payload`.
fn hostile(payload: &[u8]) -> (Armed, Capture) {
    let text = String::from_utf8_lossy(payload).into_owned();
    let mut armed = armed();
    armed.location_text = text.clone();
    armed.process.comm = payload.to_vec();
    armed.process.exe = PathBuf::from(&text);
    armed.modules[0].path = text.clone();
    armed.resolved.sites[0].why = text.clone();
    let reason = || Reason::new(ReasonCode::Unmapped, text.clone());
    let fields = vec![
        samples::field(&text, &text, samples::text(payload)),
        samples::field(&text, &text, Value::Variant { name: text.clone(), fields: Vec::new() }),
        samples::field(&text, &text, Value::Unavailable(reason())),
        samples::field(&text, &text, Value::FloatText(text.clone())),
        samples::field(&text, &text, Value::Enumerator { name: Some(text.clone()), number: 1 }),
        samples::field(&text, &text, Value::Function { address: 1, name: Some(text.clone()) }),
        samples::field(&text, &text, Value::Reference { address: 1, shown_at: text.clone() }),
    ];
    let record = typed(&text, Value::Record(fields));
    let mut capture = samples::capture(vec![variable(&text, VariableKind::Local, record)]);
    capture.comm = payload.to_vec();
    capture.stack_end = StackEnd::Lost(text.clone());
    capture.frames[0].function = Some(text.clone());
    capture.frames[0].module = Some(text.clone());
    capture.frames[0].line = Some(SourceLine { file: text.clone(), line: 1 });
    capture.frames[0].how = How::FramePointer(text);
    (armed, capture)
}

#[test]
fn nothing_that_a_target_chooses_reaches_the_terminal_raw() {
    for payload in hostile_payloads(1000) {
        let text = String::from_utf8_lossy(&payload).into_owned();
        let (armed, hit) = hostile(&payload);
        let check = Check {
            name: text.clone(),
            status: CheckStatus::Warn,
            detail: text.clone(),
            remedy: text.clone(),
        };
        for page in [
            capture_page(&armed, &hit),
            armed_page(&armed),
            error_page(&sample_error(&text)),
            found_page(&found(&text)),
            check_page(&check),
            vars_page(&samples::hostile_vars(&payload)),
        ] {
            let text = without_own_colours(&page);
            assert!(text.split('\n').all(is_harmless), "{payload:?} gave {text:?}");
        }
        let lines = capture_page(&armed, &hit).plain().lines().count();
        let tame = hostile(b"x");
        let expected = capture_page(&tame.0, &tame.1);
        // The record is a tree of its members or one line; no payload adds a line of its own.
        assert!(lines <= expected.plain().lines().count() + 7, "{payload:?}");
    }
}

#[test]
fn all_outcomes_but_captures_are_told() {
    let mut counts = samples::summary(Ended::Complete);
    counts.outcomes = Outcome::ALL.iter().map(|outcome| (*outcome, 1)).collect();
    let text = finished_page(&counts, 1).plain();
    for outcome in Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Captured) {
        assert!(text.contains(&format!("  1 {}: {}", outcome.code(), outcome.text())), "{text}");
    }
}
