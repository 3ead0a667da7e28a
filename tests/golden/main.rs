//! Tests that need no root, no kernel and no network.

mod vm;
