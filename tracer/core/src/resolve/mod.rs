//! From a place in the source to the addresses that are probed, with what is alive there.

pub mod instruction;
pub mod site;
