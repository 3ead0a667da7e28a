//! Call frame information, one row at a time, in a form that needs no DWARF to be applied.
//!
//! [`Cfi`] finds the row; `translate` turns gimli's form of it into ours, which `decode` applies.

mod lookup;
mod translate;

pub use lookup::{Cfi, CfiSections, Covered, Section};

use crate::model::location::Expression;
use crate::model::reason::Reason;
use tracer_common::code::{Code, Op};

/// How to find the caller's registers from a frame at one pc.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnwindRow {
    /// How the canonical frame address is computed.
    pub cfa: CfaRule,
    /// Rules of registers by DWARF number; a register without one keeps its value if the psABI
    /// has the callee save it, and is unknown otherwise.
    pub registers: Vec<(u8, RegisterRule)>,
    /// The frame of a signal handler's trampoline: the pc is exact, not behind a call.
    pub signal_frame: bool,
}

/// DWARF 5, 6.4.1: the two ways to compute a canonical frame address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CfaRule {
    /// A register plus an offset.
    Register {
        /// DWARF number.
        register: u8,
        /// Bytes.
        offset: i64,
    },
    /// A computation.
    Expression(Expression),
}

impl CfaRule {
    /// The computation.
    pub fn computed(&self) -> Expression {
        match self {
            Self::Register { register, offset } => {
                vec![Op::new(Code::Register, *register, *offset as u64)]
            }
            Self::Expression(expression) => expression.clone(),
        }
    }
}

/// DWARF 5, 6.4.1: where the caller's value of a register is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegisterRule {
    /// It can't be recovered.
    Undefined,
    /// It was not changed.
    SameValue,
    /// In memory at CFA plus this.
    AtCfa(i64),
    /// It is CFA plus this.
    IsCfa(i64),
    /// In another register.
    Register(u8),
    /// In memory at the address computed; the computation includes that of the CFA.
    AtExpression(Expression),
    /// It is what is computed; the computation includes that of the CFA.
    IsExpression(Expression),
}

/// Why there is no row for an address.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CfiError {
    /// Neither section has an entry for it.
    #[error("no entry covers the address")]
    NotCovered,
    /// The section can't be read.
    #[error("malformed: {0}")]
    Malformed(#[from] gimli::Error),
    /// An entry is longer than that of any real function.
    #[error("an entry of {bytes} bytes")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A register that is not in a record is needed.
    #[error("register {number} is needed, which a hit does not tell")]
    Register {
        /// DWARF number.
        number: u16,
    },
    /// A computation that can't be repeated over a record.
    #[error("{0}")]
    Expression(Reason),
    /// The return address has a rule that only an ABI's supplement defines.
    #[error("the rule of the return address is not understood")]
    ReturnAddress,
}

#[cfg(test)]
mod tests;
