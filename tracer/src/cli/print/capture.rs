//! One capture: when and who, where, the stack with its variables.

use super::line::{Ink, Line, Page};
use super::source::Sources;
use super::time;
use super::value::{Row, WIDTH};
use crate::escape::Escaped;
use tracer_common::status::flags;
use tracer_core::engine::event::Armed;
use tracer_core::model::capture::{Capture, Frame, How, Provenance, StackEnd, Variable};
use tracer_core::model::reason::ReasonCode;
use tracer_core::model::resolved::{Site, SourceLine, VariableKind};

/// Everything about a hit, on as many lines as it takes.
pub(crate) fn capture(armed: &Armed, capture: &Capture, sources: &mut Sources) -> Page {
    let mut page = Page::new();
    page.line(&who(armed, capture));
    if let Some(site) = armed.resolved.sites.get(capture.site) {
        place(armed, site, &mut page);
        source_line(armed, site, sources, &mut page);
    }
    for (number, frame) in capture.frames.iter().enumerate() {
        frame_with_variables(number, frame, &mut page);
    }
    stack_end(capture, &mut page);
    limits_met(capture.flags, &mut page);
    page.blank();
    page
}

/// `2026-01-31T12:34:56.789Z  hit 1  memcached[4242], thread 4245 "worker", cpu 3`.
fn who(armed: &Armed, capture: &Capture) -> Line {
    let mut line = Line::new()
        .with(Ink::Bold, time::utc(capture.time_unix_ns))
        .with(Ink::Dim, "  hit ")
        .text(capture.hit)
        .text("  ")
        .with(Ink::Bold, Escaped::name_bytes(&armed.process.comm))
        .text("[")
        .text(capture.pid)
        .text("]")
        .with(Ink::Dim, ", thread ")
        .text(capture.tid);
    if capture.comm != armed.process.comm {
        line = line.text(" ").text(Escaped::quoted(&capture.comm));
    }
    line.with(Ink::Dim, ", cpu ").text(capture.cpu)
}

/// `billing.c:42  pc 0x55d0c0a01234 in /usr/bin/billing`, and why the pc is another one than
/// asked for.
fn place(armed: &Armed, site: &Site, page: &mut Page) {
    let mut line = Line::new()
        .with(Ink::Bold, Escaped::name(&armed.location_text))
        .with(Ink::Dim, "  pc ")
        .text(Escaped::hex(site.pc.0));
    if let Some(module) = armed.modules.get(site.module) {
        line = line.with(Ink::Dim, " in ").text(Escaped::name(&module.path));
    }
    page.line(&line);
    if site.pc != site.requested {
        let moved = Line::new()
            .with(Ink::Dim, "  instead of ")
            .with(Ink::Dim, Escaped::hex(site.requested.0))
            .with(Ink::Dim, ": ");
        page.line(&moved.with(Ink::Dim, Escaped::name(&site.why)));
    }
    if let Some(issue) = armed.modules.get(site.module).and_then(|m| m.debug_issue.as_ref()) {
        let missing = Line::new().with(Ink::Missing, "  variables may be missing: ");
        page.line(&missing.with(Ink::Missing, Escaped::name(&issue.to_string())));
    }
}

/// `    42 | total += item->price;`.
fn source_line(armed: &Armed, site: &Site, sources: &mut Sources, page: &mut Page) {
    let Some(SourceLine { file, line }) = &site.line else { return };
    let module = armed.modules.get(site.module).map(|module| module.path.as_str());
    let Some(source) = sources.line(file, *line, module) else { return };
    page.line(&source.numbered(*line));
}

/// `#0  process_payment at billing.c:42 in billing`.
fn frame_with_variables(number: usize, frame: &Frame, page: &mut Page) {
    let mut line = Line::new().with(Ink::Dim, "#").with(Ink::Dim, number).pad(4);
    line = match &frame.function {
        Some(name) => line.with(Ink::Bold, Escaped::name(name)),
        None => line.with(Ink::Dim, Escaped::hex(frame.pc.0)).text(" <unknown function>"),
    };
    if let Some(SourceLine { file, line: number }) = &frame.line {
        line = line.with(Ink::Dim, " at ").text(Escaped::name(file));
        // Line 0 is code that belongs to no line.
        if *number != 0 {
            line = line.text(":").text(*number);
        }
    }
    if let Some(module) = &frame.module {
        line = line.with(Ink::Dim, " in ").with(Ink::Dim, Escaped::name(module));
    }
    if frame.inlined {
        line = line.with(Ink::Dim, "  (inlined)");
    }
    if let How::FramePointer(why) = &frame.how {
        line = line.with(Ink::Missing, "  (by frame pointer: ");
        line = line.with(Ink::Missing, Escaped::name(why)).with(Ink::Missing, ")");
    }
    page.line(&line);
    for (kind, heading) in [(VariableKind::Parameter, "arguments"), (VariableKind::Local, "locals")]
    {
        let mut variables = frame.variables.iter().filter(|v| v.kind == kind).peekable();
        if variables.peek().is_some() {
            page.line(&Line::new().pad(4).with(Ink::Dim, heading));
        }
        for variable in variables {
            variable_tree(variable, page);
        }
    }
}

fn variable_tree(variable: &Variable, page: &mut Page) {
    let indent = Line::new().pad(6);
    let label = Line::new().with(Ink::Name, Escaped::name(&variable.name));
    let row = Row::labelled(label, &variable.value, WIDTH - indent.width());
    let row = match variable.provenance {
        Provenance::Constant => row.with(Ink::Dim, "  (constant)"),
        Provenance::Live | Provenance::None => row,
    };
    row.write(&indent, page);
}

fn stack_end(capture: &Capture, page: &mut Page) {
    let line = Line::new().pad(4);
    match &capture.stack_end {
        StackEnd::Complete => {}
        StackEnd::StackCut => page.line(&line.with(
            Ink::Missing,
            "… the stack goes on, but the copied part of it ends here; raise --stack",
        )),
        StackEnd::Lost(why) => page.line(
            &line
                .with(Ink::Missing, "… the stack may go on; the caller was not found: ")
                .with(Ink::Missing, Escaped::name(why)),
        ),
    }
}

/// Limits of the whole hit: what they cut may be missing anywhere above.
fn limits_met(met: u16, page: &mut Page) {
    for (flag, code) in [
        (flags::LIMIT_BYTES, ReasonCode::LimitBytes),
        (flags::LIMIT_NODES, ReasonCode::LimitNodes),
        (flags::LIMIT_STEPS, ReasonCode::LimitSteps),
    ] {
        if met & flag != 0 {
            let line = Line::new().with(Ink::Missing, "limit: ").with(Ink::Missing, code.text());
            page.line(&line.with(Ink::Missing, "; ").with(Ink::Missing, code.remedy()));
        }
    }
}
