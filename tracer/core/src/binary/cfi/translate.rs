//! A row as gimli gives it → an [`UnwindRow`].

use super::{CfaRule, CfiError, RegisterRule, UnwindRow};
use crate::binary::dwarf::Reader;
use crate::binary::expression::{Context, translate};
use crate::model::location::{Expression, Location};
use crate::model::reason::ReasonCode;
use gimli::{FrameDescriptionEntry, UnwindExpression, UnwindSection, UnwindTableRow};
use tracer_common::code::{Code, Op};
use tracer_common::wire::RIP;

/// Translates rows of one entry.
pub(super) struct Entry<'e, 'a, S> {
    /// The section that expressions lie in.
    pub(super) section: &'e S,
    /// The entry.
    pub(super) fde: &'e FrameDescriptionEntry<Reader<'a>>,
    /// What to add to an address of the file to get one of the process.
    pub(super) bias: u64,
}

impl<'a, S: UnwindSection<Reader<'a>>> Entry<'_, 'a, S> {
    /// A row.
    ///
    /// # Errors
    ///
    /// Why the canonical frame address or the return address can't be had by it.
    pub(super) fn row(&self, row: &UnwindTableRow<usize>) -> Result<UnwindRow, CfiError> {
        let cie = self.fde.cie();
        let return_address = cie.return_address_register();
        if usize::from(return_address.0) != RIP {
            return Err(CfiError::Register { number: return_address.0 });
        }
        let cfa = self.cfa(row.cfa())?;
        let computed = match &cfa {
            CfaRule::Register { register, offset } => {
                vec![Op::new(Code::Register, *register, *offset as u64)]
            }
            CfaRule::Expression(expression) => expression.clone(),
        };
        let mut registers = Vec::new();
        for (register, rule) in row.registers() {
            let Some(number) = number(*register) else { continue };
            let rule = match self.rule(rule, &computed) {
                Ok(rule) => rule,
                // Undefined would say that this is the outermost frame.
                Err(error) if *register == return_address => return Err(error),
                Err(_untranslated) => RegisterRule::Undefined,
            };
            registers.push((number, rule));
        }
        Ok(UnwindRow { cfa, registers, signal_frame: self.fde.is_signal_trampoline() })
    }

    fn cfa(&self, rule: &gimli::CfaRule<usize>) -> Result<CfaRule, CfiError> {
        Ok(match rule {
            gimli::CfaRule::RegisterAndOffset { register, offset } => {
                let register =
                    number(*register).ok_or(CfiError::Register { number: register.0 })?;
                CfaRule::Register { register, offset: *offset }
            }
            gimli::CfaRule::Expression(expression) => {
                CfaRule::Expression(self.expression(*expression, None)?)
            }
        })
    }

    fn rule(
        &self,
        rule: &gimli::RegisterRule<usize>,
        cfa: &Expression,
    ) -> Result<RegisterRule, CfiError> {
        Ok(match rule {
            gimli::RegisterRule::Undefined => RegisterRule::Undefined,
            gimli::RegisterRule::SameValue => RegisterRule::SameValue,
            gimli::RegisterRule::Offset(offset) => RegisterRule::AtCfa(*offset),
            gimli::RegisterRule::ValOffset(offset) => RegisterRule::IsCfa(*offset),
            gimli::RegisterRule::Register(other) => RegisterRule::Register(
                number(*other).ok_or(CfiError::Register { number: other.0 })?,
            ),
            gimli::RegisterRule::Expression(expression) => {
                RegisterRule::AtExpression(self.expression(*expression, Some(cfa))?)
            }
            gimli::RegisterRule::ValExpression(expression) => {
                RegisterRule::IsExpression(self.expression(*expression, Some(cfa))?)
            }
            gimli::RegisterRule::Constant(value) => {
                RegisterRule::IsExpression(vec![Op::new(Code::Const, 0, *value)])
            }
            gimli::RegisterRule::Architectural => return Err(CfiError::ReturnAddress),
        })
    }

    /// DWARF 5, 6.4.1: an expression of a register's rule starts with the CFA on the stack.
    fn expression(
        &self,
        expression: UnwindExpression<usize>,
        initial: Option<&Expression>,
    ) -> Result<Expression, CfiError> {
        let context = Context { bias: self.bias, initial, ..Context::default() };
        let expression = expression.get(self.section)?;
        match translate(expression, self.fde.cie().encoding(), context) {
            Ok(Location::Memory(computed) | Location::Value(computed)) => Ok(computed),
            Ok(_) => Err(CfiError::Expression(ReasonCode::UnsupportedLocation.into())),
            Err(reason) => Err(CfiError::Expression(reason)),
        }
    }
}

/// The number of a register that a frame has: rax to r15 and the return address.
fn number(register: gimli::Register) -> Option<u8> {
    u8::try_from(register.0).ok().filter(|number| usize::from(*number) <= RIP)
}
