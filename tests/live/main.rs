//! Tests on the real kernel: real uprobes in real processes. They need root, and fail where they
//! can't run.

mod absent;
mod against_gdb;
mod ending;
mod equation;
mod instructions;
mod privilege;
mod stack;
mod values;
mod vars;
