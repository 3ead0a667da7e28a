//! What a pc means to someone who looks at variables, to tell whether another pc means the same.

use super::location::frame_base;
use super::scopes::{scopes_at, walk};
use super::stated::{Stated, stated};
use crate::binary::dwarf::{Reader, Unit};
use crate::binary::expression::next_operation;
use crate::model::address::Svma;
use crate::resolve::dies::{DieError, DieId, Dies};
use gimli::{AttributeValue, UnitOffset};
use std::collections::BTreeSet;
use tracer_common::wire::{RBP, RIP, RSP};

/// The scopes and variables at a pc with their locations as debug info states them.
///
/// Two pcs of a function with equal scopes show the same variables from the same places. The
/// values are the same too if no instruction between them writes `registers`, nor memory where
/// `memory` is set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    scopes: Vec<(DieId, Vec<u8>)>,
    /// DWARF numbers of the general registers that the locations read. The CFA is not counted: it
    /// is evaluated at the pc that is probed.
    pub registers: BTreeSet<u8>,
    /// A variable is in memory, or a location reads memory.
    pub memory: bool,
}

impl Meaning {
    /// Both pcs have the same variables with the same locations.
    pub fn same_as(&self, other: &Self) -> bool {
        self.scopes == other.scopes
    }
}

/// What `pc` means in a concrete function, which is entered at `entry`.
///
/// # Errors
///
/// When the function's tree or a location list is malformed.
pub fn meaning_at(
    dies: &Dies<'_>,
    unit: &Unit<'_>,
    subprogram: UnitOffset,
    pc: Svma,
    entry: Option<Svma>,
) -> Result<Meaning, DieError> {
    let unit = dies.unit(unit)?;
    let mut scopes = Vec::new();
    let mut reads = Reads::default();
    for scope in scopes_at(dies, &unit, subprogram, pc)? {
        scopes.push((scope.opener.id(), Vec::new()));
        for found in &scope.found {
            let Some(own) = found.chain.first() else { continue };
            let stated = stated(found, pc, entry)?;
            let key = stated.map(|(stated, unit)| reads.add(&stated, unit.unit.encoding()));
            scopes.push((own.id(), key.unwrap_or_default()));
        }
    }
    if reads.frame {
        let mut base = Reads::default();
        let stated = frame_base(dies, &unit, subprogram, pc)?;
        let key = base.add(&stated, unit.unit.encoding());
        scopes.push((dies.at(&unit, subprogram)?.id(), key));
        reads.registers.extend(base.registers);
    }
    Ok(Meaning { scopes, registers: reads.registers, memory: reads.memory })
}

/// What the locations at a pc read.
#[derive(Default)]
struct Reads {
    registers: BTreeSet<u8>,
    memory: bool,
    /// The frame base.
    frame: bool,
}

impl Reads {
    /// Adds a variable's location; gives what tells it from another one of the same variable.
    fn add(&mut self, stated: &Stated<'_>, encoding: gimli::Encoding) -> Vec<u8> {
        match stated {
            Stated::Single(expression) => {
                self.expression(*expression, encoding);
                vec![b's']
            }
            Stated::Listed(expressions) => {
                let mut key = vec![b'l'];
                for expression in expressions {
                    self.expression(*expression, encoding);
                    key.extend_from_slice(&expression.0.len().to_le_bytes());
                    key.extend_from_slice(expression.0.slice());
                }
                key
            }
            Stated::Elsewhere => vec![b'e'],
            Stated::Constant(_) | Stated::Nothing => Vec::new(),
        }
    }

    fn expression(&mut self, expression: gimli::Expression<Reader<'_>>, encoding: gimli::Encoding) {
        let mut bytes = expression.0;
        // An address is what a description ends with unless an operation says otherwise.
        let (mut empty, mut address) = (true, true);
        // Where an expression is malformed the variable is not shown, so that nothing is read.
        while let Ok(operation) = next_operation(&mut bytes, encoding) {
            match operation {
                gimli::Operation::Piece { .. } => {
                    self.memory |= address && !empty;
                    (empty, address) = (true, true);
                    continue;
                }
                gimli::Operation::Register { register } => {
                    self.register(register);
                    address = false;
                }
                gimli::Operation::RegisterOffset { register, .. } => self.register(register),
                gimli::Operation::FrameOffset { .. } => self.frame = true,
                gimli::Operation::Deref { .. } => self.memory = true,
                gimli::Operation::StackValue
                | gimli::Operation::ImplicitValue { .. }
                | gimli::Operation::ImplicitPointer { .. } => address = false,
                _ => {}
            }
            empty = false;
        }
        self.memory |= address && !empty;
    }

    fn register(&mut self, register: gimli::Register) {
        if usize::from(register.0) <= RIP {
            self.registers.insert(register.0 as u8);
        }
    }
}

/// Whether a function was compiled without optimisation, as far as its variables tell: they live
/// in the frame, each in one place for the whole function.
///
/// # Errors
///
/// When the function's tree is malformed.
pub fn is_unoptimised(
    dies: &Dies<'_>,
    unit: &Unit<'_>,
    subprogram: UnitOffset,
) -> Result<bool, DieError> {
    let unit = dies.unit(unit)?;
    let (mut in_frame, mut elsewhere) = (false, false);
    walk(&unit, subprogram, |entry| {
        match entry.tag() {
            gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable => {}
            tag => return Ok(tag == gimli::DW_TAG_lexical_block),
        }
        match entry.attr_value(gimli::DW_AT_location) {
            None => {}
            Some(AttributeValue::Exprloc(expression)) => {
                let mut bytes = expression.0;
                match next_operation(&mut bytes, unit.unit.encoding()) {
                    Ok(gimli::Operation::FrameOffset { .. }) => in_frame = true,
                    Ok(gimli::Operation::RegisterOffset { register, .. })
                        if matches!(usize::from(register.0), RBP | RSP) =>
                    {
                        in_frame = true;
                    }
                    // A static variable is there in any code.
                    Ok(
                        gimli::Operation::Address { .. } | gimli::Operation::AddressIndex { .. },
                    ) => {}
                    _ => elsewhere = true,
                }
            }
            Some(_) => elsewhere = true,
        }
        Ok(false)
    })?;
    Ok(in_frame && !elsewhere)
}
