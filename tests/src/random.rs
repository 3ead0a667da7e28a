//! Random numbers that come again with their seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers by the seed in the environment variable `TRACER_SEED`; without it by another one each
    /// time in a soak, and by always the same one in the short form. The seed is printed.
    pub fn from_environment(name: &str) -> Self {
        let asked = std::env::var("TRACER_SEED").ok().and_then(|text| text.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs());
        let soak = std::env::var_os("TRACER_SOAK_N").is_some();
        let seed = asked.unwrap_or_else(|| if soak { now() } else { 1 });
        println!("{name}: TRACER_SEED={seed}");
        Self::new(seed)
    }

    /// Numbers by a seed.
    pub fn new(seed: u64) -> Self {
        // Zero stays zero; seeds beside each other give numbers far from each other.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// One of several.
    pub fn one_of<'a, T>(&mut self, those: &'a [T]) -> Option<&'a T> {
        let index = self.below(those.len() as u64);
        those.get(usize::try_from(index).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_numbers_and_others_give_others() {
        let first = |seed| {
            let mut random = Random::new(seed);
            [random.number(), random.number(), random.below(10)]
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        assert!((0..100).all(|seed| first(seed)[2] < 10));
        assert_eq!(Random::new(1).below(0), 0);
        assert_eq!(Random::new(1).one_of::<u8>(&[]), None);
    }
}
