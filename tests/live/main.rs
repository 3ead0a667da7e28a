//! Tests on the real kernel: real uprobes in real processes. They need root, and fail where they
//! can't run.

mod absent;
mod against_gdb;
mod bad_input;
mod ending;
mod equation;
mod find_doctor;
mod hostile;
mod instructions;
mod kernel_log;
mod privilege;
mod stack;
mod values;
mod vars;
