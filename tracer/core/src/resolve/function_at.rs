//! A target with the function around it: where to put the probe, and what is alive there.

mod entry;
mod paths;

use super::dies::{DieId, Dies};
use super::frame;
use super::function::Target;
use super::site::{self, ArgumentRegisters, Home, Part, Paths, Placement, Row, Variables};
use super::types::TypeBuilder;
use super::variables::{
    Declared, FrameAt, LineAt, Meaning, globals, innermost_function, is_unoptimised, meaning_at,
    variables_at,
};
use crate::binary::cfi::CfaRule;
use crate::binary::dwarf::{DebugInfo, Die};
use crate::binary::instances::Instance;
use crate::binary::lines::{self, source_line};
use crate::binary::module::Module;
use crate::binary::modules::Code;
use crate::binary::symbolize;
use crate::model::address::Svma;
use crate::model::issue::{Issue, IssueKind};
use crate::model::location::Expression;
use crate::model::resolved::{ScopedVariable, Site, SourceLine};
use std::collections::BTreeSet;
use std::ops::Range;

/// A target and all that decides where its probe sits.
pub(super) struct FunctionAt<'t, 'm> {
    text: &'t str,
    target: &'t Target,
    code: &'t Code<'m>,
    module: &'t Module,
    /// The function's code around the target.
    range: Range<Svma>,
    /// Where calls enter it; `None` where that is in another part.
    entry: Option<Svma>,
    bytes: &'t [u8],
    debug: Option<Debug<'t>>,
}

/// The function in debug info.
struct Debug<'t> {
    info: &'t DebugInfo,
    die: Die<'t>,
    rows: Vec<lines::Row>,
    dies: Dies<'t>,
}

impl<'t, 'm> FunctionAt<'t, 'm> {
    /// Finds the function around a target.
    pub(super) fn new(
        code: &'t Code<'m>,
        target: &'t Target,
        text: &'t str,
    ) -> Result<Self, Issue> {
        let module = code.modules().get(target.module)?;
        let (range, entry) = match &target.function {
            Some(function) => (function.range.clone(), function.entry),
            None => {
                let range = covered(code, target).ok_or_else(|| {
                    let detail = "no symbol, debug info or unwind table tells where its function \
                              starts, so instruction boundaries are unknown";
                    Issue::new(IssueKind::NotOnInstruction, text, detail)
                })?;
                (range, target.at_entry.then_some(target.svma))
            }
        };
        let length = usize::try_from(range.end.0.saturating_sub(range.start.0)).unwrap_or(0);
        let bytes = module.text(range.start, length).ok_or_else(|| {
            Issue::new(IssueKind::MalformedFile, text, "its code is not in the file")
        })?;
        let debug = Debug::find(code, target, &range);
        Ok(Self { text, target, code, module, range, entry, bytes, debug })
    }

    /// The site: the place that is probed, with the variables in scope there.
    pub(super) fn site(&self, builder: Option<&mut TypeBuilder<'t>>) -> Result<Site, Issue> {
        let (requested, after_prologue) = self.requested(self.target.svma, self.target.at_entry);
        let start = self.start(requested);
        let placement = self.place(start)?;
        let pc = placement.svma;
        let variables = match builder {
            Some(builder) => self.variables_by(builder, pc, self.paths().as_ref())?,
            None => Vec::new(),
        };
        let entry = self.entered_before(pc, &variables);
        let why = match after_prologue {
            true => format!("{}; behind the prologue, where variables are stored", placement.why),
            false if start != requested => {
                format!("{}; where the inlined copy has its variables", placement.why)
            }
            false => placement.why,
        };
        let file_offset = self.module.file_offset(pc).ok_or_else(|| {
            Issue::new(IssueKind::NotMapped, self.text, "it is in no executable segment")
        })?;
        Ok(Site {
            module: self.target.module,
            requested: self.module.to_avma(requested),
            pc: self.module.to_avma(pc),
            svma: pc,
            file_offset,
            instruction: placement.instruction,
            disassembly: placement.disassembly,
            trap: placement.trap,
            why,
            function: self.target.function.as_ref().map(|function| function.name.clone()),
            inlined_into: self.instance().map(|copy| copy.callers()).unwrap_or_default(),
            line: self.debug.as_ref().and_then(|debug| debug.line(pc)),
            cfa: self.cfa(pc),
            variables: variables.into_iter().map(|declared| declared.variable).collect(),
            entry,
        })
    }

    /// The inlined copy that is meant.
    fn instance(&self) -> Option<Instance<'t>> {
        let (debug, offset) = (self.debug.as_ref()?, self.target.instance?);
        let unit = debug.info.index_of(debug.die.unit)?;
        Instance::find(debug.info, unit, offset, self.target.svma)
    }

    /// Whether where the function that is meant is entered is in a loop of its own too: then a hit
    /// there may be a turn of it.
    fn comes_back(&self, code: &site::Code<'_>) -> bool {
        let entry = self.target.svma;
        self.target.called
            && match self.instance() {
                Some(copy) => code.jumps_to(entry, copy.ranges()),
                None => {
                    let whole = self.range.start.0..self.range.end.0;
                    code.jumps_to(entry, std::slice::from_ref(&whole))
                }
            }
    }

    /// Where calls come into the inlined copy that is meant.
    pub(super) fn entries(&self) -> BTreeSet<Svma> {
        let come_in = |ranges: &[Range<u64>]| self.with_code(|code| code.entered(ranges));
        self.instance().map(|copy| copy.entries(come_in)).unwrap_or_default()
    }

    /// The function's code around the target.
    pub(super) fn range(&self) -> &Range<Svma> {
        &self.range
    }

    /// The address that a location means that leads to `svma`, and whether it is behind the
    /// prologue: unoptimised code has its variables in the frame from there on only.
    pub(super) fn requested(&self, svma: Svma, at_entry: bool) -> (Svma, bool) {
        if let (true, Some(debug)) = (at_entry, &self.debug)
            && is_unoptimised(&debug.dies, debug.die.unit, debug.die.offset).unwrap_or(false)
            && let Some(end) = self.prologue_end()
        {
            return (end, true);
        }
        (svma, false)
    }

    /// Where the code of the inlined copy begins that is entered at `entry`: GCC may state an entry in
    /// front of it, where the copy's variables are not in scope yet. The entry itself where what
    /// follows is no straight code.
    fn start(&self, entry: Svma) -> Svma {
        let copy = self.instance().filter(|_| entry == self.target.svma);
        let begins =
            copy.and_then(|copy| self.with_code(|code| code.first_of(copy.ranges(), entry)));
        begins.unwrap_or(entry)
    }

    /// Where the function's body begins: the row so marked, else the second one.
    fn prologue_end(&self) -> Option<Svma> {
        let (entry, debug) = (self.entry?, self.debug.as_ref()?);
        let rows = &debug.rows;
        let mut body = rows.iter().filter(|row| row.svma > entry && !row.end_sequence);
        let marked = body.clone().find(|row| row.prologue_end);
        marked.or_else(|| body.find(|row| row.is_stmt && row.line != 0)).map(|row| row.svma)
    }

    /// Looks at the function's code as it is decoded.
    fn with_code<R>(&self, look: impl FnOnce(&site::Code<'_>) -> R) -> R {
        let rows: Vec<Row> = self.debug.iter().flat_map(|debug| debug.site_rows()).collect();
        let pads = self.code.landing_pads(self.target.module, &self.range);
        // Where landing pads can't be told, any line may start with one.
        let targets = pads.unwrap_or_else(|_| rows.iter().map(|row| row.svma).collect());
        let part = Part {
            bytes: self.bytes,
            start: self.range.start,
            entry: self.entry,
            rows: &rows,
            targets: &targets,
            nop5_is_safe: self.code.nop5_is_safe(),
        };
        look(&site::Code::decode(part))
    }

    /// Chooses the address to probe for the one that a location means.
    pub(super) fn place(&self, requested: Svma) -> Result<Placement, Issue> {
        let variables: &dyn Variables = match &self.debug {
            Some(debug) => debug,
            None => &ArgumentRegisters,
        };
        self.with_code(|code| {
            let mut placement = code.place(requested, variables).map_err(|unplaceable| {
                unplaceable.into_issue(self.text, |svma| format!("*{}", self.module.to_avma(svma)))
            })?;
            if requested == self.target.svma && self.comes_back(code) {
                placement.why.push_str(
                    "; the function itself jumps back here, so a hit may be a turn of its loop",
                );
            }
            Ok(placement)
        })
    }

    /// The canonical frame address at a pc.
    fn cfa(&self, pc: Svma) -> Option<Expression> {
        Some(self.code.row_at(self.target.module, pc).ok()?.cfa.computed())
    }

    /// The canonical frame address in the body, which begins at `start` or, where the entry's code
    /// does without a frame, somewhere behind it.
    fn body_cfa(&self, start: Svma) -> Option<Expression> {
        let at_start = self.cfa(start)?;
        if self.cfa(self.range.start).as_ref() != Some(&at_start) {
            return Some(at_start);
        }
        let rows = self.code.rows_around(self.target.module, start).ok()?;
        frame::body_cfa(&rows).map(CfaRule::computed)
    }

    /// The variables in scope at a pc of this part; none without debug info.
    pub(super) fn variables(
        &self,
        builder: &mut TypeBuilder<'t>,
        pc: Svma,
    ) -> Result<Vec<Declared>, Issue> {
        self.variables_by(builder, pc, None)
    }

    /// The same, with what registers tell of those that are gone, by the paths to the pc and on.
    fn variables_by(
        &self,
        builder: &mut TypeBuilder<'t>,
        pc: Svma,
        paths: Option<&Paths>,
    ) -> Result<Vec<Declared>, Issue> {
        let Some(debug) = &self.debug else { return Ok(Vec::new()) };
        let cfa = self.cfa(pc);
        let prologue_end = self.prologue_end();
        let body_cfa = prologue_end.and_then(|end| self.body_cfa(end));
        // A cold part is entered by a branch, behind the prologue.
        let entry = self.entry.and_then(|entry| {
            let at = usize::try_from(entry.0.checked_sub(self.range.start.0)?).ok()?;
            Some((entry, self.bytes.get(at..)?))
        });
        let (start, code) = entry.unwrap_or((pc, &[]));
        let stored: &dyn Fn(i64) -> bool =
            &|cfa_offset| match site::parameter_home(code, start, pc, cfa_offset, 1) {
                Home::Stored => true,
                Home::NotYet => false,
                // Behind the prologue the compiler's word is taken.
                Home::Unknown => prologue_end.is_none_or(|end| pc >= end),
            };
        let at = FrameAt {
            subprogram: debug.die.offset,
            pc,
            entry: debug.info.entry_of(debug.die),
            cfa: cfa.as_ref(),
            body_cfa: body_cfa.as_ref(),
            bias: self.module.bias(),
            thread_storage: self.code.modules().thread_storage(self.target.module),
            home_stored: entry.is_some().then_some(stored),
            paths,
            lines: &debug.lines_at(pc),
        };
        let mut variables = variables_at(builder, debug.die.unit, &at)
            .map_err(|error| Issue::new(IssueKind::MalformedFile, self.text, error.to_string()))?;
        builder.finish();
        self.tell_lines(&mut variables, at.lines.len());
        Ok(variables)
    }

    /// At most `most` variables at file scope of the unit that the function is in.
    pub(super) fn globals(
        &self,
        builder: &mut TypeBuilder<'t>,
        pc: Svma,
        most: usize,
    ) -> Result<Vec<ScopedVariable>, Issue> {
        let Some(debug) = &self.debug else { return Ok(Vec::new()) };
        let at = FrameAt {
            subprogram: debug.die.offset,
            pc,
            entry: None,
            cfa: None,
            body_cfa: None,
            bias: self.module.bias(),
            thread_storage: self.code.modules().thread_storage(self.target.module),
            home_stored: None,
            paths: None,
            lines: &[],
        };
        let is_library = self.target.module != super::line::MAIN_PROGRAM;
        let globals = globals(builder, debug.die.unit, &at, most, is_library)
            .map_err(|error| Issue::new(IssueKind::MalformedFile, self.text, error.to_string()))?;
        builder.finish();
        Ok(globals)
    }

    /// The declaration of the innermost function at a pc, inlined or not.
    pub(super) fn innermost_function(&self, pc: Svma) -> Option<DieId> {
        let Debug { dies, die, .. } = self.debug.as_ref()?;
        innermost_function(dies, die.unit, die.offset, pc).ok().flatten()
    }

    /// The line table's rows in this part, by address.
    pub(super) fn rows(&self) -> impl Iterator<Item = &lines::Row> {
        self.debug.iter().flat_map(|debug| &debug.rows)
    }

    /// Where each frame at a pc is in the source, innermost inlined function first.
    pub(super) fn lines_at(&self, pc: Svma) -> Vec<LineAt> {
        self.debug.as_ref().map(|debug| debug.lines_at(pc)).unwrap_or_default()
    }
}

/// The code around a target that nothing names.
fn covered(code: &Code<'_>, target: &Target) -> Option<Range<Svma>> {
    code.cfi(target.module).ok()?.covered(target.svma).map(|covered| covered.range)
}

impl<'t> Debug<'t> {
    fn find(code: &'t Code<'_>, target: &Target, range: &Range<Svma>) -> Option<Self> {
        let info = code.debug_info(target.module).ok()?;
        let die = info.function_at(target.svma)?;
        let rows = lines::rows(info, die.unit, range.clone()).copied().collect();
        Some(Self { info, die, rows, dies: Dies::of(info) })
    }

    fn site_rows(&self) -> impl Iterator<Item = Row> {
        let rows = self.rows.iter().filter(|row| !row.end_sequence);
        rows.map(|row| Row {
            svma: row.svma,
            file: u64::from(row.file),
            line: u64::from(row.line),
            is_stmt: row.is_stmt,
        })
    }

    fn line(&self, pc: Svma) -> Option<SourceLine> {
        let row = self.rows.iter().take_while(|row| row.svma <= pc).last()?;
        source_line(self.die.unit, u64::from(row.file), u64::from(row.line))
    }

    /// Where each frame at the pc is in the source, innermost inlined function first.
    fn lines_at(&self, pc: Svma) -> Vec<LineAt> {
        let frames = symbolize::frames(self.info, pc);
        let row = self.rows.iter().take_while(|row| row.svma <= pc).last();
        let starts = |index: usize| match row {
            // The rows speak of the innermost frame only.
            Some(row) if index == 0 => {
                let same = |other: &&lines::Row| (other.file, other.line) == (row.file, row.line);
                self.rows.iter().find(same).is_none_or(|first| pc == first.svma)
            }
            _ => true,
        };
        let lines = frames.into_iter().map_while(|frame| frame.line).enumerate();
        lines.map(|(index, line)| LineAt { line, starts: starts(index) }).collect()
    }

    fn meaning(&self, pc: Svma) -> Option<Meaning> {
        meaning_at(&self.dies, self.die.unit, self.die.offset, pc, self.info.entry_of(self.die))
            .ok()
    }
}

impl Variables for Debug<'_> {
    fn same(&self, a: Svma, b: Svma) -> bool {
        match (self.meaning(a), self.meaning(b)) {
            (Some(a), Some(b)) => a.same_as(&b),
            _ => false,
        }
    }

    fn registers(&self, pc: Svma) -> u32 {
        match self.meaning(pc) {
            Some(meaning) => meaning.registers.iter().fold(0, |bits, number| bits | 1 << number),
            // Nothing is known, so every register counts.
            None => u32::MAX,
        }
    }
}
