//! Programs of the tests' own in the kernel: raw bpf(2), no more than needed.

#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

// include/uapi/linux/bpf.h
const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_LOOKUP_ELEM: i64 = 1;
const BPF_PROG_LOAD: i64 = 5;
const BPF_OBJ_GET_INFO_BY_FD: i64 = 15;
const BPF_LINK_CREATE: i64 = 28;
const BPF_LINK_GET_FD_BY_ID: i64 = 30;
const BPF_LINK_GET_NEXT_ID: i64 = 31;
const BPF_ENABLE_STATS: i64 = 32;
const BPF_STATS_RUN_TIME: u32 = 0;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;
const BPF_LINK_TYPE_UPROBE_MULTI: u32 = 12;

/// A place of a file that is probed, and the attach cookie that names it to the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Offset in the file.
    pub offset: u64,
    /// What `bpf_get_attach_cookie` gives there.
    pub cookie: u64,
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

#[repr(C)]
#[derive(Default)]
struct StatisticsAttributes {
    kind: u32,
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

/// An instruction of a program: opcode, destination, source, offset, constant.
pub const fn instruction(code: u8, to: u8, from: u8, offset: i16, constant: i32) -> u64 {
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

/// The program that does nothing: `r0 = 0; exit`.
pub const EMPTY: &[u64] = &[instruction(0xb7, 0, 0, 0, 0), instruction(0x95, 0, 0, 0, 0)];

/// Loads a uprobe program that can be linked by `uprobe_multi`.
///
/// # Errors
///
/// The kernel's.
pub fn load(code: &[u64]) -> io::Result<OwnedFd> {
    bpf(
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
}

/// Probes places of a file; in one process, or with `pid` 0 in every one that maps it. Closing
/// what this gives takes the probes out.
///
/// # Errors
///
/// The kernel's.
pub fn link(
    program: BorrowedFd<'_>,
    path: &Path,
    pid: u32,
    places: &[Place],
) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let cookies: Vec<u64> = places.iter().map(|place| place.cookie).collect();
    bpf(
        BPF_LINK_CREATE,
        &mut LinkAttributes {
            program: program.as_raw_fd() as u32,
            attach_type: BPF_TRACE_UPROBE_MULTI,
            path: path.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
            cookies: cookies.as_ptr() as u64,
            count: places.len() as u32,
            pid,
            ..LinkAttributes::default()
        },
    )
    .map(owned)
}

/// An array of numbers that a program can write to.
#[derive(Debug)]
pub struct Numbers(OwnedFd);

impl Numbers {
    /// An array of this length, all zero.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn new(length: usize) -> io::Result<Self> {
        bpf(
            BPF_MAP_CREATE,
            &mut MapAttributes {
                map_type: BPF_MAP_TYPE_ARRAY,
                key_size: 4,
                value_size: 8,
                max_entries: length as u32,
            },
        )
        .map(|fd| Self(owned(fd)))
    }

    /// Its descriptor, to be put into a program's code.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The number at an index.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn get(&self, index: usize) -> io::Result<u64> {
        let (key, mut value) = (index as u32, 0_u64);
        bpf(
            BPF_MAP_LOOKUP_ELEM,
            &mut ElementAttributes {
                map: self.0.as_raw_fd() as u32,
                key: std::ptr::from_ref(&key) as u64,
                value: std::ptr::from_mut(&mut value) as u64,
                ..ElementAttributes::default()
            },
        )?;
        Ok(value)
    }
}

/// Lets the kernel measure how long programs run, until what this gives is closed.
///
/// # Errors
///
/// The kernel's.
pub fn measure_run_time() -> io::Result<OwnedFd> {
    let mut attributes = StatisticsAttributes { kind: BPF_STATS_RUN_TIME };
    bpf(BPF_ENABLE_STATS, &mut attributes).map(owned)
}

/// `struct bpf_link_info` of a `uprobe_multi` link.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    path: u64,
    offsets: u64,
    reference_counts: u64,
    cookies: u64,
    path_size: u32,
    count: u32,
    flags: u32,
    pid: u32,
}

#[repr(C)]
#[derive(Default)]
struct IdAttributes {
    id: u32,
    next: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct InfoAttributes {
    fd: u32,
    length: u32,
    info: u64,
}

/// The files of all `uprobe_multi` links on this machine, whoever made them.
///
/// # Errors
///
/// The kernel's.
pub fn probed_files() -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut attributes = IdAttributes::default();
    while bpf(BPF_LINK_GET_NEXT_ID, &mut attributes).is_ok() {
        attributes.id = attributes.next;
        // It may have gone meanwhile.
        let id = IdAttributes { id: attributes.id, ..IdAttributes::default() };
        let Ok(link) = bpf(BPF_LINK_GET_FD_BY_ID, &mut { id }).map(owned) else { continue };
        let mut path = [0_u8; 4096];
        let mut info = LinkInfo {
            path: path.as_mut_ptr() as u64,
            path_size: path.len() as u32,
            ..LinkInfo::default()
        };
        let mut asked = InfoAttributes {
            fd: link.as_raw_fd() as u32,
            length: size_of::<LinkInfo>() as u32,
            info: std::ptr::from_mut(&mut info) as u64,
        };
        // The path of another kind of link means something else.
        if bpf(BPF_OBJ_GET_INFO_BY_FD, &mut asked).is_ok()
            && info.kind == BPF_LINK_TYPE_UPROBE_MULTI
        {
            let length = path.iter().position(|byte| *byte == 0).unwrap_or(0);
            files.push(String::from_utf8_lossy(&path[..length]).into_owned());
        }
    }
    Ok(files)
}
