//! From the model's nouns to the JSON lines: nothing is decided here, only written down.

use super::scalar::{Address, Hex, Integer, Nanoseconds};
use super::types::{
    Armed, ArmedEntry, ArmedLine, ArmedSite, AttachedBy, CaptureLine, CheckLine, CheckStatus, Code,
    Coded, DOCTOR, Ended, FIND, FoundLine, Frame, How, InlinedInto, OtherPc, Outcomes, Predicted,
    Process, Provenance, SNAPSHOT, Site, StackEnd, StackEndCode, Summary, SummaryLine, Target,
    Text, Trap, Variable, VariableKind,
};
use super::types::{BudgetOf, Overload};
use super::value::{
    self as written, Entry, Field, Item, LEVELS_MAX, Node, Note, TextContent, Unavailable, Value,
};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;
use tracer_common::limits::WINDOW_NS;
use tracer_common::outcome::Outcome;
use tracer_common::status::flags;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::engine::{event, findings};
use tracer_core::model::issue::Issue;
use tracer_core::model::reason::{Reason, ReasonCode};
use tracer_core::model::value::{self as model, Typed};
use tracer_core::model::{capture, process, resolved};

/// The first line of a stream.
pub fn armed(probe: &str, request: &SnapshotRequest, armed: &event::Armed) -> ArmedLine {
    ArmedLine {
        schema: SNAPSHOT.into(),
        probe: probe.to_owned(),
        armed: Armed {
            requested: armed.location_text.clone(),
            target: process(&armed.process),
            sites: armed.resolved.sites.iter().map(|site| armed_site(armed, site)).collect(),
            not_probed: armed.resolved.issues.iter().map(coded).collect(),
            entry_left_out: left_out(&armed.entries),
            hits: request.hits,
            timeout_ms: u64::try_from(armed.lives.as_millis()).unwrap_or(u64::MAX),
            attached_by: match armed.attached.by {
                event::AttachedBy::Multi => AttachedBy::Multi,
                event::AttachedBy::Perf => AttachedBy::Perf,
            },
            predicted: predicted(request, armed),
        },
    }
}

fn predicted(request: &SnapshotRequest, armed: &event::Armed) -> Predicted {
    let forecast = armed.forecast;
    let as_asked = |rate: &u64| *rate == request.rate;
    Predicted {
        trap_ns: armed.predicted.trap_ns as u64,
        capture_ns: armed.predicted.program_ns as u64,
        wake_ns: armed.predicted.wake_ns as u64,
        hits_per_second: forecast.map(|forecast| forecast.hits_per_second),
        cpu_percent: forecast.map(|forecast| forecast.cores * 100.0),
        slowdown: forecast.map(|forecast| forecast.slowdown),
        sampled_per_second: forecast
            .and_then(|forecast| forecast.captures_per_second)
            .filter(|rate| !as_asked(rate)),
    }
}

fn armed_site(armed: &event::Armed, site: &resolved::Site) -> ArmedSite {
    let module = armed.modules.get(site.module);
    let entry = site.entry.as_ref().filter(|_| armed.entries == event::Entries::Placed);
    ArmedSite {
        requested_pc: Address(site.requested.0),
        pc: Address(site.pc.0),
        why: site.why.clone(),
        instruction: site.disassembly.clone(),
        trap: trap(site.trap),
        module: module.map(|module| module.path.clone()),
        build_id: module.and_then(|module| module.build_id.clone()),
        debug_issue: module.and_then(|module| module.debug_issue.as_ref()).map(coded),
        function: site.function.clone(),
        file: site.line.as_ref().map(|line| line.file.clone()),
        line: site.line.as_ref().and_then(|line| known_line(line.line)),
        entry: entry.map(|entry| ArmedEntry { pc: Address(entry.pc.0), trap: trap(entry.trap) }),
        inlined_into: site.inlined_into.iter().map(inlined_into).collect(),
    }
}

fn left_out(entries: &event::Entries) -> Option<String> {
    match entries {
        event::Entries::LeftOut(why) => Some(why.clone()),
        event::Entries::NotNeeded | event::Entries::Placed => None,
    }
}

pub(super) fn inlined_into(caller: &resolved::InlinedInto) -> InlinedInto {
    InlinedInto {
        function: caller.function.clone(),
        file: caller.line.as_ref().map(|line| line.file.clone()),
        line: caller.line.as_ref().and_then(|line| known_line(line.line)),
    }
}

/// The line of a capture. `seq` counts the captures of `probe` from 1.
pub fn capture(
    probe: &str,
    seq: u64,
    armed: &event::Armed,
    capture: &capture::Capture,
    counted: &event::Counted,
) -> CaptureLine {
    CaptureLine {
        schema: SNAPSHOT.into(),
        probe: probe.to_owned(),
        seq,
        time_unix_ns: Nanoseconds(capture.time_unix_ns),
        target: Target {
            pid: capture.pid,
            tid: capture.tid,
            cpu: capture.cpu,
            comm: text(&capture.comm),
            exe: text(armed.process.exe.as_os_str().as_bytes()),
            start_time: Nanoseconds(capture.start_boot_ns.into()),
        },
        site: site(armed, capture),
        frames: capture.frames.iter().map(frame).collect(),
        stack_end: stack_end(&capture.stack_end),
        limits_met: limits_met(capture.flags),
        hits: counted.hits(),
        outcomes: outcome_counts(&counted.outcomes),
        kernel_misses: counted.kernel_misses,
        reader_stalls: counted.reader_stalls,
    }
}

/// The last line. `written` counts the capture lines before it.
pub fn summary(probe: &str, written: u64, summary: &event::Summary) -> SummaryLine {
    SummaryLine {
        schema: SNAPSHOT.into(),
        probe: probe.to_owned(),
        summary: Summary {
            hits: summary.hits,
            outcomes: outcome_counts(&summary.outcomes),
            entered: summary.entered,
            entry_left_out: left_out(&summary.entries),
            kernel_misses: summary.kernel_misses,
            reader_stalls: summary.reader_stalls,
            received: summary.received,
            malformed: summary.malformed,
            written,
            text_restored: summary.text_restored,
            children: summary.children,
            why: summary.why.clone(),
            paused_ms: u64::try_from(summary.paused.as_millis()).unwrap_or(u64::MAX),
            overload: summary.overload.map(overload),
            ended: match summary.ended {
                event::Ended::Complete => Ended::Complete,
                event::Ended::Timeout => Ended::Timeout,
                event::Ended::Idle => Ended::Idle,
                event::Ended::Stopped => Ended::Stopped,
                event::Ended::Tripped => Ended::Tripped,
                event::Ended::Silence => Ended::Silence,
                event::Ended::GuardianDied => Ended::GuardianDied,
                event::Ended::ProcessGone => Ended::ProcessGone,
                event::Ended::CodeGone => Ended::CodeGone,
                event::Ended::CodeChanged => Ended::CodeChanged,
                event::Ended::Unread => Ended::Unread,
            },
        },
    }
}

/// What a probe had cost when it was tripped.
pub fn overload(overload: event::Overload) -> Overload {
    Overload {
        of: match overload.of {
            event::BudgetOf::Probe => BudgetOf::Probe,
            event::BudgetOf::Process => BudgetOf::Process,
            event::BudgetOf::Node => BudgetOf::Node,
        },
        spent_ns: ns(overload.spent),
        limit_ns: ns(overload.limit),
        window_ns: WINDOW_NS,
        trips: overload.trips,
        lasted_ns: ns(overload.lasted),
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The line of a function that was found.
pub fn found(found: &findings::Found) -> FoundLine {
    FoundLine {
        schema: FIND.into(),
        function: found.function.clone(),
        module: found.module.clone(),
        address: Address(found.address.0),
        file_address: Address(found.svma.0),
        file: found.line.as_ref().map(|line| line.file.clone()),
        line: found.line.as_ref().and_then(|line| known_line(line.line)),
        inlined_copies: found.copies,
        inlined_into: found.callers.clone(),
    }
}

/// The line of a check.
pub fn check(check: &findings::Check) -> CheckLine {
    CheckLine {
        schema: DOCTOR.into(),
        name: check.name.clone(),
        status: match check.status {
            findings::CheckStatus::Ok => CheckStatus::Ok,
            findings::CheckStatus::Warn => CheckStatus::Warn,
            findings::CheckStatus::Fail => CheckStatus::Fail,
        },
        detail: check.detail.clone(),
        remedy: Some(check.remedy.clone()).filter(|remedy| !remedy.is_empty()),
    }
}

/// All outcomes, zeros too: a missing one would leave open whether it was counted.
pub(crate) fn outcome_counts(outcomes: &BTreeMap<Outcome, u64>) -> Outcomes {
    let count = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    Outcome::ALL.iter().map(|&outcome| (outcome.code().into(), count(outcome))).collect()
}

fn site(armed: &event::Armed, capture: &capture::Capture) -> Site {
    let site = armed.resolved.sites.get(capture.site);
    let module = site.and_then(|site| armed.modules.get(site.module));
    let callers = site.map(|site| site.inlined_into.as_slice()).unwrap_or_default();
    Site {
        requested: armed.location_text.clone(),
        requested_pc: site.map(|site| Address(site.requested.0)),
        pc: site.map(|site| Address(site.pc.0)),
        module: module.map(|module| module.path.clone()),
        build_id: module.and_then(|module| module.build_id.clone()),
        why: site.map(|site| site.why.clone()).unwrap_or_default(),
        debug_issue: module.and_then(|module| module.debug_issue.as_ref()).map(coded),
        inlined_into: callers.iter().map(inlined_into).collect(),
        hit: capture.hit,
    }
}

fn frame(frame: &capture::Frame) -> Frame {
    let (how, how_detail) = match &frame.how {
        capture::How::Registers => (How::Registers, None),
        capture::How::Cfi => (How::Cfi, None),
        capture::How::FramePointer(why) => (How::FramePointer, Some(why.clone())),
    };
    Frame {
        pc: Address(frame.pc.0),
        function: frame.function.clone(),
        file: frame.line.as_ref().map(|line| line.file.clone()),
        line: frame.line.as_ref().and_then(|line| known_line(line.line)),
        module: frame.module.clone(),
        inlined: frame.inlined,
        how,
        how_detail,
        variables: frame.variables.iter().map(variable).collect(),
    }
}

pub(super) fn known_line(line: u64) -> Option<u64> {
    Some(line).filter(|line| *line != 0)
}

fn stack_end(end: &capture::StackEnd) -> StackEnd {
    let (code, text) = match end {
        capture::StackEnd::Complete => (StackEndCode::Complete, "the outermost frame was reached"),
        capture::StackEnd::StackCut => {
            (StackEndCode::StackCut, "the copied part of the stack ends here; raise --stack")
        }
        capture::StackEnd::Lost(why) => (StackEndCode::Lost, why.as_str()),
    };
    StackEnd { code, text: text.to_owned() }
}

fn limits_met(met: u16) -> Vec<Code> {
    [
        (flags::LIMIT_BYTES, ReasonCode::LimitBytes.code()),
        (flags::LIMIT_NODES, ReasonCode::LimitNodes.code()),
        (flags::LIMIT_DEPTH, ReasonCode::LimitDepth.code()),
        (flags::LIMIT_STEPS, ReasonCode::LimitSteps.code()),
    ]
    .into_iter()
    .filter(|(flag, _)| met & flag != 0)
    .map(|(_, code)| code.into())
    .collect()
}

fn variable(variable: &capture::Variable) -> Variable {
    let mut cut = false;
    let node = node(&variable.value, 0, &mut cut);
    Variable {
        name: variable.name.clone(),
        type_name: variable.value.type_name.clone(),
        kind: kind(variable.kind),
        node,
        provenance: provenance(variable.provenance),
        moved: variable.moved.as_ref().map(other_pc),
        truncated: cut,
    }
}

fn other_pc(other: &resolved::OtherPc) -> OtherPc {
    let line = other.line.as_ref();
    OtherPc {
        pc: Address(other.pc.0),
        file: line.map(|line| line.file.clone()),
        line: line.and_then(|line| known_line(line.line)),
    }
}

fn provenance(provenance: capture::Provenance) -> Provenance {
    match provenance {
        capture::Provenance::Live => Provenance::Live,
        capture::Provenance::Constant => Provenance::Constant,
        capture::Provenance::EntryProbe => Provenance::EntryProbe,
        capture::Provenance::MappedFile => Provenance::MappedFile,
        capture::Provenance::Untouched => Provenance::Untouched,
        capture::Provenance::ReadAfterHit => Provenance::ReadAfterHit,
        capture::Provenance::EntryValue => Provenance::EntryValue,
        capture::Provenance::MovedPc => Provenance::MovedPc,
        capture::Provenance::None => Provenance::None,
    }
}

/// The provenance of what is behind a pointer: told where it is something special.
fn special(provenance: capture::Provenance) -> Option<Provenance> {
    match self::provenance(provenance) {
        Provenance::Live | Provenance::None => None,
        special => Some(special),
    }
}

pub(super) fn process(process: &process::Process) -> Process {
    Process {
        pid: process.id.pid,
        comm: text(&process.comm),
        exe: text(process.exe.as_os_str().as_bytes()),
    }
}

pub(super) fn coded(issue: &Issue) -> Coded {
    Coded { code: issue.kind.code().into(), text: issue.to_string() }
}

pub(super) fn trap(trap: resolved::TrapClass) -> Trap {
    match trap {
        resolved::TrapClass::Emulated => Trap::Emulated,
        resolved::TrapClass::SingleStepped => Trap::SingleStepped,
    }
}

pub(super) fn kind(kind: resolved::VariableKind) -> VariableKind {
    match kind {
        resolved::VariableKind::Parameter => VariableKind::Parameter,
        resolved::VariableKind::Local => VariableKind::Local,
        resolved::VariableKind::Global => VariableKind::Global,
    }
}

fn node(typed: &Typed, level: u32, cut: &mut bool) -> Node {
    match &typed.value {
        model::Value::Unavailable(reason) => unavailable(reason, cut).into(),
        _ if level > LEVELS_MAX => {
            let reason = Reason::new(ReasonCode::LimitDepth, "nested too deeply to write");
            unavailable(&reason, cut).into()
        }
        value => Node::Value { value: self::value(value, level, cut) },
    }
}

/// The JSON of a value that is not [`model::Value::Unavailable`].
fn value(value: &model::Value, level: u32, cut: &mut bool) -> Value {
    let mut inner = |fields: &[model::Field]| fields_of(fields, level, cut);
    match value {
        model::Value::Signed(number) => Value::Integer(Integer::Signed(*number)),
        model::Value::Unsigned(number) => Value::Integer(Integer::Unsigned(*number)),
        model::Value::Bool(truth) => Value::Bool(*truth),
        model::Value::Char { code, character } => {
            Value::Character { code: *code, character: *character }
        }
        model::Value::Float32(number) => Value::Float(widened(*number)),
        model::Value::Float64(number) => Value::Float(*number),
        model::Value::FloatText(number) => Value::Decimal(number.clone()),
        model::Value::Enumerator { name, number } => {
            Value::Enumerator { name: name.clone(), number: Integer::Signed(*number) }
        }
        model::Value::Record(fields) => Value::Record { fields: inner(fields) },
        model::Value::Union(fields) => Value::Union { union: inner(fields) },
        model::Value::Variant { name, fields } => {
            Value::Variant { variant: name.clone(), fields: inner(fields) }
        }
        model::Value::Array { items, total, cut: why } => array(items, *total, why, level, cut),
        model::Value::Map { entries, total, cut: why } => map(entries, *total, why, level, cut),
        model::Value::Noted { notes, of } => Value::Noted {
            notes: notes.iter().map(note).collect(),
            of: Box::new(written::Target {
                type_name: of.type_name.clone(),
                node: node(of, level + 1, cut),
                provenance: None,
            }),
        },
        model::Value::Pointer { address, target, provenance } => Value::Pointer {
            address: address.map(Address),
            target: Box::new(written::Target {
                type_name: target.type_name.clone(),
                node: node(target, level + 1, cut),
                provenance: special(*provenance),
            }),
        },
        model::Value::Reference { address, shown_at } => {
            Value::Reference { address: Address(*address), shown_at: shown_at.clone() }
        }
        model::Value::Address(address) => Value::Address { address: Address(*address) },
        model::Value::Function { address, name } => {
            Value::Function { address: Address(*address), function: name.clone() }
        }
        model::Value::Text { address, bytes, total, at_least, cut: why, provenance } => {
            Value::Text {
                content: match std::str::from_utf8(bytes) {
                    Ok(text) => TextContent::Text(text.to_owned()),
                    Err(_) => TextContent::Bytes(Hex(bytes.clone())),
                },
                address: address.map(Address),
                total: *total,
                at_least: *at_least,
                cut: why.as_ref().map(|why| cut_by(why, cut)),
                provenance: special(*provenance),
            }
        }
        model::Value::Nothing | model::Value::Unavailable(_) => Value::Nothing(()),
    }
}

/// The double with the digits that name `number`: 0.1 stays 0.1.
fn widened(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

fn array(
    items: &[Typed],
    total: Option<u64>,
    why: &Option<Reason>,
    level: u32,
    cut: &mut bool,
) -> Value {
    Value::Array {
        element_type: items.first().map(|item| item.type_name.clone()),
        items: items.iter().map(|it| item(it, level, cut)).collect(),
        total,
        cut: why.as_ref().map(|why| cut_by(why, cut)),
    }
}

fn item(item: &Typed, level: u32, cut: &mut bool) -> Item {
    match node(item, level + 1, cut) {
        Node::Value { value } => Item::Value(value),
        Node::Unavailable { unavailable } => Item::Unavailable { unavailable },
    }
}

fn map(
    entries: &[(Typed, Typed)],
    total: Option<u64>,
    why: &Option<Reason>,
    level: u32,
    cut: &mut bool,
) -> Value {
    let mut entry = |(key, value): &(Typed, Typed)| Entry {
        key: item(key, level, cut),
        value: item(value, level, cut),
    };
    Value::Map {
        entries: entries.iter().map(&mut entry).collect(),
        key_type: entries.first().map(|(key, _)| key.type_name.clone()),
        value_type: entries.first().map(|(_, value)| value.type_name.clone()),
        total,
        cut: why.as_ref().map(|why| cut_by(why, cut)),
    }
}

fn note((name, said): &(String, model::Said)) -> Note {
    let (number, text) = match said {
        model::Said::Number(number) => (Some(Integer::Signed(*number)), None),
        model::Said::Text(text) => (None, Some(text.clone())),
    };
    Note { name: name.clone(), number, text }
}

fn fields_of(fields: &[model::Field], level: u32, cut: &mut bool) -> Vec<Field> {
    fields
        .iter()
        .map(|field| Field {
            name: field.name.clone(),
            type_name: field.value.type_name.clone(),
            node: node(&field.value, level + 1, cut),
        })
        .collect()
}

/// Why the rest of a value is missing.
fn cut_by(reason: &Reason, cut: &mut bool) -> Box<Unavailable> {
    *cut = true;
    Box::new(unavailable(reason, cut))
}

pub(super) fn unavailable(reason: &Reason, cut: &mut bool) -> Unavailable {
    *cut |= matches!(
        reason.code,
        ReasonCode::LimitDepth
            | ReasonCode::LimitBytes
            | ReasonCode::LimitNodes
            | ReasonCode::LimitItems
            | ReasonCode::LimitSteps
            | ReasonCode::StackCut
    );
    let text = reason.code.text();
    Unavailable {
        code: reason.code.code().into(),
        text: if reason.detail.is_empty() {
            text.to_owned()
        } else {
            format!("{text} ({})", reason.detail)
        },
        remedy: Some(reason.code.remedy().into()).filter(|remedy: &Code| !remedy.is_empty()),
    }
}

pub(super) fn text(bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) => Text::Utf8(text.to_owned()),
        Err(_) => Text::Bytes { bytes: Hex(bytes.to_vec()) },
    }
}
