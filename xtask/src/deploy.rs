//! The files of `tracer/deploy` in the eyes of the tools that they are written for.

use crate::project::{command, output, root, run, target_dir, tracer_binary, words};
use crate::setup::tools::python_tool;
use anyhow::{Context as _, Result, bail};
use std::fs;

const FOLDER: &str = "tracer/deploy";
/// The oldest Kubernetes that knows every field of the manifest, and one of today.
const KUBERNETES: &[&str] = &["1.30", "1.37"];
/// systemd's score of the unit, times ten, may not be above this; 100 is a service with all rights. For the
/// one call that lowers the priority of decoding it counts all of `@resources`.
const EXPOSURE_MAX: u32 = 23;

/// Checks them.
///
/// # Errors
///
/// A tool finds fault with one of them.
pub(crate) fn check() -> Result<()> {
    let file = |name: &str| format!("{FOLDER}/{name}");
    run(command(python_tool("hadolint")).arg(file("Dockerfile")))?;
    for version in KUBERNETES {
        let mut validate = command(python_tool("kubernetes-validate"));
        validate.args(["--strict", "--quiet", "--kubernetes-version", version]);
        run(validate.arg(file("daemonset.yaml")))?;
    }
    unit()
}

/// The unit is understood, and has no more rights than it had.
fn unit() -> Result<()> {
    const NAME: &str = "tracer.service";
    // The program that it starts must be there; here it is not installed.
    let text = fs::read_to_string(root().join(FOLDER).join(NAME))?;
    let unit = target_dir().join(NAME);
    let program = tracer_binary();
    let text = text.replace("=/usr/bin/tracer ", &format!("={} ", program.display()));
    fs::write(&unit, text).with_context(|| format!("can't write {}", unit.display()))?;
    run(command("systemd-analyze").args(["verify", "--man=no"]).arg(&unit))?;

    let mut security = command("systemd-analyze");
    security.args(["security", "--no-pager", "--offline=yes"]);
    security.arg(format!("--threshold={EXPOSURE_MAX}")).arg(&unit);
    let Some(table) = output(&mut security) else {
        bail!("the unit has more rights than it should: see `{}`", words(&security));
    };
    println!("{}", table.lines().last().unwrap_or_default());
    Ok(())
}
