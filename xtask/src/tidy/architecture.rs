//! `tracer/ARCHITECTURE.md` tells the truth: every module is on its map, every path it names
//! exists, every invariant has a test.

use super::{File, Problem};

const DOCUMENT: &str = "tracer/ARCHITECTURE.md";
/// Folders whose modules must be on the map, paths given relative to them.
const MAPPED: &[&str] = &["tracer/core/src", "tracer/src"];
/// Folders that the document's paths may be relative to.
const ROOTS: &[&str] = &[
    "",
    "tracer",
    "tracer/core/src",
    "tracer/src",
    "tracer-common/src",
    "tracer-ebpf/src",
    "xtask/src",
    "tests",
];

/// Checks the document, once there is one.
pub(super) fn check(files: &[File], problems: &mut Vec<Problem>) {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return;
    };
    let named: Vec<(usize, String)> = document
        .text
        .lines()
        .enumerate()
        .flat_map(|(index, line)| code(line).into_iter().map(move |word| (index + 1, word)))
        .flat_map(|(line, word)| expand(&word).into_iter().map(move |path| (line, path)))
        .collect();
    for file in files {
        let below = MAPPED.iter().find_map(|folder| file.below(folder));
        let Some(below) = below.filter(|below| is_module(below)) else { continue };
        if !named.iter().any(|(_, path)| names(path, below)) {
            problems.push(Problem::new(file, 0, format!("`{below}` is not in {DOCUMENT}")));
        }
    }
    for (line, path) in named.iter().filter(|(_, path)| path.ends_with(".rs")) {
        let is_below = |root: &&str| {
            let full = if root.is_empty() { path.clone() } else { format!("{root}/{path}") };
            files.iter().any(|file| file.path == full)
        };
        if !ROOTS.iter().any(is_below) {
            problems.push(Problem::new(document, *line, format!("`{path}` does not exist")));
        }
    }
    invariants(document, files, problems);
}

/// Source files that a reader must find on the map.
fn is_module(below: &str) -> bool {
    below.ends_with(".rs") && !below.ends_with("tests.rs") && !below.contains("tests/")
}

/// `a/b.rs` is named by itself; a `mod.rs` by its folder too.
fn names(path: &str, below: &str) -> bool {
    path == below || below.strip_suffix("mod.rs").is_some_and(|folder| path == folder)
}

/// What stands between backticks in a line.
fn code(line: &str) -> Vec<String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expand(word: &str) -> Vec<String> {
    let Some((before, rest)) = word.split_once('{') else {
        return vec![word.to_owned()];
    };
    let Some((middle, after)) = rest.split_once('}') else {
        return vec![word.to_owned()];
    };
    middle.split(',').map(|name| format!("{before}{}{after}", name.trim())).collect()
}

/// An invariant is defined by its bold id (`**LOSS-1**`), and some test names it.
fn invariants(document: &File, files: &[File], problems: &mut Vec<Problem>) {
    for (index, line) in document.text.lines().enumerate() {
        for id in line.split("**").skip(1).step_by(2).filter(|word| is_id(word)) {
            let tested = files.iter().any(|file| {
                let tests = file.path.starts_with("tests/")
                    || file.path.ends_with("tests.rs")
                    || file.text.contains("#[cfg(test)]");
                tests && file.extension() == "rs" && has_id(&file.text, id)
            });
            if !tested {
                let text = format!("no test names the invariant {id}");
                problems.push(Problem::new(document, index + 1, text));
            }
        }
    }
}

/// Whether `id` stands in the text, not as the start of a longer number.
fn has_id(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        !text
            .get(at + id.len()..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn is_id(word: &str) -> bool {
    word.split_once('-').is_some_and(|(name, number)| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_uppercase())
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::file;

    fn check_all(document: &str, others: &[(&str, &str)], expected: &[&str]) {
        let mut files = vec![file(DOCUMENT, document)];
        files.extend(others.iter().map(|(path, text)| file(path, text)));
        let mut problems = Vec::new();
        check(&files, &mut problems);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn modules_are_on_the_map_and_the_map_is_true() {
        check_all(
            "`plan/` and `binary/{cfi,lines}.rs`\n`gone.rs`",
            &[
                ("tracer/core/src/plan/mod.rs", ""),
                ("tracer/core/src/binary/cfi.rs", ""),
                ("tracer/core/src/binary/lines.rs", ""),
                ("tracer/core/src/binary/tests.rs", ""),
                ("tracer/src/cli/find.rs", ""),
            ],
            &[
                "tracer/src/cli/find.rs: `cli/find.rs` is not in tracer/ARCHITECTURE.md",
                "tracer/ARCHITECTURE.md:2: `gone.rs` does not exist",
            ],
        );
    }

    #[test]
    fn invariants_have_tests() {
        // Written in parts, so that this file is no test of them.
        let (one, two) = (concat!("AB", "C-1"), concat!("AB", "C-2"));
        check_all(
            &format!("- **{one}** x\n- **{two}** y\n**UTF**"),
            &[("tests/live/main.rs", &format!("// {one}, {two}0"))],
            &[&format!("tracer/ARCHITECTURE.md:2: no test names the invariant {two}")],
        );
    }
}
