//! Debian's own kernels, by apt: the newest of each series that the archive has.

use super::home;
use crate::project::{command, output, run};
use crate::setup::private_apt::PrivateApt;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the series are: the releases with their security updates, backports, and the next release.
const SUITES: &[(&str, &str)] = &[
    ("debian", "bullseye"),
    ("debian-security", "bullseye-security"),
    ("debian", "bookworm"),
    ("debian-security", "bookworm-security"),
    ("debian", "trixie"),
    ("debian-security", "trixie-security"),
    ("debian", "trixie-backports"),
    ("debian", "sid"),
];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The build without drivers of real machines, which is small and starts fast.
const FLAVOUR: &str = "-cloud-amd64";
/// From 6.19 on the image is in a package of its own, and `linux-image` only names it.
const PREFIXES: [&str; 2] = ["linux-image-", "linux-binary-"];

/// A kernel that can be started.
pub(crate) struct Kernel {
    /// The series that was asked for: `6.12`.
    pub(crate) series: String,
    /// As `uname -r` tells it: `6.12.118+deb13-cloud-amd64`.
    pub(crate) release: String,
    /// The image.
    pub(crate) image: PathBuf,
}

/// Finds the kernels of these series; fetches those that are not here yet.
///
/// # Errors
///
/// A series is not in Debian, or can't be fetched.
pub(crate) fn kernels(wanted: &[&str]) -> Result<Vec<Kernel>> {
    let mut apt = None;
    let mut kernels = Vec::new();
    for series in wanted {
        let kernel = match here(series) {
            Some(kernel) => kernel,
            None => {
                if apt.is_none() {
                    apt = Some(PrivateApt::new(&home().join("apt"), &sources())?);
                }
                let apt = apt.as_ref().context("apt was set up just now")?;
                fetch(apt, series)?;
                here(series).with_context(|| format!("no kernel of {series}"))?
            }
        };
        kernels.push(kernel);
    }
    Ok(kernels)
}

fn sources() -> String {
    let line = |(archive, suite): &(&str, &str)| {
        format!("deb [signed-by={KEYRING}] http://deb.debian.org/{archive} {suite} main\n")
    };
    SUITES.iter().map(line).collect()
}

fn folder(series: &str) -> PathBuf {
    home().join("images").join(series)
}

/// The folder of a series has its image, named by its release, and nothing else.
fn here(series: &str) -> Option<Kernel> {
    let image = fs::read_dir(folder(series)).ok()?.find_map(Result::ok)?.path();
    let release = image.file_name()?.to_str()?.to_owned();
    Some(Kernel { series: series.to_owned(), release, image })
}

fn fetch(apt: &PrivateApt, series: &str) -> Result<()> {
    let package = newest(apt, series)?;
    println!("{series}: {package}");
    let unpacking = home().join("unpacking");
    fs::remove_dir_all(&unpacking).ok();
    fs::create_dir_all(&unpacking)?;
    run(apt.command("apt-get").current_dir(&unpacking).args(["download", &package]))?;
    let deb = fs::read_dir(&unpacking)?.find_map(Result::ok).context("no package came")?.path();
    let tree = unpacking.join("tree");
    run(command("dpkg-deb").arg("--extract").arg(deb).arg(&tree))?;
    let release = release(&package).context("a kernel's package has its release in its name")?;
    let image = image(&tree, release).with_context(|| format!("{package} has no kernel"))?;
    fs::create_dir_all(folder(series))?;
    fs::rename(image, folder(series).join(release))?;
    Ok(fs::remove_dir_all(unpacking)?)
}

/// Where packages have had it, over the years.
fn image(tree: &Path, release: &str) -> Option<PathBuf> {
    let places = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    places.iter().map(|place| tree.join(place)).find(|path| path.is_file())
}

fn release(package: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| package.strip_prefix(prefix))
}

/// The package with the newest kernel of a series.
fn newest(apt: &PrivateApt, series: &str) -> Result<String> {
    let mut search = apt.command("apt-cache");
    let packages = output(search.args(["pkgnames", "linux-"])).unwrap_or_default();
    let of_series = |name: &&str| {
        // A package without a third number only depends on others.
        release(name)
            .and_then(|release| release.strip_prefix(series)?.strip_prefix('.'))
            .is_some_and(|rest| rest.ends_with(FLAVOUR))
    };
    match packages.lines().filter(of_series).max_by_key(|name| (numbers(name), *name < "linux-i")) {
        Some(package) => Ok(package.to_owned()),
        None => bail!("Debian has no kernel {series}"),
    }
}

/// The numbers of a version, by which versions are ordered.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_kernel_has_greater_numbers() {
        let ordered = [
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.12.95+deb13-cloud-amd64",
            "linux-image-6.12.118+deb12-cloud-amd64",
            "linux-image-6.12.118+deb13-cloud-amd64",
        ];
        assert!(ordered.is_sorted_by_key(|name| numbers(name)));
    }
}
