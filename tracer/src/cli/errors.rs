//! `tracer help`: a command's help, or the table of all errors.

use super::Cli;
use super::failure::{Failure, OWN_ERROR, SIGNAL_BASE, SUCCESS, USAGE};
use super::output::Output;
use super::print::line::{Ink, Line, Page};
use super::print::lists::exit_code;
use super::stop::SIGNALS;
use crate::api::refusal::RefusalKind;
use crate::escape::Escaped;
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use std::io::Write as _;
use tracer_core::model::issue::IssueKind;

/// Explains `topic`; gives the exit code.
///
/// # Errors
/// That it could not be written.
pub(crate) fn run(topic: Option<&str>) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut output = Output::stdout();
    let shown = match topic {
        None => output.own_text(&command.render_help().ansi().to_string()),
        Some("errors") => output.page(&errors()),
        Some(name) => match command.find_subcommand_mut(name) {
            Some(command) => output.own_text(&command.render_help().ansi().to_string()),
            None => return Ok(no_such_topic(&mut command, name)),
        },
    };
    if shown.is_break() {
        tracing::debug!("the help could not be written to its end");
    }
    output.finish()?;
    Ok(SUCCESS)
}

fn no_such_topic(command: &mut clap::Command, name: &str) -> u8 {
    let message = format!("there is no help on '{name}': name a command, or `errors`");
    let error = command.error(ErrorKind::InvalidSubcommand, message);
    usage(&error)
}

/// Tells what is wrong with the arguments, or gives the help or version that they ask for; gives
/// the exit code. If the reader is gone there is nobody left to tell; the exit code remains.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        error.print().unwrap_or_default();
    } else {
        // It repeats arguments, which may come from anywhere.
        let text = error.render().to_string();
        std::io::stderr().write_all(Escaped::lines(text.as_bytes()).as_bytes()).unwrap_or_default();
    }
    u8::try_from(error.exit_code()).unwrap_or(USAGE)
}

/// All exit codes, from the tables that errors are made from.
pub(crate) fn errors() -> Page {
    let mut page = Page::new();
    page.line(&Line::new().with(
        Ink::Bold,
        "Exit codes, the code in JSON (`error.code`, on stderr), the meaning, what to do",
    ));
    page.blank();
    let mut add = |number, code, text, remedy| {
        page.append(exit_code(number, code, text, remedy));
    };
    add(SUCCESS, "", "success; also if the reader of the output went away", "");
    add(
        OWN_ERROR,
        "environment",
        "an error of tracer itself or of this machine; `doctor`: a check failed",
        "run `tracer doctor`; it names what is missing",
    );
    add(OWN_ERROR, "output", "the output could not be written", "check space and permissions");
    add(OWN_ERROR, "signals", "signals could not be handled", "nothing was probed");
    add(USAGE, "", "wrong usage", "see `tracer --help` and `tracer help COMMAND`");
    for kind in IssueKind::ALL {
        add(kind.exit_code(), kind.code(), kind.text(), kind.remedy());
    }
    for kind in RefusalKind::ALL {
        add(kind.exit_code(), kind.code(), kind.text(), kind.remedy());
    }
    for (number, name) in SIGNALS {
        let number = SIGNAL_BASE.saturating_add(u8::try_from(number).unwrap_or(0));
        add(number, "", name, "stopped by this signal; the probe is out");
    }
    page
}
