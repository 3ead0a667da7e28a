//! One capture: when and who, where, the stack with its variables.

use super::callers;
use super::line::{Ink, Line, Page};
use super::source::{Sources, at};
use super::time;
use super::value::{Row, WIDTH, special};
use crate::api::types::{
    Armed, CaptureLine, Code, Frame, How, OtherPc, Site, StackEnd, StackEndCode, Variable,
    VariableKind,
};
use crate::escape::Escaped;
use tracer_core::model::reason::ReasonCode;

/// Everything about a hit of `armed`, on as many lines as it takes.
pub(crate) fn capture(armed: &Armed, capture: &CaptureLine, sources: &mut Sources) -> Page {
    let mut page = Page::new();
    page.line(&who(armed, capture));
    place(&capture.site, &mut page);
    source_line(armed, &capture.site, sources, &mut page);
    for (number, frame) in capture.frames.iter().enumerate() {
        frame_with_variables(number, frame, &mut page);
    }
    stack_end(&capture.stack_end, &mut page);
    limits_met(&capture.limits_met, &mut page);
    page.blank();
    page
}

/// `2026-01-31T12:34:56.789Z  hit 1  memcached[4242], thread 4245 "worker", cpu 3`.
fn who(armed: &Armed, capture: &CaptureLine) -> Line {
    let (process, thread) = (&armed.target, &capture.target);
    let mut line = Line::new()
        .with(Ink::Bold, time::utc(capture.time_unix_ns.0))
        .with(Ink::Dim, "  hit ")
        .text(capture.site.hit)
        .text("  ")
        .with(Ink::Bold, Escaped::name_bytes(process.comm.bytes()))
        .text("[")
        .text(thread.pid)
        .text("]")
        .with(Ink::Dim, ", thread ")
        .text(thread.tid);
    if thread.comm.bytes() != process.comm.bytes() {
        line = line.text(" ").text(Escaped::quoted(thread.comm.bytes()));
    }
    line.with(Ink::Dim, ", cpu ").text(thread.cpu)
}

/// `billing.c:42  pc 0x55d0c0a01234 in /usr/bin/billing`, and why the pc is another one than
/// asked for.
fn place(site: &Site, page: &mut Page) {
    let Some(pc) = site.pc else { return };
    let mut line = Line::new()
        .with(Ink::Bold, Escaped::name(&site.requested))
        .with(Ink::Dim, "  pc ")
        .text(Escaped::hex(pc.0));
    if let Some(module) = &site.module {
        line = line.with(Ink::Dim, " in ").text(Escaped::name(module));
    }
    page.line(&line);
    if let Some(requested) = site.requested_pc.filter(|requested| *requested != pc) {
        let moved = Line::new()
            .with(Ink::Dim, "  instead of ")
            .with(Ink::Dim, Escaped::hex(requested.0))
            .with(Ink::Dim, ": ");
        page.line(&moved.with(Ink::Dim, Escaped::name(&site.why)));
    }
    callers::inlined_into(&site.inlined_into, page);
    if let Some(issue) = &site.debug_issue {
        let missing = Line::new().with(Ink::Missing, "  variables may be missing: ");
        page.line(&missing.with(Ink::Missing, Escaped::name(&issue.text)));
    }
}

/// `    42 | total += item->price;`.
fn source_line(armed: &Armed, hit: &Site, sources: &mut Sources, page: &mut Page) {
    let same = (hit.requested_pc, hit.pc);
    let site = armed.sites.iter().find(|site| (Some(site.requested_pc), Some(site.pc)) == same);
    let Some(site) = site else { return };
    let (Some(file), Some(line)) = (&site.file, site.line) else { return };
    let Some(source) = sources.line(file, line, site.module.as_deref()) else { return };
    page.line(&source.numbered(line));
}

/// `#0  process_payment at billing.c:42 in billing`.
fn frame_with_variables(number: usize, frame: &Frame, page: &mut Page) {
    let mut line = Line::new().with(Ink::Dim, "#").with(Ink::Dim, number).pad(4);
    line = match &frame.function {
        Some(name) => line.with(Ink::Bold, Escaped::name(name)),
        None => line.with(Ink::Dim, Escaped::hex(frame.pc.0)).text(" <unknown function>"),
    };
    if let Some(file) = &frame.file {
        line = line.with(Ink::Dim, " at ").and(at(file, frame.line));
    }
    if let Some(module) = &frame.module {
        line = line.with(Ink::Dim, " in ").with(Ink::Dim, Escaped::name(module));
    }
    if frame.inlined {
        line = line.with(Ink::Dim, "  (inlined)");
    }
    if frame.how == How::FramePointer {
        let why = frame.how_detail.as_deref().unwrap_or_default();
        line = line.with(Ink::Missing, "  (by frame pointer: ");
        line = line.with(Ink::Missing, Escaped::name(why)).with(Ink::Missing, ")");
    }
    page.line(&line);
    for (kind, heading) in [
        (VariableKind::Parameter, "arguments"),
        (VariableKind::Local, "locals"),
        (VariableKind::Global, "globals"),
    ] {
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
    let row = Row::labelled(label, &variable.type_name, &variable.node, WIDTH - indent.width());
    let row = match (&variable.moved, special(variable.provenance)) {
        (Some(other), _) => {
            let row = row.with(Ink::Dim, "  (").with(Ink::Dim, other_pc(other));
            row.with(Ink::Dim, ")")
        }
        (None, Some(special)) => {
            row.with(Ink::Dim, "  (").with(Ink::Dim, special).with(Ink::Dim, ")")
        }
        (None, None) => row,
    };
    row.write(&indent, page);
}

/// `as it was at main.c:41 (*0x401136)`.
fn other_pc(other: &OtherPc) -> Escaped {
    let when = "as it was at";
    let pc = format!("*{:#x}", other.pc.0);
    match (&other.file, other.line) {
        (Some(file), Some(line)) => {
            let file = file.rsplit('/').next().unwrap_or(file);
            Escaped::name(&format!("{when} {file}:{line}, {pc}"))
        }
        _ => Escaped::name(&format!("{when} {pc}")),
    }
}

fn stack_end(end: &StackEnd, page: &mut Page) {
    let line = Line::new().pad(4);
    match end.code {
        StackEndCode::Complete => {}
        StackEndCode::StackCut => page.line(&line.with(
            Ink::Missing,
            "… the stack goes on, but the copied part of it ends here; raise --stack",
        )),
        StackEndCode::Lost => page.line(
            &line
                .with(Ink::Missing, "… the stack may go on; the caller was not found: ")
                .with(Ink::Missing, Escaped::name(&end.text)),
        ),
    }
}

/// Limits of the whole hit: what they cut may be missing anywhere above.
fn limits_met(met: &[Code], page: &mut Page) {
    for limit in [ReasonCode::LimitBytes, ReasonCode::LimitNodes, ReasonCode::LimitSteps] {
        if met.iter().any(|code| code == limit.code()) {
            let line = Line::new().with(Ink::Missing, "limit: ").with(Ink::Missing, limit.text());
            page.line(&line.with(Ink::Missing, "; ").with(Ink::Missing, limit.remedy()));
        }
    }
}
