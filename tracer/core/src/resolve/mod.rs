//! Target → sites: what a location means in a process.

mod candidates;
pub mod find;
pub mod function;
mod line;
mod name;
pub mod process;
#[cfg(test)]
mod tests;
