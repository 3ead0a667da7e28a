//! Values of real programs are those that gdb shows at the same hit of the same address.

use tracer_tests::privilege;
use tracer_tests::truth::programs::{PROGRAMS, Program};
use tracer_tests::truth::report::Report;
use tracer_tests::truth::{Extent, compare_build, compare_points};

const EXTENT: Extent = Extent { lines: 4, hits: 3 };

/// Compares all builds of a program: no value differs, and at least `equal_min` leaves of each
/// build are equal.
fn check(name: &str, equal_min: usize) {
    privilege::require().unwrap();
    let program: &Program = PROGRAMS.iter().find(|program| program.name == name).unwrap();
    let reports: Vec<Report> =
        program.builds.iter().map(|build| compare_build(program, build, EXTENT).unwrap()).collect();
    for report in &reports {
        println!("{report}");
        print!("{}", report.details());
    }
    for report in &reports {
        assert_eq!(report.different(), 0, "{report}\n{}", report.details());
        assert_eq!(report.problems, Vec::<String>::new(), "{report}");
        let (entries, lines) = report.was_hit.split_at(program.functions.len());
        assert!(entries.iter().all(|hit| *hit), "{report}");
        assert!(lines.iter().filter(|hit| **hit).count() >= 3, "{report}");
        assert!(report.counts.equal >= equal_min, "{report}");
    }
}

#[test]
fn python_with_separate_debug_files_shows_what_gdb_shows() {
    check("python3.11", 10_000);
}

#[test]
fn memcached_by_two_compilers_shows_what_gdb_shows() {
    check("memcached", 5_000);
}

#[test]
fn ripgrep_in_release_shows_what_gdb_shows() {
    check("ripgrep", 1_000);
}

/// `cargo xtask truth` does this at a hundred points of each program.
#[test]
fn random_points_show_what_gdb_shows() {
    privilege::require().unwrap();
    for name in ["lua", "ninja"] {
        let program = PROGRAMS.iter().find(|program| program.name == name).unwrap();
        let report = compare_points(program, program.builds[0], 6, 1).unwrap();
        println!("{report}");
        assert_eq!(report.different(), 0, "{report}\n{}", report.details());
        assert!(report.hits >= 4, "{report}\n{}", report.details());
        assert!(report.counts.equal >= 100, "{report}\n{}", report.details());
    }
}
