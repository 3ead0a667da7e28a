//! What a hit costs on this machine, measured on our own code.
//!
//! The trap dominates the cost and differs by a factor of three to forty between machines, so it
//! is measured and never assumed.

use super::error::AttachError;
use super::load::Program;
use super::sys::{self, Flavour};
use super::text;
use crate::model::address::{Avma, FileOffset};
use crate::model::resolved::TrapClass;
use std::arch::naked_asm;
use std::ffi::CStr;
use std::fs;
use std::hint::black_box;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tracer_common::limits::SITES;

/// Calls timed in a run.
const CALLS: u32 = 500;
/// Runs; the quickest counts, for everything else only adds.
const RUNS: u32 = 7;
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

/// What a hit costs that the kernel program leaves at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrapCost {
    /// On which kind of instruction.
    pub class: TrapClass,
    /// The cost of the trap and of an early exit from the program.
    pub per_hit: Duration,
    /// The breakpoint was read back while it was in place, and the text was as before afterwards.
    pub proven: bool,
}

/// Measures the cost of a hit for each class, on ourselves.
///
/// # Errors
///
/// When the breakpoints can't be placed.
pub fn trap_costs(program: &Program) -> Result<[TrapCost; 2], AttachError> {
    Ok([
        trap_cost(program, TrapClass::Emulated, emulated)?,
        trap_cost(program, TrapClass::SingleStepped, single_stepped)?,
    ])
}

fn trap_cost(
    program: &Program,
    class: TrapClass,
    function: extern "C" fn(),
) -> Result<TrapCost, AttachError> {
    let failed = |e| AttachError::kernel("a breakpoint on our own code", e);
    let address = Avma(function as usize as u64);
    let pid = std::process::id();
    let before = text::process_bytes(pid, address, 1)?;
    let without = fastest(function);
    let link = link(program, pid, address).map_err(failed)?;
    let armed = text::process_bytes(pid, address, 1)?;
    let with = fastest(function);
    drop(link);
    let after = text::process_bytes(pid, address, 1)?;
    Ok(TrapCost {
        class,
        per_hit: with.saturating_sub(without) / CALLS,
        proven: armed == [BREAKPOINT] && before == after,
    })
}

fn link(program: &Program, pid: u32, address: Avma) -> io::Result<OwnedFd> {
    let offset = own_offset(address)?;
    let multi = program.flavour(Flavour::Multi).map_err(io::Error::other)?;
    sys::link_uprobe_multi(multi, OWN_FILE, pid, &[offset.0], &[UNUSED_SITE])
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

/// The quickest run of many calls.
fn fastest(function: extern "C" fn()) -> Duration {
    let run = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(function)();
        }
        start.elapsed()
    };
    (0..RUNS).map(|_| run()).min().unwrap_or_default()
}
