//! Tries in sacrificial children what a kernel may do wrong under a breakpoint, before it is done
//! to a target.

mod child;
mod kept;
mod victim;

pub use kept::{abilities, known};

use super::calibrate::{UNUSED_SITE, own_offset};
use super::load::Program;
use super::sys::{self, Flavour};
use super::{perf, text};
use crate::model::abilities::{Ability, HostAbilities};
use crate::model::address::{Avma, FileOffset};
use child::{Child, Fate};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use victim::{PLAIN, RED_ZONE, RETURN, Victim};

/// Ourselves, as the kernel's path lookup takes it: a child has the same file.
const OWN_FILE: &std::ffi::CStr = c"/proc/self/exe";
/// Bytes that are compared at a site.
const COMPARED: usize = 16;

/// Why a trial showed nothing.
#[derive(Debug, thiserror::Error)]
enum TrialError {
    #[error("it could not be tried: {0}")]
    System(#[from] io::Error),
    #[error("it could not be tried: {0}")]
    Memory(#[from] crate::model::issue::Issue),
    #[error("it could not be tried: no breakpoint appeared")]
    NoBreakpoint,
    #[error("it could not be tried: the code to try it on was not found")]
    NoCode,
    #[error("the process hung")]
    Hung,
    #[error("it could not be tried: the process could not be prepared")]
    Unprepared,
}

/// What a trial showed; an error means that it showed nothing.
type Trial = Result<Ability, TrialError>;

/// Runs all trials beside each other. The second value is true if each of them showed something,
/// so that they need not be repeated.
fn run(program: &Program) -> (HostAbilities, bool) {
    let trials =
        [(&RED_ZONE, false), (&RED_ZONE, true), (&PLAIN, true), (&RETURN, false), (&RETURN, true)];
    let results: Vec<Trial> = thread::scope(|scope| {
        let start = |(victim, filtered)| scope.spawn(move || try_one(program, victim, filtered));
        let running: Vec<_> = trials.into_iter().map(start).collect();
        let end = |thread: thread::ScopedJoinHandle<'_, Trial>| {
            thread.join().unwrap_or(Err(TrialError::Unprepared))
        };
        running.into_iter().map(end).collect()
    });
    let certain = results.iter().all(Result::is_ok);
    let mut shown = results.into_iter().map(|trial| match trial {
        Ok(ability) => ability,
        Err(error) => Ability::Unsafe(error.to_string()),
    });
    let mut next =
        || shown.next().unwrap_or_else(|| Ability::Unsafe("it was not tried".to_owned()));
    let nop5 = next().and(next());
    let seccomp = next();
    let returns = next().and(next());
    (HostAbilities { nop5, seccomp, returns }, certain)
}

/// Places breakpoints on a victim in a child, lets it run, and looks what became of it.
fn try_one(program: &Program, victim: &'static Victim, filtered: bool) -> Trial {
    let sites = victim.sites().ok_or(TrialError::NoCode)?;
    let child = Child::start(victim, filtered)?;
    let pid = child.pid();
    let read = |address| text::process_bytes(pid, address, COMPARED);
    let before = sites.iter().map(|site| read(*site)).collect::<Result<Vec<_>, _>>()?;
    let offsets = sites.iter().map(|site| own_offset(*site)).collect::<io::Result<Vec<_>>>()?;
    let links = link(program, pid, &offsets, victim.returns)?;
    for (site, before) in sites.iter().zip(&before) {
        if read(*site)?.first() == before.first() {
            return Err(TrialError::NoBreakpoint);
        }
    }
    let fate = child.run()?;
    drop(links);
    let under = if filtered { " under a seccomp filter" } else { "" };
    let unsafe_as = |what: String| Ok(Ability::Unsafe(format!("{what}{under}")));
    match fate {
        Fate::Fine => {}
        Fate::Wrong => return unsafe_as(victim.wrong.to_owned()),
        Fate::Killed(signal) => return unsafe_as(format!("signal {signal} killed the process")),
        Fate::Unprepared => return Err(TrialError::Unprepared),
        Fate::Hung => return Err(TrialError::Hung),
    }
    for (site, before) in sites.iter().zip(&before) {
        if read(*site)? != *before {
            return unsafe_as("the code was not what it was before".to_owned());
        }
    }
    Ok(Ability::Safe)
}

/// Breakpoints on our own file in one process, with the program switched off.
fn link(
    program: &Program,
    pid: u32,
    offsets: &[FileOffset],
    returns: bool,
) -> io::Result<Vec<OwnedFd>> {
    let numbers: Vec<u64> = offsets.iter().map(|offset| offset.0).collect();
    let cookies = vec![UNUSED_SITE; offsets.len()];
    let multi =
        program.flavour(Flavour::Multi).map_err(io::Error::other).and_then(|multi| match returns {
            true => {
                let first = numbers.first().copied().unwrap_or(0);
                sys::link_return(multi, OWN_FILE, pid, first, UNUSED_SITE)
            }
            false => sys::link_uprobe_multi(multi, OWN_FILE, pid, &numbers, &cookies),
        });
    match multi {
        Ok(link) => return Ok(vec![link]),
        Err(error) if returns => return Err(error),
        Err(error) => tracing::debug!(%error, "no uprobe_multi here"),
    }
    let single = program.flavour(Flavour::Perf).map_err(io::Error::other)?;
    let mut fds = Vec::new();
    for offset in offsets {
        let event = perf::open_uprobe(OWN_FILE, pid, *offset)?;
        fds.push(sys::link_perf_event(single, event.as_fd(), UNUSED_SITE)?);
        fds.push(event);
    }
    Ok(fds)
}

/// The code of a function of ours from its start.
fn own_code(start: Avma) -> Option<Vec<u8>> {
    text::process_bytes(std::process::id(), start, victim::CODE_BYTES).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::text;

    fn children() -> usize {
        let own = format!("/proc/self/task/{}/children", std::process::id());
        std::fs::read_to_string(own).unwrap().split_ascii_whitespace().count()
    }

    #[test]
    fn a_child_does_what_its_victim_says() {
        for (victim, filtered) in [(&RED_ZONE, false), (&PLAIN, true), (&RETURN, true)] {
            let child = Child::start(victim, filtered).unwrap();
            assert_eq!(child.run().unwrap(), Fate::Fine, "{victim:?} {filtered}");
            for site in victim.sites().unwrap() {
                assert!(text::process_bytes(child.pid(), site, 1).is_ok(), "it lives still");
            }
        }
    }

    #[test]
    fn harm_is_a_result() {
        for (run, fate) in [
            (victim::is_wrong as fn(u64) -> bool, Fate::Wrong),
            (victim::dies, Fate::Killed(libc::SIGILL)),
            (victim::hangs, Fate::Hung),
            (victim::asks_the_kernel, Fate::Killed(libc::SIGSYS)),
        ] {
            static NO_SITES: [(extern "C" fn(u64) -> u64, &[u8]); 0] = [];
            let victim: &'static Victim =
                Box::leak(Box::new(Victim { code: &NO_SITES, run, returns: false, wrong: "" }));
            let child = Child::start(victim, true).unwrap();
            assert_eq!(child.run().unwrap(), fate);
        }
        assert_eq!(children(), 0);
    }
}
