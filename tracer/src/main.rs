//! The one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::run::run(std::env::args_os())
}
