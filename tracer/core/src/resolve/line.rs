//! `file:line` to addresses in all modules of a process.

use super::function::{Target, target};
use super::name::nearest;
use crate::binary::dwarf::DebugInfo;
use crate::binary::line_sites;
use crate::binary::lines::normalize;
use crate::binary::modules::Code;
use crate::binary::source_index::SourceFile;
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::ModuleIndex;
use std::collections::{BTreeMap, BTreeSet};

/// Candidates in an issue, at most.
const CANDIDATES_MAX: usize = 20;
/// Lines with code that are named before and after one that has none.
const LINES_AROUND: usize = 3;
/// Files with similar names that are offered.
const FILES_NEAR: usize = 5;

/// The main program's index among the modules.
pub(super) const MAIN_PROGRAM: ModuleIndex = 0;

type ByPath = BTreeMap<String, Vec<(ModuleIndex, SourceFile)>>;

pub(super) fn lookup(code: &Code<'_>, file: &str, line: u64) -> Result<Vec<Target>, Issue> {
    let subject = format!("{file}:{line}");
    let modules = with_debug_info(code)?;
    let mut by_path: ByPath = BTreeMap::new();
    for (module, info) in &modules {
        for found in line_sites::source_files(info, file) {
            by_path.entry(found.path.clone()).or_default().push((*module, found));
        }
    }
    if by_path.len() > 1 {
        with_code(&mut by_path, &modules);
    }
    // A whole path means itself even where another path ends in it.
    if let Some(exact) = by_path.remove_entry(&normalize(file)) {
        by_path = ByPath::from([exact]);
    }
    let sites =
        |files: &[(ModuleIndex, SourceFile)]| {
            let mut targets = Vec::new();
            for (module, file) in files {
                let Some((_, info)) = modules.iter().find(|(index, _)| index == module) else {
                    continue;
                };
                let sites = line_sites::sites(info, file, line);
                targets.extend(sites.iter().map(|(svma, scope)| Target {
                    instance: *scope,
                    ..target(code, *module, *svma)
                }));
            }
            targets
        };
    if by_path.len() > 1 {
        return Err(ambiguous(&subject, &by_path, line, |files| !sites(files).is_empty()));
    }
    let Some((path, files)) = by_path.pop_first() else {
        // The main program has the file, more likely than not, if it could be read.
        return Err(match code.debug_issue(MAIN_PROGRAM) {
            Some(issue) => Issue { subject: format!("{subject} in {}", issue.subject), ..issue },
            None => no_file(&subject, file, line, &modules),
        });
    };
    let targets = sites(&files);
    if targets.is_empty() {
        return Err(no_line(&subject, &path, &files, line, &modules));
    }
    Ok(targets)
}

/// Leaves out files that only declare things, where there are others: they have no lines to stop
/// at.
fn with_code(by_path: &mut ByPath, modules: &[(ModuleIndex, &DebugInfo)]) {
    let mut have = BTreeSet::new();
    for (module, info) in modules {
        let of_module = by_path.iter().flat_map(|(path, files)| {
            files.iter().filter(|(index, _)| index == module).map(move |(_, file)| (path, file))
        });
        let (paths, files): (Vec<&String>, Vec<&SourceFile>) = of_module.unzip();
        let found = line_sites::have_code(info, &files).into_iter().zip(paths);
        have.extend(found.filter(|(has, _)| *has).map(|(_, path)| path.clone()));
    }
    if !have.is_empty() {
        by_path.retain(|path, _| have.contains(path));
    }
}

fn with_debug_info<'m>(code: &Code<'m>) -> Result<Vec<(ModuleIndex, &'m DebugInfo)>, Issue> {
    let mut first_issue = None;
    let mut found = Vec::new();
    for module in 0..code.modules().len() {
        match code.debug_info(module) {
            Ok(info) => found.push((module, info)),
            Err(issue) => first_issue = first_issue.or(Some(issue)),
        }
    }
    match first_issue {
        Some(issue) if found.is_empty() => Err(issue),
        _ => Ok(found),
    }
}

fn ambiguous(
    subject: &str,
    by_path: &ByPath,
    line: u64,
    has_code: impl Fn(&[(ModuleIndex, SourceFile)]) -> bool,
) -> Issue {
    let (with, without): (Vec<_>, Vec<_>) = by_path.iter().partition(|(_, files)| has_code(files));
    let offered = if with.is_empty() { without } else { with };
    let candidates = offered.iter().take(CANDIDATES_MAX).map(|(path, _)| format!("{path}:{line}"));
    let detail = format!("{} files have this name", by_path.len());
    Issue::new(IssueKind::Ambiguous, subject, detail).with_candidates(candidates.collect())
}

fn no_file(subject: &str, file: &str, line: u64, modules: &[(ModuleIndex, &DebugInfo)]) -> Issue {
    let mut names = BTreeSet::new();
    for (_, info) in modules {
        let paths = info.source_index().paths();
        names.extend(paths.filter_map(|path| Some(path.rsplit('/').next()?.to_owned())));
    }
    let wanted = file.rsplit('/').next().unwrap_or(file);
    let near = nearest(wanted, names.into_iter(), FILES_NEAR);
    let candidates = near.into_iter().map(|name| format!("{name}:{line}")).collect();
    let detail = "no debug info mentions this file";
    Issue::new(IssueKind::NoLine, subject, detail).with_candidates(candidates)
}

fn no_line(
    subject: &str,
    path: &str,
    files: &[(ModuleIndex, SourceFile)],
    line: u64,
    modules: &[(ModuleIndex, &DebugInfo)],
) -> Issue {
    let mut lines = BTreeSet::new();
    for (module, file) in files {
        if let Some((_, info)) = modules.iter().find(|(index, _)| index == module) {
            lines.extend(line_sites::lines_with_code(info, file));
        }
    }
    let mut near: Vec<u64> = lines.range(..line).rev().take(LINES_AROUND).copied().collect();
    near.reverse();
    near.extend(lines.range(line.saturating_add(1)..).take(LINES_AROUND));
    let candidates = near.into_iter().map(|line| format!("{path}:{line}")).collect();
    Issue::new(IssueKind::NoLine, subject, path).with_candidates(candidates)
}
