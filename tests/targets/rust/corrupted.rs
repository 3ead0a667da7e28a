//! As corrupted.c, for what only Rust's types have: lengths that are not true, discriminants of
//! no variant, numbers that are no `bool` and no `char`.
#![expect(dead_code, reason = "only their bytes are written")]

use std::io::Write as _;
use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[repr(u8)]
enum Plain {
    One = 1,
    Two = 2,
}

enum Tagged {
    Number(u64),
    Pair(u32, u32),
    Nothing,
}

#[repr(C)]
struct Broken {
    before: u64,
    slice: &'static [u64],
    wild: &'static [u64],
    text: &'static str,
    vector: Vec<u64>,
    string: String,
    truth: bool,
    plain: Plain,
    tagged: Tagged,
    niche: Option<bool>,
    beyond: char,
    surrogate: char,
    boxed: Box<Tagged>,
    after: u64,
}

static CALLS: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn corrupted(all: *const Broken, count: u64) -> u64 {
    // Read, so that it is there.
    count * CALLS.fetch_add(unsafe { (&raw const (*all).before).read_volatile() }, Relaxed) + 1
}

fn main() {
    static REAL: [u64; 4] = [10, 11, 12, 13];
    let long = 1_usize << 60;
    let mut broken = MaybeUninit::<Broken>::zeroed();
    let all = broken.as_mut_ptr();
    unsafe {
        // The types' own rules would not let these be: their bytes are written one by one.
        (&raw mut (*all).before).write(1);
        let words = |at: *mut u8, words: &[usize]| {
            at.cast::<usize>().copy_from_nonoverlapping(words.as_ptr(), words.len());
        };
        let real = REAL.as_ptr() as usize;
        words((&raw mut (*all).slice).cast(), &[real, long]);
        words((&raw mut (*all).wild).cast(), &[0xffff_8880_0000_1000, 3]);
        words((&raw mut (*all).text).cast(), &[real, long]);
        words((&raw mut (*all).vector).cast(), &[real, long, long]);
        words((&raw mut (*all).string).cast(), &[long, real, long]);
        (&raw mut (*all).truth).cast::<u8>().write(7);
        (&raw mut (*all).plain).cast::<u8>().write(9);
        (&raw mut (*all).tagged).cast::<u8>().write_bytes(0x77, size_of::<Tagged>());
        (&raw mut (*all).niche).cast::<u8>().write(9);
        (&raw mut (*all).beyond).cast::<u32>().write(0x11_0000);
        (&raw mut (*all).surrogate).cast::<u32>().write(0xd800);
        words((&raw mut (*all).boxed).cast(), &[0x4141_4141_4141_4141]);
        (&raw mut (*all).after).write(2);
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        if line.is_ok_and(|line| line == "go") {
            let count = corrupted(all, 1);
            println!("done {count}");
            std::io::stdout().flush().unwrap();
        }
    }
}
