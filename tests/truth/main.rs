//! The judge: tracer against gdb at random points of real programs.
//!
//!     truth [PROGRAM...] [--points N] [--seed S] [--json] [--only-gdb] [--reasons]
//!
//! Without a PROGRAM all are judged. `--json` prints one object a program, and on stderr what
//! differs. `--only-gdb` lists each value that only gdb shows, `--reasons` why variables are not shown, with
//! how often. It fails if any value differs.
//! `cargo xtask truth` builds what this needs and runs it.

use anyhow::{Context as _, Result, bail};
use std::process::ExitCode;
use tracer_tests::privilege;
use tracer_tests::truth::compare_points;
use tracer_tests::truth::programs::{JUDGED, PROGRAMS, Program};
use tracer_tests::truth::report::Report;

/// What is asked for.
struct Asked {
    programs: Vec<&'static Program>,
    points: usize,
    seed: u64,
    json: bool,
    only_gdb: bool,
    reasons: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match read(&words).and_then(|asked| judge(&asked)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn read(words: &[String]) -> Result<Asked> {
    let mut asked = Asked {
        programs: Vec::new(),
        points: 100,
        seed: 1,
        json: false,
        only_gdb: false,
        reasons: false,
    };
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64> {
            let text = words.next().with_context(|| format!("{word} needs a number"))?;
            text.parse().with_context(|| format!("{word} {text}"))
        };
        match word {
            "--json" => asked.json = true,
            "--only-gdb" => asked.only_gdb = true,
            "--reasons" => asked.reasons = true,
            "--points" => asked.points = usize::try_from(number()?)?,
            "--seed" => asked.seed = number()?,
            name => asked.programs.push(program(name)?),
        }
    }
    if asked.programs.is_empty() {
        asked.programs = JUDGED.iter().map(|name| program(name)).collect::<Result<_>>()?;
    }
    Ok(asked)
}

fn program(name: &str) -> Result<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name).with_context(|| {
        let names: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        format!("no program is called {name}; there are {}", names.join(", "))
    })
}

/// Whether no value differs.
fn judge(asked: &Asked) -> Result<bool> {
    privilege::require()?;
    let mut differ = false;
    for program in &asked.programs {
        let build = program.builds.first().context("no build")?;
        let report = compare_points(program, build, asked.points, asked.seed)
            .with_context(|| program.name_of(build))?;
        show(&report, asked);
        if report.hits < asked.points {
            bail!("{} has {} points only", report.name, report.hits);
        }
        differ |= report.different() > 0;
    }
    Ok(!differ)
}

fn show(report: &Report, asked: &Asked) {
    let mut details = report.details();
    if asked.only_gdb {
        details += &report.only_gdb();
    }
    if asked.reasons {
        details += &report.variables.to_string();
    }
    if asked.json {
        println!("{}", report.json());
        eprint!("{details}");
    } else {
        println!("{report}\n{details}");
    }
}
