//! What values state about themselves: numbers and notes.

use super::pointer::late_pointer;
use super::{Decoder, Place};
use crate::decode::source::Source;
use crate::model::address::Avma;
use crate::model::capture::Provenance;
use crate::model::container::{Arithmetic, Note, Number, Says};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::value::{Said, Typed, Value};

/// Numbers inside one another.
const NESTING_MAX: u32 = 16;

/// A value's data that can't be true together.
pub(super) fn contradiction(detail: impl Into<String>) -> Reason {
    Reason::new(ReasonCode::Contradiction, detail)
}

impl Decoder<'_> {
    /// A number of the value at a place.
    pub(super) fn number(&self, number: &Number, place: Place<'_>) -> Result<u64, Reason> {
        self.nested_number(number, place, NESTING_MAX)
    }

    fn nested_number(&self, number: &Number, at: Place<'_>, left: u32) -> Result<u64, Reason> {
        let left = left.checked_sub(1).ok_or(ReasonCode::UnsupportedType)?;
        match number {
            Number::Fixed(number) => Ok(*number),
            Number::Field { offset, size } => self.field_bits(at, *offset, *size),
            Number::Behind { pointer, number } => {
                let address = self.field_bits(at, *pointer, 8)?;
                let source = Source::Memory { address, stack: false };
                let place = Place { source: &source, offset: 0, depth: at.depth + 1, ..at };
                self.nested_number(number, place, left)
            }
            Number::IfInside { pointer, then_or_else } => {
                let pointer = self.field_bits(at, *pointer, 8)?;
                let own = at.source.address(at.offset).ok_or(ReasonCode::NotCaptured)?;
                let inside = pointer.wrapping_sub(own) < at.size;
                let [then, other] = then_or_else.as_ref();
                self.nested_number(if inside { then } else { other }, at, left)
            }
            Number::Of(arithmetic, both) => {
                let [a, b] = both.as_ref();
                let (a, b) = (self.nested_number(a, at, left)?, self.nested_number(b, at, left)?);
                combined(*arithmetic, a, b)
            }
        }
    }

    fn field_bits(&self, place: Place<'_>, offset: u64, size: u8) -> Result<u64, Reason> {
        let part = place.part(offset).ok_or(ReasonCode::Unmapped)?;
        let provenance = part.source.provenance(self.world.image, part.offset, size.into());
        if provenance == Provenance::ReadAfterHit {
            return Err(late_pointer());
        }
        Ok(self.bits(part, size.into())? as u64)
    }

    /// A value with its notes, if it has any.
    pub(super) fn noted(&self, of: Typed, notes: Vec<(String, Said)>) -> Value {
        if notes.is_empty() { of.value } else { Value::Noted { notes, of: Box::new(of) } }
    }

    /// What the notes of a value say. Those on what a null pointer would lead to say nothing.
    pub(super) fn notes(&self, notes: &[Note], place: Place<'_>) -> Vec<(String, Said)> {
        let said = |note: &Note| Some((note.name.clone(), self.says(&note.says, place)?));
        notes.iter().filter_map(said).collect()
    }

    fn says(&self, says: &Says, place: Place<'_>) -> Option<Said> {
        let missing = |reason: Reason| Said::Text(format!("<unavailable: {reason}>"));
        match says {
            Says::Text(text) => Some(Said::Text(text.clone())),
            Says::Number(number, _) | Says::Symbol(number) if self.leads_nowhere(number, place) => {
                None
            }
            Says::Number(number, words) => Some(match self.number(number, place) {
                Ok(number) => {
                    let number = number as i64;
                    let word = words.iter().find(|(value, _)| *value == number);
                    word.map_or(Said::Number(number.into()), |(_, word)| Said::Text(word.clone()))
                }
                Err(reason) => missing(reason),
            }),
            Says::Symbol(number) => Some(match self.number(number, place) {
                Ok(address) => {
                    let name = self.world.code.symbol_at(Avma(address));
                    Said::Text(name.unwrap_or_else(|| format!("{address:#x}")))
                }
                Err(reason) => missing(reason),
            }),
        }
    }

    pub(super) fn leads_nowhere(&self, number: &Number, place: Place<'_>) -> bool {
        match number {
            Number::Behind { pointer, .. } => self.field_bits(place, *pointer, 8) == Ok(0),
            Number::Of(_, both) => both.iter().any(|number| self.leads_nowhere(number, place)),
            Number::Fixed(_) | Number::Field { .. } | Number::IfInside { .. } => false,
        }
    }
}

/// What a note says of elements that were not all read at the hit.
pub(super) fn origin_note(provenance: Provenance) -> Option<(String, Said)> {
    let said = match provenance {
        Provenance::MappedFile => "from the mapped file",
        Provenance::Untouched => "never touched",
        Provenance::ReadAfterHit => "read after the hit",
        _ => return None,
    };
    Some(("elements".to_owned(), Said::Text(said.to_owned())))
}

fn combined(arithmetic: Arithmetic, a: u64, b: u64) -> Result<u64, Reason> {
    let result = match arithmetic {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Sub => a.checked_sub(b),
        Arithmetic::Mul => a.checked_mul(b),
        Arithmetic::Div => match (a.checked_div(b), a.checked_rem(b)) {
            (Some(result), Some(0)) => Some(result),
            _ => None,
        },
        Arithmetic::Shr => Some(u32::try_from(b).ok().and_then(|b| a.checked_shr(b)).unwrap_or(0)),
        Arithmetic::And => Some(a & b),
        Arithmetic::Wrap => Some(a.wrapping_add(b)),
        Arithmetic::Above => Some(u64::from(a > b)),
    };
    result.ok_or_else(|| contradiction(format!("{a:#x} and {b:#x} give no number")))
}
