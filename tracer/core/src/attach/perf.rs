//! Uprobes by perf events: for kernels without `uprobe_multi`.
//!
//! Since the fix of CVE-2025-38466 the kernel wants CAP_SYS_ADMIN for them, and the removal of
//! each takes about a tenth of a second, one after another for the whole machine.
#![expect(unsafe_code, reason = "perf_event_open(2) takes untyped pointers")]

use crate::model::address::FileOffset;
use aya_obj::generated::{PERF_FLAG_FD_CLOEXEC, perf_event_attr};
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// The number of the uprobe kind of perf events on this kernel.
const TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";
const ANY_CPU: libc::c_int = -1;
const NO_GROUP: libc::c_int = -1;

/// A perf event on a place of a file, in one process. It does nothing until it is linked.
pub(super) fn open_uprobe(path: &CStr, pid: u32, offset: FileOffset) -> io::Result<OwnedFd> {
    // SAFETY: all zeros is a valid value of a struct of integers.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    attributes.type_ = fs::read_to_string(TYPE)?.trim().parse().map_err(io::Error::other)?;
    attributes.size = size_of::<perf_event_attr>() as u32;
    attributes.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.probe_offset = offset.0;
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: the attributes and the path that they point to outlive the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            pid,
            ANY_CPU,
            NO_GROUP,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this file descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
