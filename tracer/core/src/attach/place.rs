//! A place where a breakpoint goes: what is kept of it, so that it can be placed again, and the
//! checks of its text before and after.

use super::error::AttachError;
use super::link::TextAfter;
use super::maps::Gate;
use super::site::SiteToArm;
use super::text::{self, COMPARED_BYTES};
use crate::model::address::{Avma, FileOffset};
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The breakpoint instruction, `int3`.
const BREAKPOINT: u8 = 0xcc;

/// How long the breakpoint of a tracer that was killed may still be there.
const LEAVING: Duration = Duration::from_secs(1);

/// A place in a process, and the file that is mapped there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The same one for all places of a file.
    pub(super) file: Arc<OwnedFd>,
    file_name: String,
    pub(super) offset: FileOffset,
    pub(super) pc: Avma,
    /// The instruction, as the decoder saw it; what the breakpoint replaces is its first byte.
    instruction: Vec<u8>,
}

/// The places of sites, with files of their own: they stay open when the caller closes theirs.
pub(super) fn places<'s, 'f: 's>(
    sites: impl Iterator<Item = &'s SiteToArm<'f>>,
) -> Result<Vec<Place>, Issue> {
    let mut files = HashMap::new();
    let mut places = Vec::new();
    for site in sites {
        let number = site.file.as_raw_fd();
        if let std::collections::hash_map::Entry::Vacant(file) = files.entry(number) {
            let own = site.file.try_clone_to_owned().map_err(|error| {
                Issue::new(IssueKind::MalformedFile, site.file_name, error.to_string())
            })?;
            file.insert(Arc::new(own));
        }
        places.push(Place {
            file: Arc::clone(&files[&number]),
            file_name: site.file_name.to_owned(),
            offset: site.offset,
            pc: site.pc,
            instruction: site.instruction.to_vec(),
        });
    }
    Ok(places)
}

impl Place {
    /// Compares the bytes in file, process and decoder. A breakpoint there is borne if `is_ours` says
    /// that it is another probe's of this process: the kernel lets several share one.
    pub(super) fn check(&self, gate: Gate, is_ours: &dyn Fn() -> bool) -> Result<(), AttachError> {
        let file = self.file.as_fd();
        text::check_filesystem(file, &self.file_name)?;
        let in_file = text::read_page_first(file, self.offset, &self.file_name)?;
        let (mut in_process, whose) = settled_bytes(gate.pid, self.pc, is_ours)?;
        let changed = |detail| Issue::new(IssueKind::TextChanged, self.subject(), detail);
        match whose {
            Whose::Nobodys => {}
            // What it replaces is known: whoever placed it has compared it.
            Whose::Ours => {
                in_process.iter_mut().zip(&self.instruction).take(1).for_each(|(b, i)| *b = *i)
            }
            Whose::Foreign => return Err(self.already_probed().into()),
        }
        if self.instruction.is_empty() || !in_file.starts_with(&self.instruction) {
            let detail = "the file does not hold the instruction that was decoded";
            return Err(changed(detail.to_owned()).into());
        }
        // Behind the instruction another tracer's breakpoint may stand.
        let same = |(file, process): (&u8, &u8)| file == process || *process == BREAKPOINT;
        let are_same = in_file.iter().zip(&in_process).all(same);
        if !in_process.starts_with(&self.instruction) || !are_same {
            let found = format!("file {in_file:02x?}, process {in_process:02x?}");
            // What a user's process holds may have become another's while it was read.
            let found = if gate.owner == Caller::Root { found } else { String::new() };
            return Err(changed(found).into());
        }
        Ok(())
    }

    /// Fails unless the breakpoint is in the process: a link can succeed and never fire.
    pub(super) fn read_back(&self, pid: u32) -> Result<(), Issue> {
        let now = text::process_bytes(pid, self.pc, 1)?;
        match now.first() {
            Some(&BREAKPOINT) => Ok(()),
            _ => Err(Issue::new(IssueKind::CannotFire, self.subject(), "")),
        }
    }

    /// How the text looks with the breakpoint gone. What the breakpoint replaced is compared;
    /// behind it others may place and remove theirs meanwhile.
    pub(super) fn text_after(&self, pid: u32) -> TextAfter {
        match text::process_bytes(pid, self.pc, self.instruction.len()) {
            Ok(now) if now.starts_with(&self.instruction) => TextAfter::Restored,
            Ok(_) => TextAfter::Changed(self.pc),
            Err(_) => TextAfter::Unknown,
        }
    }

    /// The text is as before but for a breakpoint.
    pub(super) fn is_probed(&self, pid: u32) -> bool {
        let now = text::process_bytes(pid, self.pc, self.instruction.len()).unwrap_or_default();
        now.first() == Some(&BREAKPOINT) && now.get(1..) == self.instruction.get(1..)
    }

    /// How the text looks when the breakpoint goes with the process that held it: the kernel tells
    /// nobody when that is.
    pub(super) fn text_soon(&self, pid: u32) -> TextAfter {
        let start = Instant::now();
        loop {
            let text = self.text_after(pid);
            if text == TextAfter::Restored || start.elapsed() >= LEAVING {
                return text;
            }
            std::thread::sleep(LEAVING / 100);
        }
    }

    pub(super) fn already_probed(&self) -> Issue {
        let detail = "a debugger's or another tracer's: probes of one daemon may share a place";
        Issue::new(IssueKind::AlreadyProbed, self.subject(), detail)
    }

    pub(super) fn being_probed(&self) -> Issue {
        let detail = "another probe is being placed there still: try again";
        Issue::new(IssueKind::AlreadyProbed, self.subject(), detail)
    }

    fn subject(&self) -> String {
        format!("{} in {}", self.pc, self.file_name)
    }
}

/// Who has a breakpoint at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Nobodys,
    /// Another probe of this process.
    Ours,
    Foreign,
}

/// The code of a process at a place. A breakpoint there that is not ours may be that of a tracer that
/// was killed: the kernel takes it out a moment later, and tells nobody.
fn settled_bytes(
    pid: u32,
    pc: Avma,
    is_ours: &dyn Fn() -> bool,
) -> Result<(Vec<u8>, Whose), Issue> {
    let start = Instant::now();
    loop {
        let bytes = text::process_bytes(pid, pc, COMPARED_BYTES)?;
        let whose = match bytes.first() {
            Some(&BREAKPOINT) if is_ours() => Whose::Ours,
            Some(&BREAKPOINT) => Whose::Foreign,
            _ => Whose::Nobodys,
        };
        if whose != Whose::Foreign || start.elapsed() >= LEAVING {
            return Ok((bytes, whose));
        }
        std::thread::sleep(LEAVING / 100);
    }
}
