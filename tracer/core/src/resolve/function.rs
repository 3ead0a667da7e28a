//! A location in the user's words to addresses: functions, lines, addresses.

use super::{candidates, line};
use crate::binary::demangle;
use crate::binary::dwarf::DebugInfo;
use crate::binary::functions::declaration;
use crate::binary::instances::Instance;
use crate::binary::modules::Code;
use crate::binary::symbols::{Part, Symbol, split_suffix};
use crate::model::address::{Avma, Svma};
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::{LocationSpec, ModuleIndex};
use gimli::UnitOffset;
use std::ops::Range;

/// An address that a location means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its module.
    pub module: ModuleIndex,
    /// The address as stated in the file.
    pub svma: Svma,
    /// The function that it is in; `None` where nothing names it.
    pub function: Option<FunctionPart>,
    /// The address is where the function is entered: registers hold its arguments. False for the
    /// entry of an inlined copy.
    pub at_entry: bool,
    /// The inlined copy that is meant: a DIE of the unit that the address is in. `None` for a
    /// function's own code.
    pub instance: Option<UnitOffset>,
    /// It is meant as the place where calls come in.
    pub called: bool,
}

/// A contiguous part of a function: the whole of it, or the hot or the cold part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionPart {
    /// The function's name, demangled.
    pub name: String,
    /// From its first address to the one behind it.
    pub range: Range<Svma>,
    /// Where calls enter the function; `None` where that is in another part.
    pub entry: Option<Svma>,
}

/// Parses a location: `function`, `module!function`, `function+0x12`, `file:line`, `*0xADDRESS`.
///
/// # Errors
///
/// [`IssueKind::BadLocation`].
pub fn parse(text: &str) -> Result<LocationSpec, Issue> {
    let bad = |why: &str| Err(Issue::new(IssueKind::BadLocation, text, why));
    let trimmed = text.trim();
    if let Some(address) = trimmed.strip_prefix('*') {
        let digits = address.strip_prefix("0x").or_else(|| address.strip_prefix("0X"));
        return match digits.map(|digits| u64::from_str_radix(digits, 16)) {
            Some(Ok(address)) => Ok(LocationSpec::Address(Avma(address))),
            _ => bad("an address is written in hexadecimal: *0x401136"),
        };
    }
    let (module, rest) = split_module(trimmed);
    if rest.is_empty() {
        return bad("there is no name");
    }
    if let Some((file, digits)) = split_line(rest) {
        return match digits.parse::<u64>() {
            _ if module.is_some() => bad("a line is written without a module: file:line"),
            Ok(line) if line > 0 => Ok(LocationSpec::Line { file: file.to_owned(), line }),
            _ => bad("lines are counted from 1"),
        };
    }
    let module = module.map(str::to_owned);
    match split_offset(rest) {
        Some((name, Some(offset))) => {
            Ok(LocationSpec::Function { module, name: name.to_owned(), offset: Some(offset) })
        }
        Some((_, None)) => bad("the offset is too large"),
        None => Ok(LocationSpec::Function { module, name: rest.to_owned(), offset: None }),
    }
}

/// `module!rest`; the `!` of C++ operators separates nothing.
pub(super) fn split_module(text: &str) -> (Option<&str>, &str) {
    match text.split_once('!') {
        Some((module, rest))
            if !module.is_empty()
                && !module.ends_with("operator")
                && !module.contains(['<', '(', '{', ':']) =>
        {
            (Some(module), rest)
        }
        _ => (None, text),
    }
}

/// `file:123`; the `::` of paths separates nothing.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let (file, digits) = text.rsplit_once(':')?;
    let is_line = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_line && !file.is_empty() && !file.ends_with(':')).then_some((file, digits))
}

/// `name+0x12` or `name+12`; the `+` of C++ operators separates nothing. The offset is `None`
/// where it does not fit.
fn split_offset(text: &str) -> Option<(&str, Option<u64>)> {
    let (name, offset) = text.rsplit_once('+')?;
    let (digits, radix) = match offset.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (offset, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    (is_number && !name.is_empty())
        .then(|| (name.trim_end(), u64::from_str_radix(digits, radix).ok()))
}

/// Looks a location up in the modules of a process.
///
/// A function gives the entries of all its copies: its own code, the compiler's clones of it, and
/// inlined copies. A line gives one address for each block of its code (`binary::line_sites`).
///
/// # Errors
///
/// [`IssueKind::NoFunction`], [`IssueKind::NoLine`], [`IssueKind::Ambiguous`],
/// [`IssueKind::Resolver`], [`IssueKind::NotMapped`], [`IssueKind::NoDebugInfo`],
/// [`IssueKind::BadLocation`] for an offset outside of its function.
pub fn lookup(spec: &LocationSpec, code: &Code<'_>) -> Result<Vec<Target>, Issue> {
    match spec {
        LocationSpec::Function { module, name, offset } => {
            let found = candidates::function(code, module.as_deref(), name)?;
            match offset {
                Some(offset) => at_offset(code, name, &found, *offset).map(|target| vec![target]),
                None => Ok(found),
            }
        }
        LocationSpec::Line { file, line } => line::lookup(code, file, *line),
        LocationSpec::Address(address) => {
            let Some(module) = code.modules().index_at(*address) else {
                return Err(Issue::new(IssueKind::NotMapped, format!("*{address}"), ""));
            };
            let svma = code.modules().get(module)?.to_svma(*address);
            Ok(vec![at_address(code, module, svma)])
        }
    }
}

fn at_offset(code: &Code<'_>, name: &str, found: &[Target], offset: u64) -> Result<Target, Issue> {
    let subject = format!("{name}+{offset:#x}");
    let entries: Vec<&Target> = found.iter().filter(|target| target.at_entry).collect();
    let [entry] = entries.as_slice() else {
        let candidates = entries.iter().filter_map(|target| {
            let module = code.modules().get(target.module).ok()?;
            let address = target.svma.0.checked_add(offset)?;
            Some(format!("*{}", module.to_avma(Svma(address))))
        });
        let detail = format!("{name} has {} copies with code of their own", entries.len());
        let issue = Issue::new(IssueKind::Ambiguous, subject, detail);
        return Err(issue.with_candidates(candidates.collect()));
    };
    let svma = entry.svma.0.checked_add(offset).map(Svma);
    let range = entry.function.as_ref().map(|function| &function.range);
    match svma.filter(|svma| range.is_none_or(|range| range.contains(svma))) {
        Some(svma) => Ok(at_address(code, entry.module, svma)),
        None => {
            let length = range.map_or(0, |range| range.end.0.saturating_sub(range.start.0));
            let detail = format!("{name} is {length:#x} bytes long");
            Err(Issue::new(IssueKind::BadLocation, subject, detail))
        }
    }
}

/// An address by itself: what is meant is the innermost function there.
fn at_address(code: &Code<'_>, module: ModuleIndex, svma: Svma) -> Target {
    let info = code.debug_info(module).ok();
    let instance = info.and_then(|info| Instance::at(info, svma)?.offset());
    Target { instance, ..target(code, module, svma) }
}

/// What is known of an address.
pub(super) fn target(code: &Code<'_>, module: ModuleIndex, svma: Svma) -> Target {
    let symbol = code.symbols(module).ok().and_then(|symbols| symbols.containing(svma));
    let info = code.debug_info(module).ok();
    let die = info.and_then(|info| info.function_at(svma));
    let part = info
        .zip(die)
        .and_then(|(info, die)| info.functions(info.index_of(die.unit)?)?.part_at(svma));
    let declared = || declaration(info?, die?).display();
    let range = part.or_else(|| symbol.as_ref().map(|(_, range)| range.clone()));
    let name = match &symbol {
        // A symbol that starts with the part names it best: it tells clones apart.
        Some((symbol, at)) if range.as_ref().is_some_and(|range| range.start == at.start) => {
            Some(symbol_name(symbol))
        }
        _ => declared().or_else(|| symbol.as_ref().map(|(symbol, _)| symbol_name(symbol))),
    };
    let function = name.zip(range).map(|(name, range)| {
        let entry = Some(range.start).filter(|start| is_entry(code, module, info, *start));
        let declared = || info?.entry_of(die?).filter(|entry| range.contains(entry));
        FunctionPart { name, entry: entry.or_else(declared), range }
    });
    let at_entry = is_entry(code, module, info, svma);
    Target { module, svma, function, at_entry, instance: None, called: false }
}

/// The name of a function by its symbol; the cold part bears its function's name.
fn symbol_name(symbol: &Symbol<'_>) -> String {
    match split_suffix(symbol.name) {
        (base, Part::Cold) => demangle::display(base),
        _ => demangle::display(symbol.name),
    }
}

/// A function is entered by calls at this address.
pub(super) fn is_entry(
    code: &Code<'_>,
    module: ModuleIndex,
    info: Option<&DebugInfo>,
    svma: Svma,
) -> bool {
    if let Ok(symbols) = code.symbols(module) {
        let mut parts = symbols.aliases(svma).map(|symbol| split_suffix(symbol.name).1).peekable();
        if parts.peek().is_some() {
            return parts.any(|part| matches!(part, Part::Whole | Part::Clone));
        }
    }
    info.and_then(|info| info.entry_of(info.function_at(svma)?)) == Some(svma)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(module: Option<&str>, name: &str, offset: Option<u64>) -> Option<LocationSpec> {
        let module = module.map(str::to_owned);
        Some(LocationSpec::Function { module, name: name.to_owned(), offset })
    }

    #[test]
    fn locations_are_parsed() {
        let line = |file: &str, line| Some(LocationSpec::Line { file: file.to_owned(), line });
        for (text, expected) in [
            ("main", function(None, "main", None)),
            (" main ", function(None, "main", None)),
            ("libc.so.6!malloc", function(Some("libc.so.6"), "malloc", None)),
            ("libc!malloc+0x10", function(Some("libc"), "malloc", Some(16))),
            ("main+12", function(None, "main", Some(12))),
            ("main+0x1F", function(None, "main", Some(31))),
            ("ns::f(int)", function(None, "ns::f(int)", None)),
            ("ns::f(int)+4", function(None, "ns::f(int)", Some(4))),
            ("a::b::{closure#0}", function(None, "a::b::{closure#0}", None)),
            ("<T as U>::f", function(None, "<T as U>::f", None)),
            ("A::operator+", function(None, "A::operator+", None)),
            ("operator+(A, A)", function(None, "operator+(A, A)", None)),
            ("operator++", function(None, "operator++", None)),
            ("A::operator!", function(None, "A::operator!", None)),
            ("A::operator!=", function(None, "A::operator!=", None)),
            ("operator!=", function(None, "operator!=", None)),
            ("m!operator!=", function(Some("m"), "operator!=", None)),
            ("f::<!>", function(None, "f::<!>", None)),
            ("memcpy@@GLIBC_2.14", function(None, "memcpy@@GLIBC_2.14", None)),
            ("libstdc++.so.6!f", function(Some("libstdc++.so.6"), "f", None)),
            ("a.c:helper", function(None, "a.c:helper", None)),
            ("foo.c:42", line("foo.c", 42)),
            ("src/foo.c:42", line("src/foo.c", 42)),
            ("/a b/foo.c:1", line("/a b/foo.c", 1)),
            ("a::b:7", line("a::b", 7)),
            ("a::7", function(None, "a::7", None)),
            ("*0x401136", Some(LocationSpec::Address(Avma(0x40_1136)))),
            ("", None),
            ("lib!", None),
            ("*401136", None),
            ("*0xg", None),
            ("*", None),
            ("foo.c:0", None),
            ("foo.c:99999999999999999999", None),
            ("lib!foo.c:3", None),
            ("f+99999999999999999999", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
