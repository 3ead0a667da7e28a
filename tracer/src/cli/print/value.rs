//! Values: on one line where they fit, as a tree where they don't.

use super::line::{Ink, Line, Page};
use crate::api::scalar::{Address, Integer};
use crate::api::types::Provenance;
use crate::api::value::{Entry, Field, Item, Node, Note, Unavailable, Value};
use crate::escape::Escaped;
use tracer_core::model::reason::ReasonCode;

/// Columns that lines aim at.
pub(crate) const WIDTH: usize = 100;

/// A value, or why there is none: of a variable, a member or an element.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Value(&'a Value),
    Unavailable(&'a Unavailable),
}

impl<'a> From<&'a Node> for Shown<'a> {
    fn from(node: &'a Node) -> Self {
        match node {
            Node::Value { value } => Self::Value(value),
            Node::Unavailable { unavailable } => Self::Unavailable(unavailable),
        }
    }
}

impl<'a> From<&'a Item> for Shown<'a> {
    fn from(item: &'a Item) -> Self {
        match item {
            Item::Value(value) => Self::Value(value),
            Item::Unavailable { unavailable } => Self::Unavailable(unavailable),
        }
    }
}

/// A row with the rows below it.
#[derive(Debug)]
pub(crate) struct Row {
    line: Line,
    below: Vec<Row>,
}

impl Row {
    /// `label: type = value`, broken into a tree if it is wider than `width`.
    pub(crate) fn labelled(label: Line, type_name: &str, node: &Node, width: usize) -> Self {
        Self::new(label, Some(type_name), node.into(), width)
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

    fn new(label: Line, type_name: Option<&str>, shown: Shown<'_>, width: usize) -> Self {
        let mut line = label;
        if let Some(name) = type_name.filter(|name| !name.is_empty()) {
            line = line.with(Ink::Dim, ": ").with(Ink::Dim, Escaped::name(name));
        }
        line = line.text(" =");
        let left = width.saturating_sub(line.width() + 1);
        if let Some(short) = short(shown, left) {
            return Self::leaf(line.text(" ").and(short));
        }
        let (head, below) = expand(shown, width.saturating_sub(3));
        let line = if head.width() == 0 { line } else { line.text(" ").and(head) };
        Self { line, below }
    }
}

/// The value on one line of at most `width` columns; `None` if it is wider. A value that has no
/// parts is always on one line.
fn short(shown: Shown<'_>, width: usize) -> Option<Line> {
    let value = match shown {
        Shown::Value(value) => value,
        Shown::Unavailable(reason) => return Some(unavailable(reason)),
    };
    let line = match value {
        Value::Record { fields } if is_tuple(fields) => tuple(Line::new(), fields, width)?,
        Value::Record { fields } => members(Line::new(), fields, width)?,
        Value::Union { union } => members(Line::new().text("union "), union, width)?,
        Value::Variant { variant, fields } => {
            let name = Line::new().with(Ink::Value, Escaped::name(variant));
            match fields.as_slice() {
                [] => name,
                fields if is_tuple(fields) => tuple(name, fields, width)?,
                fields => members(name.text(" "), fields, width)?,
            }
        }
        Value::Array { items, total, cut, .. } => elements(items, *total, cut.as_deref(), width)?,
        Value::Map { entries, total, cut, .. } => map(entries, *total, cut.as_deref(), width)?,
        Value::Noted { notes: said, of } => {
            short((&of.node).into(), width)?.text(" ").and(notes(said))
        }
        Value::Pointer { address, target } => {
            let arrow = pointer(*address);
            let left = width.checked_sub(arrow.width())?;
            let line = arrow.and(short((&target.node).into(), left)?);
            marked(line, target.provenance)
        }
        whole => return Some(scalar(whole)),
    };
    Some(line).filter(|line| line.width() <= width)
}

/// `{a = 1, b = "x"}` behind `line`.
fn members(line: Line, fields: &[Field], width: usize) -> Option<Line> {
    let mut line = line.text("{");
    for (index, field) in fields.iter().filter(|field| !is_empty_base(field)).enumerate() {
        if index > 0 {
            line.push(Ink::Plain, ", ");
        }
        // What an anonymous member holds reads as if it were the record's own.
        if field.name.is_some() {
            line = line.and(member_name(field)).text(" = ");
        }
        let left = width.checked_sub(line.width())?;
        line.append(short((&field.node).into(), left)?);
        // A long text without parts does not break itself; the record around it does.
        if line.width() > width {
            return None;
        }
    }
    Some(line.text("}"))
}

/// Whether members are told apart by their place alone: `__0`, `__1`.
fn is_tuple(fields: &[Field]) -> bool {
    let is_placed = |(index, field): (usize, &Field)| {
        let number = field.name.as_deref().and_then(|name| name.strip_prefix("__"));
        number.is_some_and(|number| number.parse() == Ok(index))
    };
    !fields.is_empty() && fields.iter().enumerate().all(is_placed)
}

/// `(1, 2)` behind `line`.
fn tuple(line: Line, fields: &[Field], width: usize) -> Option<Line> {
    let mut line = line.text("(");
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            line.push(Ink::Plain, ", ");
        }
        let left = width.checked_sub(line.width())?;
        line.append(short((&field.node).into(), left)?);
        if line.width() > width {
            return None;
        }
    }
    Some(line.text(")"))
}

/// `{"a": 1, … 88 more; raise --max-items}`.
fn map(
    entries: &[Entry],
    total: Option<u64>,
    cut: Option<&Unavailable>,
    width: usize,
) -> Option<Line> {
    let mut line = Line::new().text("{");
    for (index, Entry { key, value }) in entries.iter().enumerate() {
        if index > 0 {
            line.push(Ink::Plain, ", ");
        }
        for (shown, end) in [(key, ": "), (value, "")] {
            let left = width.checked_sub(line.width())?;
            line.append(short(shown.into(), left)?);
            line.push(Ink::Plain, end);
        }
        if line.width() > width {
            return None;
        }
    }
    if let Some(rest) = rest(entries.len(), total, cut) {
        if !entries.is_empty() {
            line.push(Ink::Plain, ", ");
        }
        line.append(rest);
    }
    Some(line.text("}"))
}

/// `(capacity 8, strong 2)`.
fn notes(notes: &[Note]) -> Line {
    let mut line = Line::new().with(Ink::Dim, "(");
    for (index, note) in notes.iter().enumerate() {
        if index > 0 {
            line.push(Ink::Dim, ", ");
        }
        line.push(Ink::Dim, Escaped::name(&note.name));
        if let Some(number) = note.number {
            line = line.with(Ink::Dim, " ").with(Ink::Dim, integer(number));
        }
        if let Some(text) = &note.text {
            line = line.with(Ink::Dim, " ").with(Ink::Dim, Escaped::name(text));
        }
    }
    line.with(Ink::Dim, ")")
}

/// `[1, 2, … 88 more; raise --max-items]`.
fn elements(
    items: &[Item],
    total: Option<u64>,
    cut: Option<&Unavailable>,
    width: usize,
) -> Option<Line> {
    let mut line = Line::new().text("[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            line.push(Ink::Plain, ", ");
        }
        let left = width.checked_sub(line.width())?;
        line.append(short(item.into(), left)?);
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
fn expand(shown: Shown<'_>, width: usize) -> (Line, Vec<Row>) {
    let value = match shown {
        Shown::Value(value) => value,
        Shown::Unavailable(reason) => return (unavailable(reason), Vec::new()),
    };
    match value {
        Value::Record { fields } => (Line::new(), rows(fields, width)),
        Value::Union { union } => (Line::new().text("union"), rows(union, width)),
        Value::Variant { variant, fields } => {
            (Line::new().with(Ink::Value, Escaped::name(variant)), rows(fields, width))
        }
        Value::Array { items, total, cut, .. } => {
            (Line::new(), element_rows(items, *total, cut.as_deref(), width))
        }
        Value::Map { entries, total, cut, .. } => {
            (Line::new(), entry_rows(entries, *total, cut.as_deref(), width))
        }
        Value::Noted { notes: said, of } => {
            let (head, below) = expand((&of.node).into(), width);
            let said = notes(said);
            (if head.width() == 0 { said } else { head.text(" ").and(said) }, below)
        }
        Value::Pointer { address, target } => {
            let (head, below) = expand((&target.node).into(), width);
            let arrow = of_pointer(*address).text(" ->");
            let arrow = marked(arrow, target.provenance);
            (if head.width() == 0 { arrow } else { arrow.text(" ").and(head) }, below)
        }
        whole => (scalar(whole), Vec::new()),
    }
}

fn rows(fields: &[Field], width: usize) -> Vec<Row> {
    let row = |field: &Field| {
        Row::new(member_name(field), Some(&field.type_name), (&field.node).into(), width)
    };
    fields.iter().filter(|field| !is_empty_base(field)).map(row).collect()
}

/// A class without members has nothing to show as a part of another one.
fn is_empty_base(field: &Field) -> bool {
    let has_none = |value: &Value| match value {
        Value::Record { fields } => fields.iter().all(is_empty_base),
        _ => false,
    };
    field.name.is_none() && matches!(&field.node, Node::Value { value } if has_none(value))
}

/// Elements that are short share rows, each of which starts with the index of its first element;
/// others have a row of their own.
fn element_rows(
    items: &[Item],
    total: Option<u64>,
    cut: Option<&Unavailable>,
    width: usize,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut shared: Option<Line> = None;
    for (index, item) in items.iter().enumerate() {
        let label = || Line::new().with(Ink::Dim, "[").with(Ink::Dim, index).with(Ink::Dim, "]");
        let Some(simple) = simple(item) else {
            rows.extend(shared.take().map(Row::leaf));
            rows.push(Row::new(label(), None, item.into(), width));
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

/// Entries: the key on one line where it fits, else beside its value.
fn entry_rows(
    entries: &[Entry],
    total: Option<u64>,
    cut: Option<&Unavailable>,
    width: usize,
) -> Vec<Row> {
    let label = |index: usize, what: &'static str| {
        Line::new().with(Ink::Dim, "[").with(Ink::Dim, index).with(Ink::Dim, what)
    };
    let mut rows: Vec<Row> = Vec::new();
    for (index, Entry { key, value }) in entries.iter().enumerate() {
        match short(key.into(), width / 2) {
            Some(key) => rows.push(Row::new(key, None, value.into(), width)),
            None => {
                rows.push(Row::new(label(index, "] key"), None, key.into(), width));
                rows.push(Row::new(label(index, "] value"), None, value.into(), width));
            }
        }
    }
    rows.extend(rest(entries.len(), total, cut).map(Row::leaf));
    rows
}

/// An element that can share a row.
fn simple(item: &Item) -> Option<Line> {
    match item {
        Item::Value(
            value @ (Value::Integer(_)
            | Value::Bool(_)
            | Value::Character { .. }
            | Value::Float(_)
            | Value::Decimal(_)
            | Value::Enumerator { .. }
            | Value::Address { .. }
            | Value::Nothing(())),
        ) => Some(scalar(value)),
        _ => None,
    }
}

/// A value without parts.
fn scalar(value: &Value) -> Line {
    let line = Line::new();
    match value {
        Value::Integer(number) => line.with(Ink::Value, integer(*number)),
        Value::Bool(truth) => line.with(Ink::Value, if *truth { "true" } else { "false" }),
        Value::Character { code, character } => {
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
        Value::Float(number) => line.with(Ink::Value, *number),
        Value::Decimal(number) => line.with(Ink::Value, Escaped::name(number)),
        Value::Enumerator { name: Some(name), number } => line
            .with(Ink::Value, Escaped::name(name))
            .with(Ink::Dim, " (")
            .with(Ink::Dim, integer(*number))
            .with(Ink::Dim, ")"),
        Value::Enumerator { name: None, number } => {
            line.with(Ink::Value, integer(*number)).with(Ink::Dim, " (no enumerator)")
        }
        Value::Reference { address, shown_at } => {
            pointer(Some(*address)).with(Ink::Dim, "shown at ").text(Escaped::name(shown_at))
        }
        Value::Address { address: Address(0) } => line.with(Ink::Value, "null"),
        Value::Address { address } => line.with(Ink::Value, Escaped::hex(address.0)),
        Value::Function { address, function } => {
            let line = line.with(Ink::Dim, Escaped::hex(address.0)).text(" <");
            match function {
                Some(name) => line.with(Ink::Value, Escaped::name(name)),
                None => line.text("unknown function"),
            }
            .text(">")
        }
        Value::Text { content, total, at_least, cut, provenance, .. } => {
            marked(text(content.bytes(), *total, *at_least, cut.as_deref()), *provenance)
        }
        Value::Nothing(()) => line.with(Ink::Dim, "void"),
        // These have parts; `expand` and `short` take them apart.
        Value::Record { .. } | Value::Union { .. } => line.text("{…}"),
        Value::Variant { variant, .. } => {
            line.with(Ink::Value, Escaped::name(variant)).text(" {…}")
        }
        Value::Array { .. } => line.text("[…]"),
        Value::Map { .. } => line.text("{…}"),
        Value::Noted { notes: said, .. } => line.and(notes(said)),
        Value::Pointer { address, .. } => pointer(*address).text("…"),
    }
}

fn integer(number: Integer) -> Escaped {
    match number {
        Integer::Signed(number) => number.into(),
        Integer::Unsigned(number) => number.into(),
    }
}

/// Says where a value came from, if not simply from its place.
fn marked(line: Line, provenance: Option<Provenance>) -> Line {
    match provenance.and_then(special) {
        Some(special) => line.with(Ink::Dim, " (").with(Ink::Dim, special).with(Ink::Dim, ")"),
        None => line,
    }
}

/// What is said of values that were not simply read where they live.
pub(super) fn special(provenance: Provenance) -> Option<&'static str> {
    match provenance {
        Provenance::Live | Provenance::None => None,
        Provenance::Constant => Some("constant"),
        Provenance::EntryProbe => Some("at entry, kept by a probe"),
        Provenance::MappedFile => Some("from the mapped file"),
        Provenance::Untouched => Some("never touched"),
        Provenance::ReadAfterHit => Some("read after the hit"),
        Provenance::EntryValue => Some("at entry, by its caller"),
        Provenance::MovedPc => Some("at another pc"),
    }
}

/// `"the text"… of 4000 bytes; raise --max-string`.
fn text(bytes: &[u8], total: Option<u64>, at_least: bool, cut: Option<&Unavailable>) -> Line {
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
fn rest(shown: usize, total: Option<u64>, cut: Option<&Unavailable>) -> Option<Line> {
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
fn why(cut: &Unavailable) -> Line {
    let text = match &cut.remedy {
        Some(remedy) if cut.code == ReasonCode::LimitItems.code() => Escaped::name(remedy),
        _ => sentence(cut),
    };
    Line::new().with(Ink::Missing, "; ").with(Ink::Missing, text)
}

/// `<unavailable: reason; what to do>`.
fn unavailable(reason: &Unavailable) -> Line {
    Line::new()
        .with(Ink::Missing, "<unavailable: ")
        .with(Ink::Missing, sentence(reason))
        .with(Ink::Missing, ">")
}

/// `reason; what to do`.
fn sentence(reason: &Unavailable) -> Escaped {
    match &reason.remedy {
        Some(remedy) => Escaped::name(&format!("{}; {remedy}", reason.text)),
        None => Escaped::name(&reason.text),
    }
}

fn pointer(address: Option<Address>) -> Line {
    of_pointer(address).text(" -> ")
}

fn of_pointer(address: Option<Address>) -> Line {
    match address {
        Some(address) => Line::new().with(Ink::Dim, Escaped::hex(address.0)),
        None => Line::new().with(Ink::Dim, "(not kept)"),
    }
}

fn member_name(field: &Field) -> Line {
    match &field.name {
        Some(name) => Line::new().with(Ink::Name, Escaped::name(name)),
        None => Line::new().with(Ink::Dim, "<anonymous>"),
    }
}
