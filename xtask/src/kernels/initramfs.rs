//! The root file system of a virtual machine: an archive that the kernel unpacks at its start
//! (newc; Documentation/driver-api/early-userspace/buffer-format.rst of the kernel).
//!
//! Files lie in it where they lie on this machine.

use crate::project::{command, output};
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
/// The end of an archive is an entry of this name.
const END: &str = "TRAILER!!!";

/// An archive that is being written.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    /// What is in it already.
    paths: BTreeSet<PathBuf>,
}

impl Archive {
    /// Adds a file with this content.
    pub(crate) fn file(&mut self, path: &Path, mode: u32, content: &[u8]) {
        if !self.paths.contains(path) {
            self.folders_above(path);
            self.entry(path, FILE | mode, content);
        }
    }

    /// Adds a file, or a folder with all that is in it, at its own place.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub(crate) fn copy(&mut self, path: &Path) -> Result<()> {
        let meta = fs::metadata(path).with_context(|| format!("no {}", path.display()))?;
        if meta.is_dir() {
            for entry in fs::read_dir(path)? {
                self.copy(&entry?.path())?;
            }
            return Ok(());
        }
        self.file(path, meta.permissions().mode() & 0o7777, &fs::read(path)?);
        Ok(())
    }

    /// Adds a program as `path`, and the libraries that it loads at their own places.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub(crate) fn program(&mut self, path: &Path, source: &Path) -> Result<()> {
        let content = fs::read(source).with_context(|| format!("no {}", source.display()))?;
        self.file(path, 0o755, &content);
        self.libraries(source)
    }

    /// Adds the libraries that a program loads. One that is static has none.
    fn libraries(&mut self, program: &Path) -> Result<()> {
        let loaded = output(command("ldd").arg(program)).unwrap_or_default();
        // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)"
        let paths = loaded.split_whitespace().filter(|word| word.starts_with('/'));
        paths.map(Path::new).try_for_each(|path| self.copy(path))
    }

    fn folders_above(&mut self, path: &Path) {
        let Some(folder) = path.parent() else { return };
        if folder != Path::new("/") && !self.paths.contains(folder) {
            self.folders_above(folder);
            self.entry(folder, FOLDER, &[]);
        }
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) {
        self.paths.insert(path.to_path_buf());
        let name = path.to_string_lossy();
        self.raw_entry(name.trim_start_matches('/'), mode, content);
    }

    fn raw_entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = 1;
        let (name_bytes, size) = (name.len() + 1, content.len());
        let entry = self.entries;
        // Inode, mode, owner, group, links, time, size, two devices, name, no checksum.
        let header = format!(
            "070701{entry:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}\
             {:08x}{name_bytes:08x}{:08x}",
            0, 0, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub(crate) fn write(mut self, to: &Path) -> Result<()> {
        self.raw_entry(END, 0, &[]);
        fs::write(to, self.bytes).with_context(|| format!("can't write {}", to.display()))
    }
}
