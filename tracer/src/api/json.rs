//! JSON that is safe to look at: one line of printable ASCII, whatever the strings hold.

use serde::Serialize;
use serde_json::ser::Formatter;
use std::io;

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
