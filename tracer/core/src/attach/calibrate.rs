//! What a hit costs on this machine, measured on our own code.
//!
//! The trap dominates the cost and differs by a factor of three to forty between machines, so it
//! is measured and never assumed. The rest is measured by plans on one function of ours: each does
//! much of one thing, and what it takes more than a plan that does nothing is the price.

pub mod kept;
mod run;
mod samples;

use super::breakpoints::{AttachMode, AttachedBy, refused_perf};
use super::error::AttachError;
use super::load::Program;
use super::sys::{self, Flavour};
use super::{perf, text};
use crate::model::address::{Avma, FileOffset};
use crate::model::cost::CostModel;
use run::{Own, fastest};
use samples::Memory;
use std::arch::naked_asm;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tracer_common::limits::SITES;

/// Ourselves, as the kernel's path lookup takes it.
const OWN_FILE: &CStr = c"/proc/self/exe";
/// A site that no probe uses, and that therefore stays switched off.
pub(super) const UNUSED_SITE: u64 = SITES as u64 - 1;
/// `int3`.
const BREAKPOINT: u8 = 0xcc;

#[unsafe(naked)]
extern "C" fn emulated() {
    naked_asm!("push rbp", "pop rbp", "ret")
}

#[unsafe(naked)]
extern "C" fn single_stepped() {
    naked_asm!("mov eax, edi", "ret")
}

#[unsafe(naked)]
extern "C" fn returning() {
    naked_asm!("push rbp", "pop rbp", "nop", "ret")
}

/// What was measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Calibration {
    /// The costs.
    pub costs: CostModel,
    /// How the breakpoints were placed.
    pub by: AttachedBy,
    /// The breakpoints were read back while they were in place, and the text was as before
    /// afterwards.
    pub proven: bool,
}

/// Measures the costs, on ourselves; takes about a tenth of a second.
///
/// # Errors
///
/// When the breakpoints can't be placed.
pub fn measure(program: &Program, mode: AttachMode) -> Result<Calibration, AttachError> {
    let places = [emulated, single_stepped].map(place);
    let before = bytes(&places)?;
    let memory = Memory::new();
    let mut own = Own::occupy(program, places[0], &memory)?;
    let alone = [emulated, single_stepped].map(fastest);
    let cookies = [own.site().into(), UNUSED_SITE];
    let (mut links, by) = link(program, mode, places, cookies)?;
    let armed = bytes(&places)?;
    let costs = own.costs(alone);
    let mut returns = None;
    if let Some(link) = link_return(program, by) {
        returns = Some(fastest(returning) - alone[0]);
        links.push(link);
    }
    // Each waits for the same event in the kernel: together they take no longer than one.
    std::thread::scope(|scope| {
        for link in links {
            scope.spawn(move || drop(link));
        }
    });
    let restored = before == bytes(&places)?;
    let costs = CostModel { return_ns: returns, ..costs? };
    let proven = restored && armed.iter().all(|byte| *byte == BREAKPOINT);
    Ok(Calibration { costs, by, proven })
}

fn place(function: extern "C" fn()) -> Avma {
    Avma(function as usize as u64)
}

/// The first byte of each place.
fn bytes(places: &[Avma]) -> Result<Vec<u8>, AttachError> {
    let pid = std::process::id();
    let mut bytes = Vec::new();
    for place in places {
        bytes.extend(text::process_bytes(pid, *place, 1)?);
    }
    Ok(bytes)
}

/// Links the program to our functions, as probes are linked.
fn link(
    program: &Program,
    mode: AttachMode,
    places: [Avma; 2],
    cookies: [u64; 2],
) -> Result<(Vec<OwnedFd>, AttachedBy), AttachError> {
    let failed = |e| AttachError::kernel("a breakpoint on our own code", e);
    let [first, second] = places.map(own_offset);
    let offsets = [first.map_err(failed)?.0, second.map_err(failed)?.0];
    if mode != AttachMode::Perf {
        let multi = program.flavour(Flavour::Multi).and_then(|multi| {
            let pid = std::process::id();
            sys::link_uprobe_multi(multi, OWN_FILE, pid, &offsets, &cookies).map_err(failed)
        });
        match multi {
            Err(error) if mode == AttachMode::Auto => {
                tracing::debug!(%error, "no uprobe_multi here");
            }
            other => return other.map(|link| (vec![link], AttachedBy::Multi)),
        }
    }
    let mut links = Vec::new();
    for (offset, cookie) in offsets.into_iter().zip(cookies) {
        let offset = FileOffset(offset);
        let event =
            perf::open_uprobe(OWN_FILE, std::process::id(), offset).map_err(refused_perf)?;
        let linked = sys::link_perf_event(program.flavour(Flavour::Perf)?, event.as_fd(), cookie);
        links.extend([linked.map_err(refused_perf)?, event]);
    }
    Ok((links, AttachedBy::Perf))
}

/// A return probe on a function of ours. Some kernels do it by a system call of their own, which a
/// filter of ours could kill us for: then it is not tried.
fn link_return(program: &Program, by: AttachedBy) -> Option<OwnedFd> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let filter = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    if by != AttachedBy::Multi || filter.trim() != "0" {
        return None;
    }
    let offset = own_offset(place(returning)).ok()?;
    let multi = program.flavour(Flavour::Multi).ok()?;
    sys::link_return(multi, OWN_FILE, std::process::id(), offset.0, UNUSED_SITE).ok()
}

/// Where an address of ours is in our file.
pub(super) fn own_offset(address: Avma) -> io::Result<FileOffset> {
    let not_found = || io::Error::new(io::ErrorKind::NotFound, "our own code is not mapped");
    let maps = fs::read_to_string("/proc/self/maps")?;
    let in_line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let offset = words.nth(1)?;
        let [start, end, offset] =
            [start, end, offset].map(|text| u64::from_str_radix(text, 16).ok());
        let (start, end) = (start?, end?);
        let here = (start..end).contains(&address.0);
        here.then_some(FileOffset(address.0 - start + offset?))
    };
    maps.lines().find_map(in_line).ok_or_else(not_found)
}
