//! A probe that nobody hits any more ends by itself, where that was asked for.

use std::time::{Duration, Instant};

/// How long a probe has not been hit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    /// `None` for no limit.
    limit: Option<Duration>,
    hits: u64,
    since: Instant,
}

impl Idle {
    /// From `now` on.
    pub(super) fn new(limit: Option<Duration>, now: Instant) -> Self {
        Self { limit, hits: 0, since: now }
    }

    /// How long it may go on without a hit; `None` for as long as it likes.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let limit = self.limit?;
        Some(limit.saturating_sub(now.saturating_duration_since(self.since)))
    }

    /// Notes how many hits there are `now`; true if it has waited too long for another one. It may
    /// take a little longer than the limit, for a hit counts from when it is seen, never shorter.
    pub(super) fn is_over(&mut self, hits: u64, now: Instant) -> bool {
        if hits != self.hits {
            self.hits = hits;
            self.restart(now);
        }
        self.left(now).is_some_and(|left| left.is_zero())
    }

    /// Waits from `now` on: before, it could not be hit.
    pub(super) fn restart(&mut self, now: Instant) {
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hit_makes_it_wait_longer() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut idle = Idle::new(Some(Duration::from_millis(100)), start);
        assert!(!idle.is_over(0, at(99)));
        assert!(!idle.is_over(5, at(150)), "it was hit");
        assert_eq!(idle.left(at(200)), Some(Duration::from_millis(50)));
        assert!(!idle.is_over(5, at(249)));
        assert!(idle.is_over(5, at(250)));
        idle.restart(at(300));
        assert!(!idle.is_over(5, at(399)));
        assert!(idle.is_over(5, at(400)));
        let mut never = Idle::new(None, start);
        assert!(!never.is_over(0, at(1_000_000)));
        assert_eq!(never.left(at(0)), None);
    }
}
