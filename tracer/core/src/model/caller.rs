//! Who asks, as far as it decides what they may see.

/// Who asks for a probe or for what is in a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
