//! apt with sources, lists and cache of our own, so that the machine's stay as they are. Packages
//! are checked against the machine's keyrings all the same.

use crate::project::{command, run};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A configuration of apt.
pub(crate) struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    /// One in `folder` with these sources, its lists up to date.
    ///
    /// # Errors
    ///
    /// The folder can't be written to, or apt-get fails.
    pub(crate) fn new(folder: &Path, sources: &str) -> Result<Self> {
        for needed in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(needed))?;
        }
        let apt = Self { folder: folder.to_path_buf() };
        fs::write(apt.list(), sources).with_context(|| format!("no {}", folder.display()))?;
        run(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    fn list(&self) -> PathBuf {
        self.folder.join("sources.list")
    }

    /// A command of apt over this configuration.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command.arg("-qq");
        for (key, value) in [
            ("Dir::Etc::sourcelist", self.list()),
            ("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
            ("Dir::State::lists", self.folder.join("lists")),
            ("Dir::Cache", self.folder.join("cache")),
        ] {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        // The sandbox user of apt may not enter our folder.
        command.args(["-o", "APT::Sandbox::User=root"]);
        command
    }
}
