//! From the model's nouns to the JSON lines: nothing is decided here, only written down.

use super::types::{
    CaptureLine, CheckLine, Coded, DOCTOR, FIND, FoundLine, Frame, Outcomes, SNAPSHOT, Site,
    Summary, SummaryLine, Target, Text, Variable,
};
use super::value::{Field, Integer, Item, Node, TextContent, Unavailable, Value};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use tracer_common::outcome::Outcome;
use tracer_common::status::flags;
use tracer_core::engine::event::{self, Armed, Ended};
use tracer_core::engine::findings::{Check, CheckStatus, Found};
use tracer_core::model::capture::{Capture, How, Provenance, StackEnd};
use tracer_core::model::reason::{Reason, ReasonCode};
use tracer_core::model::resolved::VariableKind;
use tracer_core::model::value::{self as model, Typed};
use tracer_core::model::{capture, value};

/// Levels of a value that are written; the decoder's own limits lie far below. It keeps a value
/// that breaks them from overflowing the stack.
const LEVELS_MAX: u32 = 512;

/// The line of a capture. `seq` counts the captures of `probe` from 1.
pub fn capture(
    probe: &str,
    seq: u64,
    armed: &Armed,
    capture: &Capture,
    outcomes: &BTreeMap<Outcome, u64>,
) -> CaptureLine {
    CaptureLine {
        schema: SNAPSHOT,
        probe: probe.to_owned(),
        seq,
        time_unix_ns: capture.time_unix_ns.to_string(),
        target: Target {
            pid: capture.pid,
            tid: capture.tid,
            cpu: capture.cpu,
            comm: text(&capture.comm),
            exe: text(armed.process.exe.as_os_str().as_bytes()),
            start_time: capture.start_boot_ns.to_string(),
        },
        site: site(armed, capture),
        frames: capture.frames.iter().map(frame).collect(),
        stack_end: stack_end(&capture.stack_end),
        limits_met: limits_met(capture.flags),
        outcomes: outcome_counts(outcomes),
    }
}

/// The last line. `written` counts the capture lines before it.
pub fn summary(probe: &str, written: u64, summary: &event::Summary) -> SummaryLine {
    SummaryLine {
        schema: SNAPSHOT,
        probe: probe.to_owned(),
        summary: Summary {
            hits: summary.hits,
            outcomes: outcome_counts(&summary.outcomes),
            kernel_misses: summary.kernel_misses,
            received: summary.received,
            malformed: summary.malformed,
            written,
            text_restored: summary.text_restored,
            ended: match summary.ended {
                Ended::Complete => "complete",
                Ended::Timeout => "timeout",
                Ended::Stopped => "stopped",
                Ended::ProcessGone => "process_gone",
                Ended::CodeGone => "code_gone",
            },
        },
    }
}

/// The line of a function that was found.
pub fn found(found: &Found) -> FoundLine {
    FoundLine {
        schema: FIND,
        function: found.function.clone(),
        module: found.module.clone(),
        address: hex(found.address.0),
        file_address: hex(found.svma.0),
        file: found.line.as_ref().map(|line| line.file.clone()),
        line: found.line.as_ref().and_then(|line| known_line(line.line)),
    }
}

/// The line of a check.
pub fn check(check: &Check) -> CheckLine {
    CheckLine {
        schema: DOCTOR,
        name: check.name.clone(),
        status: match check.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "fail",
        },
        detail: check.detail.clone(),
        remedy: Some(check.remedy.clone()).filter(|remedy| !remedy.is_empty()),
    }
}

/// All outcomes, zeros too: a missing one would leave open whether it was counted.
fn outcome_counts(outcomes: &BTreeMap<Outcome, u64>) -> Outcomes {
    let count = |outcome| outcomes.get(outcome).copied().unwrap_or(0);
    Outcome::ALL.iter().map(|outcome| (outcome.code(), count(outcome))).collect()
}

fn site(armed: &Armed, capture: &Capture) -> Site {
    let site = armed.resolved.sites.get(capture.site);
    let module = site.and_then(|site| armed.modules.get(site.module));
    Site {
        requested: armed.location_text.clone(),
        requested_pc: site.map(|site| hex(site.requested.0)),
        pc: site.map(|site| hex(site.pc.0)),
        module: module.map(|module| module.path.clone()),
        build_id: module.and_then(|module| module.build_id.clone()),
        why: site.map(|site| site.why.clone()).unwrap_or_default(),
        debug_issue: module
            .and_then(|module| module.debug_issue.as_ref())
            .map(|issue| Coded { code: issue.kind.code(), text: issue.to_string() }),
        hit: capture.hit,
    }
}

fn frame(frame: &capture::Frame) -> Frame {
    let (how, how_detail) = match &frame.how {
        How::Registers => ("registers", None),
        How::Cfi => ("cfi", None),
        How::FramePointer(why) => ("frame_pointer", Some(why.clone())),
    };
    Frame {
        pc: hex(frame.pc.0),
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

fn stack_end(end: &StackEnd) -> Coded {
    match end {
        StackEnd::Complete => {
            Coded { code: "complete", text: "the outermost frame was reached".to_owned() }
        }
        StackEnd::StackCut => Coded {
            code: "stack_cut",
            text: "the copied part of the stack ends here; raise --stack".to_owned(),
        },
        StackEnd::Lost(why) => Coded { code: "lost", text: why.clone() },
    }
}

fn limits_met(met: u16) -> Vec<&'static str> {
    [
        (flags::LIMIT_BYTES, ReasonCode::LimitBytes.code()),
        (flags::LIMIT_NODES, ReasonCode::LimitNodes.code()),
        (flags::LIMIT_DEPTH, ReasonCode::LimitDepth.code()),
        (flags::LIMIT_STEPS, ReasonCode::LimitSteps.code()),
    ]
    .into_iter()
    .filter(|(flag, _)| met & flag != 0)
    .map(|(_, code)| code)
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
        provenance: match variable.provenance {
            Provenance::Live => "live",
            Provenance::Constant => "constant",
            Provenance::None => "none",
        },
        truncated: cut,
    }
}

pub(super) fn kind(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::Parameter => "parameter",
        VariableKind::Local => "local",
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
        model::Value::Float32(number) => Value::Float32(*number),
        model::Value::Float64(number) => Value::Float64(*number),
        model::Value::FloatText(number) => Value::FloatText(number.clone()),
        model::Value::Enumerator { name, number } => {
            Value::Enumerator { name: name.clone(), number: Integer::Signed(*number) }
        }
        model::Value::Record(fields) => Value::Record { fields: inner(fields) },
        model::Value::Union(fields) => Value::Union { union: inner(fields) },
        model::Value::Variant { name, fields } => {
            Value::Variant { variant: name.clone(), fields: inner(fields) }
        }
        model::Value::Array { items, total, cut: why } => array(items, *total, why, level, cut),
        model::Value::Pointer { address, target } => Value::Pointer {
            address: hex(*address),
            target: Box::new(super::value::Target {
                type_name: target.type_name.clone(),
                node: node(target, level + 1, cut),
            }),
        },
        model::Value::Reference { address, shown_at } => {
            Value::Reference { address: hex(*address), shown_at: shown_at.clone() }
        }
        model::Value::Address(address) => Value::Address { address: hex(*address) },
        model::Value::Function { address, name } => {
            Value::Function { address: hex(*address), function: name.clone() }
        }
        model::Value::Text { address, bytes, total, at_least, cut: why } => Value::Text {
            content: match std::str::from_utf8(bytes) {
                Ok(text) => TextContent::Text(text.to_owned()),
                Err(_) => TextContent::Bytes(hex_bytes(bytes)),
            },
            address: address.map(hex),
            total: *total,
            at_least: *at_least,
            cut: why.as_ref().map(|why| cut_by(why, cut)),
        },
        model::Value::Nothing | model::Value::Unavailable(_) => Value::Nothing(()),
    }
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
        items: items
            .iter()
            .map(|item| match node(item, level + 1, cut) {
                Node::Value { value } => Item::Value(value),
                Node::Unavailable { unavailable } => Item::Unavailable { unavailable },
            })
            .collect(),
        total,
        cut: why.as_ref().map(|why| cut_by(why, cut)),
    }
}

fn fields_of(fields: &[value::Field], level: u32, cut: &mut bool) -> Vec<Field> {
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
fn cut_by(reason: &Reason, cut: &mut bool) -> Unavailable {
    *cut = true;
    unavailable(reason, cut)
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
        code: reason.code.code(),
        text: if reason.detail.is_empty() {
            text.to_owned()
        } else {
            format!("{text} ({})", reason.detail)
        },
        remedy: Some(reason.code.remedy()).filter(|remedy| !remedy.is_empty()),
    }
}

pub(super) fn text(bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) => Text::Utf8(text.to_owned()),
        Err(_) => Text::Bytes { bytes: hex_bytes(bytes) },
    }
}

pub(super) fn hex(address: u64) -> String {
    format!("{address:#x}")
}

fn hex_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
