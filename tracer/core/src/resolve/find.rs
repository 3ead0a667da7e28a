//! Functions of a process by a pattern, for `tracer find`.

use super::candidates::chosen_modules;
use super::function::split_module;
use super::name::matches_pattern;
use crate::binary::demangle;
use crate::binary::functions::declaration;
use crate::binary::lines::source_line;
use crate::binary::modules::Code;
use crate::binary::symbols::{Part, split_suffix};
use crate::model::address::Svma;
use crate::model::issue::Issue;
use crate::model::resolved::{ModuleIndex, SourceLine};
use std::collections::BTreeMap;

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
                    add(Found { module, name, svma: symbol.svma, line, inlined_only: false });
                }
            }
        }
        for extra in by_debug_info(pattern, code, module) {
            if extra.inlined_only || !seen.contains(&extra.svma) {
                add(extra);
            }
        }
        found.extend(by_name.into_values());
    }
    Ok(found)
}

/// Functions that have no symbol.
fn by_debug_info(pattern: &str, code: &Code<'_>, module: ModuleIndex) -> Vec<Found> {
    let Ok(info) = code.debug_info(module) else { return Vec::new() };
    let index = info.function_index();
    let mut out_of_line: BTreeMap<String, Vec<Svma>> = BTreeMap::new();
    let mut inlined = BTreeMap::new();
    for (number, name) in index.names(info) {
        let text = name.display().filter(|text| matches_pattern(pattern, text));
        let Some(text) = text else { continue };
        for function in index.code(info, number) {
            if function.inlined {
                let first = inlined.entry(text.clone()).or_insert(function);
                if (function.unit, function.offset) < (first.unit, first.offset) {
                    *first = function;
                }
            } else {
                out_of_line.entry(text.clone()).or_default().push(function.entry);
            }
        }
    }
    let mut found = Vec::new();
    for (name, function) in inlined {
        if !out_of_line.contains_key(&name) {
            let unit = info.unit(function.unit);
            let line = unit.and_then(|u| declaration(info, info.die(u, function.offset)).line);
            found.push(Found { module, name, svma: function.entry, line, inlined_only: true });
        }
    }
    for (name, entries) in out_of_line {
        found.extend(entries.into_iter().map(|svma| Found {
            module,
            name: name.clone(),
            svma,
            line: line_at(code, module, svma),
            inlined_only: false,
        }));
    }
    found
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
