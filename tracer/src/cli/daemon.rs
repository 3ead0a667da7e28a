//! `tracer daemon`: serves this machine until it is told to stop.

use super::failure::{Failure, SUCCESS};
use super::{DaemonArgs, ReachArgs};
use crate::daemon::{self, Config};
use tracer_core::engine::options::Options;
use tracer_core::model::budget::Budgets;

/// Runs the daemon; gives the exit code after it was told to stop.
///
/// # Errors
/// Why it could not start.
pub(crate) fn run(args: &DaemonArgs, reach: &ReachArgs) -> Result<u8, Failure> {
    daemon::run(&config(args, reach))?;
    Ok(SUCCESS)
}

/// What is meant by what was typed.
pub(crate) fn config(args: &DaemonArgs, reach: &ReachArgs) -> Config {
    Config {
        socket: reach.socket.clone(),
        group: args.group.clone(),
        metrics_listen: args.metrics_listen.0,
        options: Options {
            attach: args.attach.mode(),
            kernel_log: args.kernel_log.level(),
            budgets: match args.no_budgets {
                true => Budgets::UNLIMITED,
                false => Budgets::percent(args.process_budget, args.node_budget),
            },
            ..Options::default()
        },
    }
}
