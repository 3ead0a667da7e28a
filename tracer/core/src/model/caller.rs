//! Who asks, as far as it decides what they may see.

use serde::{Deserialize, Serialize};

/// Who asks for a probe or for what is in a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Caller {
    /// May trace every process.
    Root,
    /// May trace their own processes only.
    User {
        /// User id in the initial user namespace.
        uid: u32,
        /// Group id, likewise.
        gid: u32,
    },
}
