//! `tracer top`: the daemon's probes as they are, drawn again and again.

use super::failure::{Failure, SIGNAL_BASE, SUCCESS};
use super::output::{Format, Output};
use super::stop::StopSignal;
use super::{ReachArgs, TopArgs, print, reach};
use crate::api::json;
use crate::api::probes::{ProbeLine, ProbeList};
use crate::api::top::{self, TopLine};
use crate::client::Daemon;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{IsTerminal as _, Write, stdout};
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Rows that are drawn on a terminal; what costs less is not.
const ROWS: usize = 40;
/// To the upper left, and nothing below it.
const REDRAW: &str = "\x1b[H\x1b[J";

/// A look at the probes.
struct Look {
    at: Instant,
    unix_ms: u64,
    probes: Vec<ProbeLine>,
}

/// Draws until it is told to stop, or once; gives the exit code.
///
/// # Errors
/// No daemon answers, or not any more.
pub(crate) fn run(args: &TopArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    let stop = StopSignal::install().map_err(Failure::Signals)?;
    let mut output = Output::stdout_until(stop.fd()).map_err(Failure::Output)?;
    let format = Format::of(args.json);
    let draws_again = format == Format::Text && !args.once && stdout().is_terminal();
    let mut before = look(&daemon)?;
    while !is_over(&stop, args.interval) {
        let now = look(&daemon)?;
        let interval = now.at.duration_since(before.at);
        let line = top::between(&before.probes, &now.probes, interval, now.unix_ms);
        let drawn = draw(&mut output, &line, format, draws_again);
        if args.once || drawn.is_break() {
            break;
        }
        before = now;
    }
    output.finish()?;
    Ok(stop.signal().map_or(SUCCESS, |number| SIGNAL_BASE.saturating_add(number)))
}

fn draw<W: Write>(
    output: &mut Output<W>,
    line: &TopLine,
    format: Format,
    again: bool,
) -> ControlFlow<()> {
    if format == Format::Json {
        return output.json(json::line(line));
    }
    if again {
        output.own_text(REDRAW)?;
    }
    output.page(&print::top::table(line, if again { ROWS } else { usize::MAX }))
}

fn look(daemon: &Daemon) -> Result<Look, Failure> {
    let ProbeList { probes } = daemon.get("/v1/probes")?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
    Ok(Look { at: Instant::now(), unix_ms, probes })
}

/// Waits; true if no more is wanted.
fn is_over(stop: &StopSignal, interval: Duration) -> bool {
    let until = Instant::now() + interval;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        let stop = stop.fd();
        let mut fds = [PollFd::new(&stop, PollFlags::IN)];
        match poll(&mut fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            Ok(0) => return false,
            Ok(_) | Err(_) => return true,
        }
    }
}
