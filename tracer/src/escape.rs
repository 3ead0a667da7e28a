//! The one way from a captured string, symbol, path or name to a terminal.
//!
//! What the target wrote must not move the cursor, hide or reorder what stands beside it, or end
//! a line. The printer takes [`Escaped`] only, and only this file makes one, so that a string that
//! was forgotten here does not compile.

use std::fmt::Write as _;

/// Characters of a name (symbol, path, type) that are shown; a hostile symbol can be megabytes.
const NAME_CHARS_MAX: usize = 1024;
/// Combining marks that may stand on one character: more is no writing system, but a way to paint
/// over the lines above and below.
const MARKS_MAX: usize = 3;

/// Text that is safe on a terminal: printable characters only, on one line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Escaped(String);

impl Escaped {
    /// A name or a sentence from outside: symbols, paths, types, details of errors. A very long
    /// one is cut, with the number of characters that are missing.
    pub fn name(text: &str) -> Self {
        Self::name_bytes(text.as_bytes())
    }

    /// [`Self::name`] of bytes that need not be UTF-8, such as a thread's name.
    pub fn name_bytes(bytes: &[u8]) -> Self {
        let mut out = Escaper::new(None);
        out.push_bytes(bytes);
        let text = out.text;
        match text.char_indices().nth(NAME_CHARS_MAX) {
            None => Self(text),
            Some((end, _)) => {
                let more = text.get(end..).map_or(0, |rest| rest.chars().count());
                let shown = text.get(..end).unwrap_or_default();
                Self(format!("{shown}…[{more} more]"))
            }
        }
    }

    /// A value in double quotes, with quotes and backslashes escaped too, so that where it ends
    /// can't be forged.
    pub fn quoted(bytes: &[u8]) -> Self {
        Self::between('"', bytes)
    }

    /// A character in single quotes.
    pub fn quoted_char(character: char) -> Self {
        let mut buffer = [0; 4];
        Self::between('\'', character.encode_utf8(&mut buffer).as_bytes())
    }

    /// Lines of a log, each escaped; line feeds stay.
    pub fn lines(bytes: &[u8]) -> String {
        let lines: Vec<String> = bytes
            .split(|&byte| byte == b'\n')
            .map(|line| {
                let mut out = Escaper::new(None);
                out.push_bytes(line);
                out.text
            })
            .collect();
        lines.join("\n")
    }

    /// A number in hexadecimal, with `0x`.
    pub fn hex(number: u64) -> Self {
        Self(format!("{number:#x}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Columns on a terminal, one for each character. Wide and combining characters make this an
    /// estimate; it decides where lines are broken and nothing else.
    pub fn width(&self) -> usize {
        self.0.chars().count()
    }

    fn between(quote: char, bytes: &[u8]) -> Self {
        let mut out = Escaper::new(Some(quote));
        out.text.push(quote);
        out.push_bytes(bytes);
        out.text.push(quote);
        Self(out.text)
    }
}

/// Our own words: a literal in the program can't come from a target.
impl From<&'static str> for Escaped {
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

macro_rules! from_number {
    ($($number:ty)+) => {
        $(impl From<$number> for Escaped {
            fn from(number: $number) -> Self {
                Self(number.to_string())
            }
        })+
    };
}
from_number!(u32 u64 usize i128 u128);

impl From<f64> for Escaped {
    fn from(number: f64) -> Self {
        Self(format!("{number:?}"))
    }
}

/// Text being escaped, with what the last characters were.
struct Escaper {
    text: String,
    /// The quotes around the text, where there are some.
    quote: Option<char>,
    /// Combining marks may follow a character of the same text only, not our own.
    has_base: bool,
    marks: usize,
}

impl Escaper {
    fn new(quote: Option<char>) -> Self {
        Self { text: String::new(), quote, has_base: false, marks: 0 }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                self.push(character);
            }
            for byte in chunk.invalid() {
                self.push_escape(format_args!("\\x{byte:02x}"));
            }
        }
    }

    fn push(&mut self, character: char) {
        match character {
            _ if self.quote == Some(character) => self.push_escape(format_args!("\\{character}")),
            '\\' if self.quote.is_some() => self.push_escape(format_args!("\\\\")),
            ' '..='~' => self.push_base(character),
            '\n' => self.push_escape(format_args!("\\n")),
            '\r' => self.push_escape(format_args!("\\r")),
            '\t' => self.push_escape(format_args!("\\t")),
            '\0'..='\x1f' | '\x7f' => {
                self.push_escape(format_args!("\\x{:02x}", u32::from(character)));
            }
            _ => match class(character) {
                Class::Visible => self.push_base(character),
                Class::Mark if self.has_base && self.marks < MARKS_MAX => {
                    self.text.push(character);
                    self.marks += 1;
                }
                Class::Mark | Class::Hidden => {
                    self.push_escape(format_args!("\\u{{{:x}}}", u32::from(character)));
                }
            },
        }
    }

    fn push_base(&mut self, character: char) {
        self.text.push(character);
        self.has_base = true;
        self.marks = 0;
    }

    fn push_escape(&mut self, escape: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        self.text.write_fmt(escape).unwrap_or_default();
        self.has_base = false;
        self.marks = 0;
    }
}

/// What a character outside ASCII does on a terminal.
enum Class {
    /// It takes its own place.
    Visible,
    /// It changes the look of the one before it.
    Mark,
    /// It can't be seen, or changes how others are placed.
    Hidden,
}

/// The standard library knows which characters are printable (general categories C, Zl, Zp and
/// all spaces but the common one are not) and which extend a grapheme, and tells it by what
/// `escape_debug` leaves alone.
fn class(character: char) -> Class {
    if is_blank_or_selector(character) {
        return Class::Hidden;
    }
    let leaves_alone = |mut escaped: std::char::EscapeDebug| {
        escaped.next() == Some(character) && escaped.next().is_none()
    };
    if leaves_alone(character.escape_debug()) {
        return Class::Visible;
    }
    // `str::escape_debug` escapes marks only at the start of the text.
    let mut buffer = ['a'.len_utf8() as u8; 5];
    buffer[0] = b'a';
    let length = 1 + character.encode_utf8(&mut buffer[1..]).len();
    let after_letter = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
    if after_letter.escape_debug().nth(1) == Some(character) { Class::Mark } else { Class::Hidden }
}

/// Letters and marks by category that show nothing: fillers, and selectors that can carry hidden
/// text.
fn is_blank_or_selector(character: char) -> bool {
    matches!(character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
        | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// True if a terminal shows `text` as it stands. Written apart from the code above: it names
    /// what is dangerous instead of what is safe.
    pub(crate) fn is_harmless(text: &str) -> bool {
        !text.chars().any(|c| {
            let code = u32::from(c);
            code < 0x20
                || (0x7f..=0x9f).contains(&code)
                || matches!(code, 0xad | 0x61c | 0x180e | 0xfeff)
                || (0x200b..=0x200f).contains(&code)
                || (0x2028..=0x202e).contains(&code)
                || (0x2060..=0x206f).contains(&code)
                || (0xfff9..=0xfffb).contains(&code)
                || (0xfe00..=0xfe0f).contains(&code)
                || (0xe0000..=0xe0fff).contains(&code)
                || (0xd800..=0xf8ff).contains(&code)
        })
    }

    /// Attacks on terminals and readers, one after another in many mixtures.
    pub(crate) fn hostile_payloads(count: usize) -> Vec<Vec<u8>> {
        const PARTS: &[&[u8]] = &[
            b"\x1b[2J\x1b[H",
            b"\x1b]0;owned\x07",
            b"\x1b]52;c;cm0gLXJmIC8=\x1b\\",
            b"\x1bP+q544e\x1b\\",
            b"\xc2\x9b31m",
            b"\xc2\x9d0;t\xc2\x9c",
            b"\x9b31m",
            b"\r\x1b[K",
            b"\n$ rm -rf /\n",
            b"\x00",
            b"\x7f\x08\x08",
            b"\x0e\x0f\x05",
            "\u{202e}txt.exe\u{202c}".as_bytes(),
            "\u{2066}a\u{2069}\u{200f}\u{61c}".as_bytes(),
            "\u{2028}\u{2029}\u{85}".as_bytes(),
            "\u{200b}\u{200d}\u{feff}\u{ad}".as_bytes(),
            "\u{e0041}\u{e007f}\u{fe0f}\u{e0100}".as_bytes(),
            "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}".as_bytes(),
            b"\xff\xfe\xed\xa0\x80\xf4\x90\x80\x80\xc0\x80",
            b"\"; \\\" \\",
            "plain text, Grüße, 漢字".as_bytes(),
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..count)
            .map(|_| {
                let mut payload = Vec::new();
                for _ in 0..next() % 6 + 1 {
                    if next() % 4 == 0 {
                        payload.extend_from_slice(&next().to_le_bytes());
                    }
                    payload.extend_from_slice(PARTS[(next() % PARTS.len() as u64) as usize]);
                }
                payload
            })
            .collect()
    }

    /// HOST-2
    #[test]
    fn hostile_payloads_become_harmless() {
        for payload in hostile_payloads(5000) {
            for escaped in [Escaped::name_bytes(&payload), Escaped::quoted(&payload)] {
                assert!(is_harmless(escaped.as_str()), "{payload:?} became {escaped:?}");
            }
            assert!(Escaped::lines(&payload).split('\n').all(is_harmless));
        }
    }

    #[test]
    fn every_character_is_harmless_or_escaped() {
        for character in '\0'..=char::MAX {
            let escaped = Escaped::quoted_char(character);
            assert!(is_harmless(escaped.as_str()), "{:x}", u32::from(character));
        }
    }

    #[test]
    fn a_quoted_text_ends_at_its_only_bare_quote() {
        for payload in hostile_payloads(2000) {
            let escaped = Escaped::quoted(&payload);
            let inner = &escaped.as_str()[1..escaped.width_bytes() - 1];
            let mut characters = inner.chars();
            while let Some(character) = characters.next() {
                assert_ne!(character, '"', "{escaped:?}");
                if character == '\\' {
                    assert!(characters.next().is_some(), "{escaped:?} escapes its own end");
                }
            }
        }
    }

    impl Escaped {
        fn width_bytes(&self) -> usize {
            self.0.len()
        }
    }

    #[test]
    fn escapes_are_readable() {
        let quoted = |bytes: &[u8]| Escaped::quoted(bytes).0;
        assert_eq!(quoted(b"a\tb\r\n\0\x1b[m\x7f"), r#""a\tb\r\n\x00\x1b[m\x7f""#);
        assert_eq!(quoted(b"say \"no\" \\"), r#""say \"no\" \\""#);
        assert_eq!(quoted("\u{9b}\u{202e}".as_bytes()), r#""\u{9b}\u{202e}""#);
        assert_eq!(quoted(b"\xff\xc3"), r#""\xff\xc3""#);
        assert_eq!(Escaped::name("C:\\x \"y\"").0, "C:\\x \"y\"");
    }

    #[test]
    fn other_scripts_stay_readable() {
        for text in ["Grüße", "漢字かな", "שלום", "नमस्ते", "e\u{301}te", "🦀", "a—b…"]
        {
            assert_eq!(Escaped::name(text).0, text);
        }
    }

    #[test]
    fn marks_neither_pile_up_nor_stand_on_our_own_characters() {
        assert_eq!(Escaped::quoted("\u{301}".as_bytes()).0, r#""\u{301}""#);
        let piled = Escaped::name("a\u{301}\u{301}\u{301}\u{301}").0;
        assert_eq!(piled, "a\u{301}\u{301}\u{301}\\u{301}");
    }

    #[test]
    fn a_very_long_name_is_cut_and_says_so() {
        let name = Escaped::name(&"x".repeat(NAME_CHARS_MAX + 7));
        assert!(name.as_str().ends_with("x…[7 more]"));
    }
}
