//! What the help says beside the options: examples, and what is good to know.

/// About, then examples, then the rest: at three in the morning nobody reads downwards.
pub(super) const TEMPLATE: &str = "{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

pub(super) const EXAMPLES: &str = "Examples:
  sudo tracer snapshot -p 4242 process_payment     the next call: stack, arguments, locals
  sudo tracer snapshot -p 4242 billing.c:42        the next time this line runs
  sudo tracer find -p 4242 payment                 functions whose name contains a word
  sudo tracer vars -p 4242 billing.c:42            what a snapshot there could show
  sudo tracer doctor                               does this machine have what it takes?
  sudo tracer daemon                               serve the users of this machine
  sudo tracer stop-all                             take every probe out, now, and prove it
";

pub(super) const SNAPSHOT_EXAMPLES: &str = "Examples:
  sudo tracer snapshot -p 4242 process_payment              the next call of a function
  sudo tracer snapshot -p 4242 billing.c:42 --hits 5        the next five times a line runs
  sudo tracer snapshot -p 4242 'libssl.so.3!SSL_read'       a function of one library
  sudo tracer snapshot -p 4242 process_payment+0x1c         an instruction of a function
  sudo tracer snapshot -p 4242 '*0x55d0c0a01234'            an address in the process
  sudo tracer snapshot -p 4242 handle --hits 0 --timeout 2m --json > hits.ndjson
  sudo tracer snapshot --exe /usr/sbin/nginx ngx_worker_process_init    in the next one that starts
  sudo tracer snapshot -p \"$(pgrep -n memcached)\" process_command --depth 8 --max-string 4k
  tracer snapshot -p 4242 handle --hits 100 --timeout 1h --detach    leave it to the daemon
";

pub(super) const FIND_EXAMPLES: &str = "Examples:
  sudo tracer find -p 4242 payment            functions whose name contains the word
  sudo tracer find -p 4242 'libc.so.6!mall'   only in one library
";

pub(super) const VARS_EXAMPLES: &str = "Examples:
  sudo tracer vars -p 4242 billing.c:42       is `total` there? if not, on which line?
  sudo tracer vars -p 4242 process_payment    what can be seen when it is called
";

pub(super) const VARS_AFTER: &str = "\
Nothing is placed: this reads files and the process's list of mappings only.
A variable that is not there comes with the nearest line of its function where it is, to be given \
to `tracer snapshot`. Where only a part of that line's code has it, the address is given instead.";

pub(super) const DAEMON_EXAMPLES: &str = "Examples:
  sudo tracer daemon                        for root, at /run/tracer/tracer.sock
  sudo tracer daemon --group developers     members may trace their own processes
";

pub(super) const DAEMON_AFTER: &str = "\
SIGTERM or Ctrl-C stops it: all probes are taken out first.
The API is HTTP and JSON on the socket: `curl --unix-socket /run/tracer/tracer.sock \
http://tracer/v1/openapi.json` describes it.
TRACER_LOG=debug writes more to stderr (default: info).";

pub(super) const LIST_EXAMPLES: &str = "Examples:
  tracer list           your probes; all, as root
  tracer list --json    the same, one JSON object per probe
";

pub(super) const REMOVE_EXAMPLES: &str = "Examples:
  tracer remove 4f1c22ab                take a probe out, and wait until it is
  tracer remove 4f1c22ab 77d0e9c3       several
";

pub(super) const PAUSE_EXAMPLES: &str = "Examples:
  tracer pause 4f1c22ab     take its breakpoints out, and keep all else
  tracer resume 4f1c22ab    place them again, if the code is still what it was
";

pub(super) const EXTEND_EXAMPLES: &str = "Examples:
  tracer extend 4f1c22ab 30m    let it live half an hour longer
";

pub(super) const STOP_ALL_EXAMPLES: &str = "Examples:
  sudo tracer stop-all    every probe of every user, of the daemon and of every other tracer
  tracer stop-all         your own
";

pub(super) const STOP_ALL_AFTER: &str = "\
For each probe the code of its target is read where the breakpoints were, and compared. The exit \
code is 0 only if all of it is what it was before, or is gone.
`kill -USR1` does the same to one tracer, a daemon or not; it answers in its log.";

pub(super) const TOP_EXAMPLES: &str = "Examples:
  tracer top                     your probes, drawn again every second; all, as root
  tracer top --once              one table over one second
  tracer top --json -i 10s       one JSON object every ten seconds
";

pub(super) const TOP_AFTER: &str = "\
NS/HIT is measured in the kernel, with the trap by what one costs on this machine where that is \
known. CPU is of one core. FEELS is the part of the target's own time on a cpu that goes to the \
probe. BUDGET is what is left of what the probe may take of a core.";

pub(super) const CAPTURES_EXAMPLES: &str = "Examples:
  tracer captures 4f1c22ab                       what a detached probe has taken so far
  tracer captures 4f1c22ab --follow              and what it takes from now on
  tracer captures 4f1c22ab --after 12 --json     from the 13th on, one JSON object per line
";

pub(super) const DOCTOR_EXAMPLES: &str = "Examples:
  sudo tracer doctor           what is there, what is missing, what to do
  sudo tracer doctor --json    the same, one JSON object per check
";

pub(super) const AFTER: &str = "\
The program keeps running. The kernel puts a breakpoint where you ask, copies registers and memory \
each time it is hit, and takes it out when tracer ends: after the captures, the timeout or Ctrl-C.

`tracer help errors` lists every error with its exit code and what to do.
TRACER_LOG=debug writes a log to stderr (default: warn).";

pub(super) const SNAPSHOT_AFTER: &str = "\
Exit codes: 0 captured, 2 wrong usage, 28 no hit before the timeout, 130 Ctrl-C; \
`tracer help errors` lists all.
With --json an error is one JSON object on stderr.";
