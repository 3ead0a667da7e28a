//! The call frame information of real programs: steps equal framehop's, and a whole stack equals
//! the one that glibc finds.

use super::*;
use crate::binary::cfi::{Cfi, CfiSections, Section};
use crate::binary::code_map::{CallSite, CodeFrame, CodeMap};
use crate::model::address::Svma;
use crate::random::Random;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder};
use object::{Object, ObjectSection, ObjectSegment};
use std::ops::Range;
use std::process::Command;
use std::sync::Arc;
use tracer_common::limits::RED_ZONE_BYTES;

/// A file mapped at `bias`.
struct Mapped {
    name: String,
    bias: u64,
    avma: Range<u64>,
    eh_frame: (Vec<u8>, u64),
    eh_frame_hdr: (Vec<u8>, u64),
}

impl Mapped {
    fn open(path: &str, bias: u64) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let section = |name: &str| {
            let section = file.section_by_name(name).unwrap();
            (section.uncompressed_data().unwrap().into_owned(), section.address())
        };
        let end = file.segments().map(|segment| segment.address() + segment.size()).max().unwrap();
        Self {
            name: path.to_owned(),
            bias,
            avma: bias..bias + end,
            eh_frame: section(".eh_frame"),
            eh_frame_hdr: section(".eh_frame_hdr"),
        }
    }

    fn cfi(&self) -> Cfi<'_> {
        fn section((bytes, svma): &(Vec<u8>, u64)) -> Option<Section<'_>> {
            Some(Section { bytes, svma: Svma(*svma) })
        }
        Cfi::new(CfiSections {
            eh_frame: section(&self.eh_frame),
            eh_frame_hdr: section(&self.eh_frame_hdr),
            ..CfiSections::default()
        })
    }
}

struct RealCode<'a>(Vec<(&'a Mapped, Cfi<'a>)>);

impl<'a> RealCode<'a> {
    fn new(modules: &'a [Mapped]) -> Self {
        Self(modules.iter().map(|module| (module, module.cfi())).collect())
    }

    fn at(&self, pc: Avma) -> Option<&(&'a Mapped, Cfi<'a>)> {
        self.0.iter().find(|(module, _)| module.avma.contains(&pc.0))
    }
}

impl CodeMap for RealCode<'_> {
    fn module_name(&self, pc: Avma) -> Option<String> {
        self.at(pc).map(|(module, _)| module.name.clone())
    }

    fn unwind_row(&self, pc: Avma) -> Result<UnwindRow, String> {
        let (module, cfi) = self.at(pc).ok_or("no module")?;
        let row = cfi.row_at(Svma(pc.0 - module.bias), module.bias);
        row.map_err(|error| error.to_string())
    }

    fn frames(&self, _pc: Avma) -> Vec<CodeFrame> {
        Vec::new()
    }

    fn call_site(&self, _: Avma, _: Avma) -> Result<Arc<CallSite>, String> {
        Err("no calls are described".to_owned())
    }

    fn symbol_at(&self, _address: Avma) -> Option<String> {
        None
    }
}

fn libc_path() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("libc.so")).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn a_step_from_anywhere_in_libc_is_the_one_that_framehop_takes() {
    const SP: u64 = 0x7ffd_0000_0000;
    // In an epilogue, rows speak of slots that are already below the stack pointer.
    const BOTTOM: u64 = SP - RED_ZONE_BYTES;
    const WORDS: u64 = 2048;
    let modules = [Mapped::open(&libc_path(), 0x7f00_0000_0000)];
    let module = &modules[0];
    let code = RealCode::new(&modules);
    let mut framehop: UnwinderX86_64<Vec<u8>> = UnwinderX86_64::new();
    let range = |section: &(Vec<u8>, u64)| section.1..section.1 + section.0.len() as u64;
    framehop.add_module(framehop::Module::new(
        "libc".to_owned(),
        module.avma.clone(),
        module.bias,
        ExplicitModuleSectionInfo {
            eh_frame_svma: Some(range(&module.eh_frame)),
            eh_frame: Some(module.eh_frame.0.clone()),
            eh_frame_hdr_svma: Some(range(&module.eh_frame_hdr)),
            eh_frame_hdr: Some(module.eh_frame_hdr.0.clone()),
            ..Default::default()
        },
    ));
    let mut random = Random::new(17);
    let stack: Vec<u64> = (0..WORDS).map(|_| module.bias + random.below(1 << 20) + 1).collect();
    let (mut compared, mut tried) = (0, 0);
    while compared < 4000 && tried < 40_000 {
        tried += 1;
        let pc = module.avma.start + random.below(module.avma.end - module.avma.start);
        let rbp = SP + 8 * random.below(1024);
        let mut record = record_with_stack(BOTTOM, &stack, vec![]);
        record.registers[RSP] = SP;
        record.registers[RIP] = pc;
        record.registers[RBP] = rbp;
        if code.unwind_row(Avma(pc)).is_err() {
            continue;
        }
        let (frames, _) = walk_record(&record, &code);
        let mut registers = UnwindRegsX86_64::new(pc, SP, rbp);
        let mut read = |address: u64| {
            let index = address.checked_sub(BOTTOM).map(|bytes| bytes / 8).ok_or(())?;
            stack.get(index as usize).copied().ok_or(())
        };
        let theirs = framehop.unwind_frame(
            FrameAddress::from_instruction_pointer(pc),
            &mut registers,
            &mut CacheX86_64::<_>::new(),
            &mut read,
        );
        // Where framehop falls back to guesses after an error there is nothing to compare.
        let (Ok(Some(pc)), Some(caller)) = (theirs, frames.get(1)) else { continue };
        let ours = [caller.pc.0, caller.registers.sp().unwrap()];
        assert_eq!(ours, [pc, registers.sp()], "{:#x}", record.registers[RIP] - module.bias);
        assert_eq!(caller.registers.get(RBP), Some(registers.bp()));
        compared += 1;
    }
    assert!(compared >= 2000, "{compared}");
}

/// Interrupts itself deep inside calls without frame pointers, and prints the registers and the
/// stack of that moment, its executable mappings, and the return addresses that glibc finds.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static void handler(int number, siginfo_t *info, void *context) {
    (void)number; (void)info;
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    static const int order[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP,
        REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };
    for (int i = 0; i < 17; i++) printf("register %llx\n", (unsigned long long)g[order[i]]);
    unsigned long *sp = (unsigned long *)g[REG_RSP];
    for (int i = 0; i < 600; i++) printf("stack %lx\n", sp[i]);
    void *trace[64];
    int count = backtrace(trace, 64);
    for (int i = 0; i < count; i++) printf("trace %lx\n", (unsigned long)trace[i]);
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (fgets(line, sizeof line, maps)) printf("map %s", line);
    fflush(stdout);
    _Exit(0);
}

__attribute__((noinline)) static int inner(int depth, volatile char *buffer) {
    char local[200];
    memset(local, depth, sizeof local);
    buffer[depth] = local[depth];
    if (depth == 0) raise(SIGUSR1);
    else inner(depth - 1, local);
    return local[depth] + buffer[depth];
}

static int compare(const void *a, const void *b) {
    char buffer[100];
    return inner(5, buffer) + *(const int *)a - *(const int *)b;
}

int main(void) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, 0);
    int numbers[] = { 3, 2, 1 };
    qsort(numbers, 3, sizeof *numbers, compare);
    return numbers[0];
}
"#;

fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}

#[test]
fn a_real_stack_is_the_one_that_glibc_finds() {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("a.c"), directory.path().join("a"));
    std::fs::write(&source, PROGRAM).unwrap();
    let flags = ["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-o"];
    let status = Command::new("gcc").args(flags).args([&program, &source]).status().unwrap();
    assert!(status.success());
    let output = Command::new(&program).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let numbers = |what: &str| -> Vec<u64> {
        output.lines().filter_map(|line| line.strip_prefix(what)).map(hexadecimal).collect()
    };
    let (registers, stack, trace) = (numbers("register "), numbers("stack "), numbers("trace "));
    let mut modules = Vec::new();
    for line in output.lines().filter_map(|line| line.strip_prefix("map ")) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The first mapping of a file starts at its offset 0, address 0.
        if fields[2] == "00000000" && fields.len() == 6 && fields[5].starts_with('/') {
            let start = hexadecimal(fields[0].split('-').next().unwrap());
            if fields[5].contains("libc.so") || fields[5].ends_with("/a") {
                modules.push(Mapped::open(fields[5], start));
            }
        }
    }
    assert_eq!(modules.len(), 2);
    let mut record = record_with_stack(registers[RSP], &stack, vec![]);
    record.registers[..17].copy_from_slice(&registers);
    let (frames, end) = walk_record(&record, &RealCode::new(&modules));
    let at = trace.iter().position(|pc| *pc == registers[RIP]).unwrap();
    assert_eq!(pcs(&frames), &trace[at..]);
    // raise, six times inner, compare, at least qsort, main and what calls it.
    assert!(frames.len() >= 12, "{}", frames.len());
    assert_eq!(end, StackEnd::Complete);
}

#[test]
fn the_computed_frame_address_of_the_plt_is_right_on_both_sides_of_its_push() {
    const SP: u64 = 0x7ffd_0000_0000;
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("a.c"), directory.path().join("a"));
    std::fs::write(&source, "#include <stdio.h>\nint main(void) { return puts(\"x\"); }").unwrap();
    let flags = ["-fcf-protection=none", "-Wl,-z,lazy", "-o"];
    let status = Command::new("gcc").args(flags).args([&program, &source]).status().unwrap();
    assert!(status.success());
    let bytes = std::fs::read(&program).unwrap();
    let plt = object::File::parse(&*bytes).unwrap().section_by_name(".plt").unwrap().address();
    let modules = [Mapped::open(program.to_str().unwrap(), 0x5500_0000_0000)];
    let code = RealCode::new(&modules);
    // An entry of 16 bytes: a jump, at 6 a push, at 11 a jump.
    for (offset, caller) in [(0, 1), (6, 1), (11, 2)] {
        let mut record = record_with_stack(SP, &[1, 2, 3], vec![]);
        record.registers[RIP] = modules[0].bias + plt + 16 + offset;
        let (frames, _) = walk_record(&record, &code);
        assert_eq!(pcs(&frames[1..]), [caller], "{offset}");
        assert_eq!(frames[1].registers.sp(), Some(SP + 8 * caller));
    }
}
