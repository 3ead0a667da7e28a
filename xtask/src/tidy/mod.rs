//! `cargo xtask tidy`: the project's rules that no compiler checks.
//!
//! The import rules hold for the code that ships; test code may use what it likes.

mod architecture;
mod imports;
mod manifests;
mod paths;
mod source;
mod text;
mod wire;

use crate::project;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::Path;

/// A file of the project: what git tracks or would track.
struct File {
    /// Relative to the project's root.
    path: String,
    text: String,
}

impl File {
    /// The file's kind by its name.
    fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|e| e.to_str()).unwrap_or("")
    }

    /// The path below `folder`, if it is there.
    fn below(&self, folder: &str) -> Option<&str> {
        self.path.strip_prefix(folder)?.strip_prefix('/')
    }
}

/// A broken rule.
#[derive(PartialEq, Eq, Debug)]
struct Problem {
    path: String,
    /// From 1; 0 for the whole file.
    line: usize,
    text: String,
}

impl Problem {
    fn new(file: &File, line: usize, text: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// Checks everything.
///
/// # Errors
///
/// A rule is broken; all that are have been printed.
pub(crate) fn tidy() -> Result<()> {
    let files = files()?;
    let problems = problems(&files);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!("tidy: {} problem(s)", problems.len());
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

/// Accepts the wire format as it is now.
///
/// # Errors
///
/// The pin can't be written.
pub(crate) fn pin() -> Result<()> {
    wire::pin(&files()?)
}

fn problems(files: &[File]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files {
        text::check(file, &mut problems);
        imports::check(file, &mut problems);
        manifests::check(file, &mut problems);
    }
    architecture::check(files, &mut problems);
    wire::check(files, &mut problems);
    problems
}

fn files() -> Result<Vec<File>> {
    let mut git = project::command("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let list = project::output(&mut git).context("git does not list the files")?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file that is gone is being deleted; one that is not text has no rules.
        if let Ok(text) = std::fs::read_to_string(project::root().join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file for the tests of the rules.
    pub(super) fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn the_project_is_tidy() {
        let problems: Vec<String> =
            problems(&files().unwrap()).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }
}
