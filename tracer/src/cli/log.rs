//! The program's own log: to stderr, by `TRACER_LOG`, escaped.

use super::KernelLog;
use crate::escape::Escaped;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;

/// The kernel program's name in the log.
const KERNEL: &str = "tracer_ebpf";

/// Starts the log. `TRACER_LOG` is a filter such as `debug` or `warn,tracer_core::attach=trace`;
/// without it what `default` lets pass is shown, and what `kernel_log` asks of the kernel program.
pub(crate) fn start(default: &str, kernel_log: Option<tracing::Level>) {
    let filter = match std::env::var("TRACER_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| (text, error)),
        Err(_) => Ok(EnvFilter::new(default)),
    };
    let (filter, wrong) = match filter {
        Ok(filter) => (filter, None),
        Err(wrong) => (EnvFilter::new(default), Some(wrong)),
    };
    let kernel = kernel_log.and_then(|level| format!("{KERNEL}={level}").parse().ok());
    let filter = kernel.into_iter().fold(filter, EnvFilter::add_directive);
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| EscapingStderr)
        .try_init();
    if let Err(error) = started {
        // A subscriber is there already, as in a test that runs commands.
        tracing::debug!(error, "the log was started before");
    }
    if let Some((text, error)) = wrong {
        tracing::warn!(%error, text, "TRACER_LOG is not understood");
    }
}

impl KernelLog {
    /// The level; `None` where the program is to be loaded without its log.
    pub(crate) fn level(self) -> Option<tracing::Level> {
        Some(match self {
            Self::Off => return None,
            Self::Error => tracing::Level::ERROR,
            Self::Warn => tracing::Level::WARN,
            Self::Info => tracing::Level::INFO,
            Self::Debug => tracing::Level::DEBUG,
            Self::Trace => tracing::Level::TRACE,
        })
    }
}

/// Log lines hold symbols and paths of the target, so they are escaped like all else. The
/// formatter hands over whole lines.
struct EscapingStderr;

impl Write for EscapingStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(Escaped::lines(bytes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
