//! Kill -9 of who placed the probes, of the guardian, and of both: the target goes on, and no
//! breakpoint is left.

use super::{children_of, guardians_of, kill, number, wait_untouched};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tracer_tests::cli::{RunningTracer, command};
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;
use tracer_tests::random::Random;
use tracer_tests::targets::Target;
use tracer_tests::text::require_as_in_files;

/// No breakpoint is left after that.
const BOUND: Duration = Duration::from_secs(1);
/// A moment while a probe is being placed comes before that.
const PLACING: Duration = Duration::from_millis(400);
/// One while it is being removed before that.
const REMOVING: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, Debug)]
enum Who {
    Tracer,
    Guardian,
    Both,
    /// The guardian's own processes too.
    All,
}

/// When.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Placing,
    Placed,
    Removing,
}

/// END-2
#[test]
fn at_random_moments() {
    require().unwrap();
    let mut random = Random::from_environment("kill");
    let mut target = Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["2", "5"]).unwrap();
    let pid = target.pid();
    let (mut longest, mut in_place) = (Duration::ZERO, 0);
    for round in 0..number(12, 1000) {
        let who = *random.one_of(&[Who::Tracer, Who::Guardian, Who::Both, Who::All]).unwrap();
        let when = *random.one_of(&[Moment::Placing, Moment::Placed, Moment::Removing]).unwrap();
        let mut delay = |most: Duration| {
            let delay = Duration::from_micros(random.below(most.as_micros() as u64));
            // Any moment is the right one: there is nothing to wait for.
            std::thread::sleep(delay);
            delay
        };
        let id = pid.to_string();
        let arguments =
            ["snapshot", "-p", &id, "counted", "--hits", "0", "--rate", "0", "--timeout", "60s"];
        let mut tracer = RunningTracer::start(&mut command(&arguments).unwrap()).unwrap();
        let delay = match when {
            Moment::Placing => delay(PLACING),
            Moment::Placed => {
                tracer.wait_for("probing ").unwrap();
                delay(PLACING)
            }
            Moment::Removing => {
                tracer.wait_for("probing ").unwrap();
                kill(tracer.pid(), Signal::INT);
                delay(REMOVING)
            }
        };
        let guardians = guardians_of(tracer.pid());
        let is_in_place = require_as_in_files(pid).is_err();
        in_place += u64::from(is_in_place);
        let start = Instant::now();
        if !matches!(who, Who::Tracer) {
            let keepers: Vec<u32> = guardians.iter().flat_map(|g| children_of(*g)).collect();
            guardians.iter().for_each(|guardian| kill(*guardian, Signal::KILL));
            if matches!(who, Who::All) {
                keepers.iter().for_each(|keeper| kill(*keeper, Signal::KILL));
            }
        }
        // Without a guardian in time it starts another one.
        if !matches!(who, Who::Guardian) || !is_in_place {
            tracer.kill().unwrap();
        }
        longest = longest.max(wait_untouched(pid, start, BOUND));
        let before = target.count;
        assert_eq!(target.go().unwrap(), before + 10, "{round}: {who:?}, {when:?} {delay:?}");
        // It ends: killed, or because its probe has ended.
        tracer.finish().unwrap();
    }
    println!("kill: no breakpoint was left after {longest:?}; {in_place} times one was in place");
}

/// The daemon learns of it, its probes end and say why, and those that come later have another
/// guardian.
///
/// END-2
#[test]
fn a_daemon_has_another_one() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    let mut target = Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["2", "5"]).unwrap();
    let pid = target.pid().to_string();
    for _ in 0..2 {
        let detach = ["snapshot", "-p", &pid, "counted", "--hits", "0", "--rate", "0", "--detach"];
        let done = daemon.tracer(&detach).unwrap();
        let id = done.output().unwrap().trim().to_owned();
        assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place: {done:?}");
        let [guardian] = guardians_of(daemon.pid())[..] else { panic!("one guardian") };
        kill(guardian, Signal::KILL);
        let took = wait_untouched(target.pid(), Instant::now(), BOUND);
        println!("kill -9 of the guardian: out after {took:?}");
        daemon.wait_until_none_lives().unwrap();
        let probe = daemon.ask("GET", &format!("/v1/probes/{id}"), None).unwrap().json().unwrap();
        assert_eq!(probe["ended"], "guardian_died", "{probe}");
        target.go().unwrap();
    }
    assert!(guardians_of(daemon.pid()).is_empty(), "a guardian is left without a probe");
    let (status, _) = daemon.stop().unwrap();
    assert!(status.success(), "{status}");
}

/// A signal to the guardian takes all probes out.
#[test]
fn a_signal_to_the_guardian() {
    require().unwrap();
    let mut target = Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["2", "5"]).unwrap();
    let pid = target.pid().to_string();
    for signal in [Signal::TERM, Signal::USR1] {
        let tracer = RunningTracer::armed(&["snapshot", "-p", &pid, "counted"]).unwrap();
        let [guardian] = guardians_of(tracer.pid())[..] else { panic!("one guardian") };
        // Of a terminal: for others.
        kill(guardian, Signal::INT);
        kill(guardian, Signal::HUP);
        assert!(require_as_in_files(target.pid()).is_err(), "no breakpoint is in place");
        kill(guardian, signal);
        wait_untouched(target.pid(), Instant::now(), BOUND);
        let done = tracer.finish().unwrap();
        assert!(done.output().unwrap().contains("; stopped"), "{done:?}");
        target.go().unwrap();
    }
}
