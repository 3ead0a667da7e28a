//! What a file on disk says; shared ground of resolve and decode.

pub mod cache;
pub mod call_sites;
pub mod cfi;
pub mod code_map;
mod compressed;
pub mod debugfile;
pub mod debuginfod;
pub mod demangle;
pub mod dwarf;
pub mod elf;
mod entries;
pub mod expression;
pub mod file_code;
pub mod files;
pub mod function_index;
mod function_names;
mod function_scan;
pub mod functions;
mod guard;
mod heap;
mod index_file;
pub mod index_store;
pub mod instances;
pub mod landing_pads;
mod line_header;
pub mod line_sites;
pub mod lines;
pub mod lists;
mod memo;
pub mod module;
pub mod modules;
pub mod namespaces;
pub mod open;
pub mod opener;
pub mod own_directory;
pub mod range_map;
pub mod remote;
mod scan;
mod sections;
pub mod source_index;
pub mod split;
mod strings;
pub mod symbolize;
pub mod symbols;
pub mod type_index;
pub mod unit;
pub mod units;
pub mod vtables;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
