//! What a probe does with a hit.

/// What a probe does with a hit that its gate lets pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Action {
    /// Copy registers, stack and variables.
    #[default]
    Snapshot,
    /// Count it in the kernel and copy nothing.
    Count,
}
