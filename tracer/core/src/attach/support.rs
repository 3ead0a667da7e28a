//! What this machine and this process offer; tried where trying is possible.

use rustix::system::uname;
use std::fs;

/// The oldest kernel that takes the program: the first with `bpf_loop`.
pub const OLDEST_KERNEL: (u32, u32) = (5, 17);
/// The oldest kernel with `uprobe_multi`.
pub const MULTI_KERNEL: (u32, u32) = (6, 6);

/// The capabilities that the full work needs: name, bit (capability.h), what for.
pub const CAPABILITIES: &[(&str, u32, &str)] = &[
    ("CAP_BPF", 39, "loading the kernel program"),
    ("CAP_PERFMON", 38, "placing breakpoints and reading the target's memory from the program"),
    ("CAP_SYS_PTRACE", 19, "reading /proc/PID of other users' processes"),
    ("CAP_DAC_READ_SEARCH", 2, "opening the files of other users' processes"),
    ("CAP_CHECKPOINT_RESTORE", 40, "opening replaced files through /proc/PID/map_files"),
];

/// The running kernel: its release, and major and minor number as far as they can be told.
pub fn kernel_release() -> (String, Option<(u32, u32)>) {
    let name = uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    let version = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => Some((major, minor)),
        _ => None,
    };
    (release, version)
}

/// The capabilities of [`CAPABILITIES`] that this process lacks: name and what for. `None` if it
/// can't be told.
pub fn missing_capabilities() -> Option<Vec<(&'static str, &'static str)>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    let lacks = |bit: u32| effective & (1 << bit) == 0;
    Some(CAPABILITIES.iter().filter(|c| lacks(c.1)).map(|c| (c.0, c.2)).collect())
}

/// Whether this process sees the process ids that the kernel program sees.
pub fn in_initial_pid_namespace() -> Option<bool> {
    // PROC_PID_INIT_INO of include/linux/proc_ns.h, the same on every kernel.
    const INITIAL: &str = "pid:[4026531836]";
    let own = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(own.to_str() == Some(INITIAL))
}

/// Whether a kernel warning would stop the machine: probing has met such warnings.
pub fn panics_on_warning() -> bool {
    fs::read_to_string("/proc/sys/kernel/panic_on_warn").is_ok_and(|text| text.trim() != "0")
}

/// The active lockdown mode; `None` where the kernel has none.
pub fn lockdown() -> Option<String> {
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let active = modes.split_once('[')?.1.split_once(']')?.0;
    Some(active.to_owned())
}
