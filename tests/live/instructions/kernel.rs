//! A program that counts the hits of each site, and links to it: raw bpf(2), no more than needed.

#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

// include/uapi/linux/bpf.h
const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_LOOKUP_ELEM: i64 = 1;
const BPF_PROG_LOAD: i64 = 5;
const BPF_LINK_CREATE: i64 = 28;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;
const FUNC_MAP_LOOKUP_ELEM: i32 = 1;
const FUNC_GET_ATTACH_COOKIE: i32 = 174;

/// Counts hits by attach cookie.
pub(super) struct Counter {
    map: OwnedFd,
    program: OwnedFd,
}

/// Probes; dropping it removes them.
pub(super) struct Link {
    _fd: OwnedFd,
}

/// The attributes of a command: the fields that are used, then zeros.
#[repr(C)]
#[derive(Default)]
struct MapAttributes {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
#[derive(Default)]
struct ElementAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgramAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkAttributes {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counters: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    padding: u32,
}

fn bpf<T>(command: i64, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of plain data, and what they point to lives
    // until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us alone.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// An instruction of the program: opcode, destination, source, offset, constant.
const fn instruction(code: u8, to: u8, from: u8, offset: i16, constant: i32) -> u64 {
    u64::from_le_bytes([
        code,
        from << 4 | to,
        offset.to_le_bytes()[0],
        offset.to_le_bytes()[1],
        constant.to_le_bytes()[0],
        constant.to_le_bytes()[1],
        constant.to_le_bytes()[2],
        constant.to_le_bytes()[3],
    ])
}

impl Counter {
    /// Loads a counter for this many sites.
    pub(super) fn load(sites: usize) -> Self {
        let map = bpf(
            BPF_MAP_CREATE,
            &mut MapAttributes {
                map_type: BPF_MAP_TYPE_ARRAY,
                key_size: 4,
                value_size: 8,
                max_entries: sites as u32,
            },
        )
        .map(owned)
        .expect("a BPF map: this test needs root");
        let code = [
            // r0 = cookie; *(u32 *)(r10 - 4) = r0
            instruction(0x85, 0, 0, 0, FUNC_GET_ATTACH_COOKIE),
            instruction(0x63, 10, 0, -4, 0),
            // r1 = map; r2 = r10 - 4; r0 = lookup
            instruction(0x18, 1, 1, 0, map.as_raw_fd()),
            instruction(0, 0, 0, 0, 0),
            instruction(0xbf, 2, 10, 0, 0),
            instruction(0x07, 2, 0, 0, -4),
            instruction(0x85, 0, 0, 0, FUNC_MAP_LOOKUP_ELEM),
            // if r0 != 0: atomic *r0 += 1
            instruction(0x15, 0, 0, 2, 0),
            instruction(0xb7, 1, 0, 0, 1),
            instruction(0xdb, 0, 1, 0, 0),
            // return 0
            instruction(0xb7, 0, 0, 0, 0),
            instruction(0x95, 0, 0, 0, 0),
        ];
        let program = bpf(
            BPF_PROG_LOAD,
            &mut ProgramAttributes {
                program_type: BPF_PROG_TYPE_KPROBE,
                instruction_count: code.len() as u32,
                instructions: code.as_ptr() as u64,
                license: c"GPL".as_ptr() as u64,
                expected_attach_type: BPF_TRACE_UPROBE_MULTI,
                ..ProgramAttributes::default()
            },
        )
        .map(owned)
        .expect("a BPF program: this test needs root and Linux 6.6");
        Self { map, program }
    }

    /// Probes the sites with these indices in every process that maps `path`.
    pub(super) fn attach(
        &self,
        path: &Path,
        indices: &[usize],
        offset: impl Fn(usize) -> u64,
    ) -> io::Result<Link> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let offsets: Vec<u64> = indices.iter().map(|&index| offset(index)).collect();
        let cookies: Vec<u64> = indices.iter().map(|&index| index as u64).collect();
        let fd = bpf(
            BPF_LINK_CREATE,
            &mut LinkAttributes {
                program: self.program.as_raw_fd() as u32,
                attach_type: BPF_TRACE_UPROBE_MULTI,
                path: path.as_ptr() as u64,
                offsets: offsets.as_ptr() as u64,
                cookies: cookies.as_ptr() as u64,
                count: offsets.len() as u32,
                ..LinkAttributes::default()
            },
        )?;
        Ok(Link { _fd: owned(fd) })
    }

    /// Hits of the site with this index.
    pub(super) fn hits(&self, index: usize) -> u64 {
        let (key, mut value) = (index as u32, 0_u64);
        bpf(
            BPF_MAP_LOOKUP_ELEM,
            &mut ElementAttributes {
                map: self.map.as_raw_fd() as u32,
                key: std::ptr::from_ref(&key) as u64,
                value: std::ptr::from_mut(&mut value) as u64,
                ..ElementAttributes::default()
            },
        )
        .expect("a site's counter");
        value
    }
}
