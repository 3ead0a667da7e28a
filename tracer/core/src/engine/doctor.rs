//! Looks whether this machine has what tracer needs, and measures what a hit costs here.

use super::ServerOptions;
use super::findings::{Check, CheckStatus};
use crate::attach::breakpoints::{AttachMode, AttachedBy};
use crate::attach::calibrate::{self, Calibration};
use crate::attach::load::{LoadOptions, Program};
use crate::attach::{btf, selftest, support};
use crate::binary::open::DEBUG_DIRECTORY;
use crate::model::abilities::{Ability, HostAbilities};
use std::time::{Duration, Instant};

/// Everything that was looked at, in the order in which things build on each other.
pub fn doctor() -> Vec<Check> {
    let mut checks = vec![kernel(), types(), capabilities(), namespace(), lockdown(), warnings()];
    checks.push(debug_info());
    match Program::load(&LoadOptions::default()) {
        Ok(program) => {
            checks.push(loaded(&program));
            checks.extend(traps(&program));
            checks.extend(abilities(&selftest::abilities(&program)));
        }
        Err(error) => checks.push(fail(
            "program",
            error.to_string(),
            "the first failed check above is the likely reason",
        )),
    }
    checks
}

fn check(name: &str, status: CheckStatus, detail: impl Into<String>, remedy: &str) -> Check {
    Check { name: name.to_owned(), status, detail: detail.into(), remedy: remedy.to_owned() }
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    check(name, CheckStatus::Ok, detail, "")
}

fn fail(name: &str, detail: impl Into<String>, remedy: &str) -> Check {
    check(name, CheckStatus::Fail, detail, remedy)
}

fn warn(name: &str, detail: impl Into<String>, remedy: &str) -> Check {
    check(name, CheckStatus::Warn, detail, remedy)
}

fn kernel() -> Check {
    let (release, version) = support::kernel_release();
    let (major, minor) = support::OLDEST_KERNEL;
    match version {
        Some(version) if version >= support::MULTI_KERNEL => ok("kernel", release),
        Some(version) if version >= support::OLDEST_KERNEL => warn(
            "kernel",
            format!("{release}: older than uprobe_multi, unless it was ported back"),
            "perf events serve instead: they need CAP_SYS_ADMIN, and each breakpoint takes 0.1 s \
             to remove; Linux 6.6 or later has neither limit",
        ),
        Some(_) => fail("kernel", release, &format!("use Linux {major}.{minor} or later")),
        None => warn("kernel", format!("{release}: its version can't be told"), ""),
    }
}

fn types() -> Check {
    match btf::KernelTypes::load() {
        Ok(_) => ok("BTF", "the kernel shows its types"),
        Err(error) => {
            fail("BTF", error.to_string(), "use a kernel built with CONFIG_DEBUG_INFO_BTF")
        }
    }
}

fn capabilities() -> Check {
    match support::missing_capabilities() {
        Some(missing) if missing.is_empty() => ok("capabilities", "all there"),
        Some(missing) => {
            let missing: Vec<String> =
                missing.iter().map(|(name, what)| format!("{name} ({what})")).collect();
            fail(
                "capabilities",
                format!("missing: {}", missing.join(", ")),
                "run as root, or give the process these capabilities",
            )
        }
        None => warn("capabilities", "/proc/self/status can't be read", "mount /proc"),
    }
}

fn namespace() -> Check {
    match support::in_initial_pid_namespace() {
        Some(true) => ok("pid namespace", "the initial one"),
        Some(false) => fail(
            "pid namespace",
            "not the initial one: the kernel counts other process ids than this process sees",
            "run on the host, or in a container with the host's pid namespace (hostPID: true)",
        ),
        None => warn("pid namespace", "can't be told", ""),
    }
}

fn lockdown() -> Check {
    match support::lockdown().as_deref() {
        Some("confidentiality") => fail(
            "lockdown",
            "confidentiality: programs may not read memory",
            "boot with lockdown=integrity or without lockdown",
        ),
        Some(mode) => ok("lockdown", mode),
        None => ok("lockdown", "/sys/kernel/security shows none"),
    }
}

fn warnings() -> Check {
    if support::panics_on_warning() {
        return warn(
            "panic_on_warn",
            "a kernel warning stops this machine, and probing has met such warnings",
            "set kernel.panic_on_warn=0 while you trace",
        );
    }
    ok("panic_on_warn", "off")
}

/// Where debug info is looked for beside the program and its process's own directories.
fn debug_info() -> Check {
    let servers = ServerOptions::from_environment();
    let mut places = vec![DEBUG_DIRECTORY.to_owned()];
    places.extend(servers.urls.iter().cloned());
    if !servers.urls.is_empty() {
        places.push(match &servers.directory {
            Some(path) => format!("fetched files in {}", path.display()),
            None => "no directory for fetched files, so no server is asked".to_owned(),
        });
    }
    if let Some((url, why)) = servers.refused.first() {
        let remedy = "name servers in DEBUGINFOD_URLS that can be asked: http://HOST:PORT";
        return warn("debug info", format!("{}; not {url}: {why}", places.join(", ")), remedy);
    }
    if servers.urls.is_empty() {
        places.push("no servers (DEBUGINFOD_URLS is not set)".to_owned());
    }
    ok("debug info", places.join(", "))
}

fn loaded(program: &Program) -> Check {
    match program.verified_instructions() {
        Ok(count) => ok("program", format!("loaded, {count} instructions verified")),
        Err(error) => warn("program", error.to_string(), ""),
    }
}

fn traps(program: &Program) -> Vec<Check> {
    let start = Instant::now();
    match calibrate::measure(program, AttachMode::Auto) {
        Ok(calibration) => {
            calibrate::kept::keep(AttachMode::Auto, &calibration);
            let mut checks = vec![self_test(&calibration)];
            checks.extend(costs(&calibration, start.elapsed()));
            checks
        }
        Err(error) => vec![fail(
            "uprobe_multi",
            error.to_string(),
            "use Linux 6.6 or later with CONFIG_UPROBES and CONFIG_BPF_EVENTS",
        )],
    }
}

fn self_test(calibration: &Calibration) -> Check {
    let name = match calibration.by {
        AttachedBy::Multi => "uprobe_multi",
        AttachedBy::Perf => "perf uprobes",
    };
    if calibration.proven {
        return ok(name, "breakpoints on our own code appeared and went without a trace");
    }
    fail(name, "a breakpoint did not appear, or the text was not restored", "")
}

fn costs(calibration: &Calibration, took: Duration) -> Vec<Check> {
    let costs = calibration.costs;
    let returns = match costs.return_ns {
        Some(ns) => format!("{ns:.0} ns per call on an emulated entry; never used"),
        None => "not measured here".to_owned(),
    };
    let capture = format!(
        "{:.0} ns, {:.0} ns more to wake the reader; {:.1} ns an operation, {:.0} ns a piece of memory, {:.1} ns a pointer, \
         {:.0} ns a read of memory that is not there",
        costs.capture_ns, costs.wake_ns, costs.op_ns, costs.item_ns, costs.edge_ns, costs.fault_ns
    );
    let copies = format!(
        "{:.0} ns a stack and {:.0} a KiB of it, {:.0} of objects, {:.0} of text",
        costs.stack_ns, costs.stack_kib_ns, costs.object_kib_ns, costs.text_kib_ns
    );
    let hit = |ns: f64, what: &str| format!("{ns:.0} ns per hit on {what}");
    vec![
        ok("cost, emulated", hit(costs.emulated_ns, "push, jump, call, nop")),
        ok("cost, single-stepped", hit(costs.single_stepped_ns, "any other instruction")),
        ok("cost, return probe", returns),
        ok(
            "cost, counting",
            format!(
                "{:.0} ns more, {:.0} ns where a limit is met",
                costs.count_ns, costs.limited_ns
            ),
        ),
        ok("cost, capture", capture),
        ok("cost, copying", copies),
        ok("cost, measured", format!("in {} ms", took.as_millis())),
    ]
}

/// What was tried in children. A harm that is known is no failure: such places are not probed.
fn abilities(host: &HostAbilities) -> Vec<Check> {
    let shown = |name: &str, ability: &Ability, fine: &str, avoided: &str| match ability {
        Ability::Safe => ok(name, fine),
        Ability::Unsafe(why) => ok(name, format!("not safe here ({why}); {avoided}")),
    };
    let seccomp = match &host.seccomp {
        Ability::Safe => ok("seccomp", "processes under a filter can be probed"),
        Ability::Unsafe(why) => warn(
            "seccomp",
            format!("a breakpoint harms a process under a filter: {why}"),
            "such processes are refused; trace the program where it runs without a filter",
        ),
    };
    let nop5 =
        shown("5-byte nop", &host.nop5, "it can be probed, without a trap", "it is not probed");
    let returns = shown(
        "return probes",
        &host.returns,
        "the kernel's own work, in programs that throw no exceptions through them",
        "they are not used",
    );
    vec![nop5, seccomp, returns]
}
