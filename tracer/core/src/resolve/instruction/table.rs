//! The allow-list: every instruction that may be probed, with what its trap costs.
//!
//! An instruction that is not here is refused. The kernel's own check is no defence: it accepts
//! `syscall`, `pushf`, `rep` forms and the middle of an instruction, and it executes some VEX
//! instructions as if they were others. The live test executes every entry with and without a
//! probe and compares all registers, flags and memory.

use crate::model::resolved::TrapClass::{self, Emulated, SingleStepped};
use iced_x86::Mnemonic::{self, *};

/// Which encodings of a mnemonic an entry allows. Each form excludes what no entry allows:
/// refused prefixes, EVEX, XOP, string operations, segment and control registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// All legacy encodings.
    Legacy,
    /// Legacy encodings without a memory operand.
    Registers,
    /// Legacy encodings but not opcode 0x90: the kernel up to 6.16 executes `xchg r8, rax`
    /// (41 90) as a nop. With memory it stays atomic, for it is executed as it is.
    Exchange,
    /// The nops that assemblers pad with, of 1 to 8 bytes, without the one of 5 bytes.
    Padding,
    /// Other nops, but not of 5 or 10 bytes: the kernel rewrites those into a call.
    Nop,
    /// `push` of a 64-bit register in one byte, or two with REX.B: what the kernel emulates.
    PushRegister,
    /// `push` and `pop` of 8 bytes.
    Stack,
    /// A near branch whose target is in the instruction.
    Relative,
    /// A near branch whose target is in a register or in memory.
    Indirect,
    /// VEX encodings whose opcode byte the kernel does not mistake for a one-byte instruction.
    Vex,
}

/// An entry of the allow-list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// The instruction.
    pub mnemonic: Mnemonic,
    /// Which of its encodings.
    pub form: Form,
    /// How the kernel executes them.
    pub trap: TrapClass,
}

/// All entries, in the order of the table.
pub fn entries() -> impl Iterator<Item = Entry> {
    TABLE.iter().flat_map(|&(trap, form, mnemonics)| {
        mnemonics.iter().map(move |&mnemonic| Entry { mnemonic, form, trap })
    })
}

/// The first group whose form fits comes first: emulated before single-stepped.
///
/// What is emulated: arch/x86/kernel/uprobes.c, `branch_setup_xol_ops` and `push_setup_xol_ops`
/// of Linux 6.18.
#[rustfmt::skip]
const TABLE: &[(TrapClass, Form, &[Mnemonic])] = &[
    (Emulated, Form::Padding, &[Nop]),
    (Emulated, Form::PushRegister, &[Push]),
    (Emulated, Form::Relative, &[
        Jmp, Call,
        Ja, Jae, Jb, Jbe, Je, Jg, Jge, Jl, Jle, Jne, Jno, Jnp, Jns, Jo, Jp, Js,
    ]),

    // Control flow and stack.
    (SingleStepped, Form::Nop, &[Nop]),
    (SingleStepped, Form::Indirect, &[Jmp, Call]),
    (SingleStepped, Form::Stack, &[Push, Pop]),
    (SingleStepped, Form::Registers, &[Ret, Leave, Endbr64, Pause]),

    // Integers.
    (SingleStepped, Form::Exchange, &[Xchg]),
    (SingleStepped, Form::Legacy, &[
        Mov, Movzx, Movsx, Movsxd, Movbe, Movnti, Lea, Bswap,
        Add, Adc, Sub, Sbb, And, Or, Xor, Cmp, Test, Not, Neg, Inc, Dec,
        Imul, Mul, Div, Idiv, Adcx, Adox, Xadd, Cmpxchg,
        Shl, Shr, Sar, Rol, Ror, Rcl, Rcr, Shld, Shrd,
        Bt, Btc, Btr, Bts, Bsf, Bsr, Tzcnt, Lzcnt, Popcnt, Crc32,
        Cbw, Cwde, Cdqe, Cwd, Cdq, Cqo, Clc, Stc, Cmc, Cld, Std, Lahf, Sahf,
        Cmova, Cmovae, Cmovb, Cmovbe, Cmove, Cmovg, Cmovge, Cmovl,
        Cmovle, Cmovne, Cmovno, Cmovnp, Cmovns, Cmovo, Cmovp, Cmovs,
        Seta, Setae, Setb, Setbe, Sete, Setg, Setge, Setl,
        Setle, Setne, Setno, Setnp, Setns, Seto, Setp, Sets,
        Prefetchnta, Prefetcht0, Prefetcht1, Prefetcht2, Prefetchw, Lfence, Mfence, Sfence,
    ]),
    (SingleStepped, Form::Vex, &[
        Andn, Bextr, Blsi, Blsmsk, Blsr, Bzhi, Mulx, Pdep, Pext, Rorx, Sarx, Shlx, Shrx,
    ]),

    // SSE to SSE4.2 and their MMX forms, without string comparisons.
    (SingleStepped, Form::Legacy, &[
        Movaps, Movapd, Movups, Movupd, Movdqa, Movdqu, Movss, Movsd, Movd, Movq, Movq2dq, Movdq2q,
        Movhps, Movhpd, Movlps, Movlpd, Movhlps, Movlhps, Movshdup, Movsldup, Movddup, Lddqu,
        Movntps, Movntpd, Movntdq, Movntq, Movntdqa, Movmskps, Movmskpd, Pmovmskb,
        Ldmxcsr, Stmxcsr, Emms,
        Addps, Addpd, Addss, Addsd, Subps, Subpd, Subss, Subsd, Mulps, Mulpd, Mulss, Mulsd,
        Divps, Divpd, Divss, Divsd, Minps, Minpd, Minss, Minsd, Maxps, Maxpd, Maxss, Maxsd,
        Sqrtps, Sqrtpd, Sqrtss, Sqrtsd, Rcpps, Rcpss, Rsqrtps, Rsqrtss,
        Haddps, Haddpd, Hsubps, Hsubpd, Addsubps, Addsubpd, Dpps, Dppd,
        Roundps, Roundpd, Roundss, Roundsd,
        Andps, Andpd, Andnps, Andnpd, Orps, Orpd, Xorps, Xorpd,
        Cmpps, Cmppd, Cmpss, Cmpsd, Comiss, Comisd, Ucomiss, Ucomisd,
        Cvtsi2ss, Cvtsi2sd, Cvtss2si, Cvtsd2si, Cvttss2si, Cvttsd2si, Cvtss2sd, Cvtsd2ss,
        Cvtps2pd, Cvtpd2ps, Cvtdq2ps, Cvtdq2pd, Cvtps2dq, Cvtpd2dq, Cvttps2dq, Cvttpd2dq,
        Cvtpi2ps, Cvtpi2pd, Cvtps2pi, Cvtpd2pi, Cvttps2pi, Cvttpd2pi,
        Shufps, Shufpd, Unpcklps, Unpcklpd, Unpckhps, Unpckhpd, Insertps, Extractps,
        Blendps, Blendpd, Blendvps, Blendvpd, Pblendw, Pblendvb,
        Paddb, Paddw, Paddd, Paddq, Paddsb, Paddsw, Paddusb, Paddusw,
        Psubb, Psubw, Psubd, Psubq, Psubsb, Psubsw, Psubusb, Psubusw,
        Pmullw, Pmulld, Pmulhw, Pmulhuw, Pmulhrsw, Pmuludq, Pmuldq, Pmaddwd, Pmaddubsw,
        Pavgb, Pavgw, Psadbw, Mpsadbw, Phminposuw, Pabsb, Pabsw, Pabsd, Psignb, Psignw, Psignd,
        Phaddw, Phaddd, Phaddsw, Phsubw, Phsubd, Phsubsw,
        Pminsb, Pminsw, Pminsd, Pminub, Pminuw, Pminud,
        Pmaxsb, Pmaxsw, Pmaxsd, Pmaxub, Pmaxuw, Pmaxud,
        Pand, Pandn, Por, Pxor, Ptest,
        Pcmpeqb, Pcmpeqw, Pcmpeqd, Pcmpeqq, Pcmpgtb, Pcmpgtw, Pcmpgtd, Pcmpgtq,
        Psllw, Pslld, Psllq, Pslldq, Psrlw, Psrld, Psrlq, Psrldq, Psraw, Psrad,
        Pshufb, Pshufd, Pshufhw, Pshuflw, Pshufw, Palignr,
        Punpcklbw, Punpcklwd, Punpckldq, Punpcklqdq, Punpckhbw, Punpckhwd, Punpckhdq, Punpckhqdq,
        Packsswb, Packssdw, Packuswb, Packusdw,
        Pinsrb, Pinsrw, Pinsrd, Pinsrq, Pextrb, Pextrw, Pextrd, Pextrq,
        Pmovsxbw, Pmovsxbd, Pmovsxbq, Pmovsxwd, Pmovsxwq, Pmovsxdq,
        Pmovzxbw, Pmovzxbd, Pmovzxbq, Pmovzxwd, Pmovzxwq, Pmovzxdq,
        Aesdec, Aesdeclast, Aesenc, Aesenclast, Aesimc, Aeskeygenassist, Pclmulqdq,
        Sha1rnds4, Sha1nexte, Sha1msg1, Sha1msg2, Sha256rnds2, Sha256msg1, Sha256msg2,
    ]),

    // x87.
    (SingleStepped, Form::Legacy, &[
        Fld, Fst, Fstp, Fild, Fist, Fistp, Fisttp, Fld1, Fldz, Fldpi, Fldl2e, Fldl2t, Fldlg2,
        Fldln2, Fxch, Fchs, Fabs, Fsqrt, Frndint, Fscale, Fxam, Ftst,
        Fadd, Faddp, Fiadd, Fsub, Fsubp, Fisub, Fsubr, Fsubrp, Fisubr,
        Fmul, Fmulp, Fimul, Fdiv, Fdivp, Fidiv, Fdivr, Fdivrp, Fidivr,
        Fcom, Fcomp, Fcompp, Fucom, Fucomp, Fucompp, Fcomi, Fcomip, Fucomi, Fucomip,
        Fcmovb, Fcmove, Fcmovbe, Fcmovu, Fcmovnb, Fcmovne, Fcmovnbe, Fcmovnu,
        Fnstcw, Fldcw, Fnstsw,
    ]),

    // AVX, AVX2 and FMA, as far as the opcode byte lets them pass.
    (SingleStepped, Form::Vex, &[
        Vmovaps, Vmovapd, Vmovups, Vmovupd, Vmovss, Vmovsd,
        Vmovlps, Vmovlpd, Vmovhlps, Vmovsldup, Vmovddup,
        Vmovntps, Vmovntpd, Vmovntdqa, Vmovmskps, Vmovmskpd, Vpmovmskb,
        Vaddps, Vaddpd, Vaddss, Vaddsd, Vsubps, Vsubpd, Vsubss, Vsubsd,
        Vmulps, Vmulpd, Vmulss, Vmulsd, Vdivps, Vdivpd, Vdivss, Vdivsd,
        Vminps, Vminpd, Vminss, Vminsd, Vmaxps, Vmaxpd, Vmaxss, Vmaxsd,
        Vsqrtps, Vsqrtpd, Vsqrtss, Vsqrtsd, Vrcpps, Vrcpss, Vrsqrtps, Vrsqrtss,
        Vandps, Vandpd, Vandnps, Vandnpd, Vorps, Vorpd, Vxorps, Vxorpd,
        Vaddsubps, Vaddsubpd, Vdpps, Vdppd, Vroundps, Vroundpd, Vroundss, Vroundsd,
        Vucomiss, Vucomisd,
        Vcvtsi2ss, Vcvtsi2sd, Vcvtss2si, Vcvtsd2si, Vcvttss2si, Vcvttsd2si, Vcvtss2sd, Vcvtsd2ss,
        Vcvtps2pd, Vcvtpd2ps, Vcvtdq2ps, Vcvtps2dq, Vcvttps2dq, Vcvtph2ps, Vcvtps2ph,
        Vshufps, Vshufpd, Vunpcklps, Vunpcklpd, Vunpckhps, Vunpckhpd, Vinsertps,
        Vblendps, Vblendpd, Vblendvps, Vblendvpd, Vpblendd, Vpblendvb,
        Vpermilps, Vpermilpd, Vperm2i128, Vpermd, Vpermq, Vpermpd,
        Vinsertf128, Vinserti128, Vextractf128, Vextracti128,
        Vbroadcastss, Vbroadcastsd, Vbroadcastf128, Vbroadcasti128, Vpbroadcastd, Vpbroadcastq,
        Vpaddb, Vpaddw, Vpaddd, Vpaddusb, Vpaddusw, Vpsubb, Vpsubw, Vpsubusb,
        Vpsubusw, Vpmulld, Vpmulhrsw, Vpmuldq, Vpmaddubsw, Vpmaddwd,
        Vpavgb, Vpavgw, Vpsadbw, Vmpsadbw, Vphminposuw, Vpabsb, Vpabsw,
        Vpsignb, Vpsignw, Vpsignd, Vphaddw, Vphaddd, Vphaddsw, Vphsubw,
        Vpminsb, Vpminsd, Vpminub, Vpminuw, Vpminud, Vpmaxsb, Vpmaxsd, Vpmaxub, Vpmaxuw,
        Vpand, Vpandn, Vtestpd,
        Vpcmpeqq, Vpcmpgtb, Vpcmpgtw, Vpcmpgtd,
        Vpslld, Vpsllq, Vpsrlw, Vpsrld, Vpsrlq, Vpsraw, Vpsrad,
        Vpsllvd, Vpsllvq, Vpsrlvd, Vpsrlvq, Vpsravd, Vpshufb, Vpalignr,
        Vpunpckhbw, Vpunpckhwd, Vpunpckhdq, Vpacksswb, Vpackssdw, Vpackusdw,
        Vpinsrb, Vpinsrw, Vpinsrd, Vpinsrq, Vpextrb, Vpextrw,
        Vpmovsxbw, Vpmovsxbd, Vpmovsxbq, Vpmovsxwd, Vpmovsxwq, Vpmovsxdq,
        Vpmovzxbw, Vpmovzxbd, Vpmovzxbq, Vpmovzxwd, Vpmovzxwq, Vpmovzxdq,
        Vfmadd132ps, Vfmadd132pd, Vfmadd132ss, Vfmadd132sd,
        Vfmadd213ps, Vfmadd213pd, Vfmadd213ss, Vfmadd213sd,
        Vfmadd231ps, Vfmadd231pd, Vfmadd231ss, Vfmadd231sd,
        Vfmsub132ss, Vfmsub132sd, Vfmsub213ps, Vfmsub213pd, Vfmsub213ss, Vfmsub213sd,
        Vfmsub231ps, Vfmsub231pd, Vfmsub231ss, Vfmsub231sd,
        Vfnmadd132ps, Vfnmadd132pd, Vfnmadd213ps, Vfnmadd213pd, Vfnmadd213ss, Vfnmadd213sd,
        Vfnmadd231ps, Vfnmadd231pd, Vfnmadd231ss, Vfnmadd231sd,
        Vfnmsub132ps, Vfnmsub132pd, Vfnmsub132ss, Vfnmsub132sd,
        Vfnmsub213ps, Vfnmsub213pd, Vfnmsub213ss, Vfnmsub213sd,
        Vfnmsub231ps, Vfnmsub231pd, Vfnmsub231ss, Vfnmsub231sd,
        Vaesdec, Vaesdeclast, Vaesenc, Vaesenclast, Vaesimc, Vaeskeygenassist, Vpclmulqdq,
    ]),
];
