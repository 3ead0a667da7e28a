//! What a file may cost who reads it.

use std::time::Duration;

/// What one question to the parser, and the parser itself, may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ParserLimits {
    /// How long it may think about one question.
    pub(super) time: Duration,
    /// Bytes of memory that it may write to: mapped files are none of these.
    pub(super) memory: u64,
}

impl Default for ParserLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(120), memory: 2 << 30 }
    }
}

impl ParserLimits {
    /// As `TRACER_PARSER_SECONDS` and `TRACER_PARSER_MIB` say, if they do.
    pub(super) fn from_environment() -> Self {
        let number =
            |name: &str| std::env::var(name).ok()?.parse::<u32>().ok().filter(|number| *number > 0);
        let default = Self::default();
        let seconds = number("TRACER_PARSER_SECONDS").map(|n| Duration::from_secs(n.into()));
        let bytes = number("TRACER_PARSER_MIB").map(|n| u64::from(n) << 20);
        Self { time: seconds.unwrap_or(default.time), memory: bytes.unwrap_or(default.memory) }
    }
}
