//! Paths through made-up code.

use super::*;

const START: u64 = 0x1000;
const RDI: u32 = 1 << 5;
const RSI: u32 = 1 << 4;
const RBX: u32 = 1 << 3;

fn paths(bytes: &[u8]) -> Paths {
    Paths::of(&[(Svma(START), bytes)], &[Svma(START)], &|_| false).unwrap()
}

/// Where a variable was last that lives in `registers` at these offsets, and in another place at
/// those.
fn behind(
    paths: &Paths,
    at: u64,
    registers: u32,
    here: &[u64],
    otherwise: &[u64],
) -> Option<Vec<u64>> {
    let lives = |svma: Svma| match svma.0 - START {
        at if here.contains(&at) => Lives::Here,
        at if otherwise.contains(&at) => Lives::Otherwise,
        _ => Lives::Nowhere,
    };
    let found = paths.behind(Svma(START + at), registers, &lives)?;
    Some(found.into_iter().map(|svma| svma.0 - START).collect())
}

/// 0: mov rax, rdi; 3: nop; 4: mov rdi, rsi; 7: mov [rsi], rax; 10: ret
const STRAIGHT: &[u8] = &[0x48, 0x89, 0xf8, 0x90, 0x48, 0x89, 0xf7, 0x48, 0x89, 0x06, 0xc3];

/// SEM-9
#[test]
fn a_register_holds_a_value_until_it_is_written() {
    let paths = paths(STRAIGHT);
    assert_eq!(behind(&paths, 3, RDI, &[0], &[]), Some(vec![0]));
    assert_eq!(behind(&paths, 4, RDI, &[0], &[]), Some(vec![0]));
    assert_eq!(behind(&paths, 7, RDI, &[0], &[]), None);
    assert_eq!(behind(&paths, 10, RSI, &[0], &[]), Some(vec![0]));
    assert_eq!(behind(&paths, 10, RSI, &[0], &[3]), None);
    assert_eq!(behind(&paths, 7, MEMORY, &[3], &[]), Some(vec![3]));
    assert_eq!(behind(&paths, 10, MEMORY, &[3], &[]), None);
    // It had no place before the function's entry.
    assert_eq!(behind(&paths, 4, RSI, &[], &[]), None);
}

/// SEM-9
#[test]
fn every_way_must_come_from_where_the_value_was() {
    // 0: test edi, edi; 2: je 6; 4: mov ebx, edi; 6: nop; 7: jmp 6
    let code = paths(&[0x85, 0xff, 0x74, 0x02, 0x89, 0xfb, 0x90, 0xeb, 0xfd]);
    assert_eq!(behind(&code, 6, RSI, &[0], &[]), Some(vec![0]));
    assert_eq!(behind(&code, 6, RSI, &[4], &[]), None);
    assert_eq!(behind(&code, 6, RBX, &[0], &[]), None);
    assert_eq!(behind(&code, 6, RSI, &[2, 4], &[]), Some(vec![2, 4]));
}

/// SEM-9
#[test]
fn a_call_keeps_what_it_restores_alone() {
    // 0: call 0x100; 5: ret
    let paths = paths(&[0xe8, 0xfb, 0, 0, 0, 0xc3]);
    assert_eq!(behind(&paths, 5, RBX, &[0], &[]), Some(vec![0]));
    assert_eq!(behind(&paths, 5, RDI, &[0], &[]), None);
    assert_eq!(behind(&paths, 5, MEMORY, &[0], &[]), None);
}

/// SEM-9
#[test]
fn memory_below_a_stack_that_is_given_back_is_anybodys() {
    // 0: nop; 1: add rsp, 8; 5: ret
    let paths = paths(&[0x90, 0x48, 0x83, 0xc4, 0x08, 0xc3]);
    assert_eq!(behind(&paths, 1, MEMORY, &[0], &[]), Some(vec![0]));
    assert_eq!(behind(&paths, 5, MEMORY, &[0], &[]), None);
}

/// SEM-9
#[test]
fn who_names_an_address_may_go_there() {
    // 0: lea rax, [rip] (7); 7: nop; 8: ret
    let paths = paths(&[0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x90, 0xc3]);
    assert_eq!(behind(&paths, 7, RDI, &[0], &[]), None);
    assert_eq!(behind(&paths, 8, RDI, &[7], &[]), Some(vec![7]));
}

/// SEM-9
#[test]
fn code_that_is_not_understood_has_no_paths() {
    let of = |bytes: &[u8], entered: u64| {
        let leaves = |to: Svma| to.0 == START + 0x100;
        Paths::of(&[(Svma(START), bytes)], &[Svma(START + entered)], &leaves).is_some()
    };
    // A jump into the middle of an instruction; bytes that are none; an entry inside of one.
    assert!(!of(&[0xeb, 0xff, 0xc0], 0));
    assert!(!of(&[0x06], 0));
    assert!(!of(STRAIGHT, 1));
    // To where a register says; to another function, and to where none begins.
    assert!(!of(&[0xff, 0xe0], 0));
    assert!(of(&[0xe9, 0xfb, 0, 0, 0], 0));
    assert!(!of(&[0xe9, 0xfa, 0, 0, 0], 0));
    assert!(of(STRAIGHT, 0));
}
