//! This machine can run live tests at all.

#[test]
fn live_tests_can_run_here() {
    tracer_tests::privilege::require().unwrap();
}
