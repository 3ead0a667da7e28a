//! What is offered where a name means several functions, or none.

use super::{Groups, Hit, Identity};
use crate::binary::demangle;
use crate::binary::lines::has_tail;
use crate::binary::modules::Code;
use crate::binary::symbols::split_suffix;
use crate::model::address::Svma;
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::{LocationSpec, ModuleIndex};
use crate::resolve::function::parse;
use crate::resolve::name::{Fit, Query, nearest, short};
use std::collections::{BTreeSet, HashSet};

/// Candidates in an issue, at most.
const CANDIDATES_MAX: usize = 20;
/// Near names that are offered.
const NEAREST_MAX: usize = 5;
/// Names of one function that are tried as its candidate.
const NAMES_TRIED: usize = 4;
/// Bytes of the file that are mapped for a name.
const NAME_PAGES_BYTES: usize = 32 << 10;

/// The name means all of these; each is offered by a text that means it alone.
pub(super) fn ambiguous(code: &Code<'_>, subject: String, groups: &Groups<'_>) -> Issue {
    let modules: BTreeSet<_> = groups.keys().map(|identity| identity.module).collect();
    let all: Vec<Candidate<'_>> =
        groups.iter().map(|(identity, hits)| Candidate::new(code, identity, hits)).collect();
    let mut candidates = Vec::new();
    for candidate in all.iter().take(CANDIDATES_MAX) {
        let prefix = match code.modules().name(candidate.identity.module) {
            Some(name) if modules.len() > 1 => format!("{name}!"),
            _ => String::new(),
        };
        let module = candidate.identity.module;
        let rivals = all.iter().filter(|other| other.identity.module == module);
        let rivals: Vec<_> = rivals.filter(|other| other.identity != candidate.identity).collect();
        candidates.push(candidate.unique_text(code, &prefix, &rivals));
    }
    let detail = format!("{} functions fit", groups.len());
    Issue::new(IssueKind::Ambiguous, subject, detail).with_candidates(candidates)
}

/// A function that is offered.
struct Candidate<'g> {
    identity: &'g Identity,
    /// Its names, copied: in the file they lie far apart, and are compared often.
    names: BTreeSet<Vec<u8>>,
    /// Some code of it.
    at: Option<(ModuleIndex, Svma)>,
}

impl<'g> Candidate<'g> {
    fn new(code: &Code<'_>, identity: &'g Identity, hits: &[Hit<'_>]) -> Self {
        // Copies of one function mostly have one name, which is at one place in the file.
        let mut places: HashSet<(*const u8, usize)> =
            hits.iter().map(|hit| (hit.name.as_ptr(), hit.name.len())).collect();
        if let Ok(info) = code.debug_info(identity.module) {
            info.touched(places.len().saturating_mul(NAME_PAGES_BYTES));
        }
        let names = hits.iter().filter(|hit| places.remove(&(hit.name.as_ptr(), hit.name.len())));
        let names = names.map(|hit| hit.name.to_vec()).collect();
        Self { identity, names, at: hits.first().map(|hit| (hit.module, hit.svma)) }
    }

    fn best_fit(&self, query: &Query) -> Option<Fit> {
        self.names.iter().filter_map(|name| query.fit(name)).min()
    }

    /// The shortest text that means this function and none of its rivals.
    fn unique_text(&self, code: &Code<'_>, prefix: &str, rivals: &[&Self]) -> String {
        let names: BTreeSet<&[u8]> = self.names.iter().map(|name| split_suffix(name).0).collect();
        let names = names.iter().copied().take(NAMES_TRIED);
        let mut texts: Vec<String> = names.clone().map(short).collect();
        texts.extend(names.clone().map(demangle::display));
        texts.extend(names.map(|name| String::from_utf8_lossy(name).into_owned()));
        // A type such as `*const T` looks like an address, for example.
        let reads_back = |text: &String| {
            let spec = LocationSpec::Function { module: None, name: text.clone(), offset: None };
            parse(text).is_ok_and(|parsed| parsed == spec)
        };
        for text in texts.into_iter().filter(reads_back) {
            let query = Query::new(&text);
            let own = self.best_fit(&query);
            let is_unique = rivals.iter().all(|rival| match (own, rival.best_fit(&query)) {
                (Some(own), Some(other)) => own < other,
                (own, None) => own.is_some(),
                (None, Some(_)) => false,
            });
            if is_unique {
                return format!("{prefix}{text}");
            }
        }
        let identity = self.identity;
        let tail = identity.file.rsplit('/').next().unwrap_or_default();
        let shares_file = |rival: &&Self| has_tail(&rival.identity.file, tail);
        if !tail.is_empty() && !rivals.iter().any(shares_file) {
            return format!("{prefix}{tail}:{}", identity.name);
        }
        let address = self.at.and_then(|(module, svma)| {
            Some(format!("*{}", code.modules().get(module).ok()?.to_avma(svma)))
        });
        address.unwrap_or_else(|| identity.name.clone())
    }
}

/// The name means nothing; near ones are offered.
pub(super) fn no_function(
    code: &Code<'_>,
    modules: &[ModuleIndex],
    subject: String,
    name: &str,
) -> Issue {
    let mut near = Vec::new();
    let mut bare = Vec::new();
    let mut look = |names: &mut dyn Iterator<Item = &[u8]>| {
        near.extend(nearest(name, names.map(short), NEAREST_MAX));
    };
    for module in modules {
        match code.symbols(*module) {
            Ok(symbols) => look(&mut symbols.iter().map(|symbol| split_suffix(symbol.name).0)),
            // Without the symbols of what was most likely meant the name is not known to be
            // wrong. The main program comes first.
            Err(issue) if modules.first() == Some(module) => {
                return Issue { subject: format!("{subject} in {}", issue.subject), ..issue };
            }
            Err(_) => {}
        }
        match code.debug_info(*module) {
            Ok(info) => {
                look(&mut info.function_index().searched(info));
                info.release();
            }
            Err(issue) if issue.kind != IssueKind::NoDebugInfo => bare.push(issue.to_string()),
            Err(_) => bare.extend(
                code.modules().name(*module).map(|name| format!("{name} has no debug info")),
            ),
        }
    }
    let near = nearest(name, near.into_iter(), NEAREST_MAX);
    // The main program comes first; that a system library is bare is the rule.
    let detail = bare.into_iter().next().unwrap_or_default();
    Issue::new(IssueKind::NoFunction, subject, detail).with_candidates(near)
}
