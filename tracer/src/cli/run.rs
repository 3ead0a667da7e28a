//! From the arguments of the process to its exit code.

use super::output::Format;
use super::{Cli, Command, captures, daemon, doctor, errors, find, lease, list, log};
use super::{remove, snapshot, stop_all, top, vars};
use clap::Parser as _;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command that `arguments` name. Every way out comes through here, after all that was
/// placed has been taken out: nothing below ends the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => return ExitCode::from(errors::usage(&usage)),
    };
    let reach = &cli.reach;
    let (format, done) = match &cli.command {
        Command::Snapshot(args) => {
            log::start("warn", args.kernel_log.level());
            (Format::of(args.json), snapshot::run(args, reach))
        }
        Command::Find(args) => {
            log::start("warn", None);
            (Format::of(args.json), find::run(args, reach))
        }
        Command::Vars(args) => {
            log::start("warn", None);
            (Format::of(args.json), vars::run(args, reach))
        }
        Command::Daemon(args) => {
            log::start("info", args.kernel_log.level());
            (Format::Text, daemon::run(args, reach))
        }
        Command::List(args) => {
            log::start("warn", None);
            (Format::of(args.json), list::run(args, reach))
        }
        Command::Remove(args) => {
            log::start("warn", None);
            (Format::of(args.json), remove::run(args, reach))
        }
        Command::Pause(args) => {
            log::start("warn", None);
            (Format::of(args.json), lease::pause(args, reach))
        }
        Command::Resume(args) => {
            log::start("warn", None);
            (Format::of(args.json), lease::resume(args, reach))
        }
        Command::Extend(args) => {
            log::start("warn", None);
            (Format::of(args.json), lease::extend(args, reach))
        }
        Command::StopAll(args) => {
            log::start("warn", None);
            (Format::of(args.json), stop_all::run(args, reach))
        }
        Command::Top(args) => {
            log::start("warn", None);
            (Format::of(args.json), top::run(args, reach))
        }
        Command::Captures(args) => {
            log::start("warn", None);
            (Format::of(args.json), captures::run(args, reach))
        }
        Command::Doctor(args) => {
            log::start("warn", None);
            (Format::of(args.json), doctor::run(args))
        }
        // It has a log nowhere: it speaks to who started it.
        Command::Guardian => (Format::Text, Ok(tracer_core::engine::guardian())),
        // Nor has this one, and it has no rights either.
        Command::Parser => (Format::Text, Ok(tracer_core::engine::parser())),
        Command::Help { topic } => (Format::Text, errors::run(topic.as_deref())),
    };
    ExitCode::from(done.unwrap_or_else(|failure| failure.tell(format)))
}
