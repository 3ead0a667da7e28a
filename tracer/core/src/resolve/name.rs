//! Whether a function is meant by a name that a person wrote.
//!
//! A function may be written mangled, demangled, without parameters, without template arguments,
//! or by the end of its path from a `::` on.

use crate::binary::demangle;
use crate::binary::symbols::split_version;

/// How demanglers write a namespace without a name.
const ANONYMOUS: &str = "(anonymous namespace)::";

/// How well a name fits; the best fit wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Fit {
    /// The linker's name, or the whole demangled name.
    Exact,
    /// The whole path, without parameters or template arguments.
    Path,
    /// The end of the path.
    Suffix,
}

/// A name that a person wrote.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// The name without a version.
    pub(super) name: String,
    /// `name@VERSION`.
    pub(super) version: Option<String>,
    normal: String,
    /// A word that every mangled name which fits must hold.
    needle: Option<String>,
    /// How the last part of the path is spelled in it: one of these.
    last: Option<[String; 2]>,
}

impl Query {
    pub(super) fn new(text: &str) -> Self {
        let (name, version) = split_version(text.as_bytes());
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = owned(name);
        Self {
            normal: normal(&name),
            needle: needle(&name),
            last: last(&name),
            name,
            version: version.map(|version| owned(version.name)),
        }
    }

    /// What was asked, in one form.
    pub(super) fn text(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }

    /// How well a linker's name (or, in C, the plain name) fits.
    pub(super) fn fit(&self, name: &[u8]) -> Option<Fit> {
        if name == self.name.as_bytes() {
            return Some(Fit::Exact);
        }
        if !demangle::is_mangled(name) {
            // Debug info writes template arguments into plain names.
            let text = std::str::from_utf8(name).ok()?;
            return text.contains('<').then(|| self.fit_forms(&plain_forms(text)))?;
        }
        self.may_fit(name).then(|| self.fit_forms(&forms(name)))?
    }

    /// A mangled name holds what it must if it fits: a look that spares the demangling of all names.
    fn may_fit(&self, name: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(name) else { return false };
        self.needle.as_ref().is_none_or(|needle| text.contains(needle))
            && self.last.as_ref().is_none_or(|spelled| spelled.iter().any(|s| text.contains(s)))
    }

    /// Whether a name for people is this one, its parameters left out or not.
    pub(super) fn means(&self, shown: &str) -> bool {
        let bare = shown.rfind(')').and_then(|end| {
            let mut depth = 0_u32;
            let start = shown.get(..=end)?.char_indices().rev().find(|(_, character)| {
                match character {
                    ')' => depth += 1,
                    '(' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0
            });
            shown.get(..start?.0).filter(|bare| !bare.is_empty())
        });
        self.fit_path(shown).or_else(|| self.fit_path(bare?)).is_some()
    }

    /// How well a path fits that debug info tells, not a mangled name.
    pub(super) fn fit_path(&self, path: &str) -> Option<Fit> {
        self.fit_forms(&plain_forms(path))
    }

    /// A plain name is the last part of this one.
    pub(super) fn may_end_in(&self, name: &[u8]) -> bool {
        let Ok(name) = std::str::from_utf8(name) else { return false };
        // All names of a file are asked.
        let base = name.split('<').next().unwrap_or(name);
        if !self.normal.contains("::") || !self.normal.contains(base) {
            return false;
        }
        let start = self
            .normal
            .strip_suffix(&normal(name))
            .or_else(|| self.normal.strip_suffix(&normal(&without_arguments(name))));
        start.is_some_and(|start| start.ends_with("::"))
    }

    fn fit_forms(&self, forms: &[(Fit, String)]) -> Option<Fit> {
        let fit = |(fit, form): &(Fit, String)| {
            let form = normal(form);
            if form == self.normal {
                return Some(*fit);
            }
            let start = form.strip_suffix(self.normal.as_str())?.len();
            boundaries(&form).any(|at| at == start).then_some(Fit::Suffix)
        };
        forms.iter().filter_map(fit).min()
    }
}

/// The ways that people write a mangled name, best first.
fn forms(name: &[u8]) -> Vec<(Fit, String)> {
    let Some(full) = demangle::demangle(name) else { return Vec::new() };
    let mut forms = vec![(Fit::Exact, full.clone())];
    let path = match demangle::demangle_without_parameters(name) {
        Some(path) if path != full => {
            forms.push((Fit::Path, path.clone()));
            path
        }
        _ => full,
    };
    forms.extend(plain_forms(&path).into_iter().skip(1));
    forms
}

/// A path as it is, and without template arguments.
fn plain_forms(path: &str) -> Vec<(Fit, String)> {
    let mut forms = vec![(Fit::Exact, path.to_owned())];
    let self_type = without_trait(path);
    // Nobody writes the namespaces that have no name.
    if path.contains(ANONYMOUS) {
        forms.push((Fit::Path, path.replace(ANONYMOUS, "")));
    }
    if let Some(unwrapped) = &self_type {
        forms.push((Fit::Path, unwrapped.clone()));
    }
    let stripped = without_arguments(self_type.as_deref().unwrap_or(path));
    if stripped != path {
        forms.push((Fit::Path, stripped));
    }
    forms
}

/// The path of a function for people, without parameters and template arguments.
pub(super) fn short(name: &[u8]) -> String {
    let path = demangle::demangle_without_parameters(name);
    let path = path.unwrap_or_else(|| String::from_utf8_lossy(name).into_owned());
    without_arguments(without_trait(&path).as_deref().unwrap_or(&path))
}

/// Rust's `<T as Trait>::f` and `<T>::f` as `T::f`.
fn without_trait(path: &str) -> Option<String> {
    let inner = path.strip_prefix('<')?;
    let mut depth = 1_u32;
    let mut end_of_type = None;
    let mut previous = ' ';
    for (at, character) in inner.char_indices() {
        match character {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if previous == '-' => {}
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && end_of_type.is_none() && inner.get(at..)?.starts_with(" as ") {
            end_of_type = Some(at);
        }
        if depth == 0 {
            let rest = inner.get(at + 1..)?;
            return Some(format!("{}{rest}", inner.get(..end_of_type.unwrap_or(at))?));
        }
        previous = character;
    }
    None
}

/// A path without `<…>` and `[abi:…]`, but with the `<` of operators.
fn without_arguments(path: &str) -> String {
    let mut output = String::new();
    let mut depth = 0_u32;
    let mut rest = path;
    while let Some(character) = rest.chars().next() {
        let operator = operator_length(&output, rest);
        if depth == 0 && operator > 0 {
            output.push_str(rest.get(..operator).unwrap_or_default());
            rest = rest.get(operator..).unwrap_or_default();
            continue;
        }
        match character {
            '<' => depth += 1,
            '[' if depth > 0 || rest.starts_with("[abi:") => depth += 1,
            '>' if rest.len() < path.len() && is_arrow(path, rest) => {}
            '>' | ']' if depth > 0 => {
                depth -= 1;
                // `f::<T>::g` is `f::g`, and `f::<T>` is `f`.
                if depth == 0 && output.ends_with("::") {
                    output.truncate(output.len() - 2);
                }
            }
            _ if depth == 0 => output.push(character),
            _ => {}
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    output
}

/// The `>` at the start of `rest`, a tail of `path`, is part of `->`.
fn is_arrow(path: &str, rest: &str) -> bool {
    path.get(..path.len() - rest.len()).is_some_and(|before| before.ends_with('-'))
}

/// The length of the symbol at the start of `rest` if an `operator` stands before it.
fn operator_length(before: &str, rest: &str) -> usize {
    let Some(head) = before.strip_suffix("operator") else { return 0 };
    if head.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return 0;
    }
    let symbols = ["<=>", "<<=", ">>=", "->*", "<<", ">>", "<=", ">=", "->", "<", ">"];
    symbols.iter().find(|symbol| rest.starts_with(**symbol)).map_or(0, |symbol| symbol.len())
}

/// Positions right behind a `::` that is not inside brackets.
fn boundaries(path: &str) -> impl Iterator<Item = usize> {
    let mut depth = 0_i32;
    let mut previous = ' ';
    path.char_indices().filter_map(move |(at, character)| {
        let before = previous;
        previous = character;
        match character {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if before == '-' => {}
            '>' | ')' | ']' | '}' => depth -= 1,
            // An operator's `<` opens nothing, so the depth may be wrong behind it, but a path
            // has no `::` there.
            ':' if before == ':' && depth == 0 => return Some(at + 1),
            _ => {}
        }
        None
    })
}

/// The name without spaces that do not separate words, and without the `::` before `<`.
fn normal(name: &str) -> String {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut output = String::with_capacity(name.len());
    let mut characters = name.trim().chars().peekable();
    while let Some(character) = characters.next() {
        let separates = is_word(output.chars().next_back()) && is_word(characters.peek().copied());
        if character == '<' && output.ends_with("::") {
            output.truncate(output.len() - 2);
        }
        if character != ' ' || separates {
            output.push(character);
        }
    }
    output
}

/// The longest word of a name that every mangling spells out; C++ abbreviates `std`, types of the
/// standard library and of the language, and Rust its closures.
fn needle(name: &str) -> Option<String> {
    // `a.b` and `#0` are not mangled literally, so words end there; words of primitive types of
    // Rust (`u32`, `str`) are too short to win over a function's name.
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // Parameters and arguments may be abbreviated as types; the path before them may not.
    // Rust's, which alone start with a type, are spelled out.
    let path = if name.starts_with('<') { Some(name) } else { name.split(['(', '<', '{']).next() };
    let path = path.unwrap_or_default();
    let words = || path.split(|c| !is_word(c));
    // `operator delete` is `dl`, and `transaction clone for` is `GTt`.
    let is_prose = !name.starts_with('<') && [" for ", " to "].iter().any(|s| path.contains(s));
    if is_prose || words().any(|word| word == "operator") {
        return None;
    }
    let long = words().filter(|word| word.len() > 3);
    long.filter(|word| !ABBREVIATED.contains(word)).max_by_key(|word| word.len()).map(str::to_owned)
}

/// The ways in which the last part of a path is spelled in mangled names: behind its length or,
/// where Rust's older mangling has arguments, before a `$`. `None` where it may be spelled in
/// another way.
fn last(name: &str) -> Option<[String; 2]> {
    let name = normal(name);
    let start = boundaries(&name).last().unwrap_or(0);
    let part = name.get(start..)?.split(['(', '<', '[']).next()?;
    let is_plain = part.starts_with(|c: char| c.is_ascii_alphabetic())
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && part != "operator"
        && !ABBREVIATED.contains(&part);
    is_plain.then(|| [format!("{}{part}", part.len()), format!("{part}$")])
}

/// Words that manglings do not spell out: of the standard library and of the languages.
const ABBREVIATED: [&str; 39] = [
    "std",
    "allocator",
    "basic_string",
    "string",
    "char_traits",
    "istream",
    "ostream",
    "iostream",
    "basic_istream",
    "basic_ostream",
    "basic_iostream",
    "closure",
    "shim",
    "impl",
    "dyn",
    "const",
    "unsigned",
    "signed",
    "char",
    "short",
    "long",
    "double",
    "float",
    "bool",
    "void",
    "int",
    "anonymous",
    "namespace",
    "volatile",
    "wchar_t",
    "usize",
    "isize",
    "u128",
    "i128",
    "f128",
    "unsafe",
    "extern",
    "vtable",
    "reify",
];

/// Names that are close to `wanted`, the closest first.
pub(super) fn nearest(
    wanted: &str,
    names: impl Iterator<Item = String>,
    max: usize,
) -> Vec<String> {
    let limit = (wanted.chars().count() / 3).clamp(1, 4);
    let last = |path: &str| boundaries(path).last().map_or(0, |at| at);
    let wanted_end = wanted.get(last(wanted)..).unwrap_or(wanted);
    let mut close: Vec<(usize, String)> = names
        .filter_map(|name| {
            let end = name.get(last(&name)..).unwrap_or(&name);
            let whole = edit_distance(wanted, &name, limit);
            let ends = edit_distance(wanted_end, end, limit).map(|distance| distance + 1);
            Some((whole.into_iter().chain(ends).min()?, name))
        })
        .collect();
    close.sort();
    close.dedup();
    close.into_iter().take(max).map(|(_, name)| name).collect()
}

/// Insertions, removals and replacements that lead from `a` to `b`, if they are at most `limit`.
fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut best = left;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            *cell = replaced.min(left + 1).min(diagonal + 1);
            left = *cell;
            best = best.min(left);
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

/// A pattern of `tracer find`: with `*` for the whole name, without for a part of it.
pub(super) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(last) = parts.next_back() else { return name.contains(pattern) };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::modules::Modules;
    use std::path::Path;
    use std::process::Command;

    fn fit(query: &str, name: &str) -> Option<Fit> {
        Query::new(query).fit(name.as_bytes())
    }

    #[test]
    fn names_of_c_fit_exactly() {
        assert_eq!(fit("main", "main"), Some(Fit::Exact));
        assert_eq!(fit("mai", "main"), None);
        assert_eq!(fit("ain", "main"), None);
    }

    #[test]
    fn names_of_cpp_fit_in_all_their_forms() {
        let name = "_ZN2ns3FooIiE3barEPKci";
        assert_eq!(demangle::display(name.as_bytes()), "ns::Foo<int>::bar(char const*, int)");
        for (query, expected) in [
            (name, Some(Fit::Exact)),
            ("ns::Foo<int>::bar(char const*, int)", Some(Fit::Exact)),
            ("ns::Foo<int>::bar(char const *,int)", Some(Fit::Exact)),
            ("ns::Foo<int>::bar", Some(Fit::Path)),
            ("ns::Foo::bar", Some(Fit::Path)),
            ("Foo<int>::bar", Some(Fit::Suffix)),
            ("Foo::bar", Some(Fit::Suffix)),
            ("bar", Some(Fit::Suffix)),
            ("bar(char const*, int)", Some(Fit::Suffix)),
            ("ar", None),
            ("oo::bar", None),
            ("ns", None),
        ] {
            assert_eq!(fit(query, name), expected, "{query}");
        }
    }

    #[test]
    fn operators_keep_their_angle_brackets() {
        let name = "_ZN2nslsIiEERSoS1_RKT_";
        for query in ["ns::operator<< <int>", "operator<<"] {
            assert!(fit(query, name).is_some(), "{query}: {}", demangle::display(name.as_bytes()));
        }
        assert_eq!(without_arguments("a::operator<"), "a::operator<");
        assert_eq!(without_arguments("a<b>::operator->"), "a::operator->");
        assert_eq!(without_arguments("a::f[abi:cxx11]"), "a::f");
    }

    #[test]
    fn names_of_rust_fit_in_all_their_forms() {
        let method = "_RNvMs_C4demoINtB4_3VecjE4pushB4_";
        let shown = demangle::display(method.as_bytes());
        assert_eq!(shown, "<demo::Vec<usize>>::push");
        for query in [&shown, "demo::Vec<usize>::push", "demo::Vec::push", "Vec::push", "push"] {
            assert!(fit(query, method).is_some(), "{query}");
        }
        assert_eq!(fit("ec::push", method), None);
        let of_trait = "_RNvXC4demoNtB2_6ConfigNtNtC4core3fmt5Debug3fmt";
        let shown = demangle::display(of_trait.as_bytes());
        assert_eq!(shown, "<demo::Config as core::fmt::Debug>::fmt");
        for query in [&shown, "demo::Config::fmt", "Config::fmt", "fmt"] {
            assert!(fit(query, of_trait).is_some(), "{query}");
        }
        assert_eq!(fit("Debug::fmt", of_trait), None);
        let generic = "_RINvC4demo3runhE";
        assert_eq!(demangle::display(generic.as_bytes()), "demo::run::<u8>");
        for query in ["demo::run::<u8>", "demo::run<u8>", "demo::run", "run"] {
            assert!(fit(query, generic).is_some(), "{query}");
        }
        let closure = "_RNCNvC4demo3run0";
        assert_eq!(demangle::display(closure.as_bytes()), "demo::run::{closure#0}");
        assert_eq!(fit("demo::run::{closure#0}", closure), Some(Fit::Exact));
        assert_eq!(fit("run::{closure#0}", closure), Some(Fit::Suffix));
        assert_eq!(fit("demo::run", closure), None);
        let old = "_ZN4demo3run17h0123456789abcdefE";
        assert_eq!(fit("demo::run", old), Some(Fit::Exact));
        assert_eq!(fit("run", old), Some(Fit::Suffix));
    }

    /// The names of all functions of a program.
    fn names_in(program: &Path) -> Vec<Vec<u8>> {
        let modules = Modules::of_file(program).unwrap();
        let symbols = modules.get(0).unwrap().code().symbols().unwrap();
        symbols.iter().map(|symbol| symbol.name.to_vec()).collect()
    }

    #[test]
    fn what_is_passed_over_undemangled_does_not_fit() {
        let mut of_cpp = Command::new("gcc");
        let of_cpp = of_cpp.arg("-print-file-name=libstdc++.so.6").output().unwrap().stdout;
        let of_cpp = String::from_utf8(of_cpp).unwrap();
        let mut names = names_in(&std::env::current_exe().unwrap());
        names.extend(names_in(Path::new(of_cpp.trim())));
        assert!(names.len() > 1000);
        for name in names.iter().step_by(7).filter(|name| demangle::is_mangled(name)) {
            for (_, form) in forms(name) {
                let tails = boundaries(&form).chain([0]).filter_map(|at| form.get(at..));
                for query in tails.map(Query::new).filter(|query| query.version.is_none()) {
                    let fits = query.fit_forms(&forms(name)).is_some();
                    assert!(!fits || query.may_fit(name), "{} in {form}", query.name);
                }
            }
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names =
            ["process_order", "process_orders", "proces_order", "other", "ns::process_ordr"];
        let names = names.iter().map(|name| (*name).to_owned());
        let found = nearest("process_ordr", names, 3);
        assert_eq!(found, ["ns::process_ordr", "process_order", "proces_order"]);
        assert_eq!(edit_distance("kitten", "sitting", 5), Some(3));
        assert_eq!(edit_distance("kitten", "sitting", 2), None);
    }

    #[test]
    fn a_pattern_with_a_star_is_for_the_whole_name() {
        assert!(matches_pattern("alloc", "PyMem_malloc_x"));
        assert!(matches_pattern("Py*alloc*", "PyMem_malloc_x"));
        assert!(matches_pattern("*", ""));
        assert!(matches_pattern("a*", "a"));
        assert!(!matches_pattern("Py*alloc", "PyMem_malloc_x"));
        assert!(!matches_pattern("Alloc", "PyMem_malloc_x"));
        assert!(!matches_pattern("a*a", "a"));
    }
}
