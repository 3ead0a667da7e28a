//! Text: C strings, `char[N]`, `&str`.

use super::pointer::{late_pointer, passed_pointer};
use super::{Decoder, Place, scalar, values_spent};
use crate::decode::source::Source;
use crate::model::capture::Provenance;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::record::Item;
use crate::model::types::{Encoding, Scalar};
use crate::model::value::{Typed, Value};
use tracer_common::status::Status;

/// Whether an array of this type is text. `unsigned char` and `int8_t` are bytes in most programs,
/// and cutting bytes at the first zero would hide them; so a name must say that it is `char`.
pub(super) fn is_character(scalar: Scalar, type_name: &str) -> bool {
    let name = type_name.trim_start_matches("const ").trim_start_matches("volatile ");
    scalar.size == 1
        && match scalar.encoding {
            Encoding::SignedChar => {
                let name = name.to_ascii_lowercase();
                name.contains("char") && !name.contains("signed") && !name.contains("schar")
            }
            Encoding::UnsignedChar => name == "char",
            Encoding::Utf => true,
            _ => false,
        }
}

impl Decoder<'_> {
    /// `char[total]`: the bytes up to the first NUL, which need not be there.
    pub(super) fn text_array(&mut self, total: u64, place: Place<'_>) -> Value {
        let most = u64::from(self.world.limits.text_bytes_max).min(total);
        let (bytes, missing) = place.source.prefix(self.world.image, place.offset, most as usize);
        let end = bytes.iter().position(|&byte| byte == 0);
        let limit = || (most < total).then(|| ReasonCode::LimitText.into());
        let cut = if end.is_some() { None } else { missing.or_else(limit) };
        let bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(&[]).to_vec();
        if !self.spend(bytes.len()) {
            return Value::Unavailable(values_spent());
        }
        let total = cut.is_some().then_some(total);
        let provenance = Provenance::Live;
        Value::Text { address: None, bytes, total, at_least: false, cut, provenance }
    }

    /// `char *`: the text that the kernel copied for it.
    pub(super) fn text_pointer(&mut self, place: Place<'_>) -> Value {
        if let Some((to, into)) = place.source.pointed(place.offset) {
            return self.implicit_text(to, into);
        }
        let address = match self.bits(place, 8) {
            Ok(0) => return Value::Address(0),
            Ok(address) => address as u64,
            Err(reason) => return Value::Unavailable(reason),
        };
        match self.world.image.text(address) {
            _ if self.is_late(place, 0) => self.missing_text(address, late_pointer()),
            Some(item) => self.text_item(address, item),
            None if place.source.provenance(self.world.image, place.offset, 8)
                == Provenance::EntryValue =>
            {
                self.missing_text(address, passed_pointer())
            }
            None if place.depth >= self.world.limits.depth_max => {
                self.missing_text(address, ReasonCode::LimitDepth.into())
            }
            None => self.missing_text(address, self.world.image.missing(address)),
        }
    }

    /// The text behind a `char *` that was not kept.
    fn implicit_text(&mut self, to: &Source, into: i64) -> Value {
        let most = self.world.limits.text_bytes_max as usize;
        let Ok(offset) = u64::try_from(into) else {
            return scalar::unsupported("text in front of the value that is known");
        };
        let (bytes, missing) = to.prefix(self.world.image, offset, most);
        let end = bytes.iter().position(|&byte| byte == 0);
        let cut = match (end, missing) {
            (Some(_), _) => None,
            (None, Some(reason)) if bytes.is_empty() => return Value::Unavailable(reason),
            (None, missing) => Some(missing.unwrap_or_else(|| ReasonCode::LimitText.into())),
        };
        let bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(&[]).to_vec();
        if !self.spend(bytes.len()) {
            return Value::Unavailable(values_spent());
        }
        let length = bytes.len() as u64;
        let provenance = to.provenance(self.world.image, offset, length);
        let at_least = cut.is_some();
        let total = at_least.then_some(length);
        Value::Text { address: None, bytes, total, at_least, cut, provenance }
    }

    fn text_item(&mut self, address: u64, item: &Item) -> Value {
        let copied = item.bytes.len() as u64;
        let (total, at_least, cut) = match item.status {
            Status::Read => (copied, false, None),
            Status::LimitText => (item.want, false, Some(ReasonCode::LimitText.into())),
            Status::LimitTextAtLeast => {
                (item.want.max(copied), true, Some(ReasonCode::LimitText.into()))
            }
            Status::LimitBytes => (copied, true, Some(ReasonCode::LimitBytes.into())),
            Status::Fault => return self.faulted_text(address, item),
        };
        self.text(address, &item.bytes, total, at_least, cut)
    }

    /// A text that the kernel could not read to its end, with what was found after the hit.
    fn faulted_text(&mut self, address: u64, item: &Item) -> Value {
        let image = self.world.image;
        let most = self.world.limits.text_bytes_max as usize;
        let behind = address.saturating_add(item.bytes.len() as u64);
        let found = image.available(behind);
        let found = found.get(..most.saturating_sub(item.bytes.len())).unwrap_or(found);
        let nul = found.iter().position(|&byte| byte == 0);
        let bytes = [&item.bytes, found.get(..nul.unwrap_or(found.len())).unwrap_or(&[])].concat();
        let length = bytes.len() as u64;
        let cut = match nul {
            Some(_) => None,
            None if bytes.len() >= most => Some(ReasonCode::LimitText.into()),
            None => Some(image.missing(address.saturating_add(length))),
        };
        let mut value = self.text(address, &bytes, length, cut.is_some(), cut);
        if let Value::Text { provenance, .. } = &mut value {
            // The NUL that ends it is a part of it here.
            *provenance = image.provenance(address, length + u64::from(nul.is_some()));
        }
        value
    }

    /// `&str`: the bytes of a slice, as far as they were copied.
    pub(super) fn text_slice(&mut self, address: u64, length: u64, depth: u32) -> Value {
        let limits = self.world.limits;
        let source = Source::Memory { address, stack: false };
        let most = u64::from(limits.text_bytes_max).min(length);
        let (bytes, missing) = source.prefix(self.world.image, 0, most as usize);
        let cut = missing.map(|reason| match reason.code {
            ReasonCode::NotCaptured if depth >= limits.depth_max => ReasonCode::LimitDepth.into(),
            _ => reason,
        });
        let cut = cut.or_else(|| (most < length).then(|| ReasonCode::LimitText.into()));
        self.text(address, &bytes, length, false, cut)
    }

    /// Text behind a pointer. If none of it is there it is no empty text: it is missing.
    fn text(
        &mut self,
        address: u64,
        bytes: &[u8],
        total: u64,
        at_least: bool,
        cut: Option<Reason>,
    ) -> Value {
        let cut = if self.spend(bytes.len()) { cut } else { Some(values_spent()) };
        match cut {
            Some(reason) if bytes.is_empty() || self.values_left == 0 => {
                self.missing_text(address, reason)
            }
            cut => {
                let provenance = self.world.image.provenance(address, bytes.len() as u64);
                let (address, total) = (Some(address), cut.is_some().then_some(total));
                Value::Text { address, bytes: bytes.to_vec(), total, at_least, cut, provenance }
            }
        }
    }

    fn missing_text(&mut self, address: u64, reason: Reason) -> Value {
        let target = Typed { type_name: "char".to_owned(), value: Value::Unavailable(reason) };
        self.known_pointer(address, target)
    }
}
