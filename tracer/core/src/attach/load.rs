//! Loads the fixed kernel program once: maps by aya, the program by our own call.

use super::btf::KernelTypes;
use super::error::AttachError;
use super::maps::{Maps, Plain, take_map};
use super::sys::{self, ProgramCode};
use aya::maps::{MapData, RingBuf};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use tracer_common::limits;
use tracer_common::maps::{Kernel, names};

/// The kernel program as it was built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRACER_BPF_OBJECT"));

/// How the program is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Size of the ring buffer in bytes; a power of two and a multiple of the page.
    pub ring_bytes: u32,
    /// Scratch buffers in the pool; a power of two.
    pub scratch_slots: u32,
    /// Level of the program's own log, 0 (off) to 5 (trace).
    pub log_level: u8,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { ring_bytes: limits::RING_BYTES, scratch_slots: limits::SCRATCH_SLOTS, log_level: 0 }
    }
}

/// The loaded program with its maps. All breakpoints are gone when it is dropped.
pub struct Program {
    pub(crate) fd: OwnedFd,
    pub(crate) maps: Maps,
    ring: RingBuf<MapData>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Keeps the maps alive that nobody writes to.
    _bpf: Ebpf,
}

impl Program {
    /// Loads program and maps into the kernel.
    ///
    /// # Errors
    ///
    /// When the kernel refuses them or does not show its types.
    pub fn load(options: &LoadOptions) -> Result<Self, AttachError> {
        let types = KernelTypes::load()?;
        let kernel = Plain(Kernel {
            group_leader: types.offset_of("task_struct.group_leader")?,
            start_boottime: types.offset_of("task_struct.start_boottime")?,
            fsbase: types.offset_of("task_struct.thread.fsbase")?,
            scratch_slots: power_of_two(options.scratch_slots, limits::SCRATCH_SLOTS),
        });
        let mut bpf = EbpfLoader::new()
            .map_max_entries(names::RECORDS, options.ring_bytes)
            .override_global(names::KERNEL, &kernel, true)
            .override_global("AYA_LOG_LEVEL", &options.log_level, true)
            .load(OBJECT)
            .map_err(|error| AttachError::aya("the maps", &error))?;
        let fd = load_program(&bpf)?;
        let log = (options.log_level > 0)
            .then(|| EbpfLogger::init(&mut bpf))
            .transpose()
            .map_err(AttachError::object)?;
        let ring =
            RingBuf::try_from(take_map(&mut bpf, names::RECORDS)?).map_err(AttachError::object)?;
        Ok(Self { fd, maps: Maps::open(&mut bpf)?, ring, log, _bpf: bpf })
    }

    /// Becomes readable when a record waits.
    pub fn ring_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// The next record's bytes, without waiting.
    pub fn next_record(&mut self) -> Option<Vec<u8>> {
        self.ring.next().map(|item| item.to_vec())
    }

    /// Hands what the kernel program logged to the `log` crate.
    pub fn forward_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Hits that the kernel did not hand to the program because it was already running on this
    /// cpu.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn kernel_misses(&self) -> Result<u64, AttachError> {
        let info = sys::program_info(self.fd.as_fd())
            .map_err(|e| AttachError::kernel("a question about the program", e))?;
        Ok(info.recursion_misses)
    }

    /// Instructions that the verifier went through.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn verified_instructions(&self) -> Result<u32, AttachError> {
        let info = sys::program_info(self.fd.as_fd())
            .map_err(|e| AttachError::kernel("a question about the program", e))?;
        Ok(info.verified_insns)
    }
}

fn power_of_two(wanted: u32, max: u32) -> u32 {
    wanted.clamp(1, max).next_power_of_two().min(max)
}

/// Loads the program for `uprobe_multi`, over the maps that aya created.
fn load_program(bpf: &Ebpf) -> Result<OwnedFd, AttachError> {
    let mut object = aya_obj::Object::parse(OBJECT).map_err(AttachError::object)?;
    let features = aya::features()
        .btf()
        .ok_or_else(|| AttachError::object("this kernel takes no type information (BTF)"))?;
    let types = object
        .fixup_and_sanitize_btf(features)
        .map_err(AttachError::object)?
        .ok_or_else(|| AttachError::object("the object has no type information"))?
        .to_bytes();
    let btf = sys::load_btf(&types)
        .map_err(|e| AttachError::kernel("the program's type information", e))?;
    relocate(&mut object, bpf)?;
    let program = object
        .programs
        .get(names::PROGRAM)
        .ok_or_else(|| AttachError::object("the object has no program"))?;
    let function = object
        .functions
        .get(&program.function_key())
        .ok_or_else(|| AttachError::object("the program has no code"))?;
    let name = CString::new(names::PROGRAM).map_err(AttachError::object)?;
    sys::load_program(&ProgramCode {
        name: &name,
        license: &object.license,
        instructions: &function.instructions,
        btf: btf.as_fd(),
        func_info: &function.func_info.func_info_bytes(),
        func_info_size: u32::try_from(function.func_info_rec_size).unwrap_or(0),
        func_info_count: u32::try_from(function.func_info.len()).unwrap_or(0),
    })
    .map_err(|(source, log)| AttachError::refused("the program", source, log))
}

/// Puts the maps' file descriptors and the callee's offsets into the instructions.
fn relocate(object: &mut aya_obj::Object, bpf: &Ebpf) -> Result<(), AttachError> {
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let parsed = std::mem::take(&mut object.maps);
    let mut maps = Vec::new();
    for (name, map) in &parsed {
        let created = bpf
            .map(name)
            .ok_or_else(|| AttachError::object(format!("map {name} was not created")))?;
        maps.push((name.as_str(), map_fd(created)?, map));
    }
    object.relocate_maps(maps.into_iter(), &text).map_err(AttachError::object)?;
    object.relocate_calls(&text).map_err(AttachError::object)
}

fn map_fd(map: &aya::maps::Map) -> Result<i32, AttachError> {
    use aya::maps::Map;
    let data = match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::RingBuf(data) => data,
        other => return Err(AttachError::object(format!("unexpected map {other:?}"))),
    };
    Ok(data.fd().as_fd().as_raw_fd())
}
