//! What registers held when the functions on the stack were entered: what their callers passed, by
//! the descriptions of the calls (DWARF 5, 3.4).

use super::evaluate::derive;
use super::image::Image;
use super::kept::Kept;
use super::unwind::PhysicalFrame;
use crate::binary::code_map::CodeMap;
use crate::model::capture::How;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::Site;
use std::cell::RefCell;
use std::collections::HashMap;
use tracer_common::wire::RSP;

/// Why nothing was kept of a call.
const NOT_SEEN: &str = "this call was not seen at the entry: it began before the probe was placed, \
                        or too many others came since";
/// Callers that are asked in a row: one may have passed on what it was passed itself.
const CALLERS_MAX: usize = 16;

/// The frames of a capture with what is known of their entries.
pub(super) struct Entries<'a> {
    frames: &'a [PhysicalFrame],
    image: &'a Image<'a>,
    code: &'a dyn CodeMap,
    known: RefCell<HashMap<(usize, u8), Result<u64, Reason>>>,
    /// Those of the first frame's function as they were kept.
    kept: Option<Kept>,
    /// There is a breakpoint that keeps them.
    is_watched: bool,
}

impl<'a> Entries<'a> {
    /// Of frames from the hit outwards.
    pub(super) fn new(
        frames: &'a [PhysicalFrame],
        image: &'a Image<'a>,
        code: &'a dyn CodeMap,
    ) -> Self {
        let known = RefCell::default();
        Self { frames, image, code, known, kept: None, is_watched: false }
    }

    /// With what a breakpoint at the entry of the first frame's function kept.
    pub(super) fn of_which_kept(self, site: &Site, kept: Option<Kept>) -> Self {
        Self { kept, is_watched: site.entry.is_some(), ..self }
    }

    /// Whether all registers of the first frame's function are known from a breakpoint at its entry.
    pub(super) fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// What a register held when the function of a frame was entered.
    ///
    /// # Errors
    ///
    /// Why the caller does not tell.
    pub(super) fn register(&self, frame: usize, number: u8) -> Result<u64, Reason> {
        if let Some(known) = self.known.borrow().get(&(frame, number)) {
            return known.clone();
        }
        let value = match self.kept.filter(|_| frame == 0) {
            Some(kept) => self.undisputed(&kept, number),
            None if self.is_watched && frame == 0 => self
                .passed(frame, number)
                .map_err(|why| Reason::new(why.code, format!("{NOT_SEEN}, and {}", why.detail))),
            None => self.passed(frame, number),
        };
        self.known.borrow_mut().insert((frame, number), value.clone());
        value
    }

    /// What was kept of a register, unless the caller tells something else.
    fn undisputed(&self, kept: &Kept, number: u8) -> Result<u64, Reason> {
        let unknown = |why: String| Reason::new(ReasonCode::EntryValue, why);
        // The stack pointer is that of the breakpoint, which may be behind a push.
        let kept = kept.get(usize::from(number)).copied().filter(|_| usize::from(number) != RSP);
        let kept = kept.ok_or_else(|| unknown("such a register is not kept".to_owned()))?;
        match self.passed(0, number) {
            Ok(passed) if passed != kept => {
                Err(unknown(format!("{kept:#x} was kept, and its caller tells {passed:#x}")))
            }
            _ => Ok(kept),
        }
    }

    fn passed(&self, frame: usize, number: u8) -> Result<u64, Reason> {
        let unknown = |why: &str| Reason::new(ReasonCode::EntryValue, why);
        let (callee, caller) = match (self.frames.get(frame), self.frames.get(frame + 1)) {
            (Some(callee), Some(caller)) if frame < CALLERS_MAX => (callee, caller),
            _ => return Err(unknown("its caller is not known")),
        };
        if caller.how != How::Cfi {
            return Err(unknown("its caller was not found by call frame information"));
        }
        if caller.lookup == caller.pc {
            return Err(unknown("it was not called: it handles a signal"));
        }
        let call = self.code.call_site(caller.pc, callee.lookup).map_err(|why| unknown(&why))?;
        let above = |number| self.register(frame + 1, number);
        let value = |steps: &[_]| derive(steps, &caller.registers, self.image, &above);
        if let Some((target, entry)) = &call.target
            && value(target).ok() != Some(entry.0)
        {
            return Err(unknown("it can't be told whether its caller called it directly"));
        }
        let passed = call.arguments.iter().find(|(register, _)| *register == number);
        match passed {
            Some((_, Ok(steps))) => value(steps).map_err(|reason| match reason.code {
                ReasonCode::EntryValue => reason,
                _ => unknown(&format!("in its caller: {}", reason.detail)),
            }),
            Some((_, Err(reason))) => Err(unknown(&format!("in its caller: {}", reason.detail))),
            None => Err(unknown("its caller does not tell what it passed")),
        }
    }
}

#[cfg(test)]
mod tests;
