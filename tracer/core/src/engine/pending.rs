//! A probe in a program that may not run yet: it waits for the first process of the caller that
//! runs the file, and for its code.
//!
//! The probe ends with that process. Until its breakpoints are in place it is pending: a process
//! that ends before does not count.

use super::Engine;
use super::control::{Control, Order};
use super::error::EngineError;
use super::event::{Ended, Event, Summary};
use super::pipe::{self, Deliver, finished_before, process_of};
use super::probe::is_readable;
use super::programs::{FileKey, INTERVAL, run_by};
use super::request::SnapshotRequest;
use crate::binary::open::{MappedFile, Root};
use crate::binary::remote::remote_mount;
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use crate::model::process::{Mapping, Process, ProcessId};
use crate::resolve;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long after a process was found its libraries may take to come, and with them the place.
const LOADING: Duration = Duration::from_secs(1);
/// How often its code is looked at meanwhile. What is the same at two looks is complete.
const LOOK: Duration = Duration::from_millis(20);
/// A timeout that is longer than the clock can hold.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How an executable file begins that is no script.
const ELF: &[u8] = b"\x7fELF";

/// Takes snapshots in the first process that runs the file at `path`, as
/// [`Engine::snapshot`](super::Engine::snapshot) does.
pub(super) fn probe(
    engine: &Engine,
    request: &SnapshotRequest,
    path: &Path,
    control: Control<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Summary, EngineError> {
    let mut lease = Lease::of(request);
    let program = Program::open(path, request.caller)?;
    let mut found: Option<Found> = None;
    let mut told = false;
    loop {
        match &mut found {
            None => found = program.first(engine, request.caller)?,
            Some(process) => match process.look(&program, request.caller)? {
                Look::Wait => {}
                Look::Gone => found = None,
                Look::Ready(now) => {
                    let left = SnapshotRequest { timeout: lease.left(), ..request.clone() };
                    match try_in(engine, &left, *now, control, deliver) {
                        Ok(summary) => return Ok(summary),
                        Err(Failed::Early(_)) if process.may_be_loading() => process.tried = true,
                        Err(Failed::Early(issue)) => return Err(issue.into()),
                        Err(Failed::Gone) => found = None,
                        Err(Failed::For(error)) => return Err(error),
                    }
                }
            },
        }
        if found.is_none() && !told {
            told = true;
            if deliver(Event::Pending).is_break() {
                return Ok(finished_before(Ended::Stopped, None, deliver));
            }
        }
        let interval = if found.is_some() { LOOK } else { INTERVAL };
        if let Some(ended) = lease.wait(interval, control)? {
            let why = (ended == Ended::Timeout).then(|| program.why_none(found.as_ref()));
            return Ok(finished_before(ended, why, deliver));
        }
    }
}

/// Why there is no probe in a process.
enum Failed {
    /// What is meant was not there: it may come with a library.
    Early(Issue),
    /// The process ended before the breakpoints were in place.
    Gone,
    /// For good.
    For(EngineError),
}

/// Takes snapshots in one process.
fn try_in(
    engine: &Engine,
    request: &SnapshotRequest,
    process: Process,
    control: Control<'_>,
    deliver: &mut Deliver<'_>,
) -> Result<Summary, Failed> {
    let mut armed = false;
    let mut noted = |event: Event| {
        armed |= matches!(event, Event::Armed(_));
        deliver(event)
    };
    let taken = pipe::probe(engine, request, process, control, &mut noted);
    taken.map_err(|error| match error {
        EngineError::Issue(issue) if !armed => match issue.kind {
            IssueKind::NoFunction | IssueKind::NoLine | IssueKind::NotMapped => {
                Failed::Early(issue)
            }
            IssueKind::NoProcess | IssueKind::ProcessGone => Failed::Gone,
            _ => Failed::For(issue.into()),
        },
        error => Failed::For(error),
    })
}

/// The file that a process must run. It is held open, so that no other one gets its inode.
struct Program {
    file: MappedFile,
    key: FileKey,
}

impl Program {
    /// Opens the file, as far as `caller` may read it: nobody may trace a process whose program
    /// they can't read.
    fn open(path: &Path, caller: Caller) -> Result<Self, Issue> {
        let refused =
            |why: String| Issue::new(IssueKind::NoProgram, path.display().to_string(), why);
        if !path.is_absolute() {
            return Err(refused("the path does not begin with /".to_owned()));
        }
        if let Some(filesystem) = remote_mount(path) {
            let (subject, detail) =
                (path.display().to_string(), format!("filesystem {filesystem}"));
            return Err(Issue::new(IssueKind::UnsupportedFilesystem, subject, detail));
        }
        let opened = Root::host().and_then(|root| root.read_by(caller).open(path));
        let file = opened.map_err(|errno| {
            refused(match errno {
                Errno::INVAL => "it is not a regular file".to_owned(),
                other => std::io::Error::from(other).to_string(),
            })
        })?;
        let begin = || -> Result<_, Errno> {
            let mut begin = [0; 4];
            let count = rustix::io::pread(file.fd(), &mut begin, 0)?;
            Ok((rustix::fs::fstat(file.fd())?, begin.get(..count) == Some(ELF)))
        };
        match begin().map_err(|errno| refused(std::io::Error::from(errno).to_string()))? {
            (_, false) => Err(refused("it is not an ELF file".to_owned())),
            (stat, true) => Ok(Self { file, key: (stat.st_dev, stat.st_ino) }),
        }
    }

    /// The first process that runs it and is the caller's.
    fn first(&self, engine: &Engine, caller: Caller) -> Result<Option<Found>, EngineError> {
        for pid in engine.programs.running(self.key) {
            if let Some(process) = self.process(pid, caller)? {
                return Ok(Some(Found::new(process)));
            }
        }
        Ok(None)
    }

    /// A process, if it is the caller's and runs the file.
    fn process(&self, pid: u32, caller: Caller) -> Result<Option<Process>, EngineError> {
        if run_by(pid) != Some(self.key) {
            return Ok(None);
        }
        match process_of(caller, pid) {
            // Which file it runs is of the process that was read only if that one is there still.
            Ok(process) if run_by(pid) == Some(self.key) => {
                Ok(resolve::process::check(process.id).is_ok().then_some(process))
            }
            Ok(_) => Ok(None),
            Err(EngineError::Issue(issue)) if is_anothers(issue.kind) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Why the time was over before there was a probe.
    fn why_none(&self, found: Option<&Found>) -> String {
        let path = self.file.path().display();
        match found {
            None => format!("no process of yours ran {path}"),
            Some(found) => format!("process {} had only just started", found.id.pid),
        }
    }
}

/// The process has ended, or is none of the caller's business.
fn is_anothers(kind: IssueKind) -> bool {
    matches!(kind, IssueKind::NoProcess | IssueKind::ProcessGone | IssueKind::NotYours)
}

/// A process that runs the program, and what of its code was there at the last look.
struct Found {
    id: ProcessId,
    since: Instant,
    code: Vec<Mapping>,
    /// The place is not in this code.
    tried: bool,
}

/// What a look at a process gave.
enum Look {
    /// Its code may not be complete.
    Wait,
    /// Its code is as it was before, and the place may be in it.
    Ready(Box<Process>),
    /// It has ended, or runs something else.
    Gone,
}

impl Found {
    fn new(process: Process) -> Self {
        Self { id: process.id, since: Instant::now(), code: code(process), tried: false }
    }

    /// Libraries may come still.
    fn may_be_loading(&self) -> bool {
        self.since.elapsed() < LOADING
    }

    fn look(&mut self, program: &Program, caller: Caller) -> Result<Look, EngineError> {
        let Some(now) = program.process(self.id.pid, caller)? else { return Ok(Look::Gone) };
        if now.id != self.id {
            return Ok(Look::Gone);
        }
        let code = code(now.clone());
        let is_complete = !code.is_empty() && code == self.code;
        self.tried &= is_complete;
        self.code = code;
        Ok(match (is_complete && !self.tried) || !self.may_be_loading() {
            true => Look::Ready(Box::new(now)),
            false => Look::Wait,
        })
    }
}

/// What is mapped from files to be run.
fn code(process: Process) -> Vec<Mapping> {
    let is_code = |mapping: &Mapping| mapping.execute && mapping.file.2 != 0;
    process.mappings.into_iter().filter(is_code).collect()
}

/// How long the probe may wait still.
struct Lease {
    deadline: Instant,
}

impl Lease {
    fn of(request: &SnapshotRequest) -> Self {
        let now = Instant::now();
        Self { deadline: now.checked_add(request.timeout).unwrap_or(now + FOREVER) }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits for a time and carries out what is ordered meanwhile. Gives the end if it is there.
    fn wait(&mut self, time: Duration, control: Control<'_>) -> Result<Option<Ended>, EngineError> {
        let until = Instant::now() + time;
        loop {
            if is_readable(control.stop()) {
                return Ok(Some(Ended::Stopped));
            }
            while let Some((order, done)) = control.next_order() {
                done(self.obey(order));
            }
            if self.left().is_zero() {
                return Ok(Some(Ended::Timeout));
            }
            let pause = until.saturating_duration_since(Instant::now()).min(self.left());
            if pause.is_zero() {
                return Ok(None);
            }
            let fds = [Some(control.stop()), control.wake()].into_iter().flatten();
            let mut fds: Vec<_> =
                fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            match poll(&mut fds, pause.try_into().ok().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(EngineError::Wait(error.into())),
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), EngineError> {
        match order {
            Order::Until(deadline) => {
                self.deadline = self.deadline.max(deadline);
                Ok(())
            }
            // It is not paused.
            Order::Resume => Ok(()),
            Order::Pause => Err(Issue::new(IssueKind::StillPending, "the probe", "").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn refused(path: &Path, caller: Caller) -> (IssueKind, String) {
        let Err(issue) = Program::open(path, caller) else { panic!("{} is taken", path.display()) };
        assert_eq!(issue.subject, path.display().to_string());
        (issue.kind, issue.detail)
    }

    #[test]
    fn only_a_program_that_the_caller_may_read_is_waited_for() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(
            Program::open(&own, Caller::Root).unwrap().key,
            run_by(std::process::id()).unwrap()
        );
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let no = |path: &Path| refused(path, Caller::Root);
        let because = |why: &str| (IssueKind::NoProgram, why.to_owned());
        assert_eq!(no(&script), because("it is not an ELF file"));
        assert_eq!(no(folder.path()), because("it is not a regular file"));
        assert_eq!(no(Path::new("bin/true")), because("the path does not begin with /"));
        let missing = no(Path::new("/no/such/program"));
        assert_eq!(missing.0, IssueKind::NoProgram);
        assert!(missing.1.contains("No such file"), "{}", missing.1);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let hidden = refused(&script, Caller::User { uid: u32::MAX - 1, gid: u32::MAX - 1 });
        assert_eq!(hidden.0, IssueKind::NoProgram);
        assert!(hidden.1.contains("Permission denied"), "{}", hidden.1);
    }

    #[test]
    fn a_process_is_ready_when_its_code_stays_the_same() {
        let own = Program::open(&std::env::current_exe().unwrap(), Caller::Root).unwrap();
        let process = own.process(std::process::id(), Caller::Root).unwrap().unwrap();
        let mut found = Found::new(process);
        found.code.pop();
        assert!(matches!(found.look(&own, Caller::Root), Ok(Look::Wait)), "a library has come");
        assert!(matches!(found.look(&own, Caller::Root), Ok(Look::Ready(_))));
        found.tried = true;
        assert!(matches!(found.look(&own, Caller::Root), Ok(Look::Wait)), "it is not there");
        found.code.pop();
        assert!(matches!(found.look(&own, Caller::Root), Ok(Look::Wait)), "a library has come");
        assert!(matches!(found.look(&own, Caller::Root), Ok(Look::Ready(_))), "it may be there");
        found.id.start_ticks += 1;
        assert!(matches!(found.look(&own, Caller::Root), Ok(Look::Gone)), "another process");
        // The first process of the machine runs something else.
        assert!(own.process(1, Caller::Root).unwrap().is_none());
    }
}
