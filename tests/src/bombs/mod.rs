//! Programs that run, and whose files are made to hurt who reads them: small files that unfold to
//! gigabytes, references in circles, trees a million deep.
//!
//! All of them are one small program with other debug info. Where that is not broken as a whole
//! it describes one function, `counted`, in one file, `bomb.c`, with code on line 10.

mod bytes;
mod dwarf;
mod elf;
mod files;
mod lines;
mod locations;
mod tree;

use crate::targets::Target;
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// The program without debug info, and where its function is.
#[derive(Debug)]
pub struct Base {
    file: Vec<u8>,
    start: u64,
    size: u32,
    /// What a bomb has fewer of than it might.
    divisor: usize,
}

/// A kind of harm.
pub struct Bomb {
    /// Its name.
    pub name: &'static str,
    make: fn(&Base) -> Vec<u8>,
}

/// All kinds.
pub fn all() -> Vec<Bomb> {
    [files::BOMBS, tree::BOMBS, locations::BOMBS, lines::BOMBS]
        .concat()
        .into_iter()
        .map(|(name, make)| Bomb { name, make })
        .collect()
}

impl Base {
    /// Takes the debug info off a program that has the function `counted`. Bombs that are large in
    /// themselves are made smaller by `divisor`.
    ///
    /// # Errors
    ///
    /// binutils are missing, or the program has no such function.
    pub fn of(program: &Target, folder: &Path, divisor: usize) -> Result<Self> {
        let bare = program.copy("strip", &["-g"], &folder.join("bare"))?;
        let output = Command::new("nm").arg("-S").arg(&bare.program).output()?;
        let symbols = String::from_utf8(output.stdout)?;
        let line = symbols.lines().find(|line| line.ends_with(" T counted"));
        let mut words = line.context("no function `counted`")?.split(' ');
        let mut number = || u64::from_str_radix(words.next().unwrap_or_default(), 16);
        let (start, size) = (number()?, number()?);
        Ok(Self { file: fs::read(&bare.program)?, start, size: size as u32, divisor })
    }
}

impl Base {
    /// So many of what is there many times.
    fn many(&self, count: usize) -> usize {
        count / self.divisor
    }
}

impl Bomb {
    /// Writes the program into a folder.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn write(&self, base: &Base, folder: &Path) -> Result<Target> {
        let program = folder.join(self.name.replace(' ', "-"));
        fs::write(&program, (self.make)(base))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Target { source: program.clone(), program })
    }
}

/// A name and what makes the file.
type Made = (&'static str, fn(&Base) -> Vec<u8>);

/// The program with these sections.
fn with(base: &Base, sections: &[elf::Section]) -> Vec<u8> {
    elf::with_sections(&base.file, sections, None)
}
