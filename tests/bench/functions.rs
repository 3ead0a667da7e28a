//! The functions of the target that are probed, and where probes on them sit.

use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::engine::parse_location;
use tracer_core::model::address::Avma;
use tracer_core::model::resolved::TrapClass;
use tracer_core::resolve;
use tracer_core::resolve::instruction::classify;
use tracer_tests::targets::{RunningTarget, Target};

/// The longest instruction.
const INSTRUCTION_MAX: usize = 15;

/// Two functions that begin alike: one with four numbers as arguments, one with a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Functions {
    /// Takes four numbers, each one more than the one before.
    pub(crate) numbers: &'static str,
    /// Takes a pointer to a structure with pointers in it.
    pub(crate) pointer: &'static str,
    /// The class of the first instruction.
    pub(crate) requested: TrapClass,
    /// The class of the instruction that we probe.
    pub(crate) placed: TrapClass,
}

/// See `targets/c/bench.c`.
pub(crate) const FUNCTIONS: &[Functions] = &[
    Functions {
        numbers: "emulated",
        pointer: "emulated_node",
        requested: TrapClass::Emulated,
        placed: TrapClass::Emulated,
    },
    Functions {
        numbers: "guarded",
        pointer: "guarded_node",
        requested: TrapClass::SingleStepped,
        placed: TrapClass::Emulated,
    },
    Functions {
        numbers: "stepped",
        pointer: "stepped_node",
        requested: TrapClass::SingleStepped,
        placed: TrapClass::SingleStepped,
    },
];

/// Starts the target.
///
/// # Errors
///
/// It can't be compiled or started.
pub(crate) fn start() -> Result<RunningTarget> {
    let flags = ["-O2", "-fcf-protection=branch", "-mmanual-endbr"];
    Target::c("bench", "gcc", &flags)?.start(&[])
}

/// Where a function is in a running target.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The program.
    pub(crate) path: PathBuf,
    /// The function's address.
    pub(crate) requested: Avma,
    /// Where we would probe it, in the file.
    pub(crate) offset: u64,
}

/// Finds a function and checks that it begins as its name says.
///
/// # Errors
///
/// It can't be probed, or the compiler made something else of it.
pub(crate) fn locate(pid: u32, functions: &Functions, name: &str) -> Result<Place> {
    let process = resolve::process::read(pid)?;
    let modules = Modules::of(&process);
    let code = Code::new(&modules);
    let resolved = resolve::resolve(&parse_location(name)?, name, &code)?;
    let site = resolved.sites.first().with_context(|| format!("{name} has no site"))?;
    let requested = first_instruction(pid, site.requested)?;
    ensure!(
        (requested, site.trap) == (functions.requested, functions.placed),
        "{name} begins with {requested:?} and is probed at {}, {:?}",
        site.disassembly,
        site.trap
    );
    let path = process.exe.clone();
    Ok(Place { path, requested: site.requested, offset: site.file_offset.0 })
}

/// The class of the instruction at an address.
///
/// # Errors
///
/// It can't be read or may not be probed.
pub(crate) fn first_instruction(pid: u32, address: Avma) -> Result<TrapClass> {
    let mut bytes = [0; INSTRUCTION_MAX];
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    memory.read_exact_at(&mut bytes, address.0)?;
    let classified = classify(&bytes, tracer_core::model::address::Svma(address.0));
    Ok(classified.map_err(|refusal| anyhow::anyhow!("{refusal}"))?.trap)
}
