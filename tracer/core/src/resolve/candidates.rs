//! The functions that a name may mean, grouped by the function of the source.
//!
//! Copies of one function (clones, inlined copies, instances of a template, the variants of a
//! constructor) are one candidate; a name that leaves more than one is ambiguous.

mod callers;
mod offer;

pub(super) use callers::offers;

use super::SITES_MAX;
use super::function::{Target, target};
use super::function_at::FunctionAt;
use super::name::{Fit, Query, short};
use crate::binary::demangle;
use crate::binary::dwarf::{DebugInfo, Unit, UnitIndex};
use crate::binary::function_index::FunctionCode;
use crate::binary::functions::declaration;
use crate::binary::lines::{has_tail, normalize};
use crate::binary::modules::Code;
use crate::binary::symbols::{Part, Symbol, SymbolTable, split_suffix};
use crate::model::address::Svma;
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::{ModuleIndex, SourceLine};
use gimli::UnitOffset;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Modules that are named in an issue, at most.
const MODULES_NAMED: usize = 20;
/// Digits of a build-id that are enough to name a module.
const BUILD_ID_DIGITS_MIN: usize = 8;

/// Code whose name fits.
#[derive(Clone, Debug)]
struct Hit<'a> {
    module: ModuleIndex,
    svma: Svma,
    /// The linker's name, else the plain one.
    name: Cow<'a, [u8]>,
    fit: Fit,
    /// The DIE that it was found by.
    die: Option<(usize, UnitOffset)>,
    inlined: bool,
    resolver: bool,
    /// A resolver chooses it; `name` is the resolver's.
    implementation: bool,
    /// Old programs only are linked to it (`name@VERSION`).
    outdated: bool,
}

/// What makes code the same function of the source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Identity {
    module: ModuleIndex,
    name: String,
    file: String,
    line: u64,
}

/// Code by the function that it is of.
type Groups<'c> = BTreeMap<Rc<Identity>, Vec<Hit<'c>>>;

/// The entries of the function that a name means.
pub(super) fn function(
    code: &Code<'_>,
    module: Option<&str>,
    text: &str,
) -> Result<Vec<Target>, Issue> {
    let modules = chosen_modules(code, module)?;
    let (file, name) = split_file(text);
    let mut query = Query::new(name);
    let mut hits = by_symbol(code, &modules, &query);
    // What no symbol has as its version is a caller.
    let caller = name.rsplit_once('@').filter(|_| query.version.is_some() && hits.is_empty());
    if let Some((function, _)) = caller {
        query = Query::new(function);
        hits = by_symbol(code, &modules, &query);
    }
    if module.is_none() {
        without_loader(code, &mut hits);
    }
    hits = with_implementations(code, hits, text)?;
    by_debug_info(code, &modules, &query, &mut hits);
    keep_best(&mut hits);
    if let Some((function, caller)) = caller.filter(|_| !hits.is_empty()) {
        callers::keep(code, &mut hits, function, caller)?;
    }
    let mut groups = group(code, hits);
    if let Some(file) = file {
        let file = normalize(file);
        groups.retain(|identity, _| has_tail(&identity.file, &file));
    }
    let subject = match module {
        Some(module) => format!("{module}!{text}"),
        None => text.to_owned(),
    };
    if groups.len() > 1 {
        return Err(offer::ambiguous(code, subject, &groups));
    }
    let Some((_, hits)) = groups.pop_first() else {
        return Err(offer::no_function(code, &modules, subject, name));
    };
    Ok(entries(code, &hits))
}

/// Where calls enter a function. A copy that is inlined into another one of the same function may be
/// entered at the same address: that is two calls.
fn entries(code: &Code<'_>, hits: &[Hit<'_>]) -> Vec<Target> {
    let mut entries: BTreeMap<Svma, Vec<(UnitIndex, UnitOffset)>> = BTreeMap::new();
    // More are not probed.
    let is_few = hits.len() <= SITES_MAX;
    let (inlined, own): (Vec<_>, Vec<_>) = hits.iter().partition(|hit| hit.inlined);
    for hit in inlined {
        let Some((unit, offset)) = hit.die else { continue };
        let here = Target { instance: Some(offset), ..target(code, hit.module, hit.svma) };
        let function = FunctionAt::new(code, &here, "").ok().filter(|_| is_few);
        let found = function.map(|function| function.entries()).unwrap_or_default();
        for svma in if found.is_empty() { BTreeSet::from([hit.svma]) } else { found } {
            let here = entries.entry(svma).or_default();
            // Units may share their code, but not the calls in it.
            if here.iter().all(|(other, die)| *other == unit && *die != offset) {
                here.push((unit, offset));
            }
        }
    }
    for hit in own {
        entries.insert(hit.svma, Vec::new());
    }
    let Some(module) = hits.first().map(|hit| hit.module) else { return Vec::new() };
    let mut targets = Vec::new();
    for (svma, copies) in entries {
        let target = Target { called: true, ..target(code, module, svma) };
        if copies.is_empty() {
            targets.push(Target { at_entry: true, ..target.clone() });
        }
        targets.extend(copies.into_iter().map(|(_, offset)| Target {
            at_entry: false,
            instance: Some(offset),
            ..target.clone()
        }));
    }
    targets
}

/// `file.c:function`, as debuggers tell static functions of one name apart.
fn split_file(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((file, name))
            if !file.is_empty()
                && !name.starts_with(':')
                && !file.contains(['<', '(', '{', '*']) =>
        {
            (Some(file), name)
        }
        _ => (None, text),
    }
}

/// The modules that are meant by a name, all without one.
pub(super) fn chosen_modules(
    code: &Code<'_>,
    wanted: Option<&str>,
) -> Result<Vec<ModuleIndex>, Issue> {
    let all = 0..code.modules().len();
    let Some(wanted) = wanted else { return Ok(all.collect()) };
    let chosen: Vec<_> = all.filter(|index| is_module(code, *index, wanted)).collect();
    if chosen.is_empty() {
        let names = (0..code.modules().len()).filter_map(|index| code.modules().name(index));
        let near: Vec<String> = names.take(MODULES_NAMED).collect();
        let detail = format!("no module is called this; there are {}", near.join(", "));
        return Err(Issue::new(IssueKind::NoFunction, wanted, detail));
    }
    Ok(chosen)
}

/// By path, file name, file name without `.so` and what follows, or build-id.
fn is_module(code: &Code<'_>, index: ModuleIndex, wanted: &str) -> bool {
    let Some(path) = code.modules().path(index) else { return false };
    let Some(name) = code.modules().name(index) else { return false };
    let stem = name.split(".so").next().unwrap_or(&name);
    if wanted == name || wanted == stem || path.as_os_str() == wanted {
        return true;
    }
    let is_hex =
        wanted.len() >= BUILD_ID_DIGITS_MIN && wanted.bytes().all(|b| b.is_ascii_hexdigit());
    let build_id = || code.modules().get(index).ok()?.build_id();
    is_hex && build_id().is_some_and(|id| id.starts_with(&wanted.to_ascii_lowercase()))
}

fn by_symbol<'c>(code: &'c Code<'_>, modules: &[ModuleIndex], query: &Query) -> Vec<Hit<'c>> {
    let mut hits = Vec::new();
    for module in modules {
        let Ok(symbols) = code.symbols(*module) else { continue };
        let found: Vec<_> = symbols
            .matching(&query.text(), |symbol| symbol_fit(query, symbol).is_some())
            .filter_map(|symbol| Some((symbol, symbol_fit(query, symbol)?)))
            .collect();
        for (symbol, fit) in &found {
            let is_default = symbol.version.is_none_or(|version| version.is_default);
            // A name without a version means the one that new programs are linked to.
            let outdated = query.version.is_none()
                && !is_default
                && found.iter().any(|(other, _)| {
                    other.name == symbol.name && other.version.is_none_or(|v| v.is_default)
                });
            hits.push(Hit {
                module: *module,
                svma: symbol.svma,
                name: Cow::Borrowed(symbol.name),
                fit: *fit,
                die: None,
                inlined: false,
                resolver: symbol.is_resolver,
                implementation: false,
                outdated,
            });
        }
    }
    hits.retain(|hit| !hit.outdated);
    keep_best(&mut hits);
    hits
}

fn symbol_fit(query: &Query, symbol: &Symbol<'_>) -> Option<Fit> {
    if let Some(wanted) = &query.version {
        symbol.version.filter(|version| version.name == wanted.as_bytes())?;
    }
    if symbol.name == query.name.as_bytes() {
        return Some(Fit::Exact);
    }
    match split_suffix(symbol.name) {
        (base, Part::Whole | Part::Clone) => query.fit(base),
        // Parts of a function are not entered by calls.
        _ => None,
    }
}

fn keep_best(hits: &mut Vec<Hit<'_>>) {
    if let Some(best) = hits.iter().map(|hit| hit.fit).min() {
        hits.retain(|hit| hit.fit == best);
    }
}

/// The dynamic loader has private copies of functions of the C library, which nobody means.
fn without_loader(code: &Code<'_>, hits: &mut Vec<Hit<'_>>) {
    let is_loader = |hit: &Hit<'_>| {
        let name = code.modules().name(hit.module).unwrap_or_default();
        name.starts_with("ld-linux") || name.starts_with("ld-2.")
    };
    if hits.iter().any(|hit| !is_loader(hit)) {
        hits.retain(|hit| !is_loader(hit));
    }
}

/// Puts the implementations in the place of resolvers: a resolver runs only at load time.
fn with_implementations<'c>(
    code: &'c Code<'_>,
    hits: Vec<Hit<'c>>,
    subject: &str,
) -> Result<Vec<Hit<'c>>, Issue> {
    let (resolvers, mut functions): (Vec<_>, Vec<_>) =
        hits.into_iter().partition(|hit| hit.resolver);
    for resolver in &resolvers {
        let symbols = code.symbols(resolver.module)?;
        let symbol = symbols.aliases(resolver.svma).find(|symbol| symbol.is_resolver);
        let implementations =
            symbol.map(|symbol| symbols.implementations(symbol)).unwrap_or_default();
        functions.extend(implementations.into_iter().map(|implementation| Hit {
            svma: implementation.svma,
            resolver: false,
            implementation: true,
            ..resolver.clone()
        }));
    }
    if functions.is_empty() && !resolvers.is_empty() {
        let detail = "its implementations are not named in the symbol table; \
                      debug symbols of the module may name them";
        return Err(Issue::new(IssueKind::Resolver, subject, detail));
    }
    Ok(functions)
}

/// Adds what only debug info knows: functions without a symbol and inlined copies. All of it must
/// be read for that, so only modules where the name is known are asked, if there are any.
fn by_debug_info<'c>(
    code: &'c Code<'_>,
    modules: &[ModuleIndex],
    query: &Query,
    hits: &mut Vec<Hit<'c>>,
) {
    if query.version.is_some() {
        return;
    }
    let known: BTreeSet<ModuleIndex> = hits.iter().map(|hit| hit.module).collect();
    let asked = modules.iter().filter(|module| known.is_empty() || known.contains(module));
    for module in asked {
        let (Ok(info), Ok(symbols)) = (code.debug_info(*module), code.symbols(*module)) else {
            continue;
        };
        let index = info.function_index();
        let mut found = Vec::new();
        let may_fit = |name: &[u8]| query.fit(name).is_some() || query.may_end_in(name);
        for number in index.matching(info, &query.text(), may_fit).iter() {
            let Some(raw) = index.name(info, *number).searched() else { continue };
            for function in index.code(info, *number) {
                let Some((name, fit)) = fitting(info, query, raw, &function) else { continue };
                if function.inlined || is_whole(symbols, function.entry) {
                    found.push(Hit {
                        module: *module,
                        svma: function.entry,
                        name,
                        fit,
                        die: Some((function.unit, function.offset)),
                        inlined: function.inlined,
                        resolver: false,
                        implementation: false,
                        outdated: false,
                    });
                }
            }
        }
        // Of several that are inlined at one address the outermost comes first.
        found.sort_by_key(|hit| hit.die);
        hits.append(&mut found);
    }
}

/// The name of some code and how it fits. A name that is not mangled leaves out what it is in.
fn fitting<'c>(
    info: &'c DebugInfo,
    query: &Query,
    raw: &'c [u8],
    function: &FunctionCode,
) -> Option<(Cow<'c, [u8]>, Fit)> {
    let path = || {
        let unit = info.unit(function.unit)?;
        declaration(info, info.die(unit, function.offset)).path
    };
    match if demangle::is_mangled(raw) { None } else { path() } {
        Some(path) => {
            let name = [path.as_bytes(), b"::", raw].concat();
            let fit = query.fit_path(&String::from_utf8_lossy(&name))?;
            Some((Cow::Owned(name), fit))
        }
        None => Some((Cow::Borrowed(raw), query.fit(raw)?)),
    }
}

/// No symbol says that only a part of a function starts here, or the resolver of one.
fn is_whole(symbols: &SymbolTable<'_>, svma: Svma) -> bool {
    let mut parts = symbols.aliases(svma).peekable();
    parts.peek().is_none()
        || parts.any(|symbol| {
            !symbol.is_resolver && matches!(split_suffix(symbol.name).1, Part::Whole | Part::Clone)
        })
}

fn group<'c>(code: &Code<'_>, mut hits: Vec<Hit<'c>>) -> Groups<'c> {
    let mut groups = Groups::new();
    let mut at: HashMap<(ModuleIndex, Svma, bool), Rc<Identity>> = HashMap::new();
    // What was found by its DIE needs no search for it.
    hits.sort_by_key(|hit| hit.die.is_none());
    let mut last = None;
    for hit in hits {
        // One address is one function, whatever it is called.
        let key = (hit.module, hit.svma, hit.inlined);
        let identity = at.entry(key).or_insert_with(|| {
            let identity = identity(code, &hit, &mut last);
            // A function may have thousands of copies.
            groups.get_key_value(&identity).map_or_else(|| Rc::new(identity), |(k, _)| Rc::clone(k))
        });
        groups.entry(Rc::clone(identity)).or_default().push(hit);
    }
    groups
}

/// The unit that was read last. There may be thousands, and each is needed once.
type LastUnit<'c> = Option<(ModuleIndex, UnitIndex, Unit<'c>)>;

fn identity<'c>(code: &Code<'c>, hit: &Hit<'_>, last: &mut LastUnit<'c>) -> Identity {
    let mut source = || {
        let info = code.debug_info(hit.module).ok()?;
        let declaration = match hit.die {
            Some((index, offset)) => {
                let at = (hit.module, index);
                if last.as_ref().is_none_or(|(module, index, _)| (*module, *index) != at) {
                    *last = info.read_unit(index).map(|unit| (hit.module, index, unit));
                }
                let (_, _, unit) = last.as_ref()?;
                declaration(info, info.die(unit, offset))
            }
            None => declaration(info, info.function_at(hit.svma)?),
        };
        let plain = declaration.name.plain.map(short);
        Some((plain.unwrap_or_default(), declaration.line?))
    };
    let declared = if hit.implementation { None } else { source() };
    let (name, SourceLine { file, line }) = declared.unwrap_or_else(|| {
        let name = demangle::display(split_suffix(&hit.name).0);
        (name, SourceLine { file: String::new(), line: 0 })
    });
    Identity { module: hit.module, name, file, line }
}
