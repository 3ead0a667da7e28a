//! The files of the code that is to be probed, opened by us, and the proof that places are what the
//! parser says of them: where they are in their file, and that the instruction there may be probed.

use crate::binary::open;
use crate::model::abilities::HostAbilities;
use crate::model::address::{Avma, FileOffset, Svma};
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::{Mapping, Process};
use crate::model::resolved::{Resolved, TrapClass};
use crate::resolve::instruction::{classify, is_nop5};
use rustix::io::pread;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};

/// The longest instruction.
const INSTRUCTION_BYTES_MAX: usize = 15;

/// Open files, by where something is in them.
#[derive(Debug)]
pub(super) struct CodeFiles {
    files: Vec<Opened>,
    by_pc: HashMap<Avma, usize>,
}

#[derive(Debug)]
struct Opened {
    /// Device and inode, as the mapping has it.
    id: (u32, u32, u64),
    file: File,
    name: String,
}

/// A place, as the parser says it is.
struct Place<'r> {
    pc: Avma,
    offset: FileOffset,
    instruction: &'r [u8],
    trap: TrapClass,
}

impl CodeFiles {
    /// Opens the files of all sites and entries.
    ///
    /// # Errors
    ///
    /// Those of [`open::of_process`]; [`IssueKind::NotMapped`], [`IssueKind::TextChanged`] and
    /// [`IssueKind::RefusedInstruction`] where a place is not what it is said to be.
    pub(super) fn open(
        process: &Process,
        resolved: &Resolved,
        host: &HostAbilities,
    ) -> Result<Self, Issue> {
        let mut opened = Self { files: Vec::new(), by_pc: HashMap::new() };
        for site in &resolved.sites {
            let (pc, offset, trap) = (site.pc, site.file_offset, site.trap);
            let place = Place { pc, offset, instruction: &site.instruction, trap };
            opened.add(process, &place, host)?;
            if let Some(entry) = &site.entry {
                let (pc, offset, trap) = (entry.pc, entry.file_offset, entry.trap);
                let place = Place { pc, offset, instruction: &entry.instruction, trap };
                opened.add(process, &place, host)?;
            }
        }
        Ok(opened)
    }

    /// The file of a place that was opened, and its path in the target.
    pub(super) fn at(&self, pc: Avma) -> Option<(BorrowedFd<'_>, &str)> {
        let opened = self.files.get(*self.by_pc.get(&pc)?)?;
        Some((opened.file.as_fd(), &opened.name))
    }

    fn add(
        &mut self,
        process: &Process,
        place: &Place<'_>,
        host: &HostAbilities,
    ) -> Result<(), Issue> {
        let mapping = process.mapping_at(place.pc).filter(|m| m.execute && m.file.2 != 0);
        let mapping =
            mapping.ok_or_else(|| Issue::new(IssueKind::NotMapped, place.pc.to_string(), ""))?;
        let known = self.files.iter().position(|opened| opened.id == mapping.file);
        let index = match known {
            Some(index) => index,
            None => {
                let file = open::of_process(process.id.pid, mapping)?;
                let name = mapping.path.to_str().unwrap_or("a module").to_owned();
                self.files.push(Opened { id: mapping.file, file, name });
                self.files.len() - 1
            }
        };
        if let Some(opened) = self.files.get(index) {
            place.prove(mapping, opened, host)?;
        }
        self.by_pc.insert(place.pc, index);
        Ok(())
    }
}

impl Place<'_> {
    fn prove(&self, mapping: &Mapping, from: &Opened, host: &HostAbilities) -> Result<(), Issue> {
        let issue =
            |kind, detail: &str| Issue::new(kind, format!("{} in {}", self.pc, from.name), detail);
        let within = self.pc.0.checked_sub(mapping.range.start.0);
        let offset = within.and_then(|within| mapping.file_offset.0.checked_add(within));
        if offset != Some(self.offset.0) {
            return Err(issue(IssueKind::TextChanged, "it is elsewhere in the file"));
        }
        let mut bytes = [0; INSTRUCTION_BYTES_MAX];
        let count = pread(&from.file, &mut bytes, self.offset.0).unwrap_or(0);
        let bytes = bytes.get(..count).unwrap_or_default();
        let classified = classify(bytes, Svma(self.pc.0))
            .map_err(|refusal| issue(IssueKind::RefusedInstruction, &refusal.to_string()))?;
        let instruction = bytes.get(..classified.length).unwrap_or_default();
        if instruction != self.instruction || classified.trap != self.trap {
            let detail = "the file does not hold the instruction that was decoded";
            return Err(issue(IssueKind::TextChanged, detail));
        }
        if is_nop5(instruction) && !host.nop5.is_safe() {
            let detail = "this kernel breaks programs that are probed at a nop of 5 bytes";
            return Err(issue(IssueKind::RefusedInstruction, detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::modules::{Code, Modules};
    use crate::resolve;

    /// HOST-4
    #[test]
    fn a_place_is_where_the_process_has_it_and_holds_what_may_be_probed() {
        let process = resolve::process::read(std::process::id()).unwrap();
        let modules = Modules::of(&process);
        let code = Code::new(&modules);
        let own = a_place_is_where_the_process_has_it_and_holds_what_may_be_probed as fn();
        let text = format!("*{:#x}", own as usize);
        let spec = resolve::function::parse(&text).unwrap();
        let resolved = resolve::resolve(&spec, &text, &code).unwrap();
        let host = HostAbilities::none("");
        let kind = |change: fn(&mut Resolved)| {
            let mut changed = resolved.clone();
            change(&mut changed);
            CodeFiles::open(&process, &changed, &host).err().map(|issue| issue.kind)
        };
        assert_eq!(kind(|_| {}), None);
        assert_eq!(kind(|r| r.sites[0].pc.0 = 4), Some(IssueKind::NotMapped));
        assert_eq!(kind(|r| r.sites[0].pc.0 += 1), Some(IssueKind::TextChanged));
        assert_eq!(kind(|r| r.sites[0].file_offset.0 += 1), Some(IssueKind::TextChanged));
        assert_eq!(kind(|r| r.sites[0].instruction[0] ^= 1), Some(IssueKind::TextChanged));
        assert_eq!(kind(|r| r.sites[0].instruction.clear()), Some(IssueKind::TextChanged));
        let opened = CodeFiles::open(&process, &resolved, &host).unwrap();
        assert!(opened.at(resolved.sites[0].pc).is_some() && opened.at(Avma(0)).is_none());
    }
}
