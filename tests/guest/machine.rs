//! What the first process of a machine must do: file systems, output, orphans, power.

use anyhow::{Context as _, Result};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::process::Command;

/// File systems that a machine has when it is up: kind and place.
const FILE_SYSTEMS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("securityfs", "/sys/kernel/security"),
    ("tracefs", "/sys/kernel/tracing"),
];
/// Where the results go; the console has the kernel's own messages.
const RESULTS: &str = "/dev/ttyS1";

/// Makes the machine ready, lets this program run its cases as another process, and switches the
/// machine off.
pub(crate) fn run() -> Result<()> {
    let done = ready().and_then(|()| run_as_child());
    if let Err(error) = &done {
        println!("{error:#}");
    }
    // SAFETY: both calls take plain numbers.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    done
}

fn ready() -> Result<()> {
    for (kind, place) in FILE_SYSTEMS {
        // Those below others are there already.
        fs::create_dir_all(place).ok();
        mount(kind, place).with_context(|| format!("no {kind} at {place}"))?;
    }
    fs::create_dir_all("/tmp").context("no /tmp")
}

fn mount(kind: &str, place: &str) -> Result<()> {
    let (kind, place) = (CString::new(kind)?, CString::new(place)?);
    let nothing = std::ptr::null();
    // SAFETY: both strings outlive the call; no flags and no data.
    let result = unsafe { libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, nothing) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}

/// The first process inherits the children of all that have ended, and waits for them.
fn run_as_child() -> Result<()> {
    let results = File::options().write(true).open(RESULTS).context("no second serial port")?;
    let child = Command::new("/proc/self/exe")
        .stdout(results.try_clone()?)
        .stderr(results)
        .spawn()
        .context("can't start this program again")?;
    let pid = libc::pid_t::try_from(child.id())?;
    loop {
        // SAFETY: the status is not asked for.
        let ended = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
        if ended == pid || ended < 0 {
            return Ok(());
        }
    }
}
