//! What a file on disk says; shared ground of resolve and decode.

pub mod cfi;
pub mod code_map;
mod compressed;
pub mod debugfile;
pub mod demangle;
pub mod dwarf;
pub mod elf;
pub mod expression;
pub mod function_index;
pub mod functions;
pub mod landing_pads;
mod line_header;
pub mod line_sites;
pub mod lines;
pub mod module;
pub mod modules;
pub mod open;
pub mod range_map;
pub mod symbolize;
pub mod symbols;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
