//! What is allowed, what is refused, and how the kernel executes it.

use super::*;

fn trap(bytes: &[u8]) -> TrapClass {
    classify(bytes, Svma(0x1000)).unwrap_or_else(|r| panic!("{bytes:02x?} refused: {r}")).trap
}

fn refusal(bytes: &[u8]) -> RefusalCode {
    match classify(bytes, Svma(0x1000)) {
        Ok(allowed) => panic!("{bytes:02x?} allowed: {}", allowed.text),
        Err(refusal) => refusal.code,
    }
}

#[test]
fn what_the_kernel_emulates_is_emulated() {
    let emulated: [&[u8]; 13] = [
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        &[0x55],
        &[0x41, 0x57],
        &[0xeb, 0x10],
        &[0xe9, 0x10, 0x00, 0x00, 0x00],
        &[0xe8, 0x10, 0x00, 0x00, 0x00],
        &[0x74, 0x10],
        &[0x0f, 0x84, 0x10, 0x00, 0x00, 0x00],
    ];
    for bytes in emulated {
        assert_eq!(trap(bytes), TrapClass::Emulated, "{bytes:02x?}");
    }
}

#[test]
fn ordinary_instructions_are_single_stepped() {
    let stepped: [&[u8]; 12] = [
        &[0xf3, 0x0f, 0x1e, 0xfa],                                     // endbr64
        &[0x89, 0xf8],                                                 // mov eax, edi
        &[0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0],                // mov rax, fs:[0x28]
        &[0xff, 0x25, 0, 0, 0, 0],                                     // jmp [rip]
        &[0xff, 0xd0],                                                 // call rax
        &[0xc3],                                                       // ret
        &[0x6a, 0x01],                                                 // push 1
        &[0x5d],                                                       // pop rbp
        &[0xf2, 0x0f, 0x58, 0xc1],                                     // addsd
        &[0x66, 0x0f, 0xef, 0xc0],                                     // pxor
        &[0xc5, 0xf8, 0x58, 0xc1],                                     // vaddps
        &[0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11], // mov rax, imm64
    ];
    for bytes in stepped {
        assert_eq!(trap(bytes), TrapClass::SingleStepped, "{bytes:02x?}");
    }
}

#[test]
fn what_would_hurt_the_target_is_refused() {
    let cases: [(&[u8], RefusalCode); 30] = [
        (&[0x0f, 0x1f, 0x44, 0x00, 0x00], RefusalCode::RewrittenNop),
        (&[0x66, 0x0f, 0x1f, 0x40, 0x00], RefusalCode::RewrittenNop),
        (&[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], RefusalCode::Prefix),
        (&[0x66, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], RefusalCode::RewrittenNop),
        (&[0x0f, 0x05], RefusalCode::Trap),            // syscall
        (&[0x0f, 0x34], RefusalCode::Trap),            // sysenter
        (&[0xcd, 0x80], RefusalCode::Trap),            // int 0x80
        (&[0xcc], RefusalCode::Trap),                  // int3
        (&[0x0f, 0x0b], RefusalCode::Trap),            // ud2
        (&[0xf4], RefusalCode::Trap),                  // hlt
        (&[0x9c], RefusalCode::Trap),                  // pushf
        (&[0x9d], RefusalCode::Trap),                  // popf
        (&[0x48, 0xcf], RefusalCode::Trap),            // iretq
        (&[0xf3, 0xa4], RefusalCode::StringOperation), // rep movsb
        (&[0xaa], RefusalCode::StringOperation),       // stosb
        (&[0xf0, 0x0f, 0xb1, 0x0f], RefusalCode::Prefix), // lock cmpxchg
        (&[0x3e, 0xff, 0xe0], RefusalCode::Prefix),    // notrack jmp rax
        (&[0x66, 0xe8, 0, 0, 0, 0], RefusalCode::Prefix), // data16 call
        (&[0xf2, 0xe9, 0, 0, 0, 0], RefusalCode::Prefix), // bnd jmp
        (&[0x67, 0x8b, 0x05, 0, 0, 0, 0], RefusalCode::Prefix), // mov eax, [eip]
        (&[0x48, 0x66, 0x90], RefusalCode::Prefix),    // REX that is void
        (&[0xf0, 0x87, 0x07], RefusalCode::Prefix),    // lock xchg [rdi], eax
        (&[0x41, 0x90], RefusalCode::Operands),        // xchg r8d, eax
        (&[0x8e, 0xd0], RefusalCode::Operands),        // mov ss, eax
        (&[0x0f, 0xa2], RefusalCode::NotListed),       // cpuid
        (&[0x0f, 0x31], RefusalCode::NotListed),       // rdtsc
        (&[0xc5, 0xf9, 0xef, 0xc0], RefusalCode::NotListed), // vpxor
        (&[0xc5, 0xf5, 0x74, 0xc0], RefusalCode::NotListed), // vpcmpeqb
        (&[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1], RefusalCode::Encoding), // EVEX vaddps
        (&[0x06], RefusalCode::NotCode),
    ];
    for (bytes, code) in cases {
        assert_eq!(refusal(bytes), code, "{bytes:02x?}");
    }
    assert_eq!(refusal(&[]), RefusalCode::NotCode);
    assert_eq!(refusal(&[0x66; 16]), RefusalCode::NotCode);
}

#[test]
fn no_entry_is_listed_twice_and_the_bad_ones_are_not_listed() {
    let mut seen = std::collections::HashSet::new();
    for entry in entries() {
        assert!(seen.insert((entry.mnemonic, entry.form)), "{entry:?} twice");
    }
    for mnemonic in [
        Mnemonic::Syscall,
        Mnemonic::Pushfq,
        Mnemonic::Popfq,
        Mnemonic::Cpuid,
        Mnemonic::Rdtsc,
        Mnemonic::Pcmpistri,
        Mnemonic::Vzeroupper,
        Mnemonic::Vpgatherdd,
    ] {
        assert!(of_mnemonic(mnemonic).is_empty(), "{mnemonic:?}");
    }
}

#[test]
fn the_text_is_what_a_disassembler_shows() {
    let text = |bytes: &[u8]| classify(bytes, Svma(0x1000)).map(|c| c.text);
    assert_eq!(text(&[0x41, 0x57]).as_deref(), Ok("push r15"));
    assert_eq!(text(&[0xe8, 0xfb, 0x0f, 0, 0]).as_deref(), Ok("call 0x2000"));
    assert_eq!(text(&[0x48, 0x83, 0xec, 0x18]).as_deref(), Ok("sub rsp, 0x18"));
}
