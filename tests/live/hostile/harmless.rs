//! What a terminal, a pager or a reader's eye takes for something else than text. It names what
//! is dangerous, apart from the code under test, which names what is safe.

/// Fails unless output shows as it stands; gives it, without colours of our own where it may have
/// some.
pub(super) fn assert_harmless(output: &[u8], coloured: bool) -> String {
    let text = std::str::from_utf8(output).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let text = if coloured { without_colours(text) } else { text.to_owned() };
    let harm = text.chars().find(|c| is_dangerous(*c));
    assert!(harm.is_none(), "{harm:?} in {text:?}");
    text
}

fn is_dangerous(character: char) -> bool {
    let code = u32::from(character);
    (code < 0x20 && character != '\n')
        || (0x7f..=0x9f).contains(&code)
        || matches!(code, 0xad | 0x61c | 0x180e | 0xfeff)
        || (0x200b..=0x200f).contains(&code)
        || (0x2028..=0x202e).contains(&code)
        || (0x2060..=0x206f).contains(&code)
        || (0xfff9..=0xfffb).contains(&code)
        || (0xfe00..=0xfe0f).contains(&code)
        || (0xe0000..=0xe0fff).contains(&code)
}

/// Takes out SGR sequences: numbers and semicolons between `ESC [` and `m`.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.map(|end| part.split_at(end)) {
            Some((_, rest)) if rest.starts_with('m') => plain.push_str(&rest[1..]),
            // No colour: it stays, and is found.
            _ => plain.push_str(&format!("\x1b[{part}")),
        }
    }
    plain
}

/// The bytes of a quoted string, as a person reads them back from the escapes.
pub(super) fn unescape(quoted: &str) -> Vec<u8> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut rest = inner.unwrap_or_else(|| panic!("not quoted: {quoted}"));
    let mut bytes = Vec::new();
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let kind = rest.chars().next().unwrap();
        rest = &rest[1..];
        match kind {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            '"' | '\\' => bytes.push(kind as u8),
            'x' => {
                let (digits, behind) = rest.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = behind;
            }
            'u' => {
                let (digits, behind) = rest[1..].split_once('}').unwrap();
                let code = u32::from_str_radix(digits, 16).unwrap();
                let character = char::from_u32(code).unwrap();
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            other => panic!("an escape that nobody knows: \\{other}"),
        }
    }
    bytes
}

#[test]
fn danger_is_seen() {
    for text in ["\x1b[2J", "\r", "\u{9b}", "\u{202e}", "\x7f", "\0", "\u{feff}"] {
        assert!(text.chars().any(is_dangerous), "{text:?}");
    }
    assert_eq!(without_colours("\x1b[1;31mred\x1b[0m"), "red");
    assert_eq!(without_colours("\x1b[2Jx"), "\x1b[2Jx");
    assert_eq!(unescape(r#""a\x1b\u{202e}\"\\\n""#), "a\x1b\u{202e}\"\\\n".as_bytes());
}
