//! What a location means in a process: its sites, and the variables that are live there.

pub mod dies;
pub mod function;
pub mod instruction;
pub mod lang;
pub mod process;
pub mod site;
pub mod types;
pub mod variables;

#[cfg(test)]
mod fixture;
