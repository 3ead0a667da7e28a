//! What children execute: functions that tell by themselves whether a breakpoint changed what
//! they do. Nothing here may allocate, lock or panic, for it runs behind a fork.

use crate::model::address::Avma;
use std::arch::naked_asm;
use std::hint::black_box;

/// Bytes of a function that are searched for its site.
pub(super) const CODE_BYTES: usize = 64;
/// The nop that kernels rewrite into a call.
const NOP5: &[u8] = &[0x0f, 0x1f, 0x44, 0x00, 0x00];

/// Code to be probed, and what a child does with it.
#[derive(Debug)]
pub(super) struct Victim {
    /// Functions with the bytes that their site begins with: the first place where they stand.
    pub(super) code: &'static [(extern "C" fn(u64) -> u64, &'static [u8])],
    /// Runs them once; false if they did not do what they do.
    pub(super) run: fn(u64) -> bool,
    /// Their returns are probed, not the places themselves.
    pub(super) returns: bool,
    /// What is wrong when [`Self::run`] says so.
    pub(super) wrong: &'static str,
}

impl Victim {
    /// Where breakpoints are placed; `None` if the code is not what it was written as.
    pub(super) fn sites(&self) -> Option<Vec<Avma>> {
        let site = |(function, first): &(extern "C" fn(u64) -> u64, &[u8])| {
            let start = Avma(*function as usize as u64);
            let code = super::own_code(start)?;
            let at = code.windows(first.len()).position(|window| window == *first)?;
            Some(start.offset(i64::try_from(at).ok()?))
        };
        self.code.iter().map(site).collect()
    }
}

/// A nop of 5 bytes while data is in the red zone.
pub(super) static RED_ZONE: Victim = Victim {
    code: &[(red_zone, NOP5)],
    run: |value| black_box(red_zone)(value) == 0,
    returns: false,
    wrong: "the kernel overwrote the red zone",
};

/// An emulated and a single-stepped instruction.
pub(super) static PLAIN: Victim = Victim {
    code: &[(emulated, &[0x55]), (single_stepped, &[0x48])],
    run: |value| black_box(emulated)(value) == value && black_box(single_stepped)(value) == value,
    returns: false,
    wrong: "a function gave another result",
};

/// A function that returns.
pub(super) static RETURN: Victim = Victim {
    code: &[(returning, &[0x55])],
    run: |value| black_box(returning)(value) == value,
    returns: true,
    wrong: "a function gave another result",
};

/// Gives 0 if what is in the red zone before the nop is there behind it.
#[unsafe(naked)]
extern "C" fn red_zone(value: u64) -> u64 {
    naked_asm!(
        "mov [rsp - 8], rdi",
        "mov [rsp - 16], rdi",
        "mov [rsp - 32], rdi",
        "mov [rsp - 128], rdi",
        ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00",
        "mov rax, [rsp - 8]",
        "xor rax, rdi",
        "mov rdx, [rsp - 16]",
        "xor rdx, rdi",
        "or rax, rdx",
        "mov rdx, [rsp - 32]",
        "xor rdx, rdi",
        "or rax, rdx",
        "mov rdx, [rsp - 128]",
        "xor rdx, rdi",
        "or rax, rdx",
        "ret"
    )
}

#[unsafe(naked)]
extern "C" fn emulated(value: u64) -> u64 {
    naked_asm!("push rbp", "pop rbp", "mov rax, rdi", "ret")
}

#[unsafe(naked)]
extern "C" fn single_stepped(value: u64) -> u64 {
    naked_asm!("mov rax, rdi", "ret")
}

#[unsafe(naked)]
extern "C" fn returning(value: u64) -> u64 {
    naked_asm!("push rbp", "mov rax, rdi", "pop rbp", "ret")
}

#[cfg(test)]
pub(super) fn is_wrong(_value: u64) -> bool {
    false
}

#[cfg(test)]
pub(super) fn dies(_value: u64) -> bool {
    invalid();
    true
}

#[cfg(test)]
#[unsafe(naked)]
extern "C" fn invalid() {
    naked_asm!("ud2")
}

#[cfg(test)]
pub(super) fn hangs(_value: u64) -> bool {
    loop {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
pub(super) fn asks_the_kernel(_value: u64) -> bool {
    rustix::process::getppid().is_some()
}
