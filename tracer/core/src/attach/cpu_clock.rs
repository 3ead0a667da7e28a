//! How much CPU time another process has used, exact at this moment.
#![expect(unsafe_code, reason = "rustix knows no clocks of other processes")]

use std::time::Duration;

/// CPU time of all threads of a process, those that have ended among them; `None` once it is gone.
pub fn of_process(pid: u32) -> Option<Duration> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to variables of ours.
    let is_known = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    is_known.then(|| Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanoseconds)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_time_goes_on_while_we_work() {
        let before = of_process(std::process::id()).unwrap();
        while of_process(std::process::id()).unwrap() < before + Duration::from_millis(2) {}
        assert_eq!(of_process(u32::MAX), None);
    }
}
