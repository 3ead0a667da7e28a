//! Boot time → wall time, and deadlines.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// What to add to a boot time to get nanoseconds since the epoch, measured now. The wall clock can
/// be set at any time, so an old measurement is not kept.
pub fn wall_minus_boot_ns() -> i128 {
    let before = nanoseconds(clock_gettime(ClockId::Boottime));
    let wall = nanoseconds(clock_gettime(ClockId::Realtime));
    let after = nanoseconds(clock_gettime(ClockId::Boottime));
    // The wall clock was read half-way between the two, give or take their distance.
    wall - (before + after) / 2
}

/// The boot time that it will be after `duration`, in nanoseconds.
pub fn boot_ns_after(duration: Duration) -> u64 {
    u64::try_from(u128::from(boot_ns()) + duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The boot time now, in nanoseconds.
pub fn boot_ns() -> u64 {
    let now = nanoseconds(clock_gettime(ClockId::Boottime));
    u64::try_from(now).unwrap_or_default()
}

fn nanoseconds(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn boot_time_plus_the_offset_is_the_wall_time() {
        let boot = nanoseconds(clock_gettime(ClockId::Boottime));
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i128;
        let apart = (boot + wall_minus_boot_ns() - wall).unsigned_abs();
        assert!(apart < Duration::from_secs(1).as_nanos(), "{apart} ns apart");
    }
}
