//! Tests that need no root, no kernel and no network.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod deploy;
mod vm;
