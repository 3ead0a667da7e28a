//! What this machine's kernel does well under a breakpoint, found by trying it in a sacrificial
//! process: versions tell nothing, for distributions port bugs and fixes back.

use serde::{Deserialize, Serialize};

/// Whether something may be done on this machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ability {
    /// It was tried and did no harm.
    Safe,
    /// It did harm, or could not be tried; one sentence part for people.
    Unsafe(String),
}

impl Ability {
    /// It did no harm.
    pub fn is_safe(&self) -> bool {
        *self == Self::Safe
    }

    /// Safe only if both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.is_safe() { other } else { self }
    }
}

/// What may be done on this machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostAbilities {
    /// A breakpoint on a nop of 5 bytes, which some kernels rewrite into a call that overwrites
    /// the red zone.
    pub nop5: Ability,
    /// A breakpoint in a process under a seccomp filter that allows almost nothing.
    pub seccomp: Ability,
    /// The kernel's own return probe, with and without such a filter.
    pub returns: Ability,
}

impl HostAbilities {
    /// Nothing may be done, for one reason.
    pub fn none(why: &str) -> Self {
        let no = || Ability::Unsafe(why.to_owned());
        Self { nop5: no(), seccomp: no(), returns: no() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_must_be_safe() {
        let bad = |why: &str| Ability::Unsafe(why.to_owned());
        assert!(Ability::Safe.and(Ability::Safe).is_safe());
        assert_eq!(Ability::Safe.and(bad("b")), bad("b"));
        assert_eq!(bad("a").and(bad("b")), bad("a"));
        assert_eq!(bad("a").and(Ability::Safe), bad("a"));
    }
}
