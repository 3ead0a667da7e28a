//! The few bpf(2) calls that aya does not make: loading a program for uprobe_multi, linking it,
//! and asking what the kernel counted.
//!
//! aya 0.14 sets no `expected_attach_type` for uprobes and links only through perf events, which
//! need CAP_SYS_ADMIN on current kernels; a `uprobe_multi` link needs CAP_BPF and CAP_PERFMON.
#![expect(unsafe_code, reason = "bpf(2) takes untyped pointers")]

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_map_type, bpf_prog_info, bpf_prog_type,
};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes of the verifier's log that are shown.
const LOG_SHOWN: usize = 1000;

/// How a program will be linked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Flavour {
    /// By `uprobe_multi` links.
    Multi,
    /// By perf events.
    Perf,
}

impl Flavour {
    fn expected_attach_type(self) -> u32 {
        match self {
            Self::Multi => bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32,
            // None: what uprobe programs had before there was a choice.
            Self::Perf => 0,
        }
    }
}

/// A program as it is handed to the kernel.
#[derive(Debug)]
pub(crate) struct ProgramCode<'a> {
    pub(crate) flavour: Flavour,
    pub(crate) name: &'a CStr,
    pub(crate) license: &'a CStr,
    pub(crate) instructions: &'a [bpf_insn],
    pub(crate) btf: BorrowedFd<'a>,
    pub(crate) func_info: &'a [u8],
    pub(crate) func_info_size: u32,
    pub(crate) func_info_count: u32,
}

/// Loads type information.
pub(crate) fn load_btf(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = bytes.as_ptr() as u64;
    load.btf_size = bytes.len() as u32;
    // SAFETY: `bytes` outlives the call.
    unsafe { bpf_fd(bpf_cmd::BPF_BTF_LOAD, &attr) }
}

/// Loads a uprobe program. On failure the verifier's log is
/// in the second part of the error.
pub(crate) fn load_program(code: &ProgramCode<'_>) -> Result<OwnedFd, (io::Error, String)> {
    match load_program_logged(code, &mut []) {
        Ok(fd) => Ok(fd),
        Err(_) => {
            let mut log = vec![0; 1 << 20];
            load_program_logged(code, &mut log).map_err(|error| {
                let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
                // The verifier tells at the end what it does not like.
                let start = end.saturating_sub(LOG_SHOWN);
                (error, String::from_utf8_lossy(&log[start..end]).into_owned())
            })
        }
    }
}

fn load_program_logged(code: &ProgramCode<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.expected_attach_type = code.flavour.expected_attach_type();
    load.insns = code.instructions.as_ptr() as u64;
    load.insn_cnt = code.instructions.len() as u32;
    load.license = code.license.as_ptr() as u64;
    for (to, from) in load.prog_name.iter_mut().zip(code.name.to_bytes().iter().take(15)) {
        *to = *from as _;
    }
    load.prog_btf_fd = code.btf.as_raw_fd() as u32;
    load.func_info = code.func_info.as_ptr() as u64;
    load.func_info_rec_size = code.func_info_size;
    load.func_info_cnt = code.func_info_count;
    if !log.is_empty() {
        load.log_level = 1;
        load.log_buf = log.as_mut_ptr() as u64;
        load.log_size = log.len() as u32;
    }
    // SAFETY: all that `attr` points to outlives the call.
    unsafe { bpf_fd(bpf_cmd::BPF_PROG_LOAD, &attr) }
}

/// Links a program to file offsets. `path` names the file; `cookies` go with the offsets.
pub(crate) fn link_uprobe_multi(
    program: BorrowedFd<'_>,
    path: &CStr,
    pid: u32,
    offsets: &[u64],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    link_multi(program, path, pid, (offsets, cookies), 0)
}

/// Links a program to the returns of the function at a file offset.
pub(crate) fn link_return(
    program: BorrowedFd<'_>,
    path: &CStr,
    pid: u32,
    offset: u64,
    cookie: u64,
) -> io::Result<OwnedFd> {
    /// `BPF_F_UPROBE_MULTI_RETURN` of include/uapi/linux/bpf.h.
    const RETURN: u32 = 1;
    link_multi(program, path, pid, (&[offset], &[cookie]), RETURN)
}

fn link_multi(
    program: BorrowedFd<'_>,
    path: &CStr,
    pid: u32,
    (offsets, cookies): (&[u64], &[u64]),
    flags: u32,
) -> io::Result<OwnedFd> {
    debug_assert_eq!(offsets.len(), cookies.len());
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    unsafe {
        let link = &mut attr.link_create;
        link.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        link.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
        let multi = &mut link.__bindgen_anon_3.uprobe_multi;
        multi.path = path.as_ptr() as u64;
        multi.offsets = offsets.as_ptr() as u64;
        multi.cookies = cookies.as_ptr() as u64;
        multi.cnt = offsets.len().min(cookies.len()) as u32;
        multi.pid = pid;
        multi.flags = flags;
    }
    // SAFETY: all that `attr` points to outlives the call.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &attr) }
}

/// Links a program to a perf event. The breakpoint stays until link and event are both closed.
pub(crate) fn link_perf_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: u64,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    unsafe {
        let link = &mut attr.link_create;
        link.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        link.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
        link.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
        link.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    }
    // SAFETY: `attr` points to nothing.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &attr) }
}

/// Creates a ring buffer.
pub(crate) fn create_ring(bytes: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    let map = unsafe { &mut attr.__bindgen_anon_1 };
    map.map_type = bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
    map.max_entries = bytes;
    // SAFETY: `attr` points to nothing.
    unsafe { bpf_fd(bpf_cmd::BPF_MAP_CREATE, &attr) }
}

/// Puts a map into an array of maps.
pub(crate) fn set_inner_map(
    array: BorrowedFd<'_>,
    index: u32,
    inner: BorrowedFd<'_>,
) -> io::Result<()> {
    let value = inner.as_raw_fd();
    let attr = element(array, &index, Some(&value));
    // SAFETY: key and value outlive the call.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &attr) }.map(drop)
}

/// Takes a map out of an array of maps.
pub(crate) fn remove_inner_map(array: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let attr = element(array, &index, None);
    // SAFETY: the key outlives the call.
    unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &attr) }.map(drop)
}

fn element(map: BorrowedFd<'_>, key: &u32, value: Option<&i32>) -> bpf_attr {
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = std::ptr::from_ref(key) as u64;
    element.__bindgen_anon_1.value = value.map_or(0, |value| std::ptr::from_ref(value) as u64);
    attr
}

/// What the kernel knows of a loaded program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: all zeros is a valid value of a struct of integers.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed();
    // SAFETY: writes to the fields of a zeroed union of plain integers.
    let query = unsafe { &mut attr.info };
    query.bpf_fd = program.as_raw_fd() as u32;
    query.info_len = size_of::<bpf_prog_info>() as u32;
    query.info = (&raw mut info) as u64;
    // SAFETY: the kernel writes at most `info_len` bytes to `info`.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &attr) }?;
    Ok(info)
}

fn zeroed() -> bpf_attr {
    // SAFETY: all zeros is a valid value of a union of integers.
    unsafe { std::mem::zeroed() }
}

/// # Safety
///
/// What `attr` points to is valid for the command.
unsafe fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<i64> {
    // SAFETY: the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, attr, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
///
/// As for [`bpf`]; the command gives a new file descriptor.
unsafe fn bpf_fd(command: bpf_cmd, attr: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the kernel just gave us this file descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
