//! The code of the whole function as a graph, to follow what registers hold.

use super::FunctionAt;
use crate::binary::call_sites::is_stub;
use crate::model::address::Svma;
use crate::resolve::lang::Language;
use crate::resolve::site::Paths;
use crate::resolve::variables::Declared;

/// Parts of a function; compilers make two or three.
const PARTS_MAX: usize = 64;
/// Functions that jump to where a register says, for who goes there (`-mindirect-branch=thunk`).
const THUNKS: &[&[u8]] = &[b"__x86_indirect_thunk_", b"__llvm_retpoline_"];

impl FunctionAt<'_, '_> {
    /// All parts of the function; `None` where its code is not understood, or where too little is
    /// known of what calls restore: in other languages than C, C++ and Rust.
    pub(super) fn paths(&self) -> Option<Paths> {
        let debug = self.debug.as_ref()?;
        let unit = debug.dies.unit(debug.die.unit).ok()?;
        if !matches!(unit.language, Some(Language::C | Language::Cpp | Language::Rust)) {
            return None;
        }
        let function = debug.dies.at(&unit, debug.die.offset).ok()?;
        let mut ranges = unit.dwarf.die_ranges(&unit.unit, &function.entry).ok()?;
        let mut parts = Vec::new();
        let mut entered = vec![debug.info.entry_of(debug.die)?];
        while let Some(range) = ranges.next().ok()? {
            let part = Svma(range.begin)..Svma(range.end);
            if parts.len() >= PARTS_MAX {
                return None;
            }
            let length = usize::try_from(range.end.checked_sub(range.begin)?).ok()?;
            parts.push((part.start, self.module.text(part.start, length)?));
            entered.extend(self.code.landing_pads(self.target.module, &part).ok()?);
        }
        parts.sort_unstable_by_key(|(start, _)| *start);
        Paths::of(&parts, &entered, &|to| self.begins_another(to))
    }

    /// Whether a function begins at an address outside of this one, or a stub of the linkage table.
    fn begins_another(&self, svma: Svma) -> bool {
        let symbols = self.code.symbols(self.target.module).ok();
        let symbol = symbols.and_then(|symbols| symbols.starting_at(svma));
        let is_thunk = |name: &[u8]| THUNKS.iter().any(|start| name.starts_with(start));
        symbol.map_or_else(|| is_stub(self.module, svma), |symbol| !is_thunk(symbol.name))
    }

    /// Names the line on which the function of each variable is at the other pc that its value is of.
    /// `frames` is the number of frames at the site.
    pub(super) fn tell_lines(&self, variables: &mut [Declared], frames: usize) {
        for variable in variables.iter_mut().map(|declared| &mut declared.variable) {
            let Some(moved) = &mut variable.moved else { continue };
            // Frames are counted from the function itself: the number of inlined ones may differ.
            let around = frames.checked_sub(variable.inline_depth as usize + 1);
            let lines = self.lines_at(self.module.to_svma(moved.other.pc));
            let line = around.and_then(|around| lines.into_iter().rev().nth(around));
            moved.other.line = line.map(|at| at.line);
        }
    }
}
