//! Where probes sit in made-up and compiled code.

use super::*;

/// Variables with one set of registers, the same everywhere.
struct Reading(u32);

impl Variables for Reading {
    fn same(&self, _a: Svma, _b: Svma) -> bool {
        true
    }

    fn registers(&self, _pc: Svma) -> u32 {
        self.0
    }
}

const NONE: Reading = Reading(0);
const START: Svma = Svma(0x1000);

/// Rows of one file: offset from the start and line.
fn rows(rows: &[(i64, u64)]) -> Vec<Row> {
    rows.iter()
        .map(|&(at, line)| Row { svma: START.offset(at), file: 1, line, is_stmt: true })
        .collect()
}

fn part<'a>(bytes: &'a [u8], rows: &'a [Row]) -> Part<'a> {
    Part { bytes, start: START, entry: Some(START), rows, targets: &[], nop5_is_safe: false }
}

/// The offset that is chosen for the one that is asked for, and why.
fn place(part: Part<'_>, offset: i64, variables: &Reading) -> Result<(i64, String), Unplaceable> {
    Code::decode(part)
        .place(START.offset(offset), variables)
        .map(|p| (p.svma.0.wrapping_sub(START.0).cast_signed(), p.why))
}

/// endbr64; push rbp; mov rbp, rsp; sub rsp, 16; mov eax, edi; leave; ret
const PROLOGUE: &[u8] = &[
    0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x89, 0xf8, 0xc9, 0xc3,
];

#[test]
fn an_entry_moves_past_endbr64_to_the_push() {
    let (at, why) = place(part(PROLOGUE, &[]), 0, &NONE).unwrap();
    assert_eq!(at, 4);
    assert_eq!(
        why,
        "moved +4 past endbr64 to push rbp (emulated; a single-stepped site costs many times more)"
    );
}

#[test]
fn an_emulated_instruction_is_taken_where_it_is() {
    let (at, why) = place(part(PROLOGUE, &[]), 4, &NONE).unwrap();
    assert_eq!((at, why.as_str()), (4, "push rbp at the requested address (emulated)"));
}

#[test]
fn without_an_emulated_one_the_instruction_itself_is_taken() {
    let rows = rows(&[(0, 1), (12, 2)]);
    let (at, why) = place(part(PROLOGUE, &rows), 12, &NONE).unwrap();
    assert_eq!(at, 12);
    assert_eq!(
        why,
        "mov eax, edi at the requested address (single-stepped; no emulated instruction means the \
         same)"
    );
}

#[test]
fn a_line_moves_back_to_a_push_of_the_same_line_only() {
    let same = rows(&[(0, 1)]);
    assert_eq!(place(part(PROLOGUE, &same), 5, &NONE).unwrap().0, 4);
    let other = rows(&[(0, 1), (5, 2)]);
    assert_eq!(place(part(PROLOGUE, &other), 5, &NONE).unwrap().0, 5);
    // Without a line table nothing says that two addresses mean the same.
    assert_eq!(place(part(PROLOGUE, &[]), 5, &NONE).unwrap().0, 5);
}

/// SEM-2
#[test]
fn a_move_does_not_change_what_a_variable_reads() {
    // mov edi, 5; push rbp; ret
    let code = [0xbf, 5, 0, 0, 0, 0x55, 0xc3];
    assert_eq!(place(part(&code, &[]), 0, &NONE).unwrap().0, 5);
    let rdi = Reading(1 << 5);
    assert_eq!(place(part(&code, &[]), 0, &rdi).unwrap().0, 0);
    // push rax; push rbp; ret: an emulated one is taken at once, whatever reads rsp.
    // mov eax, 5; push 1; push rbp: the push between moves rsp.
    let code = [0xb8, 5, 0, 0, 0, 0x6a, 1, 0x55, 0xc3];
    assert_eq!(place(part(&code, &[]), 0, &NONE).unwrap().0, 7);
    let rsp = Reading(1 << 7);
    assert_eq!(place(part(&code, &[]), 0, &rsp).unwrap().0, 0);
}

#[test]
fn a_move_does_not_pass_what_may_write_memory_fault_or_branch() {
    let blocked: [&[u8]; 5] = [
        &[0x89, 0x07, 0x55, 0xc3],             // mov [rdi], eax; push rbp
        &[0x8b, 0x07, 0x55, 0xc3],             // mov eax, [rdi]; push rbp
        &[0xf7, 0xf1, 0x55, 0xc3],             // div ecx; push rbp
        &[0xff, 0xd0, 0x55, 0xc3],             // call rax; push rbp
        &[0x89, 0x44, 0x24, 0xf8, 0x55, 0xc3], // mov [rsp-8], eax; push rbp
    ];
    for code in blocked {
        assert_eq!(place(part(code, &[]), 0, &NONE).unwrap().0, 0, "{code:02x?}");
    }
    // mov eax, [rsp+8]; push rbp
    let stack = [0x8b, 0x44, 0x24, 8, 0x55, 0xc3];
    assert_eq!(place(part(&stack, &[]), 0, &NONE).unwrap().0, 4);
}

/// SEM-2
#[test]
fn a_move_does_not_pass_a_branch_target() {
    // mov eax, edi; push rbp; jmp to the push
    let code = [0x89, 0xf8, 0x55, 0xeb, 0xfd];
    assert_eq!(place(part(&code, &[]), 0, &NONE).unwrap().0, 0);
    // The target may as well be named by the caller.
    let code = [0x89, 0xf8, 0x55, 0xc3];
    let targets = [START.offset(2)];
    let with = Part { targets: &targets, ..part(&code, &[]) };
    assert_eq!(place(with, 0, &NONE).unwrap().0, 0);
    assert_eq!(place(part(&code, &[]), 0, &NONE).unwrap().0, 2);
}

#[test]
fn a_nop_of_five_bytes_is_probed_only_where_that_is_safe() {
    // nop5; mov eax, edi; ret
    let code = [0x0f, 0x1f, 0x44, 0, 0, 0x89, 0xf8, 0xc3];
    assert_eq!(place(part(&code, &[]), 0, &NONE).unwrap().0, 5);
    let safe = Part { nop5_is_safe: true, ..part(&code, &[]) };
    assert_eq!(place(safe, 0, &NONE).unwrap().0, 0);
    // Whoever comes in there would find a call's operand.
    let targets = [START.offset(2)];
    let entered = Part { targets: &targets, ..safe };
    assert_ne!(place(entered, 0, &NONE).map(|placed| placed.0), Ok(0));
    // Only this nop was tried.
    let prefixed = [0x66, 0x0f, 0x1f, 0x44, 0, 0, 0xc3];
    assert_eq!(place(part(&prefixed, &[]), 0, &NONE).unwrap().0, 0);
    let other = [0x0f, 0x1f, 0x44, 0, 1, 0x89, 0xf8, 0xc3];
    assert_ne!(place(Part { nop5_is_safe: true, ..part(&other, &[]) }, 0, &NONE).unwrap().0, 0);
}

#[test]
fn beside_a_jump_table_a_move_does_not_cross_a_row() {
    // push rbp; mov eax, edi; mov ecx, eax; nop; jmp rax
    let code = [0x55, 0x89, 0xf8, 0x89, 0xc1, 0x90, 0xff, 0xe0];
    let one = rows(&[(0, 1), (1, 2)]);
    assert_eq!(place(part(&code, &one), 1, &NONE).unwrap().0, 5);
    let two = rows(&[(0, 1), (1, 2), (3, 2)]);
    assert_eq!(place(part(&code, &two), 1, &NONE).unwrap().0, 1);
}

/// SAFE-2
#[test]
fn the_middle_of_an_instruction_is_no_place() {
    let issue = place(part(PROLOGUE, &[]), 6, &NONE).unwrap_err();
    assert_eq!(issue.kind, IssueKind::NotOnInstruction);
    assert_eq!(issue.detail, "byte 1 of mov rbp, rsp, which starts at 0x1005");
    assert_eq!(issue.nearest, [4, 5, 8, 12].map(|at| START.offset(at)));
    for outside in [-1, 16, 17, i64::MIN, i64::MAX] {
        assert!(place(part(PROLOGUE, &[]), outside, &NONE).is_err());
    }
}

#[test]
fn a_refused_instruction_moves_or_names_the_nearest_places() {
    // mov eax, 39; cpuid; push rbp; syscall; ret
    let code = [0xb8, 39, 0, 0, 0, 0x0f, 0xa2, 0x55, 0x0f, 0x05, 0xc3];
    let lines = rows(&[(0, 1), (5, 2), (8, 3)]);
    let (at, why) = place(part(&code, &lines), 5, &NONE).unwrap();
    assert_eq!(at, 7);
    assert!(why.starts_with("moved +2 past cpuid to push rbp (emulated;"), "{why}");
    assert!(
        why.ends_with("; cpuid: it is not on the list of instructions that are safe under a probe")
    );
    let issue = place(part(&code, &lines), 8, &NONE).unwrap_err();
    assert_eq!(issue.kind, IssueKind::RefusedInstruction);
    assert!(issue.detail.starts_with("syscall: "), "{}", issue.detail);
    assert_eq!(issue.nearest, [5, 7, 10].map(|at| START.offset(at)));
    let issue = issue.into_issue("main+8", |svma| format!("main+{:#x}", svma.0 - START.0));
    assert_eq!(issue.candidates, ["main+0x5", "main+0x7", "main+0xa"]);
}

#[test]
fn behind_data_only_a_row_of_the_line_table_proves_a_boundary() {
    // ret; two bytes that are no instruction; push rbp; ret
    let code = [0xc3, 0x06, 0x06, 0x55, 0xc3];
    assert!(place(part(&code, &[]), 3, &NONE).is_err());
    let lines = rows(&[(0, 1), (3, 2)]);
    assert_eq!(place(part(&code, &lines), 3, &NONE).unwrap().0, 3);
    assert!(place(part(&code, &lines), 2, &NONE).is_err());
}

#[test]
fn a_row_inside_an_instruction_makes_what_it_covers_no_place() {
    // mov eax, imm32; push rbp; push rbx; ret
    let code = [0xb8, 0x55, 0x55, 0x55, 0xc3, 0x55, 0x53, 0xc3];
    let lines = rows(&[(0, 1), (3, 2), (6, 3)]);
    assert_eq!(place(part(&code, &lines), 5, &NONE).unwrap_err().kind, IssueKind::NotOnInstruction);
    assert_eq!(place(part(&code, &lines), 6, &NONE).unwrap().0, 6);
    // Nor does a probe move there.
    assert_eq!(place(part(&code, &lines), 0, &NONE).unwrap().0, 0);
}

/// push rbp; mov rbp, rsp; mov [rbp-0x14], edi; mov [rbp-0x20], rsi; mov eax, [rbp-0x14];
/// test eax, eax; je +0; pop rbp; ret
const UNOPTIMISED: &[u8] = &[
    0x55, 0x48, 0x89, 0xe5, 0x89, 0x7d, 0xec, 0x48, 0x89, 0x75, 0xe0, 0x8b, 0x45, 0xec, 0x85, 0xc0,
    0x74, 0x00, 0x5d, 0xc3,
];

fn home(code: &[u8], pc: i64, cfa_offset: i64, size: u64) -> Home {
    parameter_home(code, START, START.offset(pc), cfa_offset, size)
}

/// SEM-3
#[test]
fn a_parameter_is_home_once_its_store_has_been_executed() {
    // rbp is CFA - 16: edi goes to CFA - 36, rsi to CFA - 48.
    for (pc, expected) in [(0, Home::NotYet), (4, Home::NotYet), (7, Home::Stored)] {
        assert_eq!(home(UNOPTIMISED, pc, -36, 4), expected, "at {pc}");
    }
    assert_eq!(home(UNOPTIMISED, 7, -48, 8), Home::NotYet);
    assert_eq!(home(UNOPTIMISED, 11, -48, 8), Home::Stored);
    // Behind the branch.
    assert_eq!(home(UNOPTIMISED, 18, -48, 8), Home::Stored);
    assert_eq!(home(UNOPTIMISED, 18, -56, 8), Home::Unknown);
    // Half of it is not it.
    assert_eq!(home(UNOPTIMISED, 11, -36, 8), Home::NotYet);
    // The caller stored it; the middle of an instruction; before the entry.
    assert_eq!(home(UNOPTIMISED, 0, 8, 8), Home::Stored);
    assert_eq!(home(UNOPTIMISED, 8, -36, 4), Home::Unknown);
    assert_eq!(home(UNOPTIMISED, -4, -36, 4), Home::Stored);
}

#[test]
fn stores_through_other_registers_are_followed_or_blur_the_answer() {
    // lea rax, [rsp-0x18]; movaps [rax], xmm0; ret
    let vector = [0x48, 0x8d, 0x44, 0x24, 0xe8, 0x0f, 0x29, 0x00, 0xc3];
    assert_eq!(home(&vector, 8, -32, 16), Home::Stored);
    // sub rsp, 0x18; mov [rsp+8], rdi; ret
    let leaf = [0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x7c, 0x24, 8, 0xc3];
    assert_eq!(home(&leaf, 9, -24, 8), Home::Stored);
    // and rsp, -32; mov [rsp], rdi; ret
    let aligned = [0x48, 0x83, 0xe4, 0xe0, 0x48, 0x89, 0x3c, 0x24, 0xc3];
    assert_eq!(home(&aligned, 8, -16, 8), Home::Unknown);
    // mov dword [rsp-8], 1 is no parameter.
    let constant = [0xc7, 0x44, 0x24, 0xf8, 1, 0, 0, 0, 0xc3];
    assert_eq!(home(&constant, 8, -16, 4), Home::NotYet);
}

#[test]
fn hostile_code_is_answered_without_panic() {
    let mut state = 1_u64;
    for _ in 0..2000 {
        let code: Vec<u8> = (0..40)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let start = Svma(u64::MAX - 20);
        let rows = [Row { svma: start.offset(3), file: 0, line: 0, is_stmt: false }];
        let part = Part { start, entry: Some(start), ..part(&code, &rows) };
        let decoded = Code::decode(part);
        for at in -2..42 {
            if let Ok(placement) = decoded.place(start.offset(at), &NONE) {
                assert!(decoded.boundaries().any(|b| b == placement.svma));
            }
            parameter_home(&code, start, start.offset(at), i64::MIN + 2 + at, u64::MAX);
            parameter_home(&code, start, start.offset(at), -8, 8);
        }
    }
}
