//! What is run on which kernel.

use super::cases_target_dir;
use crate::project::tracer_binary;
use std::time::Duration;

/// A machine's work.
#[derive(Debug)]
pub(crate) struct Run {
    /// Names its cases in the guest.
    pub(crate) name: &'static str,
    /// Lines of `ATTACH TEST`.
    pub(crate) cases: &'static [&'static str],
    /// Two cpus that run at the same time, and a kernel that preempts everywhere.
    pub(crate) is_smp: bool,
    /// How long it may take.
    pub(crate) patience: Duration,
}

impl Run {
    /// What the kernel's command line says of it, for the guest's environment and the kernel.
    pub(crate) fn parameters(&self) -> String {
        format!(
            "TRACER_CASES={} CARGO_TARGET_DIR={} TRACER_BINARY={}{}",
            self.name,
            cases_target_dir().display(),
            tracer_binary().display(),
            if self.is_smp { " preempt=full" } else { "" }
        )
    }
}

/// What holds on every kernel that tracer works on.
const SERVED: Run = Run {
    name: "served",
    cases: &[
        "auto kernels::the_kernel_is_served_or_refused_with_the_reason",
        "auto find_doctor::doctor_is_content_here_and_tells_both_costs",
        "auto find_doctor::functions_are_found_with_their_lines",
        "auto vars::a_page_names_the_lines_and_an_unknown_place_fails_as_a_snapshot_does",
        "auto values::gcc_o2",
        "auto stack::all_frames_have_names_and_lines_in_order",
        "auto late::optimised",
        "auto equation::four_threads",
        "auto equation::counting_only",
        "auto equation::a_forked_child_is_not_the_target",
        "auto equation::another_process_of_the_same_pid",
        "auto ending::signals",
        "auto ending::tracer_is_killed",
        "auto ending::the_target_replaces_its_program",
        "auto ending::another_tracer_is_there",
        "auto bad_input::locations::an_address_inside_an_instruction",
        "auto bad_input::locations::an_instruction_that_is_refused",
        "auto bad_input::processes::code_where_no_breakpoint_can_fire",
        "auto bad_input::processes::code_that_is_not_what_the_file_has",
        "auto access::an_owner_traces_their_own_process_and_no_one_elses",
        "auto access::a_process_that_is_not_dumpable_hides_from_its_owner",
        "auto access::a_process_that_hides_after_the_probe_was_placed_is_not_captured",
        "auto access::a_setuid_program_that_the_process_becomes_is_not_captured",
        "perf equation::four_threads",
        "perf ending::signals",
        "perf ending::tracer_is_killed",
        "perf fallback::what_perf_events_cost_is_said",
    ],
    is_smp: false,
    patience: Duration::from_secs(600),
};

/// What holds on a kernel that is too old.
const REFUSED: Run = Run {
    name: "refused",
    cases: &["auto kernels::the_kernel_is_served_or_refused_with_the_reason"],
    is_smp: false,
    patience: Duration::from_secs(120),
};

/// What a series of kernels must do.
pub(crate) fn runs_of(series: &str) -> &'static [&'static Run] {
    match series {
        "5.10" => &[&REFUSED],
        _ => &[&SERVED],
    }
}

/// Every run that there is.
pub(crate) const ALL: &[&Run] = &[&SERVED, &REFUSED];
