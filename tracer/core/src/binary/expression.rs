//! DWARF expressions, translated to the few forms that the kernel program can run too.

use super::dwarf::Reader;
use crate::model::location::{Expression, Location};
use crate::model::reason::{Reason, ReasonCode};

/// What an expression may refer to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// DW_AT_frame_base of the function at this pc, already translated to the value it gives.
    pub frame_base: Option<&'a Expression>,
    /// The canonical frame address at this pc (DW_OP_call_frame_cfa).
    pub cfa: Option<&'a Expression>,
    /// What to add to an address stated in the file (DW_OP_addr) to get one in the process.
    pub bias: u64,
    /// The stack starts with this on it: CFI expressions start with the CFA.
    pub initial: Option<&'a Expression>,
}

/// Translates a DWARF location description (DWARF 5, 2.6).
///
/// # Errors
///
/// The reason why the value can't be had from registers and memory at a hit.
pub fn translate(
    _expression: gimli::Expression<Reader<'_>>,
    _encoding: gimli::Encoding,
    _context: Context<'_>,
) -> Result<Location, Reason> {
    Err(ReasonCode::UnsupportedLocation.into())
}
