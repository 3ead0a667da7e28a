//! Whether this machine can trace, looked at when it is asked for and remembered for a while.

use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tracer_core::engine::doctor;
use tracer_core::engine::findings::{Check, CheckStatus};

/// How long a machine that can trace is believed to: looking takes a third of a second.
const GOOD_FOR: Duration = Duration::from_secs(10 * 60);
/// How long a machine that can't is left alone.
const BAD_FOR: Duration = Duration::from_secs(60);

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Held while one looks: who asks meanwhile waits for the same answer.
    last: Mutex<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    at: Instant,
    ready: Result<(), String>,
}

impl Health {
    /// Whether probes can be placed here.
    ///
    /// # Errors
    ///
    /// Why not and what to do, one line for each reason.
    pub(super) async fn ready(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some(found) = last.as_ref().filter(|found| !found.is_old()) {
            return found.ready.clone();
        }
        // It loads the kernel program, so it is not for the thread that serves all.
        let looked = tokio::task::spawn_blocking(|| verdict(&doctor())).await;
        let ready = looked.unwrap_or_else(|_| Err("the look at this machine failed\n".to_owned()));
        *last = Some(Found { at: Instant::now(), ready: ready.clone() });
        ready
    }
}

impl Found {
    fn is_old(&self) -> bool {
        self.at.elapsed() >= if self.ready.is_ok() { GOOD_FOR } else { BAD_FOR }
    }
}

fn verdict(checks: &[Check]) -> Result<(), String> {
    let failed = checks.iter().filter(|check| check.status == CheckStatus::Fail);
    let lines: String = failed
        .map(|Check { name, detail, remedy, .. }| match remedy.as_str() {
            "" => format!("{name}: {detail}\n"),
            _ => format!("{name}: {detail}; {remedy}\n"),
        })
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_failed_is_said_with_what_to_do() {
        let check = |name: &str, status, detail: &str, remedy: &str| Check {
            name: name.to_owned(),
            status,
            detail: detail.to_owned(),
            remedy: remedy.to_owned(),
        };
        let ok = check("kernel", CheckStatus::Ok, "6.18", "");
        let warn = check("panic_on_warn", CheckStatus::Warn, "on", "set it to 0");
        assert_eq!(verdict(&[ok.clone(), warn.clone()]), Ok(()));
        let fail = check("BTF", CheckStatus::Fail, "none", "use another kernel");
        let bare = check("program", CheckStatus::Fail, "refused", "");
        assert_eq!(
            verdict(&[ok, warn, fail, bare]),
            Err("BTF: none; use another kernel\nprogram: refused\n".to_owned())
        );
    }
}
