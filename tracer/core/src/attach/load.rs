//! Loads the fixed kernel program once: maps by aya, the program by our own call.

use super::breakpoints::AttachMode;
use super::btf::KernelTypes;
use super::calibrate::kept;
use super::error::AttachError;
use super::maps::{Maps, Plain, take_map};
use super::sys::{self, Flavour, ProgramCode};
use crate::model::budget::Budgets;
use crate::model::cost::CostModel;
use aya::maps::Map;
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use aya_obj::generated::bpf_prog_info;
use rustix::time::{ClockId, clock_getres};
use std::collections::HashSet;
use std::ffi::CString;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tracer_common::limits;
use tracer_common::maps::{Ids, Kernel, names};

/// The kernel program as it was built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRACER_BPF_OBJECT"));

/// How the program is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Scratch buffers in the pool; a power of two.
    pub scratch_slots: u32,
    /// Level of the program's own log, 0 (off) to 5 (trace).
    pub log_level: u8,
    /// What probes may cost together.
    pub budgets: Budgets,
    /// The object file of the kernel program: ours, or one that a test compares it with.
    pub object: &'static [u8],
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            scratch_slots: limits::SCRATCH_SLOTS,
            log_level: 0,
            budgets: Budgets::default(),
            object: OBJECT,
        }
    }
}

/// The loaded program with its maps: one for all probes.
pub struct Program {
    multi: OnceLock<OwnedFd>,
    perf: OnceLock<OwnedFd>,
    maps: Mutex<Maps>,
    costs: Mutex<Option<CostModel>>,
    /// Where the program tells of tripped probes.
    trips: OwnedFd,
    log: Mutex<Option<EbpfLogger<&'static dyn log::Log>>>,
    /// All maps by name: what the program's instructions refer to.
    named: Vec<(String, OwnedFd)>,
    object: &'static [u8],
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Loads the maps into the kernel; the program follows when it is known how it is linked.
    ///
    /// # Errors
    ///
    /// When the kernel refuses them or does not show its types.
    pub fn load(options: &LoadOptions) -> Result<Self, AttachError> {
        let types = KernelTypes::load()?;
        let (dumpable_in, dumpable) = dumpable(&types)?;
        let kernel = Plain(Kernel {
            group_leader: types.offset_of("task_struct.group_leader")?,
            start_boottime: types.offset_of("task_struct.start_boottime")?,
            fsbase: types.offset_of("task_struct.thread.fsbase")?,
            scratch_slots: power_of_two(options.scratch_slots, limits::SCRATCH_SLOTS),
            real_cred: types.offset_of("task_struct.real_cred")?,
            ids: ids(&types)?,
            permitted: types.offset_of("cred.cap_permitted")?,
            dumpable_in,
            dumpable,
            tick_ns: tick_ns(),
            nivcsw: types.offset_of("task_struct.nivcsw")?,
        });
        let mut bpf = EbpfLoader::new()
            .override_global(names::KERNEL, &kernel, true)
            .override_global("AYA_LOG_LEVEL", &options.log_level, true)
            .load(options.object)
            .map_err(|error| AttachError::aya("the maps", &error))?;
        let named = named_maps(&bpf)?;
        let log = (options.log_level > 0)
            .then(|| EbpfLogger::init(&mut bpf))
            .transpose()
            .map_err(AttachError::object)?;
        let trips = map_fd(&take_map(&mut bpf, names::TRIPS)?)?.try_clone_to_owned();
        let program = Self {
            trips: trips.map_err(AttachError::object)?,
            multi: OnceLock::new(),
            perf: OnceLock::new(),
            maps: Mutex::new(Maps::open(&mut bpf, options.budgets)?),
            costs: Mutex::default(),
            log: Mutex::new(log),
            named,
            object: options.object,
        };
        Ok(program)
    }

    /// Tells this kernel program from other versions of it.
    pub(super) fn fingerprint() -> u64 {
        let mut hasher = DefaultHasher::new();
        OBJECT.hash(&mut hasher);
        hasher.finish()
    }

    /// What a hit costs on this machine: kept from an earlier run, or measured by the first who
    /// asks, before there is any probe.
    ///
    /// # Errors
    ///
    /// It has to be measured, and the kernel refuses the breakpoints.
    pub fn costs(&self, mode: AttachMode) -> Result<CostModel, AttachError> {
        let mut costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(costs) = *costs {
            return Ok(costs);
        }
        let known = kept::costs(self, mode)?;
        *costs = Some(known);
        Ok(known)
    }

    /// The maps, for one at a time.
    pub(super) fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ring where the program tells of tripped probes: [`tracer_common::maps::Trip`] records.
    pub fn trips_fd(&self) -> BorrowedFd<'_> {
        self.trips.as_fd()
    }

    /// The program as it is linked in a way, loaded now if it was not before.
    pub(super) fn flavour(&self, flavour: Flavour) -> Result<BorrowedFd<'_>, AttachError> {
        let slot = match flavour {
            Flavour::Multi => &self.multi,
            Flavour::Perf => &self.perf,
        };
        if let Some(program) = slot.get() {
            return Ok(program.as_fd());
        }
        // Of two that load it at once, one is dropped.
        let program = load_program(self.object, &self.named, flavour)?;
        Ok(slot.get_or_init(|| program).as_fd())
    }

    /// Loads the program now, and not when the first probe needs it.
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub fn prepare(&self, mode: AttachMode) -> Result<(), AttachError> {
        let flavour = match mode {
            AttachMode::Auto | AttachMode::Multi => Flavour::Multi,
            AttachMode::Perf => Flavour::Perf,
        };
        self.flavour(flavour).map(drop)
    }

    /// Hands what the kernel program logged to the `log` crate.
    pub fn forward_log(&self) {
        if let Some(log) = &mut *self.log.lock().unwrap_or_else(PoisonError::into_inner) {
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
        let mut misses = 0;
        for program in [&self.multi, &self.perf].into_iter().filter_map(OnceLock::get) {
            misses += info(program.as_fd())?.recursion_misses;
        }
        Ok(misses)
    }

    /// Instructions that the verifier went through.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn verified_instructions(&self) -> Result<u32, AttachError> {
        Ok(info(self.flavour(Flavour::Multi)?)?.verified_insns)
    }
}

fn info(program: BorrowedFd<'_>) -> Result<bpf_prog_info, AttachError> {
    sys::program_info(program).map_err(|e| AttachError::kernel("a question about the program", e))
}

/// The time between two ticks of the kernel: what its coarse clocks tell apart.
fn tick_ns() -> u32 {
    let resolution = clock_getres(ClockId::MonotonicCoarse).tv_nsec;
    // Never 0: windows that last for ever would trip all probes.
    u32::try_from(resolution).unwrap_or(1).max(1)
}

fn power_of_two(wanted: u32, max: u32) -> u32 {
    wanted.clamp(1, max).next_power_of_two().min(max)
}

/// Where the ids of a task are in the kernel's `struct cred`, if they lie as in [`Ids`].
fn ids(types: &KernelTypes) -> Result<u32, AttachError> {
    let first = types.offset_of("cred.uid")?;
    let offsets = [
        (types.offset_of("cred.gid")?, offset_of!(Ids, gid)),
        (types.offset_of("cred.suid")?, offset_of!(Ids, suid)),
        (types.offset_of("cred.sgid")?, offset_of!(Ids, sgid)),
        (types.offset_of("cred.euid")?, offset_of!(Ids, euid)),
        (types.offset_of("cred.egid")?, offset_of!(Ids, egid)),
    ];
    let as_known = |(there, ours): &(u32, usize)| *there as usize == first as usize + ours;
    match offsets.iter().all(as_known) {
        true => Ok(first),
        false => Err(AttachError::object("this kernel orders the ids of a task in another way")),
    }
}

/// Where a task says who may dump its process: the offset of a pointer, and that of a word behind it.
fn dumpable(types: &KernelTypes) -> Result<(u32, u32), AttachError> {
    // Newer kernels (seen on 7.3) keep it beside the memory, whose flags say nothing of it any more.
    if let Ok(state) = types.offset_of("task_struct.exec_state") {
        return Ok((state, types.offset_of("task_exec_state.dumpable")?));
    }
    Ok((types.offset_of("task_struct.mm")?, types.offset_of("mm_struct.flags")?))
}

/// All maps that aya created.
fn named_maps(bpf: &Ebpf) -> Result<Vec<(String, OwnedFd)>, AttachError> {
    let own = |(name, map): (&str, &Map)| {
        let fd = map_fd(map)?.try_clone_to_owned().map_err(AttachError::object)?;
        Ok((name.to_owned(), fd))
    };
    bpf.maps().map(own).collect()
}

/// Loads the program over the maps that aya created.
fn load_program(
    object: &[u8],
    named: &[(String, OwnedFd)],
    flavour: Flavour,
) -> Result<OwnedFd, AttachError> {
    let mut object = aya_obj::Object::parse(object).map_err(AttachError::object)?;
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
    relocate(&mut object, named)?;
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
        flavour,
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
fn relocate(object: &mut aya_obj::Object, named: &[(String, OwnedFd)]) -> Result<(), AttachError> {
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let parsed = std::mem::take(&mut object.maps);
    let mut maps = Vec::new();
    for (name, map) in &parsed {
        let (_, created) = named
            .iter()
            .find(|(created, _)| created == name)
            .ok_or_else(|| AttachError::object(format!("map {name} was not created")))?;
        maps.push((name.as_str(), created.as_raw_fd(), map));
    }
    object.relocate_maps(maps.into_iter(), &text).map_err(AttachError::object)?;
    object.relocate_calls(&text).map_err(AttachError::object)
}

fn map_fd(map: &Map) -> Result<BorrowedFd<'_>, AttachError> {
    match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::RingBuf(data) | Map::ArrayOfMaps(data) => {
            Ok(data.fd().as_fd())
        }
        other => Err(AttachError::object(format!("unexpected map {other:?}"))),
    }
}
