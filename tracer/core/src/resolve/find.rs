//! Functions of a process by a pattern, for `tracer find`.

use super::candidates::chosen_modules;
use super::function::split_module;
use super::name::matches_pattern;
use crate::binary::demangle;
use crate::binary::dwarf::DebugInfo;
use crate::binary::function_index::FunctionCode;
use crate::binary::functions::declaration;
use crate::binary::instances::Instance;
use crate::binary::lines::source_line;
use crate::binary::modules::Code;
use crate::binary::symbols::{Part, split_suffix};
use crate::model::address::Svma;
use crate::model::issue::Issue;
use crate::model::resolved::{ModuleIndex, SourceLine};
use std::collections::BTreeMap;

/// Callers of inlined copies that are named for one function.
const CALLERS_MAX: usize = 8;
/// Inlined copies that are looked at for their callers.
const COPIES_LOOKED_AT: usize = 4096;

/// A function that a pattern fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its module.
    pub module: ModuleIndex,
    /// Its name, demangled.
    pub name: String,
    /// Where it is entered; for a function that is only inlined, its first copy.
    pub svma: Svma,
    /// Where it is declared, else where its code starts in the source.
    pub line: Option<SourceLine>,
    /// There is no code of its own, only copies in other functions.
    pub inlined_only: bool,
    /// Copies of it that are inlined into other functions.
    pub copies: u64,
    /// Some of the functions that call it there.
    pub callers: Vec<String>,
}

/// The functions whose demangled name contains `pattern`, or, with `*`, is like it as a whole;
/// case matters. `module!pattern` looks in one module. By module and name.
///
/// # Errors
///
/// [`IssueKind::NoFunction`](crate::model::issue::IssueKind) where no module is called so.
pub fn find(pattern: &str, code: &Code<'_>) -> Result<Vec<Found>, Issue> {
    let (module, pattern) = split_module(pattern);
    let mut found = Vec::new();
    for module in chosen_modules(code, module)? {
        let mut by_name: BTreeMap<(String, Svma), Found> = BTreeMap::new();
        let mut seen = std::collections::HashSet::new();
        let mut add = |found: Found| {
            by_name.entry((found.name.clone(), found.svma)).or_insert(found);
        };
        if let Ok(symbols) = code.symbols(module) {
            for symbol in symbols.iter().filter(|symbol| !symbol.is_resolver) {
                let fits = || {
                    Some(demangle::display(symbol.name))
                        .filter(|name| matches_pattern(pattern, name))
                };
                if split_suffix(symbol.name).1 != Part::Cold
                    && let Some(name) = fits()
                {
                    seen.insert(symbol.svma);
                    let line = line_at(code, module, symbol.svma);
                    add(Found::own(module, name, symbol.svma, line));
                }
            }
        }
        let Debugged { found: by_debug_info, mut copies } = by_debug_info(pattern, code, module);
        for extra in by_debug_info {
            if extra.inlined_only || !seen.contains(&extra.svma) {
                add(extra);
            }
        }
        found.extend(by_name.into_values().map(|found| match copies.remove(&found.name) {
            Some(copies) => Found { copies: copies.count, callers: copies.callers, ..found },
            None => found,
        }));
    }
    Ok(found)
}

impl Found {
    /// A function with code of its own.
    fn own(module: ModuleIndex, name: String, svma: Svma, line: Option<SourceLine>) -> Self {
        Self { module, name, svma, line, inlined_only: false, copies: 0, callers: Vec::new() }
    }
}

/// What debug info knows.
#[derive(Default)]
struct Debugged {
    found: Vec<Found>,
    /// By name.
    copies: BTreeMap<String, Copies>,
}

/// The inlined copies of a function.
struct Copies {
    count: u64,
    /// The first one.
    first: FunctionCode,
    callers: Vec<String>,
}

impl Copies {
    /// `looks` is how many copies may be looked at for their callers still.
    fn add(&mut self, info: &DebugInfo, code: FunctionCode, looks: &mut usize) {
        self.count += 1;
        if (code.unit, code.offset) < (self.first.unit, self.first.offset) {
            self.first = code;
        }
        if *looks == 0 || self.callers.len() >= CALLERS_MAX {
            return;
        }
        *looks -= 1;
        let copy = Instance::find(info, code.unit, code.offset, code.entry);
        let callers = copy.map(|copy| copy.callers()).unwrap_or_default();
        let caller = callers.into_iter().next().and_then(|caller| caller.function);
        self.callers.extend(caller.filter(|name| !self.callers.contains(name)));
    }
}

/// Functions that have no symbol, and inlined copies of all.
fn by_debug_info(pattern: &str, code: &Code<'_>, module: ModuleIndex) -> Debugged {
    let Ok(info) = code.debug_info(module) else { return Debugged::default() };
    let index = info.function_index();
    let mut out_of_line: BTreeMap<String, Vec<Svma>> = BTreeMap::new();
    let mut inlined: BTreeMap<String, Copies> = BTreeMap::new();
    let mut looks = COPIES_LOOKED_AT;
    for (number, name) in index.names(info) {
        let text = name.display().filter(|text| matches_pattern(pattern, text));
        let Some(text) = text else { continue };
        for function in index.code(info, number) {
            if function.inlined {
                let none = || Copies { count: 0, first: function, callers: Vec::new() };
                let copies = inlined.entry(text.clone()).or_insert_with(none);
                copies.add(info, function, &mut looks);
            } else {
                out_of_line.entry(text.clone()).or_default().push(function.entry);
            }
        }
    }
    let mut found = Vec::new();
    for (name, Copies { first, .. }) in &inlined {
        if !out_of_line.contains_key(name) {
            let unit = info.unit(first.unit);
            let line = unit.and_then(|u| declaration(info, info.die(u, first.offset)).line);
            let own = Found::own(module, name.clone(), first.entry, line);
            found.push(Found { inlined_only: true, ..own });
        }
    }
    for (name, entries) in out_of_line {
        let own = |svma| Found::own(module, name.clone(), svma, line_at(code, module, svma));
        found.extend(entries.into_iter().map(own));
    }
    Debugged { found, copies: inlined }
}

fn line_at(code: &Code<'_>, module: ModuleIndex, svma: Svma) -> Option<SourceLine> {
    let info = code.debug_info(module).ok()?;
    // At the entry several rows may stand, and the last of them is of the body.
    let function = info.function_at(svma).filter(|die| info.entry_of(*die) == Some(svma));
    if let Some(line) = function.and_then(|die| declaration(info, die).line) {
        return Some(line);
    }
    let (index, unit) = info.unit_at(svma)?;
    let row = info.lines(index)?.row_at(svma)?;
    source_line(unit, u64::from(row.file), u64::from(row.line))
}
