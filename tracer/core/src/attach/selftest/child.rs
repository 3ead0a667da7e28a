//! A child that executes a victim and nothing else. It is forked, not started: then it has the
//! code at the same addresses, whatever program we are a part of.
#![expect(unsafe_code, reason = "fork(2), and what its child may do")]

use super::victim::Victim;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Times that the victim is executed.
const RUNS: u64 = 200;
/// How long that may take; a tenth of a second would do on any machine that is not busy.
const DEADLINE: Duration = Duration::from_secs(3);
/// What a child says when all was well; it waits then to be killed.
const FINE: u8 = b'+';
/// Exit code: the victim did not do what it does.
const WRONG: i32 = 3;
/// Exit code: the child could not be prepared.
const UNPREPARED: i32 = 4;

/// What became of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It did all, and waits.
    Fine,
    /// The victim did not do what it does.
    Wrong,
    /// By this signal.
    Killed(i32),
    /// It did not come to an end.
    Hung,
    /// It could not be prepared.
    Unprepared,
}

/// A child that waits to be let go; dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    orders: OwnedFd,
    answers: OwnedFd,
}

impl Child {
    /// Forks it; with `filtered` under a seccomp filter that allows almost nothing.
    pub(super) fn start(victim: &'static Victim, filtered: bool) -> io::Result<Self> {
        let (heard, orders) = pipe_with(PipeFlags::CLOEXEC)?;
        let (answers, told) = pipe_with(PipeFlags::CLOEXEC)?;
        let parent = std::process::id();
        // SAFETY: the child calls nothing that is not async-signal-safe, and never returns.
        let raw = unsafe { libc::fork() };
        if raw == 0 {
            // SAFETY: this is the child of a fork.
            unsafe { live(victim, filtered, parent, heard.as_raw_fd(), told.as_raw_fd()) }
        }
        let pid = Pid::from_raw(raw).filter(|_| raw > 0).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { pid, orders, answers })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Lets it execute the victim, and waits for what becomes of it.
    pub(super) fn run(&self) -> io::Result<Fate> {
        match write(&self.orders, b"!") {
            Ok(_) | Err(Errno::PIPE) => {}
            Err(error) => return Err(error.into()),
        }
        let start = Instant::now();
        loop {
            let left = Timespec::try_from(DEADLINE.saturating_sub(start.elapsed())).ok();
            let mut fds = [PollFd::from_borrowed_fd(self.answers.as_fd(), PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(Fate::Hung),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut answer = [0];
        if read(&self.answers, &mut answer)? == 1 && answer == [FINE] {
            return Ok(Fate::Fine);
        }
        self.fate()
    }

    /// Of one that has ended, or is about to.
    fn fate(&self) -> io::Result<Fate> {
        // It stays a zombie: its id is not used again before it is dropped.
        let flags = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(rustix::process::WaitId::Pid(self.pid), flags)?;
        let status = status.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(match (status.terminating_signal(), status.exit_status()) {
            (Some(signal), _) => Fate::Killed(signal),
            (None, Some(WRONG)) => Fate::Wrong,
            _ => Fate::Unprepared,
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only for a process that is not there, and this one is until it is waited for.
        let _killed = kill_process(self.pid, Signal::KILL);
        while let Err(Errno::INTR) = waitpid(Some(self.pid), WaitOptions::empty()) {}
    }
}

/// The life of the child.
///
/// # Safety
///
/// Only behind a fork: it gives up all that the process has open, and ends it.
unsafe fn live(victim: &Victim, filtered: bool, parent: u32, heard: RawFd, told: RawFd) -> ! {
    // SAFETY: all of these are async-signal-safe and take no pointer but to what is on the stack.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        for signal in [libc::SIGILL, libc::SIGTRAP, libc::SIGBUS, libc::SIGSEGV, libc::SIGSYS] {
            libc::signal(signal, libc::SIG_DFL);
        }
        let low = libc::dup2(heard, 0) == 0 && libc::dup2(told, 1) == 1;
        // Breakpoints of ours must not outlive their removal because a child holds them open.
        let closed = libc::syscall(libc::SYS_close_range, 2_u32, u32::MAX, 0_u32) == 0;
        if !low || !closed || libc::getppid().unsigned_abs() != parent || (filtered && !filter()) {
            libc::_exit(UNPREPARED);
        }
        let mut byte = 0_u8;
        if libc::read(0, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(UNPREPARED);
        }
        let mut run = 0;
        while run < RUNS {
            run = run.wrapping_add(1);
            if !(victim.run)(run) {
                libc::_exit(WRONG);
            }
        }
        let fine = FINE;
        libc::write(1, (&raw const fine).cast(), 1);
        loop {
            libc::read(0, (&raw mut byte).cast(), 1);
        }
    }
}

/// Allows reading, writing and ending; anything else kills.
fn filter() -> bool {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const GIVE: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let is = |number: libc::c_long, jt| step(IS, number as u32, jt, 0);
    let mut steps = [
        // The number of the system call is the first field.
        step(LOAD, 0, 0, 0),
        is(libc::SYS_read, 4),
        is(libc::SYS_write, 3),
        is(libc::SYS_exit_group, 2),
        is(libc::SYS_rt_sigreturn, 1),
        step(GIVE, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        step(GIVE, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which outlives the calls.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}
