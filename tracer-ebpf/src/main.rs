//! The kernel program: one uprobe program, `hit`, for every site; its cookie is the site's index.
//!
//! Nothing clever here: the gate decides whether the hit is captured, `capture` runs the shared
//! interpreter over BPF helpers. See `tracer_common::vm`.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "atomics: see `atomic`")]

mod atomic;
mod budget;
mod capture;
mod counters;
mod entries;
mod gate;
mod maps;
mod pool;
mod stack;
mod task;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::bpf_get_attach_cookie;
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use aya_log_ebpf::{debug, trace};
use budget::Charge;
use tracer_common::maps::{Site, action};
use tracer_common::outcome::Outcome;

/// Who speaks in the log; userspace tells it from others by this name.
const LOG: &str = "tracer_ebpf";

/// Entry, line and return alike.
#[uprobe]
fn hit(ctx: ProbeContext) -> u32 {
    stack::stay(ctx.as_ptr());
    // SAFETY: the context is the one the kernel gave us.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } as u32;
    let Some(site) = maps::SITES.get(cookie) else { return 0 };
    // SAFETY: the context of a uprobe program is the registers of the thread.
    let registers = unsafe { &*ctx.as_ptr().cast::<pt_regs>() };
    let pc = registers.rip;
    if site.has_twin != 0 && pc != site.pc {
        return 0;
    }
    let Some(number) = counters::hit(cookie) else { return 0 };
    let charge = Charge::begin(site, number);
    if site.action == action::KEEP {
        entries::enter(site, registers);
        charge.come_by();
        return 0;
    }
    let (outcome, program_ns) = match gate::pass(site, pc, &charge) {
        Ok(pass) => timed_capture(&ctx, cookie, site, number, pass),
        Err(outcome) => (outcome, 0),
    };
    if outcome as u8 != Outcome::Captured as u8 {
        debug!(&ctx, target: LOG, "site {}: hit {}: outcome {}", cookie, number, outcome as u8);
    } else {
        trace!(&ctx, target: LOG, "site {}: hit {}: captured", cookie, number);
    }
    if matches!(outcome, Outcome::LostNoScratch | Outcome::LostRingFull | Outcome::LostPlan) {
        gate::give_back(site);
    }
    counters::count(cookie, outcome);
    charge.end(program_ns);
    0
}

/// Captures, and gives the nanoseconds that are charged for it: those that it took, unless others ran
/// on the cpu meanwhile. Their time is not the probe's, and what is left of it can't be told.
#[inline(always)]
fn timed_capture(
    ctx: &ProbeContext,
    index: u32,
    site: &Site,
    number: u64,
    pass: gate::Pass,
) -> (Outcome, u64) {
    let (start, preemptions) = (pass.time_boot_ns, task::preemptions());
    let outcome = capture::capture(ctx, index, site, number, pass);
    let took = gate::now().wrapping_sub(start);
    counters::add_time(index, took);
    (outcome, if task::preemptions() == preemptions { took } else { 0 })
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier accepts no program that can come here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
