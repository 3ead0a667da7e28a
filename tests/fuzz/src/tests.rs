//! The short form: every entry over its seeds and over changed ones. HOST-1

use crate::random::Random;
use crate::{TARGETS, Target, seeds};

/// The most changes of one.
const CHANGES: u64 = 8;

/// Changes a few bytes, cuts, doubles or joins.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let special = [0, 1, 0x7f, 0x80, 0xff];
    for _ in 0..=random.below(CHANGES) {
        let length = bytes.len() as u64;
        let at = random.below(length) as usize;
        let to = at + random.below(length - at as u64 + 1) as usize;
        match random.below(8) {
            0 => bytes.truncate(to.max(1)),
            1 => drop(bytes.drain(at..to.min(at + 16))),
            2 => {
                let part = bytes[at..to.min(at + 64)].to_vec();
                bytes.splice(at..at, part);
            }
            3 => bytes[at] = *random.one_of(&special).unwrap(),
            4 => bytes[at..to.min(at + 8)].fill(0xff),
            _ => bytes[at] ^= 1 << random.below(8),
        }
        if bytes.is_empty() {
            return;
        }
    }
}

fn try_out(target: &Target) {
    let programs = seeds::programs().unwrap();
    let seeds = (target.seeds)(&programs).unwrap();
    for seed in &seeds {
        (target.run)(seed);
    }
    let mut random = Random::new(1);
    for round in 0..target.rounds {
        let mut bytes = seeds[round % seeds.len()].clone();
        change(&mut bytes, &mut random);
        (target.run)(&bytes);
    }
}

/// HOST-1
#[test]
fn changed_bytes_do_no_harm() {
    for target in &TARGETS {
        let start = std::time::Instant::now();
        try_out(target);
        println!("{}: {:?}", target.name, start.elapsed());
    }
}
