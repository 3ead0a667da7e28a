//! A kernel is served, or refused with the reason. This one is served; `cargo xtask kernels` runs the
//! test on others.

use rustix::system::uname;
use tracer_tests::cli;
use tracer_tests::privilege::require;
use tracer_tests::targets::Target;
use tracer_tests::text::require_as_in_files;

const KERNEL_TOO_OLD: i32 = 13;
/// The first with `bpf_loop`.
const OLDEST: (u32, u32) = (5, 17);

/// Major and minor number of the running kernel.
fn version() -> (u32, u32) {
    let release = uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn the_kernel_is_served_or_refused_with_the_reason() {
    require().unwrap();
    let mut target = Target::c("counter", "gcc", &["-O2"]).unwrap().start(&["1", "1"]).unwrap();
    let pid = target.pid().to_string();
    if version() >= OLDEST {
        let tracer = cli::RunningTracer::armed(&["snapshot", "-p", &pid, "counted"]).unwrap();
        target.go().unwrap();
        let done = tracer.finish().unwrap();
        assert!(done.status.success(), "{done:?}");
        assert!(done.output().unwrap().contains("number: uint64_t = 0"), "{done:?}");
    } else {
        let done = cli::tracer(&["snapshot", "-p", &pid, "counted"]).unwrap();
        assert_eq!(done.status.code(), Some(KERNEL_TOO_OLD), "{done:?}");
        let said = done.errors().unwrap();
        assert!(said.contains("lacks what tracer needs"), "{said}");
        assert!(said.contains("use Linux 5.17 or later"), "{said}");
        let doctor = cli::tracer(&["doctor"]).unwrap();
        assert!(!doctor.status.success(), "{doctor:?}");
        assert!(doctor.output().unwrap().contains("use Linux 5.17 or later"), "{doctor:?}");
    }
    require_as_in_files(target.pid()).unwrap();
    target.go().unwrap();
    target.finish().unwrap();
}
