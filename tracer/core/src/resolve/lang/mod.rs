//! What differs between languages: how types are written, and which layouts have a meaning beyond
//! their members. Everything is found by names in debug info, never by fixed offsets.

pub mod c;
pub mod class;
pub mod cpp;
pub mod rust;

use super::dies::{Die, Dies};
use crate::model::types::Shape;

/// A source language, as far as types differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    /// C of any edition, Objective-C.
    C,
    /// C++ of any edition, Objective-C++.
    Cpp,
    /// Rust.
    Rust,
    /// Go.
    Go,
    /// Any other; shown as C, and nothing is taken for text.
    Other,
}

impl Language {
    /// The language of a DW_AT_language code (DWARF 5, 7.12, and the list of codes added since).
    pub fn from_code(code: gimli::DwLang) -> Self {
        match code {
            gimli::DW_LANG_C89
            | gimli::DW_LANG_C
            | gimli::DW_LANG_C99
            | gimli::DW_LANG_C11
            | gimli::DW_LANG_C17
            | gimli::DW_LANG_ObjC => Self::C,
            // C23 has a code that is younger than DWARF 5.
            gimli::DwLang(0x3e) => Self::C,
            gimli::DW_LANG_C_plus_plus
            | gimli::DW_LANG_C_plus_plus_03
            | gimli::DW_LANG_C_plus_plus_11
            | gimli::DW_LANG_C_plus_plus_14
            | gimli::DW_LANG_C_plus_plus_17
            | gimli::DW_LANG_C_plus_plus_20
            | gimli::DW_LANG_ObjC_plus_plus => Self::Cpp,
            gimli::DwLang(0x3a) => Self::Cpp,
            gimli::DW_LANG_Rust => Self::Rust,
            gimli::DW_LANG_Go => Self::Go,
            _ => Self::Other,
        }
    }

    /// A pointer to this base type points to NUL-terminated text. `signed char` and
    /// `unsigned char` are numbers as often as text, so they do not count.
    pub fn is_text(self, base_type: &str) -> bool {
        matches!(self, Self::C | Self::Cpp) && matches!(base_type, "char" | "char8_t")
    }

    /// What a type of this name means to its programmers, where that is more than its shape.
    pub fn meaning(self, name: &str, shape: Shape) -> Shape {
        match self {
            Self::C | Self::Cpp => c::meaning(name, shape),
            Self::Rust | Self::Go | Self::Other => shape,
        }
    }
}

/// A type as a programmer of the language writes it; `None` is `void`.
pub fn type_name<'a>(dies: &Dies<'a>, die: Option<&Die<'a>>, language: Language) -> String {
    match language {
        Language::Rust => rust::type_name(dies, die),
        Language::Cpp => cpp::short(&c::type_name(dies, die, language)),
        Language::C | Language::Go | Language::Other => c::type_name(dies, die, language),
    }
}
