//! Rules about the text of files.

use super::source::tokens;
use super::{File, Problem};

/// Files are split before they get this long.
const LINES_MAX: usize = 700;
/// Written in halves, for this file obeys the rules too.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Paths that exist on one machine only.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wor", "k/"), concat!("/tmp/", "w/"), concat!("/ro", "ot/")];
/// Files that a tool writes.
const GENERATED: &[&str] = &["Cargo.lock", "tracer-ebpf/Cargo.lock"];

/// Checks one file.
pub(super) fn check(file: &File, problems: &mut Vec<Problem>) {
    // Recorded inputs and outputs are what they are.
    if GENERATED.contains(&file.path.as_str()) || file.path.starts_with("tests/cases/") {
        return;
    }
    let mut problem = |line, text: String| problems.push(Problem::new(file, line, text));
    for (index, line) in file.text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            problem(index + 1, "space at the end of the line".to_owned());
        }
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            problem(index + 1, format!("{word}: finish it, or write it into an issue"));
        }
        for path in MACHINE_PATHS.iter().filter(|path| line.contains(**path)) {
            problem(index + 1, format!("{path} exists on one machine only"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        problem(0, "no newline at the end".to_owned());
    }
    if file.extension() == "rs" {
        rust(file, problems);
    }
}

fn rust(file: &File, problems: &mut Vec<Problem>) {
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        let text = format!("{lines} lines: split it before it has {LINES_MAX}");
        problems.push(Problem::new(file, 0, text));
    }
    let first = file.text.lines().next().unwrap_or("");
    if first.strip_prefix("//! ").is_none_or(|rest| rest.trim().is_empty()) {
        let text = "the first line says what the file is for: `//! …`";
        problems.push(Problem::new(file, 1, text));
    }
    let tokens = tokens(&file.text);
    for pair in tokens.windows(3) {
        if let [hash, bracket, word] = pair
            && hash.text == "#"
            && bracket.text == "["
            && word.text == "ignore"
        {
            problems.push(Problem::new(file, word.line, "a test that is ignored tests nothing"));
        }
    }
}

/// Whether `word` stands in the line, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        ![before, after].into_iter().flatten().any(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::file;

    fn check_one(path: &str, text: &str, expected: &[&str]) {
        let mut problems = Vec::new();
        check(&file(path, text), &mut problems);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        check_one("a.rs", "//! Adds.\nfn f() {}\n", &[]);
        check_one(
            "a.rs",
            "fn f() {}\n",
            &["a.rs:1: the first line says what the file is for: `//! …`"],
        );
    }

    #[test]
    fn a_long_file_is_split() {
        let text = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
        check_one("a.rs", &text, &["a.rs: 701 lines: split it before it has 700"]);
    }

    #[test]
    fn lines_are_clean() {
        check_one("a.md", "x \ny\n", &["a.md:1: space at the end of the line"]);
        check_one("a.md", "x", &["a.md: no newline at the end"]);
        let path = MACHINE_PATHS.first().unwrap();
        check_one(
            "a.md",
            &format!("{path}x\n"),
            &[&format!("a.md:1: {path} exists on one machine only")],
        );
    }

    #[test]
    fn unfinished_work_and_ignored_tests_are_found() {
        let word = UNFINISHED.first().unwrap();
        let text = format!("// {word}: later\n// {word}_LIST is a name\n");
        check_one("a.c", &text, &[&format!("a.c:1: {word}: finish it, or write it into an issue")]);
        let text = format!("//! A.\n#[{}]\nfn f() {{}}\n", "ignore");
        check_one("a.rs", &text, &["a.rs:2: a test that is ignored tests nothing"]);
    }
}
