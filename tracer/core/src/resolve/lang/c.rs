//! Names of types in the syntax of C: declarators around what they declare.

use super::super::dies::{self, Die, Dies};
use super::super::types::array;
use super::Language;
use crate::model::types::{Encoding, Scalar, Shape};

/// Entries read for one name; a type can mention itself in a parameter.
const STEPS_MAX: u32 = 256;
/// Nested declarators.
const DEPTH_MAX: u32 = 64;
/// Bytes of a name.
const BYTES_MAX: usize = 2048;

/// A type as C writes it without a variable: `const char *`, `int (*)(int)`, `int [16]`. Tags
/// (`struct`) are written where the language needs them.
pub fn type_name<'a>(dies: &Dies<'a>, die: Option<&Die<'a>>, language: Language) -> String {
    let mut writer = Writer { dies, language, steps: STEPS_MAX };
    cut(writer.declare(die.cloned(), String::new(), DEPTH_MAX))
}

/// The same of the arrays in an array, without its first `dimension` dimensions.
pub fn inner_array_name<'a>(
    dies: &Dies<'a>,
    die: &Die<'a>,
    dimension: usize,
    language: Language,
) -> String {
    let mut writer = Writer { dies, language, steps: STEPS_MAX };
    cut(writer.array(die, dimension, String::new(), DEPTH_MAX))
}

/// Cuts a name that is too long for people.
pub(super) fn cut(mut name: String) -> String {
    if name.len() > BYTES_MAX {
        let end = (0..=BYTES_MAX).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}

struct Writer<'d, 'a> {
    dies: &'d Dies<'a>,
    language: Language,
    steps: u32,
}

impl<'a> Writer<'_, 'a> {
    /// Writes the type around `inner`, the declarator so far.
    fn declare(&mut self, die: Option<Die<'a>>, inner: String, depth: u32) -> String {
        let Some(die) = die else { return join("void", &inner) };
        if self.steps == 0 || depth == 0 || inner.len() > BYTES_MAX {
            return join("…", &inner);
        }
        self.steps -= 1;
        let depth = depth - 1;
        match die.tag() {
            gimli::DW_TAG_pointer_type => self.pointer(&die, "*", &inner, depth),
            gimli::DW_TAG_reference_type => self.pointer(&die, "&", &inner, depth),
            gimli::DW_TAG_rvalue_reference_type => self.pointer(&die, "&&", &inner, depth),
            gimli::DW_TAG_const_type => self.qualified(&die, "const", inner, depth),
            gimli::DW_TAG_volatile_type => self.qualified(&die, "volatile", inner, depth),
            gimli::DW_TAG_restrict_type => self.qualified(&die, "restrict", inner, depth),
            gimli::DW_TAG_atomic_type => self.qualified(&die, "_Atomic", inner, depth),
            gimli::DW_TAG_array_type => match die.name() {
                Some(name) => join(&name, &inner),
                None => self.array(&die, 0, inner, depth),
            },
            gimli::DW_TAG_subroutine_type => self.function(&die, &inner, depth),
            gimli::DW_TAG_ptr_to_member_type => {
                let class = self.target(&die, gimli::DW_AT_containing_type);
                let class = class.and_then(|class| class.name()).unwrap_or_default();
                let target = self.target(&die, gimli::DW_AT_type);
                self.declare(target, format!("{class}::*{inner}"), depth)
            }
            _ => join(&self.plain(&die), &inner),
        }
    }

    fn pointer(&mut self, die: &Die<'a>, sign: &str, inner: &str, depth: u32) -> String {
        if let Some(name) = die.name() {
            return join(&name, inner);
        }
        let target = self.target(die, gimli::DW_AT_type);
        self.declare(target, format!("{sign}{inner}"), depth)
    }

    /// A qualifier stands before a plain type and behind a pointer.
    fn qualified(&mut self, die: &Die<'a>, word: &str, inner: String, depth: u32) -> String {
        let target = self.target(die, gimli::DW_AT_type);
        let behind = matches!(
            target.as_ref().map(Die::tag),
            Some(
                gimli::DW_TAG_pointer_type
                    | gimli::DW_TAG_reference_type
                    | gimli::DW_TAG_rvalue_reference_type
            )
        );
        if behind {
            self.declare(target, join(word, &inner), depth)
        } else {
            format!("{word} {}", self.declare(target, inner, depth))
        }
    }

    fn array(&mut self, die: &Die<'a>, dimension: usize, inner: String, depth: u32) -> String {
        let counts = array::dimensions(self.dies, die).unwrap_or_else(|_| vec![None]);
        let mut inner = parenthesized(inner);
        for count in counts.iter().skip(dimension) {
            match count {
                Some(count) => inner.push_str(&format!("[{count}]")),
                None => inner.push_str("[]"),
            }
        }
        let element = self.target(die, gimli::DW_AT_type);
        self.declare(element, inner, depth)
    }

    fn function(&mut self, die: &Die<'a>, inner: &str, depth: u32) -> String {
        let mut parameters = Vec::new();
        for child in self.dies.children(die).unwrap_or_default() {
            let child = Die { unit: die.unit.clone(), entry: child };
            match child.tag() {
                gimli::DW_TAG_formal_parameter => {
                    if self.steps == 0 {
                        parameters.push("…".to_owned());
                        break;
                    }
                    let target = self.target(&child, gimli::DW_AT_type);
                    parameters.push(self.declare(target, String::new(), depth));
                }
                gimli::DW_TAG_unspecified_parameters => parameters.push("...".to_owned()),
                _ => {}
            }
        }
        let none = self.language == Language::C
            && parameters.is_empty()
            && dies::flag(&die.entry, gimli::DW_AT_prototyped);
        let parameters = if none { "void".to_owned() } else { parameters.join(", ") };
        let inner = parenthesized(inner.to_owned());
        let result = self.target(die, gimli::DW_AT_type);
        self.declare(result, format!("{inner}({parameters})"), depth)
    }

    /// A type with a name, or a word for what has none.
    fn plain(&self, die: &Die<'a>) -> String {
        let word = match die.tag() {
            gimli::DW_TAG_structure_type => "struct",
            gimli::DW_TAG_class_type => "class",
            gimli::DW_TAG_union_type => "union",
            gimli::DW_TAG_enumeration_type => "enum",
            _ => "",
        };
        // A type that is in a type unit may have its name only there.
        let name = die.name().or_else(|| self.target(die, gimli::DW_AT_signature)?.name());
        let path = self.dies.path(die).filter(|_| self.language == Language::Cpp);
        let name = match (name, path) {
            (Some(name), Some(path)) => Some(format!("{path}::{name}")),
            (name, _) => name,
        };
        match (name, word) {
            (Some(name), "") => name,
            (Some(name), word) if self.language == Language::C => format!("{word} {name}"),
            (Some(name), _) => name,
            (None, "") => "?".to_owned(),
            (None, word) => format!("{word} {{...}}"),
        }
    }

    fn target(&self, die: &Die<'a>, attribute: gimli::DwAt) -> Option<Die<'a>> {
        self.dies.reference(die, attribute).ok().flatten()
    }
}

/// A declarator that is not an array's or a function's needs parentheses before it becomes one.
fn parenthesized(inner: String) -> String {
    if inner.is_empty() || inner.starts_with(['(', '[']) { inner } else { format!("({inner})") }
}

fn join(name: &str, inner: &str) -> String {
    if inner.is_empty() { name.to_owned() } else { format!("{name} {inner}") }
}

/// A character type under a name that does not speak of characters is a small number: `uint8_t`.
pub(super) fn meaning(name: &str, shape: Shape) -> Shape {
    let Shape::Scalar(Scalar { encoding, size }) = shape else { return shape };
    let encoding = match encoding {
        Encoding::SignedChar if !name.contains("char") => Encoding::Signed,
        Encoding::UnsignedChar if !name.contains("char") => Encoding::Unsigned,
        other => other,
    };
    Shape::Scalar(Scalar { encoding, size })
}
