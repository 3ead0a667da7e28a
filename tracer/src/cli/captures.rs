//! `tracer captures`: what a probe of the daemon has taken.

use super::each;
use super::failure::{Failure, SIGNAL_BASE, SUCCESS};
use super::output::{Format, Output};
use super::show::Show;
use super::stop::StopSignal;
use super::{CapturesArgs, ReachArgs, reach};

/// Shows what is there, and with `--follow` what comes; gives the exit code.
///
/// # Errors
/// There is no such probe, or it failed.
pub(crate) fn run(args: &CapturesArgs, to: &ReachArgs) -> Result<u8, Failure> {
    let daemon = reach::required(to)?;
    let stop = StopSignal::install().map_err(Failure::Signals)?;
    let stopped = || stop.is_set();
    let output = Output::stdout_until(stop.fd()).map_err(Failure::Output)?;
    let mut show = Show::new(Format::of(args.json), &stopped, output);
    let (probe, after, follow) = (each::path(&args.id), args.after, args.follow);
    let path = format!("{probe}/captures?after={after}&follow={follow}");
    let read = daemon.follow(&path, stop.fd(), &mut |line| show.line(line));
    let shown = show.finish();
    read?;
    // A stream that was not followed may have no end yet.
    if let Some(Err(error)) = shown?.end {
        return Err(Failure::Told(error));
    }
    Ok(stop.signal().map_or(SUCCESS, |number| SIGNAL_BASE.saturating_add(number)))
}
