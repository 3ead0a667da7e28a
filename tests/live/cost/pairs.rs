//! Functions and probes on them: of ours, with bodies of each kind, and of a real program.

use std::process::Command;
use tracer_core::engine::request::SnapshotRequest;
use tracer_core::model::action::Action;
use tracer_core::model::limits::Limits;
use tracer_tests::snapshot;
use tracer_tests::targets::{RunningTarget, Target};

/// Calls of a function in one round: all records fit into the ring.
pub(super) const CALLS: usize = 60;

/// Of `targets/c/bench.c`: what they begin with, and what they take.
const OURS: &[&str] =
    &["emulated", "emulated_node", "guarded_node", "stepped", "stepped_node", "guarded"];
/// Of python3.11: each is called once by what has its name in [`PYTHON`].
const PYTHONS: &[&str] = &[
    "PyNumber_Multiply",
    "PyNumber_Rshift",
    "PyNumber_And",
    "PySequence_Contains",
    "PyNumber_Lshift",
    "PyObject_SetItem",
    "PyNumber_Negative",
    "PyNumber_Xor",
    "PyNumber_Or",
];
const PYTHON: &str = r#"
import operator, sys, time
class Order:
    def __init__(self, number, tea):
        self.number, self.tea, self.parts = number, tea, {"grams": 50, "price": 4.5}
    def __neg__(self):
        return self
order = Order(10**20, "assam")
FUNCTIONS = {
    "PyNumber_Multiply": (operator.mul, (7.5, 3.0)),
    "PyNumber_Rshift": (operator.rshift, (10**20, 7)),
    "PyNumber_And": (operator.and_, (10**20, 10**21)),
    "PySequence_Contains": (operator.contains, (["assam", "oolong"], "oolong")),
    "PyNumber_Lshift": (operator.lshift, (10, 4)),
    "PyObject_SetItem": (operator.setitem, (order.parts, "grams", 51)),
    "PyNumber_Negative": (operator.neg, (order,)),
    "PyNumber_Xor": (operator.xor, ({1, 2, 3}, {2})),
    "PyNumber_Or": (operator.or_, ({"a": 1}, {"b": 2})),
}
print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    name, calls, interval = line.split()
    function, arguments = FUNCTIONS.get(name)
    calls, pause = range(int(calls)), int(interval) / 1e9
    start = time.thread_time_ns()
    for _ in calls:
        function(*arguments)
        if pause:
            time.sleep(pause)
    print("done", time.thread_time_ns() - start, flush=True)
"#;

/// What is captured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) name: &'static str,
    action: Action,
    stack_bytes: u32,
    depth: u32,
}

const fn capture(name: &'static str, stack_bytes: u32, depth: u32) -> Probe {
    Probe { name, action: Action::Snapshot, stack_bytes, depth }
}

const PROBES: &[Probe] = &[
    capture("16 KiB of stack, depth 3", 16 * 1024, 3),
    Probe { name: "count", action: Action::Count, stack_bytes: 0, depth: 0 },
    capture("arguments", 0, 0),
    capture("no stack, depth 3", 0, 3),
    capture("1 KiB of stack, depth 1", 1024, 1),
    capture("4 KiB of stack, depth 2", 4 * 1024, 2),
    capture("16 KiB of stack, depth 0", 16 * 1024, 0),
];

/// A function and a probe on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    /// Index of the program.
    pub(super) subject: usize,
    pub(super) function: &'static str,
    pub(super) probe: Probe,
}

/// So many pairs: neighbours differ in function and probe.
pub(super) fn first(count: usize) -> Vec<Pair> {
    let of = |subject: usize, functions: &'static [&'static str]| {
        functions.iter().map(move |function| (subject, *function))
    };
    let (mut ours, mut pythons) = (of(0, OURS), of(1, PYTHONS));
    let mut functions = Vec::new();
    while functions.len() < OURS.len() + PYTHONS.len() {
        functions.extend(ours.next().into_iter().chain(pythons.next()));
    }
    let pair = |number: usize| {
        let (subject, function) = functions[number % functions.len()];
        let probe = PROBES[(number + number / functions.len()) % PROBES.len()];
        Pair { subject, function, probe }
    };
    (0..count.min(functions.len() * PROBES.len())).map(pair).collect()
}

impl Pair {
    pub(super) fn request(&self, pid: u32) -> SnapshotRequest {
        let mut request = snapshot::request(pid, self.function).unwrap();
        request.hits = 0;
        request.action = self.probe.action;
        request.limits = Limits {
            stack_bytes: self.probe.stack_bytes,
            depth_max: self.probe.depth,
            ..Limits::DEFAULT
        };
        request
    }

    pub(super) fn captures(&self) -> bool {
        self.probe.action == Action::Snapshot
    }
}

/// A program that calls what it is told and says what time of its thread that took.
#[derive(Debug)]
pub(super) struct Subject(RunningTarget);

impl Subject {
    pub(super) fn start_all() -> [Self; 2] {
        let flags = ["-O2", "-fcf-protection=branch", "-mmanual-endbr"];
        let ours = Target::c("bench", "gcc", &flags).unwrap().start(&[]).unwrap();
        let mut python = Command::new("/usr/bin/python3.11");
        [Self(ours), Self(RunningTarget::start(python.args(["-c", PYTHON])).unwrap())]
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Nanoseconds of its thread for a round.
    pub(super) fn work(&mut self, function: &str) -> f64 {
        self.call(function, CALLS)
    }

    /// Nanoseconds of its thread for so many calls.
    pub(super) fn call(&mut self, function: &str, calls: usize) -> f64 {
        self.0.obey(&format!("{function} {calls} 0")).unwrap() as f64
    }

    /// Some calls with pauses between them.
    pub(super) fn stroll(&mut self, function: &str) {
        self.0.obey(&format!("{function} 10 1000000")).unwrap();
    }
}
