//! Source packages of Debian, and the programs that are built of nothing but a folder of theirs.

use super::private_apt::PrivateApt;
use crate::project::{command, run, step};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A program of one folder of sources, each compiled alike.
struct Folder {
    /// The program.
    name: &'static str,
    /// The source package.
    package: &'static str,
    /// The folder in it.
    sources: &'static str,
    /// How the names of sources end.
    extension: &'static str,
    /// Sources whose names contain one of these are of no use here.
    left_out: &'static [&'static str],
    /// The compiler.
    compiler: &'static str,
    /// Its flags.
    flags: &'static str,
    /// For the linker.
    libraries: &'static str,
    /// A header that the package's own rules write: its name and text.
    header: Option<(&'static str, &'static str)>,
}

/// All of them; they take half a minute.
const FOLDERS: &[Folder] = &[
    Folder {
        name: "lua",
        package: "lua5.4",
        sources: "src",
        extension: "c",
        left_out: &["luac"],
        compiler: "gcc",
        flags: "-O2 -g -DLUA_COMPAT_5_3 -DLUA_USE_POSIX -I.",
        libraries: "-lm",
        header: Some((
            "lua5.4-deb-multiarch.h",
            "#define DEB_HOST_MULTIARCH \"x86_64-linux-gnu\"\n",
        )),
    },
    Folder {
        name: "ninja",
        package: "ninja-build",
        sources: "src",
        extension: "cc",
        left_out: &["test", "bench", "win32", ".in.", "browse"],
        compiler: "g++",
        flags: "-O2 -g",
        libraries: "",
        header: None,
    },
    Folder {
        name: "lzip",
        package: "lzip",
        sources: ".",
        extension: "cc",
        left_out: &[],
        compiler: "g++",
        flags: "-O2 -g -DPROGVERSION='\"1.23\"'",
        libraries: "",
        header: None,
    },
];

/// Builds those that are missing in `programs`; gives how many those were.
///
/// # Errors
///
/// A source can't be fetched or a build fails.
pub(crate) fn build(programs: &Path) -> Result<usize> {
    let missing = |folder: &&Folder| !programs.join(folder.name).join(folder.name).is_file();
    let missing: Vec<&Folder> = FOLDERS.iter().filter(missing).collect();
    for folder in &missing {
        step(&format!("{} from Debian's source, for the tests to trace", folder.name));
        folder.build(&programs.join(folder.name))?;
    }
    Ok(missing.len())
}

impl Folder {
    fn build(&self, home: &Path) -> Result<()> {
        let source = debian_source(home, self.package)?.join(self.sources).canonicalize()?;
        if let Some((name, text)) = self.header {
            fs::write(home.join(name), text)?;
        }
        // Warnings of other people's code are not ours to see.
        let log = fs::File::create(home.join("build.log"))?;
        let mut make = command("make");
        make.args(["-j2", "-f", "-"]).current_dir(home).stdin(Stdio::piped());
        let mut make = make.stdout(log.try_clone()?).stderr(log).spawn()?;
        let rules = self.rules(&source)?;
        // The pipe ends here, or make waits for ever.
        make.stdin.take().context("no pipe")?.write_all(rules.as_bytes())?;
        if !make.wait()?.success() {
            bail!("{} can't be built: see {}/build.log", self.name, home.display());
        }
        Ok(())
    }

    /// What make needs to know.
    fn rules(&self, source: &Path) -> Result<String> {
        let mut objects = Vec::new();
        for entry in fs::read_dir(source)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let stem = name.strip_suffix(self.extension).and_then(|stem| stem.strip_suffix('.'));
            if let Some(stem) = stem
                && !self.left_out.iter().any(|part| name.contains(part))
            {
                objects.push(format!("{stem}.o"));
            }
        }
        // The order of a folder is not the same everywhere; that of the code should be.
        objects.sort();
        let Self { name, extension, compiler, flags, libraries, .. } = self;
        let (objects, source) = (objects.join(" "), source.display());
        Ok(format!(
            "{name}: {objects}\n\t{compiler} -o $@ $^ {libraries}\n\
             %.o: {source}/%.{extension}\n\t{compiler} {flags} -c $< -o $@\n"
        ))
    }
}

/// Fetches and unpacks a source package with a configuration of our own, so that the machine's
/// stays as it is. Gives the folder of the source.
///
/// # Errors
///
/// It can't be fetched.
pub(crate) fn debian_source(home: &Path, name: &str) -> Result<PathBuf> {
    if let Some(source) = unpacked(home) {
        return Ok(source);
    }
    let release = fs::read_to_string("/etc/os-release").context("no /etc/os-release")?;
    let Some(suite) = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))
    else {
        bail!("/etc/os-release has no VERSION_CODENAME");
    };
    let sources = format!("deb-src http://deb.debian.org/debian {suite} main\n");
    let apt = PrivateApt::new(&home.join("apt"), &sources)?;
    run(apt.command("apt-get").current_dir(home).args(["source", name]))?;
    unpacked(home).with_context(|| format!("no source of {name} in {}", home.display()))
}

/// The folder of a source package in `home`.
fn unpacked(home: &Path) -> Option<PathBuf> {
    let mut folders = fs::read_dir(home).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    folders.find(|path| path.join("debian").is_dir())
}
