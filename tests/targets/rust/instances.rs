//! As instances.c: a function, a generic one and a method that are inlined everywhere.

use std::hint::black_box;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

const CALLERS: usize = 4;
const CALLS_MAX: usize = 64;
static CALLS: [AtomicUsize; CALLERS] = [const { AtomicUsize::new(0) }; CALLERS];
static VALUES: [[AtomicI64; CALLS_MAX]; CALLERS] =
    [const { [const { AtomicI64::new(0) }; CALLS_MAX] }; CALLERS];
static SINK: AtomicI64 = AtomicI64::new(0);

#[inline(always)]
fn counted(caller: usize, value: i64) -> i64 {
    let call = CALLS[caller].fetch_add(1, Relaxed);
    VALUES[caller][call].store(value, Relaxed);
    value
}

mod shop {
    use super::{Relaxed, SINK, black_box};

    #[inline(always)]
    pub fn weigh(value: i64, scale: i64) -> i64 {
        let mut result = value.wrapping_mul(scale);
        if result > 100 {
            result = result.wrapping_sub(SINK.load(Relaxed));
        }
        SINK.store(black_box(result), Relaxed);
        result.wrapping_add(value)
    }

    pub struct Scale(pub i64);

    impl Scale {
        #[inline(always)]
        pub fn weigh(&self, value: i64) -> i64 {
            let result = value.wrapping_mul(self.0);
            SINK.store(black_box(result), Relaxed);
            result ^ value
        }
    }
}

#[inline(never)]
fn once(number: i64) -> i64 {
    black_box(shop::weigh(counted(0, number), 3))
}

#[inline(never)]
fn looped(number: i64) -> i64 {
    let mut total = 0_i64;
    for i in 0..number {
        total = total.wrapping_add(shop::weigh(counted(1, i), 2));
    }
    black_box(total)
}

#[inline(never)]
fn unrolled(number: i64) -> i64 {
    let mut total = 0_i64;
    for i in 0..4 {
        total = total.wrapping_add(shop::weigh(counted(2, i + number), 5));
    }
    black_box(total)
}

#[inline(never)]
fn by_method(scale: &shop::Scale, number: i64) -> i64 {
    black_box(scale.weigh(counted(3, number)) + scale.weigh(counted(3, number + 1)))
}

fn main() {
    let names = ["once", "looped", "unrolled", "by_method"];
    println!("ready");
    for _line in std::io::stdin().lines() {
        for i in 0..5 {
            black_box(once(i) ^ looped(i) ^ unrolled(i) ^ by_method(&shop::Scale(i + 1), i));
        }
        println!("done {}", CALLS.iter().map(|calls| calls.load(Relaxed)).sum::<usize>());
    }
    let told = (0..CALLERS).map(|caller| {
        let values = VALUES[caller][..CALLS[caller].load(Relaxed)].iter();
        let values: Vec<String> = values.map(|value| value.load(Relaxed).to_string()).collect();
        format!(" instances::{} {}", names[caller], values.join(","))
    });
    println!("calls{}", told.collect::<String>());
}
