//! Values: on one line where they fit, as a tree where they don't.

use super::line::{Ink, Line, Page};
use crate::escape::Escaped;
use tracer_core::model::reason::{Reason, ReasonCode};
use tracer_core::model::value::{Field, Typed, Value};

/// Columns that lines aim at.
pub(crate) const WIDTH: usize = 100;
/// Levels that are printed; the decoder's own limits lie far below.
const LEVELS_MAX: u32 = 512;

/// A row with the rows below it.
#[derive(Debug)]
pub(crate) struct Row {
    line: Line,
    below: Vec<Row>,
}

impl Row {
    /// `label: type = value`, broken into a tree if it is wider than `width`.
    pub(crate) fn labelled(label: Line, typed: &Typed, width: usize) -> Self {
        Self::new(label, Some(&typed.type_name), &typed.value, width, 0)
    }

    /// `text` behind the row.
    #[must_use]
    pub(crate) fn with(mut self, ink: Ink, text: impl Into<Escaped>) -> Self {
        self.line.push(ink, text);
        self
    }

    /// Writes the row and all below it; `indent` stands before each line.
    pub(crate) fn write(&self, indent: &Line, page: &mut Page) {
        page.line(&indent.clone().and(self.line.clone()));
        self.write_below(indent, page);
    }

    fn write_below(&self, indent: &Line, page: &mut Page) {
        for (index, row) in self.below.iter().enumerate() {
            let last = index + 1 == self.below.len();
            let branch = indent.clone().with(Ink::Dim, if last { "└─ " } else { "├─ " });
            page.line(&branch.and(row.line.clone()));
            let deeper = indent.clone().with(Ink::Dim, if last { "   " } else { "│  " });
            row.write_below(&deeper, page);
        }
    }

    fn leaf(line: Line) -> Self {
        Self { line, below: Vec::new() }
    }

    fn new(label: Line, type_name: Option<&str>, value: &Value, width: usize, level: u32) -> Self {
        let mut line = label;
        if let Some(name) = type_name.filter(|name| !name.is_empty()) {
            line = line.with(Ink::Dim, ": ").with(Ink::Dim, Escaped::name(name));
        }
        line = line.text(" =");
        let left = width.saturating_sub(line.width() + 1);
        if let Some(short) = short(value, left, level) {
            return Self::leaf(line.text(" ").and(short));
        }
        let (head, below) = expand(value, width.saturating_sub(3), level);
        let line = if head.width() == 0 { line } else { line.text(" ").and(head) };
        Self { line, below }
    }
}

/// The value on one line of at most `width` columns; `None` if it is wider. A value that has no
/// parts is always on one line.
fn short(value: &Value, width: usize, level: u32) -> Option<Line> {
    let line = match value {
        _ if level > LEVELS_MAX => return Some(too_deep()),
        Value::Record(fields) => members(Line::new(), fields, width, level)?,
        Value::Union(fields) => members(Line::new().text("union "), fields, width, level)?,
        Value::Variant { name, fields } => {
            let name = Line::new().with(Ink::Value, Escaped::name(name));
            if fields.is_empty() { name } else { members(name.text(" "), fields, width, level)? }
        }
        Value::Array { items, total, cut } => elements(items, *total, cut, width, level)?,
        Value::Pointer { address, target } => {
            let arrow = pointer(*address);
            let left = width.checked_sub(arrow.width())?;
            arrow.and(short(&target.value, left, level + 1)?)
        }
        whole => return Some(scalar(whole)),
    };
    Some(line).filter(|line| line.width() <= width)
}

/// `{a = 1, b = "x"}` behind `line`.
fn members(line: Line, fields: &[Field], width: usize, level: u32) -> Option<Line> {
    let mut line = line.text("{");
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            line.push(Ink::Plain, ", ");
        }
        // What an anonymous member holds reads as if it were the record's own.
        if field.name.is_some() {
            line = line.and(member_name(field)).text(" = ");
        }
        let left = width.checked_sub(line.width())?;
        line.append(short(&field.value.value, left, level + 1)?);
        // A long text without parts does not break itself; the record around it does.
        if line.width() > width {
            return None;
        }
    }
    Some(line.text("}"))
}

/// `[1, 2, … 88 more; raise --max-items]`.
fn elements(
    items: &[Typed],
    total: Option<u64>,
    cut: &Option<Reason>,
    width: usize,
    level: u32,
) -> Option<Line> {
    let mut line = Line::new().text("[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            line.push(Ink::Plain, ", ");
        }
        let left = width.checked_sub(line.width())?;
        line.append(short(&item.value, left, level + 1)?);
        if line.width() > width {
            return None;
        }
    }
    if let Some(rest) = rest(items.len(), total, cut) {
        if !items.is_empty() {
            line.push(Ink::Plain, ", ");
        }
        line.append(rest);
    }
    Some(line.text("]"))
}

/// The value as a tree: what stands on the row itself, and the rows below.
fn expand(value: &Value, width: usize, level: u32) -> (Line, Vec<Row>) {
    match value {
        _ if level > LEVELS_MAX => (too_deep(), Vec::new()),
        Value::Record(fields) => (Line::new(), rows(fields, width, level)),
        Value::Union(fields) => (Line::new().text("union"), rows(fields, width, level)),
        Value::Variant { name, fields } => {
            (Line::new().with(Ink::Value, Escaped::name(name)), rows(fields, width, level))
        }
        Value::Array { items, total, cut } => {
            (Line::new(), element_rows(items, *total, cut, width, level))
        }
        Value::Pointer { address, target } => {
            let (head, below) = expand(&target.value, width, level + 1);
            let arrow = Line::new().with(Ink::Dim, Escaped::hex(*address)).text(" ->");
            (if head.width() == 0 { arrow } else { arrow.text(" ").and(head) }, below)
        }
        whole => (scalar(whole), Vec::new()),
    }
}

fn rows(fields: &[Field], width: usize, level: u32) -> Vec<Row> {
    let row = |field: &Field| {
        let typed = &field.value;
        Row::new(member_name(field), Some(&typed.type_name), &typed.value, width, level + 1)
    };
    fields.iter().map(row).collect()
}

/// Elements that are short share rows, each of which starts with the index of its first element;
/// others have a row of their own.
fn element_rows(
    items: &[Typed],
    total: Option<u64>,
    cut: &Option<Reason>,
    width: usize,
    level: u32,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut shared: Option<Line> = None;
    for (index, item) in items.iter().enumerate() {
        let label = || Line::new().with(Ink::Dim, "[").with(Ink::Dim, index).with(Ink::Dim, "]");
        let simple = if is_simple(&item.value) { Some(scalar(&item.value)) } else { None };
        let Some(simple) = simple else {
            rows.extend(shared.take().map(Row::leaf));
            rows.push(Row::new(label(), None, &item.value, width, level + 1));
            continue;
        };
        shared = Some(match shared.take() {
            Some(line) if line.width() + simple.width() + 2 <= width => line.text(", ").and(simple),
            full => {
                rows.extend(full.map(Row::leaf));
                label().text(" ").and(simple)
            }
        });
    }
    rows.extend(shared.map(Row::leaf));
    rows.extend(rest(items.len(), total, cut).map(Row::leaf));
    rows
}

fn is_simple(value: &Value) -> bool {
    matches!(
        value,
        Value::Signed(_)
            | Value::Unsigned(_)
            | Value::Bool(_)
            | Value::Char { .. }
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::FloatText(_)
            | Value::Enumerator { .. }
            | Value::Address(_)
            | Value::Nothing
    )
}

/// A value without parts.
fn scalar(value: &Value) -> Line {
    let line = Line::new();
    match value {
        Value::Signed(number) => line.with(Ink::Value, *number),
        Value::Unsigned(number) => line.with(Ink::Value, *number),
        Value::Bool(truth) => line.with(Ink::Value, if *truth { "true" } else { "false" }),
        Value::Char { code, character } => {
            let number = i128::from(*code);
            match character {
                Some(character) => line
                    .with(Ink::Value, Escaped::quoted_char(*character))
                    .with(Ink::Dim, " (")
                    .with(Ink::Dim, number)
                    .with(Ink::Dim, ")"),
                None => line.with(Ink::Value, number),
            }
        }
        Value::Float32(number) => line.with(Ink::Value, *number),
        Value::Float64(number) => line.with(Ink::Value, *number),
        Value::FloatText(number) => line.with(Ink::Value, Escaped::name(number)),
        Value::Enumerator { name: Some(name), number } => line
            .with(Ink::Value, Escaped::name(name))
            .with(Ink::Dim, " (")
            .with(Ink::Dim, *number)
            .with(Ink::Dim, ")"),
        Value::Enumerator { name: None, number } => {
            line.with(Ink::Value, *number).with(Ink::Dim, " (no enumerator)")
        }
        Value::Reference { address, shown_at } => {
            pointer(*address).with(Ink::Dim, "shown at ").text(Escaped::name(shown_at))
        }
        Value::Address(0) => line.with(Ink::Value, "null"),
        Value::Address(address) => line.with(Ink::Value, Escaped::hex(*address)),
        Value::Function { address, name } => {
            let line = line.with(Ink::Dim, Escaped::hex(*address)).text(" <");
            match name {
                Some(name) => line.with(Ink::Value, Escaped::name(name)),
                None => line.text("unknown function"),
            }
            .text(">")
        }
        Value::Text { bytes, total, at_least, cut, .. } => text(bytes, *total, *at_least, cut),
        Value::Nothing => line.with(Ink::Dim, "void"),
        Value::Unavailable(reason) => unavailable(reason),
        // These have parts; `expand` and `short` take them apart.
        Value::Record(_) | Value::Union(_) => line.text("{…}"),
        Value::Variant { name, .. } => line.with(Ink::Value, Escaped::name(name)).text(" {…}"),
        Value::Array { .. } => line.text("[…]"),
        Value::Pointer { address, .. } => pointer(*address).text("…"),
    }
}

/// `"the text"… of 4000 bytes; raise --max-string`.
fn text(bytes: &[u8], total: Option<u64>, at_least: bool, cut: &Option<Reason>) -> Line {
    let mut line = Line::new().with(Ink::Value, Escaped::quoted(bytes));
    if total.is_none() && cut.is_none() {
        return line;
    }
    line.push(Ink::Missing, "…");
    if let Some(total) = total {
        line.push(Ink::Missing, if at_least { " of at least " } else { " of " });
        line.push(Ink::Missing, total);
        line.push(Ink::Missing, " bytes");
    }
    match cut {
        Some(reason) => line.and(why(reason)),
        None => line,
    }
}

/// `… 88 more; raise --max-items`, if elements are missing.
fn rest(shown: usize, total: Option<u64>, cut: &Option<Reason>) -> Option<Line> {
    let missing = total.map(|total| total.saturating_sub(shown as u64));
    let mut line = Line::new().with(Ink::Missing, "… ");
    match (missing, cut) {
        (Some(0), None) => return None,
        (Some(missing), _) if missing > 0 => line = line.with(Ink::Missing, missing).text(" more"),
        // A flexible array: debug info does not say where it ends.
        (None, None) => line.push(Ink::Missing, "length unknown"),
        _ => line.push(Ink::Missing, "more"),
    }
    Some(match cut {
        Some(reason) => line.and(why(reason)),
        None => line,
    })
}

/// `; raise --max-items` where that says it all, else the whole reason.
fn why(reason: &Reason) -> Line {
    let line = Line::new().with(Ink::Missing, "; ");
    match reason.code {
        ReasonCode::LimitItems => line.with(Ink::Missing, reason.code.remedy()),
        _ => line.with(Ink::Missing, Escaped::name(&reason.to_string())),
    }
}

fn too_deep() -> Line {
    unavailable(&Reason::new(ReasonCode::LimitDepth, "nested too deeply to print; see --json"))
}

/// `<unavailable: reason; what to do>`.
fn unavailable(reason: &Reason) -> Line {
    Line::new()
        .with(Ink::Missing, "<unavailable: ")
        .with(Ink::Missing, Escaped::name(&reason.to_string()))
        .with(Ink::Missing, ">")
}

fn pointer(address: u64) -> Line {
    Line::new().with(Ink::Dim, Escaped::hex(address)).text(" -> ")
}

fn member_name(field: &Field) -> Line {
    match &field.name {
        Some(name) => Line::new().with(Ink::Name, Escaped::name(name)),
        None => Line::new().with(Ink::Dim, "<anonymous>"),
    }
}
