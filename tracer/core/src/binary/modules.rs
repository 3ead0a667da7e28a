//! The modules of a process, opened when they are needed, and what is read from them.

use super::cache::Cache;
use super::call_sites;
use super::cfi::{Cfi, UnwindRow};
use super::code_map::{CallSite, CodeFrame, CodeMap};
use super::demangle;
use super::dwarf::DebugInfo;
use super::landing_pads::{self, LandingPadError};
use super::module::{Module, file_name, text_of};
use super::opener::{Local, Opener};
use super::symbolize;
use super::symbols::SymbolTable;
use crate::model::abilities::HostAbilities;
use crate::model::address::{Avma, Svma};
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::{Mapping, Process};
use crate::model::resolved::ModuleIndex;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// Frames of pcs that are remembered.
const FRAMES_KEPT: usize = 1 << 16;
/// Calls that are remembered.
const CALLS_KEPT: usize = 1 << 12;

/// The files that are mapped executable in a process, the main program first.
#[derive(Debug)]
pub struct Modules {
    opener: Arc<dyn Opener>,
    /// The first one is the main program.
    has_main: bool,
    slots: Vec<Slot>,
    cache: Arc<Cache>,
    /// Debug files that they may not read are not read.
    reader: Caller,
}

#[derive(Debug)]
struct Slot {
    path: PathBuf,
    mappings: Vec<Mapping>,
    module: OnceLock<Result<Module, Issue>>,
}

impl Modules {
    /// Sorts the mappings of a process into modules; opens nothing.
    pub fn of(process: &Process) -> Self {
        Self::with(&Arc::default(), process, Caller::Root)
    }

    /// The same, with what is kept of files, for someone who asks.
    pub fn with(cache: &Arc<Cache>, process: &Process, reader: Caller) -> Self {
        let opener = Arc::new(Local::of_process(process.id.pid, reader, None));
        Self::opened_by(opener, cache, process, reader)
    }

    /// The same, whose files another one opens.
    pub fn opened_by(
        opener: Arc<dyn Opener>,
        cache: &Arc<Cache>,
        process: &Process,
        reader: Caller,
    ) -> Self {
        let mut groups: Vec<Vec<Mapping>> = Vec::new();
        for mapping in process.mappings.iter().filter(|mapping| mapping.file.2 != 0) {
            // A file that is loaded twice (dlmopen) starts again at a lower offset.
            let load = groups
                .iter_mut()
                .rev()
                .find(|group| group.last().is_some_and(|last| last.file == mapping.file));
            match load {
                Some(group) if continues(group, mapping) => group.push(mapping.clone()),
                _ => groups.push(vec![mapping.clone()]),
            }
        }
        groups.retain(|group| group.iter().any(|mapping| mapping.execute));
        let mut slots: Vec<Slot> = groups
            .into_iter()
            .map(|mappings| Slot {
                path: mappings.first().map(|m| m.path.clone()).unwrap_or_default(),
                mappings,
                module: OnceLock::new(),
            })
            .collect();
        slots.sort_by_key(|slot| slot.path != process.exe);
        let has_main = slots.first().is_some_and(|slot| slot.path == process.exe);
        Self { opener, has_main, slots, cache: Arc::clone(cache), reader }
    }

    /// One file, mapped by nobody.
    ///
    /// # Errors
    ///
    /// Those of [`Module::from_path`].
    pub fn of_file(path: &Path) -> Result<Self, Issue> {
        let cache = Arc::<Cache>::default();
        let module = OnceLock::from(Ok(Module::from_path(path, &cache)?));
        let slot = Slot { path: path.to_path_buf(), mappings: Vec::new(), module };
        let opener = Arc::new(Local::of_host());
        Ok(Self { opener, has_main: false, slots: vec![slot], cache, reader: Caller::Root })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The path of a module in the target.
    pub fn path(&self, index: ModuleIndex) -> Option<&Path> {
        self.slots.get(index).map(|slot| slot.path.as_path())
    }

    /// The file name of a module.
    pub fn name(&self, index: ModuleIndex) -> Option<String> {
        self.path(index).map(file_name)
    }

    /// The mappings of a module.
    pub fn mappings(&self, index: ModuleIndex) -> &[Mapping] {
        self.slots.get(index).map_or(&[], |slot| &slot.mappings)
    }

    /// What to add to the fs base of a thread to get the first byte of a module's thread-local
    /// storage: that of the main program lies right below it (psABI x86-64, 3.4.6). Where the
    /// loader puts that of others, only the loader knows.
    pub fn thread_storage(&self, index: ModuleIndex) -> Option<u64> {
        let is_main = self.has_main && index == 0;
        let module = is_main.then(|| self.get(index).ok())??;
        module.elf().thread_bytes().map(u64::wrapping_neg)
    }

    /// A module, opened now if it was not before.
    ///
    /// # Errors
    ///
    /// Those of [`Module::of_process`]; [`IssueKind::NotMapped`] for an index that there is none of.
    pub fn get(&self, index: ModuleIndex) -> Result<&Module, Issue> {
        let Some(slot) = self.slots.get(index) else {
            return Err(no_view(index));
        };
        if let Some(mapping) = text_of(&slot.mappings) {
            self.opener.turn_to(mapping);
        }
        let open = || Module::of_process(&self.opener, &slot.mappings, &self.cache, self.reader);
        slot.module.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// The module that has anything mapped at an address.
    pub fn index_mapped(&self, address: Avma) -> Option<ModuleIndex> {
        let is_here = |mapping: &Mapping| mapping.range.contains(&address);
        self.slots.iter().position(|slot| slot.mappings.iter().any(is_here))
    }

    /// The module that is mapped executable at an address.
    pub fn index_at(&self, address: Avma) -> Option<ModuleIndex> {
        self.slots.iter().position(|slot| match slot.module.get() {
            Some(Ok(module)) if slot.mappings.is_empty() => module.is_text(module.to_svma(address)),
            _ => slot.mappings.iter().any(|m| m.execute && m.range.contains(&address)),
        })
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        self.slots.clear();
        self.cache.trim();
    }
}

/// The mapping belongs to the load of the file that `group` is.
fn continues(group: &[Mapping], mapping: &Mapping) -> bool {
    group.last().is_some_and(|last| {
        mapping.file_offset > last.file_offset
            // Two segments may share a page of the file.
            || (mapping.file_offset == last.file_offset && mapping.execute != last.execute)
    })
}

/// What is described of a call, or why that is not known.
type Call = Result<Arc<CallSite>, String>;

/// The code of a process: what is read from the files of [`Modules`].
#[derive(Debug)]
pub struct Code<'m> {
    modules: &'m Modules,
    frames: Mutex<HashMap<Avma, Vec<CodeFrame>>>,
    /// By return address and where the function is that was called.
    calls: Mutex<HashMap<(Avma, Avma), Call>>,
    nop5_is_safe: bool,
    raw: bool,
}

impl<'m> Code<'m> {
    /// Nothing is read yet.
    pub fn new(modules: &'m Modules) -> Self {
        let (frames, calls) = (Mutex::default(), Mutex::default());
        Self { modules, frames, calls, nop5_is_safe: false, raw: false }
    }

    /// The same on a machine that can do this.
    #[must_use]
    pub fn on(mut self, host: &HostAbilities) -> Self {
        self.nop5_is_safe = host.nop5.is_safe();
        self
    }

    /// The same, with values as they are stored, whatever they mean to programmers.
    #[must_use]
    pub fn raw(mut self, raw: bool) -> Self {
        self.raw = raw;
        self
    }

    /// Whether values are wanted as they are stored.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Whether a nop of 5 bytes may be probed here.
    pub fn nop5_is_safe(&self) -> bool {
        self.nop5_is_safe
    }

    /// The modules.
    pub fn modules(&self) -> &'m Modules {
        self.modules
    }

    /// The debug info of a module.
    ///
    /// # Errors
    ///
    /// Those of [`Modules::get`] and [`FileCode::debug_info`](super::file_code::FileCode::debug_info).
    pub fn debug_info(&self, index: ModuleIndex) -> Result<&'m DebugInfo, Issue> {
        self.modules.get(index)?.code().debug_info()
    }

    /// What is wrong with the debug info of a module, as far as it was looked at: the issue that
    /// leaves none, or units that can't be read.
    pub fn debug_issue(&self, index: ModuleIndex) -> Option<Issue> {
        let info = match self.debug_info(index) {
            Ok(info) => info,
            Err(issue) => return Some(issue),
        };
        let malformed = info.malformed_units();
        let path = self.modules.path(index)?.display().to_string();
        if let Some((missing, tried)) = info.missing_units() {
            let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
            let units = info.unit_count();
            let tried = tried.join(", ");
            let detail = format!("of {units} units {missing} are split, not found: {tried}");
            return Some(Issue::new(IssueKind::NoDebugInfo, path, detail));
        }
        let detail = format!("{malformed} of {} units of its debug info", info.unit_count());
        (malformed > 0).then(|| Issue::new(IssueKind::MalformedFile, path, detail))
    }

    /// The function symbols of a module.
    ///
    /// # Errors
    ///
    /// Those of [`Modules::get`] and [`SymbolTable::load`].
    pub fn symbols(&self, index: ModuleIndex) -> Result<&'m SymbolTable<'m>, Issue> {
        self.modules.get(index)?.code().symbols()
    }

    /// The call frame information of a module.
    ///
    /// # Errors
    ///
    /// Those of [`Modules::get`].
    pub fn cfi(&self, index: ModuleIndex) -> Result<&'m Cfi<'m>, Issue> {
        Ok(self.modules.get(index)?.code().cfi())
    }

    /// How to unwind from an address of a module.
    ///
    /// # Errors
    ///
    /// Why there is no row.
    pub fn row_at(&self, index: ModuleIndex, svma: Svma) -> Result<UnwindRow, String> {
        let bias = self.modules.get(index).map_err(|issue| issue.to_string())?.bias();
        let cfi = self.cfi(index).map_err(|issue| issue.to_string())?;
        let row = cfi.row_at(svma, bias).map_err(|error| error.to_string());
        self.undamaged(index, row)
    }

    /// The rows for the code around an address of a module, each with where it starts, in their
    /// order.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub fn rows_around(
        &self,
        index: ModuleIndex,
        svma: Svma,
    ) -> Result<Vec<(Svma, UnwindRow)>, String> {
        let cfi = self.cfi(index).map_err(|issue| issue.to_string())?;
        let rows = cfi.rows_around(svma).map_err(|error| error.to_string());
        self.undamaged(index, rows)
    }

    /// What was read of a module's files, unless they were truncated meanwhile.
    fn undamaged<T>(&self, index: ModuleIndex, read: Result<T, String>) -> Result<T, String> {
        let module = self.modules.get(index).map_err(|issue| issue.to_string())?;
        module.code().files().damaged().map_or(read, |issue| Err(issue.to_string()))
    }

    /// Where the unwinder enters code when an exception is thrown through the code in `range`.
    ///
    /// # Errors
    ///
    /// Why they can't be told.
    pub fn landing_pads(
        &self,
        index: ModuleIndex,
        range: &Range<Svma>,
    ) -> Result<Vec<Svma>, LandingPadError> {
        let (Ok(module), Ok(cfi)) = (self.modules.get(index), self.cfi(index)) else {
            return Ok(Vec::new());
        };
        landing_pads::in_range(module.elf(), cfi, range)
    }

    fn frames_of(&self, pc: Avma) -> Vec<CodeFrame> {
        let Some(index) = self.modules.index_at(pc) else { return Vec::new() };
        let Ok(module) = self.modules.get(index) else { return Vec::new() };
        let svma = module.to_svma(pc);
        let mut frames =
            self.debug_info(index).map(|info| symbolize::frames(info, svma)).unwrap_or_default();
        if frames.last().is_none_or(|frame| frame.function.is_none())
            && let Some((symbol, _)) = self.symbols(index).ok().and_then(|s| s.containing(svma))
        {
            let line = frames.pop().and_then(|frame| frame.line);
            frames.push(CodeFrame { function: Some(demangle::display(symbol.name)), line });
        }
        frames
    }
}

fn no_view(index: ModuleIndex) -> Issue {
    Issue::new(IssueKind::NotMapped, format!("module {index}"), "")
}

impl CodeMap for Code<'_> {
    fn module_name(&self, pc: Avma) -> Option<String> {
        self.modules.name(self.modules.index_at(pc)?)
    }

    fn unwind_row(&self, pc: Avma) -> Result<UnwindRow, String> {
        let index = self.modules.index_at(pc).ok_or("no module is mapped there")?;
        let module = self.modules.get(index).map_err(|issue| issue.to_string())?;
        self.row_at(index, module.to_svma(pc))
    }

    fn frames(&self, pc: Avma) -> Vec<CodeFrame> {
        if let Some(frames) = self.frames.lock().ok().and_then(|kept| kept.get(&pc).cloned()) {
            return frames;
        }
        let frames = self.frames_of(pc);
        if let Ok(mut kept) = self.frames.lock() {
            if kept.len() >= FRAMES_KEPT {
                kept.clear();
            }
            kept.insert(pc, frames.clone());
        }
        frames
    }

    fn call_site(&self, return_address: Avma, callee: Avma) -> Result<Arc<CallSite>, String> {
        let key = (return_address, callee);
        if let Some(call) = self.calls.lock().ok().and_then(|kept| kept.get(&key).cloned()) {
            return call;
        }
        let call = call_sites::read(self, return_address, callee).map(Arc::new);
        if let Ok(mut kept) = self.calls.lock() {
            if kept.len() >= CALLS_KEPT {
                kept.clear();
            }
            kept.insert(key, call.clone());
        }
        call
    }

    fn symbol_at(&self, address: Avma) -> Option<String> {
        let index = self.modules.index_at(address)?;
        let svma = self.modules.get(index).ok()?.to_svma(address);
        let symbol = self.symbols(index).ok()?.starting_at(svma)?;
        Some(demangle::display(symbol.name))
    }
}
