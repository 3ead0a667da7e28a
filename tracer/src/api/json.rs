//! JSON that is safe to look at: one line of printable ASCII, whatever the strings hold.

use super::value::LEVELS_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::Formatter;
use std::{fmt, io};

/// Objects and arrays inside one another that a line may have: at most three for each level of a
/// value, and some around it. Reading needs stack for each.
const NESTING_MAX: usize = 3 * LEVELS_MAX as usize + 16;

/// Why a line could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It is not JSON, or not what was expected.
    Json(serde_json::Error),
    /// It is nested more deeply than anything that we write.
    Nesting,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(_) => f.write_str("a line of JSON is not what was expected"),
            Self::Nesting => write!(f, "a line of JSON is nested more than {NESTING_MAX} levels"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Nesting => None,
        }
    }
}

/// What [`line()`] wrote.
///
/// # Errors
/// It is not JSON, not a `T`, or nested too deeply.
pub fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, ReadError> {
    if nesting(line) > NESTING_MAX {
        return Err(ReadError::Nesting);
    }
    let mut json = serde_json::Deserializer::from_slice(line);
    json.disable_recursion_limit();
    let read = T::deserialize(&mut json).map_err(ReadError::Json)?;
    json.end().map_err(ReadError::Json)?;
    Ok(read)
}

/// The most objects and arrays that are open at once in `line`.
fn nesting(line: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// `value` as one line of JSON, with the line feed. Everything but printable ASCII is written as
/// `\uXXXX`, so that control characters and bidi overrides do nothing on a terminal.
pub fn line<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Compact JSON without characters outside of printable ASCII.
struct Ascii;

impl Formatter for Ascii {
    /// `fragment` has no quote, backslash or C0 control: serde_json escapes these itself.
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        for piece in fragment.split_inclusive(|c: char| !matches!(c, ' '..='~')) {
            let plain = piece.trim_end_matches(|c: char| !matches!(c, ' '..='~'));
            writer.write_all(plain.as_bytes())?;
            let mut units = [0; 2];
            for character in piece.chars().skip(plain.len()) {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::tests::hostile_payloads;

    #[test]
    fn a_line_that_is_nested_too_deeply_is_refused() {
        let nested = |levels| [vec![b'['; levels], vec![b']'; levels]].concat();
        type Any = serde::de::IgnoredAny;
        assert!(read::<Any>(&nested(NESTING_MAX)).is_ok());
        let refused = read::<Any>(&nested(NESTING_MAX + 1));
        assert!(matches!(refused, Err(ReadError::Nesting)));
        let text = line(&"[\\\"[".repeat(NESTING_MAX)).unwrap();
        assert!(read::<String>(&text).is_ok(), "brackets in a string open nothing");
        assert!(matches!(read::<u8>(b"1 2"), Err(ReadError::Json(_))), "more than one value");
    }

    #[test]
    fn hostile_text_is_printable_ascii_and_reads_back() {
        for payload in hostile_payloads(2000) {
            let text = String::from_utf8_lossy(&payload).into_owned();
            let bytes = line(&text).unwrap();
            let (end, json) = bytes.split_last().unwrap();
            assert_eq!(*end, b'\n');
            assert!(json.iter().all(|byte| (0x20..0x7f).contains(byte)), "{text:?}");
            assert_eq!(serde_json::from_slice::<String>(json).unwrap(), text);
        }
    }
}
