//! The nearest line against a search of all lines, in programs that gcc builds.

use super::*;
use crate::binary::fixture::{Fixture, line_of, program};
use crate::binary::modules::Modules;
use crate::model::address::Avma;
use crate::model::resolved::{Resolved, ScopedVariable, SourceLine};
use crate::resolve::{function::parse, resolve};

const SOURCE: &str = r#"
volatile long sink;
static long many;
__attribute__((noinline)) long work(long number) {
    long tripled = number * 3; // tripled
    sink = 5; // between
    long more = tripled + sink; // more
    sink = more; // stored
    for (long step = 0; step < more; step++) { // loop
        long square = step * step; // square
        sink = square; // in the loop
        if (square > 100)
            many += square; // in the branch
    }
    sink = 6; // behind
    return more; // end
}
static inline __attribute__((always_inline)) long helper(long argument) {
    long inner = argument * 7 + sink; // inner
    sink = 9; // in the helper
    return inner + many; // end of the helper
}
__attribute__((noinline)) long outer(long value) {
    long first = helper(value); // first call
    sink = 8; // between the calls
    long second = helper(first); // second call
    return first * second; // end of outer
}
int main(int argc, char **argv) {
    return (int)(work(argc) + outer(argc));
}
"#;

fn resolved(code: &Code<'_>, text: &str) -> Option<Resolved> {
    resolve(&parse(text).unwrap(), text, code).ok()
}

fn at(code: &Code<'_>, site: &Site, name: &str, places: usize) -> Option<Elsewhere> {
    let absent = elsewhere(site, "here", code, places).unwrap();
    if let Some(outside) = absent.outside.iter().find(|outside| outside.name == name) {
        return Some(outside.elsewhere.clone());
    }
    let mut here = site.variables.iter().zip(absent.missing);
    here.find(|(variable, _)| variable.name == name).and_then(|(_, found)| found)
}

fn is_live(site: &Site, variable: &ScopedVariable) -> bool {
    let same = |other: &&ScopedVariable| other.name == variable.name && other.kind == variable.kind;
    site.variables.iter().filter(same).any(|other| other.location.is_ok())
}

/// The site at `pc` of a location as it would be asked for.
fn asked_for(code: &Code<'_>, line: &SourceLine, pc: Avma, whole: bool) -> Site {
    let text = if whole { format!("{}:{}", line.file, line.line) } else { format!("*{pc}") };
    let sites = resolved(code, &text).expect(&text).sites;
    sites.into_iter().find(|site| site.pc == pc).expect(&text)
}

/// Lines of the program, each with its sites in `function`.
fn all_lines(code: &Code<'_>, function: &str) -> BTreeMap<u64, Vec<Site>> {
    let lines = 1..=SOURCE.lines().count() as u64;
    let sites = |line| {
        let all = resolved(code, &format!("main.c:{line}")).unwrap_or_default().sites;
        all.into_iter().filter(|site| site.function.as_deref() == Some(function)).collect()
    };
    lines.map(|line| (line, sites(line))).collect()
}

/// Checks every variable that is missing on any line of a function; gives how many were found
/// elsewhere and how many nowhere.
fn check(fixture: &Fixture, function: &str) -> (usize, usize) {
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let lines = all_lines(&code, function);
    let (mut elsewhere_count, mut nowhere) = (0, 0);
    for site in lines.values().flatten() {
        let here = site.line.as_ref().unwrap().line;
        for (variable, found) in
            site.variables.iter().zip(elsewhere(site, "", &code, 400).unwrap().missing)
        {
            // The line of an outer frame is another one than that of the site.
            if variable.inline_depth > 0 {
                continue;
            }
            let what = format!("{function}, {} at line {here}: {found:?}", variable.name);
            // The lines where some sites have the variable, and those where all do.
            let is_live = |site: &Site| is_live(site, variable);
            let some = |line: &u64| lines[line].iter().any(is_live);
            let all = |line: &u64| some(line) && lines[line].iter().all(is_live);
            match &found {
                None => assert!(variable.location.is_ok(), "{what}"),
                Some(Elsewhere::Line { line, pc, whole }) => {
                    elsewhere_count += 1;
                    assert!(is_live(&asked_for(&code, line, *pc, *whole)), "{what}");
                    assert_eq!(*whole, all(&line.line), "{what}");
                    let distance = line.line.abs_diff(here);
                    let is_nearer = |line: &&u64| line.abs_diff(here) < distance;
                    let mut nearer = lines.keys().filter(is_nearer);
                    match whole {
                        true => assert_eq!(nearer.find(|line| all(line)), None, "{what}"),
                        false => {
                            assert_eq!(nearer.find(|line| some(line)), None, "{what}");
                            assert_eq!(lines.keys().find(|line| all(line)), None, "{what}");
                        }
                    }
                }
                Some(Elsewhere::Nowhere) => {
                    nowhere += 1;
                    assert_eq!(lines.keys().find(|line| some(line)), None, "{what}");
                }
                Some(Elsewhere::NotFound) => panic!("{what}"),
            }
        }
    }
    (elsewhere_count, nowhere)
}

#[test]
fn no_line_is_nearer_that_has_the_variable() {
    for flags in ["-O0", "-Og", "-O2", "-O2 -gdwarf-4"] {
        let fixture = program(SOURCE, flags);
        let (found, nowhere) = check(&fixture, "work");
        println!("{flags}: {found} found, {nowhere} nowhere");
        assert!(found > 0, "{flags}: nothing was missing");
    }
}

#[test]
fn a_variable_that_is_not_declared_yet_is_on_the_next_line() {
    let fixture = program(SOURCE, "-O0");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let line = line_of(SOURCE, "more");
    let site = resolved(&code, &format!("main.c:{line}")).unwrap().sites.remove(0);
    let Some(Elsewhere::Line { line: found, whole: true, .. }) = at(&code, &site, "more", 400)
    else {
        panic!("{site:?}");
    };
    assert_eq!(found.line, line_of(SOURCE, "stored"));
    assert!(found.file.ends_with("main.c"));
    assert_eq!(at(&code, &site, "tripled", 400), None, "it has a location here");
}

/// What is missing at a line of the inlined function: its own variables and those of the caller.
#[test]
fn variables_of_every_frame_are_found_where_a_probe_shows_them() {
    let mut checked = [0, 0];
    for flags in ["-O1", "-O2"] {
        let fixture = program(SOURCE, flags);
        let modules = Modules::of_file(&fixture.path("main")).unwrap();
        let code = Code::new(&modules);
        let helper = line_of(SOURCE, "inner")..=line_of(SOURCE, "end of the helper");
        for site in helper
            .clone()
            .filter_map(|line| resolved(&code, &format!("main.c:{line}")))
            .flat_map(|resolved| resolved.sites)
        {
            let found = elsewhere(&site, "", &code, 400).unwrap().missing;
            for (variable, found) in site.variables.iter().zip(found) {
                let Some(Elsewhere::Line { line, pc, whole }) = found else { continue };
                let what = format!("{flags} {variable:?}: {line:?}");
                assert!(is_live(&asked_for(&code, &line, pc, whole), variable), "{what}");
                let of_caller = variable.inline_depth > 0;
                assert!(!of_caller || !helper.contains(&line.line), "{what}");
                checked[usize::from(of_caller)] += 1;
            }
        }
    }
    assert!(checked.iter().all(|count| *count > 0), "{checked:?}");
}

#[test]
fn a_search_that_was_cut_short_does_not_say_nowhere() {
    let fixture = program(SOURCE, "-O0");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let site = resolved(&code, "work").unwrap().sites.remove(0);
    assert_eq!(at(&code, &site, "more", 1), Some(Elsewhere::NotFound));
    assert!(matches!(at(&code, &site, "more", 400), Some(Elsewhere::Line { .. })));
}

#[test]
fn variables_of_other_blocks_of_the_function_are_told_of() {
    for flags in ["-O0", "-O2"] {
        let fixture = program(SOURCE, flags);
        let modules = Modules::of_file(&fixture.path("main")).unwrap();
        let code = Code::new(&modules);
        let site = resolved(&code, "work").unwrap().sites.remove(0);
        let outside = elsewhere(&site, "work", &code, 400).unwrap().outside;
        let names: Vec<&str> = outside.iter().map(|outside| outside.name.as_str()).collect();
        assert_eq!(names, ["step", "square"], "{flags}");
        let square = &outside[1];
        assert_eq!((square.type_name.as_str(), square.kind), ("long int", VariableKind::Local));
        let Elsewhere::Line { line, .. } = &square.elsewhere else { panic!("{square:?}") };
        let first = line_of(SOURCE, "square");
        assert!((first..first + 4).contains(&line.line), "{flags}: {square:?}");
        // What is inlined into it belongs to another function.
        let site = resolved(&code, "outer").unwrap().sites.remove(0);
        assert_eq!(elsewhere(&site, "outer", &code, 400).unwrap().outside, [], "{flags}");
    }
}
