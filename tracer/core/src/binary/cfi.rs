//! Call frame information, one row at a time, in a form that needs no DWARF to be applied.

use crate::model::location::Expression;

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
    /// In memory at the address computed (the CFA is pushed first).
    AtExpression(Expression),
    /// It is what is computed.
    IsExpression(Expression),
}
