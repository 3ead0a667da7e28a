//! Rust source as words, for rules about what it names: comments are left out, test code can be.

/// A word or a sign of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    /// An identifier, number, `::`, a string (a quote before the literal as it stands), or one
    /// other character.
    pub(super) text: String,
    /// From 1.
    pub(super) line: usize,
}

/// The words of a source file without comments.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    Lexer { rest: source, line: 1, tokens: Vec::new() }.run()
}

/// The words without items under `#[cfg(test)]`.
pub(super) fn shipped_tokens(source: &str) -> Vec<Token> {
    let all = tokens(source);
    let mut shipped = Vec::with_capacity(all.len());
    let mut at = 0;
    while let Some(token) = all.get(at) {
        if starts_with(&all, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = item_end(&all, at + 7);
        } else {
            shipped.push(token.clone());
            at += 1;
        }
    }
    shipped
}

fn starts_with(tokens: &[Token], at: usize, words: &[&str]) -> bool {
    tokens
        .get(at..at + words.len())
        .is_some_and(|slice| slice.iter().zip(words).all(|(token, word)| token.text == *word))
}

/// The index behind the item that starts at `at`: its `;` or the end of its braces.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    break;
                }
            }
            ";" if depth == 0 => break,
            _ => {}
        }
    }
    at
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn run(mut self) -> Vec<Token> {
        while let Some(first) = self.rest.chars().next() {
            let line = self.line;
            let (length, text) = self.next(first);
            let taken = self.rest.get(..length).unwrap_or(self.rest);
            self.line += taken.matches('\n').count();
            self.rest = self.rest.get(length..).unwrap_or("");
            if let Some(text) = text {
                self.tokens.push(Token { text, line });
            }
        }
        self.tokens
    }

    /// Bytes of what comes next, and its text if it is a token.
    fn next(&self, first: char) -> (usize, Option<String>) {
        let rest = self.rest;
        if rest.starts_with("//") {
            return (rest.find('\n').unwrap_or(rest.len()), None);
        }
        if rest.starts_with("/*") {
            return (block_comment(rest), None);
        }
        if rest.starts_with("::") {
            return (2, Some("::".to_owned()));
        }
        if let Some(length) = string(rest) {
            let literal = rest.get(..length).unwrap_or(rest);
            return (length, Some(format!("\"{literal}")));
        }
        if first == '\'' {
            return quote(rest);
        }
        if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            return (word.len(), Some(word.to_owned()));
        }
        (first.len_utf8(), (!first.is_whitespace()).then(|| first.to_string()))
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Bytes of the string literal that `rest` starts with: plain, byte, C or raw.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    let (kinds, tail) = rest.split_at_checked(prefix)?;
    if !matches!(kinds, "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    if kinds.ends_with('r') {
        let hashes = tail.find(|c| c != '#')?;
        let body = tail.get(hashes..)?.strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(prefix + hashes + 1 + length);
    }
    let body = tail.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// A character literal, which is no token, or a lifetime.
fn quote(rest: &str) -> (usize, Option<String>) {
    let body = rest.get(1..).unwrap_or("");
    if body.starts_with('\\') {
        let end = body.get(2..).and_then(|tail| tail.find('\''));
        return (end.map_or(rest.len(), |at| 1 + 2 + at + 1), None);
    }
    let mut chars = body.chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) => (1 + c.len_utf8() + 1, None),
        _ => (1, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(tokens: &[Token]) -> String {
        tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_string_is_one_word_that_begins_with_a_quote() {
        assert_eq!(words(&tokens(r##"b"x y" r#"z"#"##)), r##""b"x y" "r#"z"#"##);
    }

    #[test]
    fn comments_strings_and_characters_are_no_words() {
        let source = "a // b\n/* c /* d */ e */ f \"g \\\" h\" r#\"i \" j\"# '\\'' 'k' '\"' <'l> m";
        assert_eq!(words(&tokens(source)), "a f \"\"g \\\" h\" \"r#\"i \" j\"# < l > m");
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let source = "/* 1\n2 */ \"3\n4\"\nx";
        assert_eq!(tokens(source).last().map(|token| token.line), Some(4));
    }

    #[test]
    fn test_items_are_left_out() {
        let source = "use a; #[cfg(test)] mod t; fn f() {} #[cfg(test)] mod u { use x; fn g() {} }
            #[cfg(test)] #[derive(A)] struct S { x: [u8; 2] } fn h() {}";
        assert_eq!(words(&shipped_tokens(source)), "use a ; fn f ( ) { } fn h ( ) { }");
    }

    #[test]
    fn a_word_that_begins_like_a_string_prefix_is_a_word() {
        assert_eq!(words(&tokens("crate::b r b\"x\" br")), "crate :: b r \"b\"x\" br");
    }
}
