//! The calls that debug info describes: what a caller passed, and whether it was its call that
//! entered the function (DWARF 5, 3.4; before that a GNU extension).
//!
//! A function that calls another one in its last step leaves no frame, so the caller that is on the
//! stack may have called and passed things to another function. What is told of a call serves only
//! where its instruction leads to the function itself, which no such step can have entered again.

mod import;
mod jump;

use self::jump::{direct_call, tail_call};
use super::code_map::CallSite;
use super::dwarf::{DebugInfo, Die, Reader, Unit};
use super::expression::{Context, next_operation, translate, translate_value};
use super::module::Module;
use super::modules::Code;
use crate::model::address::{Avma, Svma};
use crate::model::location::{Expression, Location, Step, Steps};
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::ModuleIndex;
use gimli::AttributeValue;
pub use import::is_stub;
use std::collections::BTreeSet;
use tracer_common::code::{Code as OpCode, Op};
use tracer_common::wire::RBP;

/// Functions looked at that calls in a last step lead to.
const TAIL_CALLED_MAX: usize = 64;
/// Arguments of a call that are looked at.
const ARGUMENTS_MAX: usize = 64;

type Entry<'a> = gimli::DebuggingInformationEntry<Reader<'a>>;

/// A function in debug info.
struct Function<'d> {
    index: ModuleIndex,
    module: &'d Module,
    info: &'d DebugInfo,
    die: Die<'d>,
    entry: Svma,
}

/// What is described of the call that returns to `return_address` and entered the function around
/// `callee`.
///
/// # Errors
///
/// Why it is not known what that call passed to that function.
pub(super) fn read(
    code: &Code<'_>,
    return_address: Avma,
    callee: Avma,
) -> Result<CallSite, String> {
    let callee = Function::around(code, callee)?;
    let caller = Function::around(code, return_address.offset(-1))
        .map_err(|_unknown| "debug info does not know its caller".to_owned())?;
    let returns = caller.module.to_svma(return_address);
    let (call, arguments) = caller.call(returns)?;
    let entry = callee.module.to_avma(callee.entry);
    let target = match (direct_call(caller.module, returns), call.target) {
        (Some(target), _) if caller.module.to_avma(target) == entry => None,
        (Some(_), _) => return Err("its caller called another function".to_owned()),
        (None, Some(target)) => {
            let target = caller.value(code, returns, target).and_then(unchanged);
            let target = target.map_err(|why| why.to_string())?;
            Some((target, entry))
        }
        (None, None) => return Err("its caller does not tell where its call led".to_owned()),
    };
    callee.is_entered_once(code)?;
    let value = |(number, value)| (number, caller.value(code, returns, value).and_then(unchanged));
    Ok(CallSite { target, arguments: arguments.into_iter().map(value).collect() })
}

/// A value that is the same still when it is looked at: memory may have been written to since.
fn unchanged(steps: Steps) -> Result<Steps, Reason> {
    let reads = |step: &Step| matches!(step, Step::Op(op) if op.code() == Some(OpCode::Deref));
    if steps.iter().any(reads) {
        return Err(Reason::new(
            ReasonCode::EntryValue,
            "it was in memory, which may have changed",
        ));
    }
    Ok(steps)
}

/// The entry of a call.
#[derive(Default)]
struct Call<'a> {
    /// Behind the call's instruction.
    returns: Option<u64>,
    /// The call's instruction.
    at: Option<u64>,
    /// It is the caller's last step.
    tail: bool,
    /// Where an indirect call leads.
    target: Option<gimli::Expression<Reader<'a>>>,
}

impl<'a> Call<'a> {
    /// `None` for an entry of another kind.
    fn read(unit: &Unit<'a>, entry: &Entry<'a>) -> Option<Self> {
        if !matches!(entry.tag(), gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site) {
            return None;
        }
        let mut call = Self::default();
        for attribute in entry.attrs() {
            let value = attribute.value();
            let address = || unit.dwarf().attr_address(unit, value).ok().flatten();
            match attribute.name() {
                gimli::DW_AT_call_return_pc | gimli::DW_AT_low_pc => call.returns = address(),
                gimli::DW_AT_call_pc => call.at = address(),
                gimli::DW_AT_call_tail_call | gimli::DW_AT_GNU_tail_call => {
                    call.tail = value == AttributeValue::Flag(true);
                }
                gimli::DW_AT_call_target | gimli::DW_AT_GNU_call_site_target => {
                    call.target = value.exprloc_value();
                }
                _ => {}
            }
        }
        Some(call)
    }
}

/// An argument: the register and the value.
type Argument<'a> = (u8, gimli::Expression<Reader<'a>>);

impl<'d> Function<'d> {
    /// The function around an address.
    fn around(code: &Code<'d>, address: Avma) -> Result<Self, String> {
        let modules = code.modules();
        let index = modules.index_at(address).ok_or("no module is mapped there")?;
        let module = modules.get(index).map_err(|issue| issue.to_string())?;
        let info = code.debug_info(index).map_err(|issue| issue.to_string())?;
        let unknown = || "debug info does not know the function".to_owned();
        let die = info.function_at(module.to_svma(address)).ok_or_else(unknown)?;
        let entry = info.entry_of(die).ok_or_else(unknown)?;
        Ok(Self { index, module, info, die, entry })
    }

    /// The call that returns to `svma`, and what it passes in registers.
    fn call(&self, svma: Svma) -> Result<(Call<'d>, Vec<Argument<'d>>), String> {
        let mut found: Option<Call<'d>> = None;
        let mut arguments = Vec::new();
        let mut inside = None;
        self.each(|depth, entry| {
            if inside.is_some_and(|outer| depth > outer) {
                arguments.extend(argument(self.die.unit, entry));
                arguments.truncate(ARGUMENTS_MAX);
                return Ok(());
            }
            inside = None;
            let call = Call::read(self.die.unit, entry);
            if let Some(call) = call.filter(|call| !call.tail && call.returns == Some(svma.0)) {
                if found.replace(call).is_some() {
                    return Err("its caller describes the call twice".to_owned());
                }
                inside = Some(depth);
            }
            Ok(())
        })?;
        let call = found.ok_or("its caller does not describe the call")?;
        Ok((call, arguments))
    }

    /// Visits the entries inside the function, each with its depth, but not those of functions
    /// that are declared in it.
    fn each(
        &self,
        mut visit: impl FnMut(isize, &Entry<'d>) -> Result<(), String>,
    ) -> Result<(), String> {
        let malformed = |error: gimli::Error| format!("its debug info is malformed: {error}");
        let mut entries = self.die.unit.entries_at_offset(self.die.offset).map_err(malformed)?;
        let mut nested = None;
        entries.next_entry().map_err(malformed)?;
        if !entries.current().is_some_and(Entry::has_children) {
            return Ok(());
        }
        while let Some(entry) = entries.next_dfs().map_err(malformed)? {
            let depth = entry.depth();
            if depth <= 0 {
                break;
            }
            if nested.is_some_and(|outer| depth > outer) {
                continue;
            }
            nested = (entry.tag() == gimli::DW_TAG_subprogram).then_some(depth);
            if nested.is_none() {
                visit(depth, entry)?;
            }
        }
        Ok(())
    }

    /// The computation of a value in the frame of the function where a call returns to `returns`.
    fn value(
        &self,
        code: &Code<'_>,
        returns: Svma,
        expression: gimli::Expression<Reader<'_>>,
    ) -> Result<Steps, Reason> {
        let unit = self.die.unit;
        let row = code.row_at(self.index, returns.offset(-1)).ok();
        let cfa = row.map(|row| row.cfa.computed());
        let context = Context {
            cfa: cfa.as_ref(),
            bias: self.module.bias(),
            unit: Some((unit.dwarf(), unit)),
            ..Context::default()
        };
        let frame_base = self.frame_base(context);
        let context = Context { frame_base: frame_base.as_ref(), ..context };
        translate_value(expression, unit.encoding(), context)
    }

    /// DW_AT_frame_base where it holds at every call: the canonical frame address or the frame
    /// pointer.
    fn frame_base(&self, context: Context<'_>) -> Option<Expression> {
        let entry = self.die.unit.entry(self.die.offset).ok()?;
        let base = entry.attr_value(gimli::DW_AT_frame_base)?.exprloc_value()?;
        if base.0.slice() == [gimli::DW_OP_call_frame_cfa.0] {
            return context.cfa.cloned();
        }
        match translate(base, self.die.unit.encoding(), context).ok()? {
            Location::Register(number) if usize::from(number) == RBP => {
                Some(vec![Op::new(OpCode::Register, number, 0)])
            }
            _ => None,
        }
    }

    /// Checks that no call in a last step enters the function: not its own, nor one of a function
    /// that such calls lead to.
    fn is_entered_once(&self, code: &Code<'d>) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        let mut targets = self.tail_calls()?;
        while let Some(target) = targets.pop() {
            if target == self.entry {
                return Err("it may have been called again in a last step".to_owned());
            }
            if !seen.insert(target) || import::calls_nothing(self.module, target) {
                continue;
            }
            if seen.len() > TAIL_CALLED_MAX {
                return Err(format!(
                    "its last steps lead to more than {TAIL_CALLED_MAX} functions"
                ));
            }
            let unknown =
                || format!("its last step leads to {target}, which debug info does not know");
            let function = Self::around(code, self.module.to_avma(target))
                .ok()
                .filter(|function| function.entry == target)
                .ok_or_else(unknown)?;
            targets.extend(function.tail_calls()?);
        }
        Ok(())
    }

    /// Where the calls in last steps of the function lead.
    fn tail_calls(&self) -> Result<Vec<Svma>, String> {
        let entry = self.die.unit.entry(self.die.offset).map_err(|error| error.to_string())?;
        let all = [
            gimli::DW_AT_call_all_calls,
            gimli::DW_AT_call_all_source_calls,
            gimli::DW_AT_call_all_tail_calls,
            gimli::DW_AT_GNU_all_call_sites,
            gimli::DW_AT_GNU_all_source_call_sites,
            gimli::DW_AT_GNU_all_tail_call_sites,
        ];
        if !all.iter().any(|name| entry.attr_value(*name) == Some(AttributeValue::Flag(true))) {
            return Err("debug info does not tell all calls in last steps".to_owned());
        }
        let is_entry = |svma: Svma| {
            let die = self.info.function_at(svma);
            die.and_then(|die| self.info.entry_of(die)) == Some(svma)
        };
        let mut targets = Vec::new();
        self.each(|_, entry| {
            let call = Call::read(self.die.unit, entry).filter(|call| call.tail);
            let Some(call) = call else { return Ok(()) };
            let target = tail_call(self.module, call.at, call.returns, &is_entry);
            targets.push(target.ok_or("where its last step leads is not known")?);
            Ok(())
        })?;
        Ok(targets)
    }
}

/// An argument that is passed in a register.
fn argument<'a>(unit: &Unit<'a>, entry: &Entry<'a>) -> Option<Argument<'a>> {
    if !matches!(
        entry.tag(),
        gimli::DW_TAG_call_site_parameter | gimli::DW_TAG_GNU_call_site_parameter
    ) {
        return None;
    }
    let expression = |name| entry.attr_value(name).and_then(|value| value.exprloc_value());
    let mut place = expression(gimli::DW_AT_location)?.0;
    let value = expression(gimli::DW_AT_call_value)
        .or_else(|| expression(gimli::DW_AT_GNU_call_site_value))?;
    match next_operation(&mut place, unit.encoding()).ok()? {
        gimli::Operation::Register { register } if place.is_empty() => {
            Some((u8::try_from(register.0).ok()?, value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
