//! Breakpoints by perf events, for kernels without `uprobe_multi`: what is said of their limits.
//! That they capture the same is shown by all other tests, which run once more with them.

use std::process::Command;
use tracer_tests::cli::{Done, RunningTracer, command};
use tracer_tests::privilege::require;
use tracer_tests::targets::{RunningTarget, Target};

fn start() -> RunningTarget {
    require().unwrap();
    Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["1", "10"]).unwrap()
}

/// Takes a snapshot by perf events while the target works; `wrap` is put in front of the command.
fn by_perf_events(target: &mut RunningTarget, wrap: &[&str]) -> Done {
    let pid = target.pid().to_string();
    let arguments = ["snapshot", "-p", &pid, "counted", "--attach", "perf", "--no-daemon"];
    let tracer = command(&arguments).unwrap();
    let mut wrapped = match wrap.split_first() {
        Some((program, words)) => {
            let mut wrapped = Command::new(program);
            wrapped.args(words).arg(tracer.get_program()).args(tracer.get_args());
            wrapped
        }
        None => tracer,
    };
    let mut running = RunningTracer::start(&mut wrapped).unwrap();
    // It ends without having said so where it is refused.
    if running.wait_for("probing ").is_ok() {
        target.go().unwrap();
    }
    running.finish().unwrap()
}

#[test]
fn what_perf_events_cost_is_said() {
    let mut target = start();
    let done = by_perf_events(&mut target, &[]);
    assert!(done.status.success(), "{done:?}");
    let said = done.errors().unwrap();
    assert!(said.contains("by perf events: the removal takes 0.1 s for each site"), "{said}");
    assert!(done.output().unwrap().contains("the code is as before"), "{done:?}");
}

#[test]
fn the_capability_that_they_need_is_named() {
    let mut target = start();
    let done = by_perf_events(&mut target, &["setpriv", "--bounding-set", "-sys_admin", "--"]);
    assert_eq!(done.status.code(), Some(12), "{done:?}");
    assert!(done.errors().unwrap().contains("CAP_SYS_ADMIN"), "{done:?}");
}
