//! The paths that a source file names, with the groups of `use` written out.

use super::source::Token;

/// A path such as `crate::model::address`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NamedPath {
    pub(super) segments: Vec<String>,
    /// From 1.
    pub(super) line: usize,
}

impl NamedPath {
    /// The segment at `index`, or nothing.
    pub(super) fn segment(&self, index: usize) -> &str {
        self.segments.get(index).map_or("", String::as_str)
    }
}

/// All paths of the source, single identifiers too.
pub(super) fn paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let after_dot = at > 0 && tokens.get(at - 1).is_some_and(|before| before.text == ".");
        if is_identifier(&token.text) && !after_dot {
            at = path(tokens, at, &[], &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the path (or the group of paths) at `at` below `prefix`; gives the index behind it.
fn path(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<NamedPath>) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut segments = prefix.to_vec();
    loop {
        match tokens.get(at).map(|token| token.text.as_str()) {
            Some("{") => return group(tokens, at + 1, &segments, found),
            Some("*") => at += 1,
            Some(word) if is_identifier(word) => {
                segments.push(word.to_owned());
                at += 1;
                if tokens.get(at).is_some_and(|token| token.text == "::") {
                    at += 1;
                    continue;
                }
            }
            _ => {}
        }
        found.push(NamedPath { segments, line });
        return at;
    }
}

/// Reads the members of a `use` group up to its closing brace.
fn group(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<NamedPath>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            // A rename: the new name is no path.
            "as" => at += 2,
            "{" | "*" => at = path(tokens, at, prefix, found),
            word if is_identifier(word) => at = path(tokens, at, prefix, found),
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::tokens;

    fn check(source: &str, expected: &[&str]) {
        let found = paths(&tokens(source));
        let found: Vec<String> = found.iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn groups_are_written_out() {
        check(
            "use crate::{model::{a, b::*}, binary as c};",
            &["use", "crate::model::a", "crate::model::b", "crate::binary"],
        );
    }

    #[test]
    fn a_method_is_no_path() {
        check("x.plan(); crate::plan::compile()", &["x", "crate::plan::compile"]);
    }

    #[test]
    fn generics_end_a_path() {
        check("Vec::<u8>::new()", &["Vec", "u8", "new"]);
    }
}
