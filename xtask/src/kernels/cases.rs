//! What is run on which kernel.

use super::cases_target_dir;
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
    patience: Duration,
}

impl Run {
    /// Calls of a race that is run at full length.
    fn soak(&self) -> Option<String> {
        std::env::var("TRACER_SOAK_N").ok().filter(|_| self.is_smp)
    }

    /// How long it may take.
    pub(crate) fn patience(&self) -> Duration {
        if self.soak().is_some() { Duration::from_secs(2 * 60 * 60) } else { self.patience }
    }

    /// What the kernel's command line says of it, for the guest's environment and the kernel.
    pub(crate) fn parameters(&self) -> String {
        let soak = self.soak();
        format!(
            "TRACER_CASES={} CARGO_TARGET_DIR={} TRACER_BINARY=/tracer{}{}",
            self.name,
            cases_target_dir().display(),
            soak.map(|calls| format!(" TRACER_SOAK_N={calls}")).unwrap_or_default(),
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
        "auto equation::four_threads",
        "auto equation::counting_only",
        "auto equation::a_forked_child_is_not_the_target",
        "auto equation::another_process_of_the_same_pid",
        "auto everywhere::what_is_refused_and_what_is_taken_leaves_the_target_as_it_is",
        "auto ending::tracer_is_killed",
        "auto ending::the_target_replaces_its_program",
        "auto bad_input::locations::an_address_inside_an_instruction",
        "auto bad_input::locations::an_instruction_that_is_refused",
        "auto bad_input::processes::code_where_no_breakpoint_can_fire",
        "auto access::an_owner_traces_their_own_process_and_no_one_elses",
        "auto access::a_process_that_hides_after_the_probe_was_placed_is_not_captured",
        "auto access::a_setuid_program_that_the_process_becomes_is_not_captured",
        "perf equation::four_threads",
        "perf ending::tracer_is_killed",
    ],
    is_smp: false,
    patience: Duration::from_secs(400),
};

/// What holds where the kernel preempts everywhere.
const RACE: Run = Run {
    name: "race",
    cases: &[
        "auto race::a_record_is_of_one_hit",
        "auto race::a_buffer_for_each_cpu_is_not_enough_where_the_kernel_preempts",
    ],
    is_smp: true,
    patience: Duration::from_secs(900),
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
        // The newest of those with long support, and the newest of all.
        "6.12" | "7.3" => &[&RACE, &SERVED],
        _ => &[&SERVED],
    }
}

/// Every run that there is.
pub(crate) const ALL: &[&Run] = &[&SERVED, &RACE, &REFUSED];
