//! Tests on the real kernel: real uprobes in real processes. They need root, and fail where they
//! can't run.

mod instructions;
mod privilege;
