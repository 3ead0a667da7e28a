//! Results as people like to read them.

mod callers;
pub(crate) mod capture;
pub(crate) mod error;
pub(crate) mod line;
pub(crate) mod lists;
pub(crate) mod probes;
pub(crate) mod source;
pub(crate) mod stopped;
pub(crate) mod summary;
pub(crate) mod time;
pub(crate) mod top;
pub(crate) mod value;
pub(crate) mod vars;

#[cfg(test)]
mod tests;

use line::Page;
use std::io::Write as _;

/// Writes `page` to stderr, in colours if it is a terminal.
pub(crate) fn to_stderr(page: &Page) {
    let mut stderr = anstream::AutoStream::auto(std::io::stderr());
    // If even stderr is gone there is nobody left to tell; the exit code remains.
    stderr.write_all(page.as_str().as_bytes()).unwrap_or_default();
}

/// Writes a line of JSON to stderr.
pub(crate) fn json_to_stderr(line: serde_json::Result<Vec<u8>>) {
    let line = line.unwrap_or_default();
    std::io::stderr().write_all(&line).unwrap_or_default();
}
