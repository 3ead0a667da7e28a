//! The figures of this boot, kept on disk, so that not every run measures them again.

use super::{Calibration, measure};
use crate::attach::breakpoints::AttachMode;
use crate::attach::error::AttachError;
use crate::attach::load::Program;
use crate::attach::support;
use crate::binary::open::MappedFile;
use crate::binary::own_directory;
use crate::model::cost::CostModel;
use std::fmt::Write as _;
use std::fs;
use std::os::fd::AsFd;

/// The costs as they were measured since this machine was started, by this version of the program;
/// else they are measured now and kept.
///
/// # Errors
///
/// They have to be measured, and the breakpoints can't be placed.
pub fn costs(program: &Program, mode: AttachMode) -> Result<CostModel, AttachError> {
    if let Some(costs) = read(mode) {
        return Ok(costs);
    }
    let calibration = measure(program, mode)?;
    keep(mode, &calibration);
    Ok(calibration.costs)
}

/// Keeps what was measured. Whatever goes wrong here, it is measured again.
pub fn keep(mode: AttachMode, calibration: &Calibration) {
    let Some(path) = own_directory::path() else { return };
    let Some(text) = validity().filter(|_| calibration.proven) else { return };
    let text = text + &figures(calibration);
    let kept = own_directory::open(&path)
        .map_err(std::io::Error::other)
        .and_then(|directory| own_directory::write(directory.as_fd(), name(mode), text.as_bytes()));
    if let Err(error) = kept {
        tracing::debug!(directory = %path.display(), %error, "the costs of a hit are not kept");
    }
}

fn read(mode: AttachMode) -> Option<CostModel> {
    let directory = own_directory::open(&own_directory::path()?).ok()?;
    let file = MappedFile::own_in(directory.as_fd(), name(mode)).ok()?;
    let text = std::str::from_utf8(file.bytes()).ok()?;
    parse(text.strip_prefix(&validity()?)?)
}

/// Perf events cost more than `uprobe_multi`.
fn name(mode: AttachMode) -> &'static str {
    match mode {
        AttachMode::Auto => "costs-auto",
        AttachMode::Multi => "costs-multi",
        AttachMode::Perf => "costs-perf",
    }
}

/// What the figures hold for: this boot, this kernel, this program.
fn validity() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let (kernel, _) = support::kernel_release();
    let version = env!("CARGO_PKG_VERSION");
    let program = Program::fingerprint();
    Some(format!("boot {}\nkernel {kernel}\ntracer {version} {program:x}\n", boot.trim()))
}

/// A line for each figure.
fn figures(calibration: &Calibration) -> String {
    let mut text = String::new();
    let mut costs = calibration.costs;
    for (name, ns) in costs.figures() {
        // Writing to a string can't fail.
        let _written = writeln!(text, "{name} {ns:.3}");
    }
    if let Some(ns) = costs.return_ns {
        let _written = writeln!(text, "return {ns:.3}");
    }
    text
}

/// The costs; `None` unless every figure is there and is one.
fn parse(text: &str) -> Option<CostModel> {
    let figure = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, ns) = lines.find(|(found, _)| *found == name)?;
        ns.parse::<f64>().ok().filter(|ns| ns.is_finite() && *ns >= 0.0)
    };
    let mut costs = CostModel { return_ns: figure("return"), ..CostModel::default() };
    for (name, ns) in costs.figures() {
        *ns = figure(name)?;
    }
    (costs.emulated_ns > 0.0 && costs.single_stepped_ns > 0.0).then_some(costs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::breakpoints::AttachedBy;

    fn measured() -> Calibration {
        let costs = CostModel {
            emulated_ns: 612.5,
            single_stepped_ns: 25_000.0,
            return_ns: Some(920.25),
            op_ns: 6.5,
            ..CostModel::default()
        };
        Calibration { costs, by: AttachedBy::Multi, proven: true }
    }

    #[test]
    fn what_was_kept_is_read_as_it_was() {
        assert_eq!(parse(&figures(&measured())), Some(measured().costs));
    }

    #[test]
    fn figures_that_are_missing_or_none_are_measured_again() {
        let text = figures(&measured());
        for (name, ..) in CostModel::default().figures() {
            let without: String =
                text.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\n");
            assert_eq!(parse(&without), None, "without {name}");
        }
        for wrong in ["-1", "NaN", "inf", "", "1e999"] {
            let changed = text.replace("612.500", wrong);
            assert_eq!(parse(&changed), None, "{wrong}");
        }
    }
}
