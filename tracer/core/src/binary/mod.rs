//! What a file on disk says; shared ground of resolve and decode.

pub mod cfi;
pub mod code_map;
pub mod debugfile;
pub mod demangle;
pub mod dwarf;
pub mod expression;
pub mod lines;
pub mod module;
pub mod open;
pub mod symbols;
