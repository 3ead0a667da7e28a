//! Why a daemon does not do what it is asked, or could not be asked: all that is not an issue of
//! the engine.

use super::types::{ERROR, Error, ErrorLine};

macro_rules! refusals {
    ($($name:ident $code:literal $status:literal $exit:literal $text:literal $remedy:literal;)+) => {
        /// What kind of refusal; each has a stable code.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum RefusalKind { $(#[doc = $text] $name,)+ }

        impl RefusalKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// The stable short code in JSON.
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code,)+ } }
            /// The HTTP status.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)+ } }
            /// The exit code of the command line.
            pub const fn exit_code(self) -> u8 { match self { $(Self::$name => $exit,)+ } }
            /// One sentence.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
            /// What to do.
            pub const fn remedy(self) -> &'static str { match self { $(Self::$name => $remedy,)+ } }
        }
    };
}

refusals! {
    BadRequest "bad_request" 400 2 "the request is not understood"
        "GET /v1/openapi.json describes every request";
    NoSuchPath "no_such_path" 404 2 "there is nothing at this path"
        "GET /v1/openapi.json lists all paths; is the daemon older than the program that asks?";
    NoSuchMethod "no_such_method" 405 2 "this path does not know the method"
        "GET /v1/openapi.json lists all methods";
    SlowRequest "slow_request" 408 1 "the request did not arrive in time"
        "send the whole body at once";
    LargeRequest "large_request" 413 2 "the request is too large"
        "64 KiB are enough for every request";
    NoSuchProbe "no_such_probe" 404 40 "there is no such probe"
        "`tracer list` shows all; a probe that has ended is kept for ten minutes";
    ProbeOver "probe_over" 409 49 "the probe has ended"
        "place it again; `tracer captures ID` shows what it has taken";
    TooManyProbes "too_many_probes" 429 41 "too many probes are in place"
        "remove some: `tracer list`, `tracer remove ID`";
    Busy "busy" 503 42 "the daemon has too much to do"
        "try again in a moment";
    Stopping "stopping" 503 43 "the daemon is stopping"
        "start it again, or use --no-daemon";
    NoDaemon "no_daemon" 503 44 "no daemon answers"
        "start one: `tracer daemon`; or name its socket by --socket";
    NotAllowed "socket_permission" 403 12 "not permitted to talk to the daemon"
        "run as root, join the group of the socket (`tracer daemon --group NAME`), or run as root with --no-daemon";
    DaemonGone "daemon_gone" 503 45 "the daemon went away"
        "its probes are out; see its log, then start it again";
    OtherVersion "other_version" 502 48 "the daemon's answer is not understood"
        "daemon and program are of different versions: restart the daemon, or use --no-daemon";
    SocketInUse "socket_in_use" 503 46 "a daemon is running already"
        "use it, stop it first, or start this one with another --socket";
    SocketUnusable "socket_unusable" 503 47 "the socket can't be made"
        "run as root, and choose a path in a folder that only root can write to: `--socket /run/tracer/tracer.sock`";
    Panic "internal" 500 1 "tracer itself has a fault"
        "the breakpoints are out; please report it with the daemon's log";
}

/// A refusal with the facts of this case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// What it is about.
    pub subject: String,
    /// What was found or tried; may be empty.
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(kind: RefusalKind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), detail: detail.into() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { kind, subject, detail } = refusal;
        Self {
            code: kind.code().into(),
            exit_code: kind.exit_code(),
            subject,
            text: kind.text().to_owned(),
            detail,
            remedy: kind.remedy().to_owned(),
            candidates: Vec::new(),
        }
    }
}

impl From<Refusal> for Box<Error> {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.into())
    }
}

impl From<Error> for ErrorLine {
    fn from(error: Error) -> Self {
        Self { schema: ERROR.into(), error }
    }
}
