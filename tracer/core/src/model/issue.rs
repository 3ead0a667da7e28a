//! Why a request can't be served: the user's input, the target or the debug info.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! issues {
    ($($name:ident $code:literal $exit:literal $text:literal $remedy:literal;)+) => {
        /// What kind of issue; each has a stable code and exit code.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum IssueKind { $(#[doc = $text] $name,)+ }

        impl IssueKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// The stable short code in JSON.
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code,)+ } }
            /// The exit code of the command line.
            pub const fn exit_code(self) -> u8 { match self { $(Self::$name => $exit,)+ } }
            /// One sentence.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
            /// What to do.
            pub const fn remedy(self) -> &'static str { match self { $(Self::$name => $remedy,)+ } }
        }
    };
}

// Exit codes: 0 is success, 1 an error of our own, 2 wrong usage (as clap does).
issues! {
    NoProcess "no_process" 10 "no such process"
        "check the pid: `pgrep -a NAME` lists candidates";
    ProcessGone "process_gone" 11 "the process ended"
        "nothing was left behind; use the new pid if the program was restarted";
    NoPermission "no_permission" 12 "not permitted"
        "run as root, or give the binary CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE";
    KernelTooOld "kernel_too_old" 13 "this kernel lacks what tracer needs"
        "use Linux 5.17 or later (6.6 or later for all that tracer can do); `tracer doctor` shows what is missing";
    BadLocation "bad_location" 14 "the location is not understood"
        "write function, module!function, function+offset, file:line or *0xADDRESS";
    NoDebugInfo "no_debug_info" 15 "there is no debug info for this module"
        "install the package with debug symbols (Debian: NAME-dbg or NAME-dbgsym), name a server in DEBUGINFOD_URLS, or probe a function by its symbol";
    DebugInfoMismatch "debug_info_mismatch" 16 "the debug info belongs to another build"
        "install the debug package of exactly this version";
    NoFunction "no_function" 17 "no function has this name"
        "`tracer find -p PID PATTERN` lists functions; of one that is inlined and computed away no code is left: probe a line of its caller";
    NoLine "no_line" 18 "there is no code on this line"
        "choose one of the nearest lines with code";
    Ambiguous "ambiguous" 19 "the location means several things"
        "write one of the candidates";
    NotOnInstruction "not_on_instruction" 20 "the address is inside an instruction"
        "use the address where the instruction starts";
    RefusedInstruction "refused_instruction" 21 "an instruction that can't be probed safely is there"
        "choose another line or offset";
    NotMapped "not_mapped" 22 "no executable file is mapped at this address"
        "code made at run time (JIT) can't be probed; see /proc/PID/maps";
    MalformedFile "malformed_file" 23 "the file is malformed"
        "check the file with `readelf -aW`; a truncated or packed file can't be traced";
    TextChanged "text_changed" 24 "the code in memory differs from the file"
        "the binary was replaced or patches itself: restart the program, then try again";
    CannotFire "cannot_fire" 25 "the breakpoint did not appear in the process"
        "the code is mapped writable, shared or remapped, so a uprobe can't fire there";
    Resolver "resolver" 26 "the symbol is an IFUNC resolver, which runs only at load time"
        "probe one of the implementations";
    TooManySites "too_many_sites" 27 "the location has more sites than can be armed at once"
        "choose a narrower location: function@caller takes only the copies inlined into one caller";
    NoHit "no_hit" 28 "no hit before the timeout"
        "the code may not run now: raise --timeout, or probe a caller";
    UnsupportedFilesystem "unsupported_filesystem" 29 "the file is on a filesystem that is not safe to probe"
        "copy the program to a local filesystem (ext4, xfs, btrfs, overlay, tmpfs)";
    CodeGone "code_gone" 34 "the code that was probed is no longer there"
        "the process replaced its program or unmapped the library: look it up again";
    PidNamespace "pid_namespace" 32 "tracer runs in a pid namespace of its own, so it can't tell the kernel which process is meant"
        "run tracer on the host, or in a container with the host's pid namespace (hostPID: true, --pid=host)";
    BeingDebugged "being_debugged" 30 "a debugger is attached to the process"
        "detach the debugger first: two owners of breakpoints break the target";
    AlreadyProbed "already_probed" 33 "another breakpoint is at this place already"
        "wait until the other tracer has ended, or probe another line or offset";
    Filtered "filtered" 55 "the process is under a seccomp filter, which does not bear breakpoints on this machine"
        "`tracer doctor` shows what was tried; trace the program where it runs without a filter";
    OwnProcess "own_process" 56 "this process is a tracer itself"
        "trace another process: nobody could take the breakpoints out if tracer ran into them";
    CodeChanged "code_changed" 57 "the file of the probed code was written to"
        "restart the program, so that all of its code is of one build, then try again";
    Tripped "tripped" 36 "the probe cost more than it may and was taken out"
        "probe a place that runs less often, allow more with --budget, or let it come back with --retry";
    GuardianGone "guardian_gone" 37 "the breakpoints were taken out because tracer did not answer, or died"
        "try again; if tracer was not stopped by anyone, the machine may be overloaded";
    NotYours "not_yours" 35 "you may not trace this process"
        "trace a process of your own; for others ask root, who may trace all";
    TooHot "too_hot" 38 "a probe there would cost more than it may"
        "probe a caller that runs less often, raise --budget, or say --force to try it: the budget takes it out";
    NoProgram "no_program" 58 "there is no such program to wait for"
        "name the program by its path without symbolic links, as this machine sees it (`readlink -f PATH`); for a script, use -p";
    StillPending "still_pending" 59 "the probe waits for its process, and has no breakpoints yet"
        "wait until `tracer list` says that it is armed, or remove it";
    Unread "unread" 60 "the file takes more to read than it may"
        "check it with `readelf -aW`; if you trust it, allow more by TRACER_PARSER_SECONDS and TRACER_PARSER_MIB, else remove its debug info (`strip -g`)";
    NoCapture "no_capture" 31 "the code ran, but no hit could be captured"
        "the counts say why: raise --rate if it limits, probe less at once if hits were lost";
}

/// Something that can't be served, with the facts of this case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Issue {
    /// What kind.
    pub kind: IssueKind,
    /// What it is about, in the user's words: the location, the path, the pid.
    pub subject: String,
    /// What was found or tried; may be empty.
    pub detail: String,
    /// Names, lines or addresses that can be asked for instead.
    pub candidates: Vec<String>,
}

impl Issue {
    /// An issue without candidates.
    pub fn new(kind: IssueKind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), detail: detail.into(), candidates: Vec::new() }
    }

    /// The same with candidates.
    #[must_use]
    pub fn with_candidates(mut self, candidates: Vec<String>) -> Self {
        self.candidates = candidates;
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.kind.text())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Issue {}
