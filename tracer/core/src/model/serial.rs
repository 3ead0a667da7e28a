//! How nouns cross to the process that reads files, and back. Both ends are the same program, so none
//! of this is a promise to anybody, and nothing here is kept.

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use std::cell::Cell;
use std::fmt;

/// What is inside one another deeper than this is no noun of ours: see `HEIGHT_MAX` of the values.
pub const NESTED_MAX: u32 = 300;

thread_local! {
    /// How much deeper this thread may read.
    static LEFT: Cell<u32> = const { Cell::new(NESTED_MAX) };
}

/// Reads with a bound of its own for what is inside one another.
pub fn nested_at_most<T>(most: u32, read: impl FnOnce() -> T) -> T {
    let before = LEFT.replace(most);
    let read = read();
    LEFT.set(before);
    read
}

/// Reads what may hold others of its kind: the stack of the reader is not for others to fill.
///
/// # Errors
///
/// It is too deep.
pub fn nested<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let left = LEFT.get();
    let deeper = left.checked_sub(1).ok_or_else(|| D::Error::custom("nested too deep"))?;
    LEFT.set(deeper);
    let read = T::deserialize(from);
    LEFT.set(left);
    read
}

/// Bytes, whole.
pub mod bytes {
    use super::{Deserializer, Whole};
    use serde::Serializer;

    /// Writes them.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    /// Reads them.
    ///
    /// # Errors
    ///
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Whole)
    }
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

/// Paths are bytes.
pub mod path {
    use super::{Deserializer, bytes};
    use serde::Serializer;
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    /// Writes one.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        bytes::serialize(path.as_os_str().as_bytes(), to)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(PathBuf::from(OsString::from_vec(bytes::deserialize(from)?)))
    }
}

/// What the kernel program is given: as the bytes that it gets.
pub mod words {
    use super::{Deserializer, bytes};
    use serde::de::Error as _;
    use serde::{Deserialize, Serialize, Serializer};
    use zerocopy::{FromBytes, Immutable, IntoBytes};

    /// One or several.
    pub trait Words: Sized {
        /// As bytes, all of one length; none is a word more or less.
        fn write(&self) -> Option<Vec<u8>>;
        /// Back; `None` where it can't be.
        fn read(bytes: Option<&[u8]>) -> Option<Self>;
    }

    impl<T: FromBytes + IntoBytes + Immutable> Words for Vec<T> {
        fn write(&self) -> Option<Vec<u8>> {
            Some(self.as_slice().as_bytes().to_vec())
        }

        fn read(bytes: Option<&[u8]>) -> Option<Self> {
            let words = bytes?.chunks(size_of::<T>());
            words.map(|word| T::read_from_bytes(word).ok()).collect()
        }
    }

    impl<T: FromBytes + IntoBytes + Immutable> Words for Option<Vec<T>> {
        fn write(&self) -> Option<Vec<u8>> {
            self.as_ref()?.write()
        }

        fn read(bytes: Option<&[u8]>) -> Option<Self> {
            bytes.map(|bytes| Vec::read(Some(bytes))).map_or(Some(None), |words| words.map(Some))
        }
    }

    impl Words for tracer_common::code::Op {
        fn write(&self) -> Option<Vec<u8>> {
            Some(self.as_bytes().to_vec())
        }

        fn read(bytes: Option<&[u8]>) -> Option<Self> {
            Self::read_from_bytes(bytes?).ok()
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Written(#[serde(with = "bytes")] Vec<u8>);

    /// Writes them.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<T: Words, S: Serializer>(words: &T, to: S) -> Result<S::Ok, S::Error> {
        words.write().map(Written).serialize(to)
    }

    /// Reads them.
    ///
    /// # Errors
    ///
    /// Those of the deserializer; bytes that are no whole words.
    pub fn deserialize<'de, T: Words, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let bytes = Option::<Written>::deserialize(from)?.map(|Written(bytes)| bytes);
        T::read(bytes.as_deref()).ok_or_else(|| D::Error::custom("no whole words"))
    }
}

/// Enums that have a number on the wire: as that number.
macro_rules! numbered {
    ($($module:ident: $kind:ty;)+) => {$(
        #[doc = concat!("[`", stringify!($kind), "`], as its number.")]
        pub mod $module {
            use super::{Deserialize as _, Deserializer};
            use serde::Serializer;
            use serde::de::Error as _;

            /// Writes it.
            ///
            /// # Errors
            ///
            /// Those of the serializer.
            pub fn serialize<S: Serializer>(it: &$kind, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_u8(*it as u8)
            }

            /// Reads it.
            ///
            /// # Errors
            ///
            /// Those of the deserializer; a number that there is none of.
            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$kind, D::Error> {
                let number = u8::deserialize(from)?;
                <$kind>::from_u8(number).ok_or_else(|| D::Error::custom("no such number"))
            }
        }
    )+};
}

numbered! {
    status: tracer_common::status::Status;
    item_kind: tracer_common::wire::ItemKind;
}
