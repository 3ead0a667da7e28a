//! What a machine and a user need for live tests.

use anyhow::{Context, Result, bail};
use std::fs;

/// Capabilities by name and bit (`capability.h`).
const CAPABILITIES: &[(&str, u32)] = &[
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
    ("CAP_CHECKPOINT_RESTORE", 40),
];
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Fails where live tests can't run. Every live test starts with it: a test that can't run has
/// not passed.
///
/// # Errors
///
/// Names everything that is missing.
pub fn require() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").context("no /proc")?;
    let mut missing = missing_capabilities(&status)?;
    if !fs::exists(BTF).unwrap_or(false) {
        missing.push("a kernel with BTF (CONFIG_DEBUG_INFO_BTF)");
    }
    if !missing.is_empty() {
        bail!("live tests need root on a kernel with BTF; missing: {}", missing.join(", "));
    }
    Ok(())
}

fn missing_capabilities(status: &str) -> Result<Vec<&'static str>> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .context("/proc/self/status has no CapEff")?;
    let effective = u64::from_str_radix(effective.trim(), 16).context("CapEff is not hex")?;
    let missing = CAPABILITIES.iter().filter(|(_, bit)| effective & (1 << bit) == 0);
    Ok(missing.map(|(name, _)| *name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        let check = |status: &str| missing_capabilities(status).unwrap();
        assert_eq!(check("CapPrm:\t0\nCapEff:\t000001ffffffffff\n"), Vec::<&str>::new());
        assert_eq!(check("CapEff:\t000001ff7fffffff\n"), Vec::<&str>::new());
        assert_eq!(check("CapEff:\t000001bfffffffff\n"), ["CAP_PERFMON"]);
        assert_eq!(check("CapEff:\t0\n").len(), CAPABILITIES.len());
    }
}
