//! Whether a process, and the code in it, can be a target on this machine.

use super::Engine;
use super::error::EngineError;
use super::programs::run_by;
use crate::attach::selftest;
use crate::model::abilities::{Ability, HostAbilities};
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::{Mapping, Process};
use crate::model::resolved::{LocationSpec, Resolved};
use crate::resolve;
use std::os::unix::fs::MetadataExt as _;

/// Why code can't be probed that was once mapped from its file.
const MOVED: &str = "the process moved its code to anonymous memory, as programs do for huge pages";

impl Engine {
    /// What may be done on this machine; tried at the first call after the machine was started.
    pub(super) fn abilities(&self) -> &HostAbilities {
        self.abilities.get_or_init(|| {
            selftest::known().unwrap_or_else(|| match self.kernel() {
                Ok(kernel) => selftest::abilities(&kernel.program),
                // Who asks for a breakpoint is told the error itself.
                Err(error) => HostAbilities::none(&format!("it could not be tried: {error}")),
            })
        })
    }
}

/// Refuses a process that a breakpoint would hurt, and those that do our own work: a breakpoint
/// that its owner runs into is taken out by nobody.
///
/// # Errors
///
/// [`IssueKind::OwnProcess`], [`IssueKind::Filtered`].
pub(super) fn check(engine: &Engine, process: &Process) -> Result<(), EngineError> {
    let pid = process.id.pid;
    if pid == std::process::id() || runs_our_program(engine, pid) {
        return Err(Issue::new(IssueKind::OwnProcess, pid.to_string(), "").into());
    }
    if resolve::process::is_filtered(process.id)?
        && let Ability::Unsafe(why) = &engine.abilities().seccomp
    {
        return Err(Issue::new(IssueKind::Filtered, pid.to_string(), why).into());
    }
    Ok(())
}

/// Guardians and other tracers run the same file.
fn runs_our_program(engine: &Engine, pid: u32) -> bool {
    let Some(theirs) = run_by(pid) else { return false };
    let guardian = std::fs::metadata(&engine.options.guardian);
    let guardian = guardian.map(|file| (file.dev(), file.ino())).ok();
    [run_by(std::process::id()), guardian].contains(&Some(theirs))
}

/// Refuses code that is not what is mapped from its file for this process alone: the kernel places
/// no breakpoint there, and says that it did.
///
/// # Errors
///
/// [`IssueKind::CannotFire`].
pub(super) fn check_text(process: &Process, resolved: &Resolved) -> Result<(), Issue> {
    for site in &resolved.sites {
        let why = match process.mapping_at(site.pc) {
            Some(mapping) if mapping.file.2 == 0 => MOVED,
            Some(mapping) if mapping.shared => "the code is mapped shared",
            Some(mapping) if mapping.write => "the code is mapped writable",
            _ => continue,
        };
        return Err(Issue::new(IssueKind::CannotFire, format!("{}", site.pc), why));
    }
    Ok(())
}

/// Says why code can't be probed that belongs to no file, where that is the reason.
pub(super) fn name_anonymous(
    mut issue: Issue,
    process: &Process,
    location: &LocationSpec,
) -> Issue {
    let is_exe = |mapping: &&Mapping| mapping.path == process.exe;
    let mut of_exe = process.mappings.iter().filter(is_exe).peekable();
    let moved = of_exe.peek().is_some() && !of_exe.any(|mapping| mapping.execute);
    match (issue.kind, location) {
        (IssueKind::NotMapped, LocationSpec::Address(address))
            if process.mapping_at(*address).is_some_and(|mapping| mapping.execute) =>
        {
            issue.detail = "the code there is anonymous: it belongs to no file".to_owned();
        }
        (IssueKind::NoFunction | IssueKind::NoLine, _) if moved => {
            issue.kind = IssueKind::CannotFire;
            issue.detail = MOVED.to_owned();
            issue.candidates.clear();
        }
        _ => {}
    }
    issue
}
