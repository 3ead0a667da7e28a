//! Paths through made-up code.

use super::*;

const START: u64 = 0x1000;
const RDI: u32 = 1 << 5;
const RSI: u32 = 1 << 4;
const RBX: u32 = 1 << 3;

fn paths(bytes: &[u8]) -> Paths {
    Paths::of(&[(Svma(START), bytes)], &[Svma(START)], &[]).unwrap()
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
    let inside = START..START + 0x100;
    let found = paths.behind(Svma(START + at), registers, std::slice::from_ref(&inside), &lives)?;
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
    // Where jumps lead nobody knows where, any row may be where they lead.
    // 0: nop; 1: nop; 2: jmp rax
    let rows = [Svma(START + 1)];
    let bytes = [0x90, 0x90, 0xff, 0xe0];
    let jumps = Paths::of(&[(Svma(START), &bytes)], &[Svma(START)], &rows).unwrap();
    assert_eq!(behind(&jumps, 2, RSI, &[1], &[]), Some(vec![1]));
    assert_eq!(behind(&jumps, 2, RSI, &[0], &[]), None);
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
fn what_is_ahead_is_there_already_if_nothing_writes_it() {
    let paths = paths(STRAIGHT);
    let whole = START..START + 0x100;
    let ahead = |inside: &Range<u64>, registers: Option<u32>| {
        let lives = |svma: Svma| (svma.0 >= START + 7).then_some(registers);
        let found = paths.ahead(Svma(START), std::slice::from_ref(inside), &lives);
        found.map(|svma| svma.0 - START)
    };
    assert_eq!(ahead(&whole, Some(RSI)), Some(7));
    assert_eq!(ahead(&whole, Some(RDI)), None);
    assert_eq!(ahead(&whole, None), None);
    assert_eq!(ahead(&(START..START + 7), Some(RSI)), None);
    let branch = self::paths(&[0x74, 0x00, 0x90, 0xc3]);
    let lives = |_| Some(Some(RSI));
    assert_eq!(branch.ahead(Svma(START), std::slice::from_ref(&whole), &lives), None);
}

#[test]
fn code_that_is_not_understood_has_no_paths() {
    // A jump into the middle of an instruction; bytes that are none.
    let of = |bytes: &[u8]| Paths::of(&[(Svma(START), bytes)], &[Svma(START)], &[]).is_some();
    assert!(!of(&[0xeb, 0xff, 0xc0]));
    assert!(!of(&[0x06]));
    assert!(of(STRAIGHT));
}
