//! Who placed the probes is stopped, and says nothing any more.

use super::{guardians_of, kill, wait_untouched};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::targets::Target;
use tracer_tests::text::require_as_in_files;

/// How long it may be silent.
const SILENCE: Duration = Duration::from_secs(5);
/// At least so long it is waited for: beats come a second apart.
const AT_LEAST: Duration = Duration::from_secs(3);

/// Starts what it stopped again, even if the test fails.
struct Stopped(u32);

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::CONT);
    }
}

/// END-2
#[test]
fn a_daemon_that_is_stopped() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    let mut target = Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["2", "5"]).unwrap();
    let pid = target.pid().to_string();
    let detach = ["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--detach"];
    let id = daemon.tracer(&detach).unwrap().output().unwrap().trim().to_owned();
    assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
    assert_eq!(guardians_of(daemon.pid()).len(), 1);
    let stopped = Stopped(daemon.pid());
    kill(daemon.pid(), Signal::STOP);
    let start = Instant::now();
    let took = wait_untouched(target.pid(), start, SILENCE + Duration::from_millis(500));
    println!("the daemon is silent: out after {took:?}");
    assert!(took >= AT_LEAST, "{took:?}");
    target.go().unwrap();
    drop(stopped);
    daemon.wait_until_none_lives().unwrap();
    let probe = daemon.ask("GET", &format!("/v1/probes/{id}"), None).unwrap().json().unwrap();
    assert_eq!(probe["ended"], "silence", "{probe}");
    let (status, _) = daemon.stop().unwrap();
    assert!(status.success(), "{status}");
}
