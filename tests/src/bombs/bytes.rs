//! Bytes, written one part after another.

/// Bytes that grow.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn leb(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// A text with its NUL.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.raw(text.as_bytes()).u8(0)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    /// The same bytes again and again.
    pub(super) fn times(&mut self, count: usize, bytes: &[u8]) -> &mut Self {
        self.raw(&bytes.repeat(count))
    }

    /// What has its length, in 32 bits, in front of it.
    pub(super) fn sized(&mut self, content: &Self) -> &mut Self {
        self.u32(content.len() as u32).raw(&content.0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
