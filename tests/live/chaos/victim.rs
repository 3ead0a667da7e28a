//! A target to which everything happens, with files of its own.

use anyhow::{Context as _, Result};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tracer_tests::targets::{Language, RunningTarget, Target};

/// A target that runs a copy of its program.
pub(super) struct Victim {
    language: Language,
    program: PathBuf,
    library: PathBuf,
    running: RunningTarget,
    locations: Vec<String>,
}

/// Functions of a target, and what one of its lines says.
fn places(language: Language) -> (&'static [&'static str], &'static str) {
    match language {
        Language::C => (&["pour", "poured", "write"], "return cup->number ^ number"),
        Language::Cpp => (&["chaos::Cup::pour", "chaos::spill", "poured"], "return spill(*this"),
        Language::Rust => (&["chaos::pour", "chaos::call"], "cup.sips[(number % room)"),
        Language::Go => (&["main.pour", "main.try", "main.call"], "room[number%64] = number"),
    }
}

impl Victim {
    pub(super) fn start(language: Language, home: &Path) -> Result<Self> {
        let folder = home.join(format!("{language:?}"));
        fs::create_dir(&folder)?;
        let (program, library) = (folder.join("chaos"), folder.join("poured.so"));
        let target = Target::of(language, "chaos")?;
        let (functions, line) = places(language);
        let mut locations: Vec<String> = functions.iter().map(ToString::to_string).collect();
        let source = target.source.file_name().context("no name")?.display();
        locations.push(format!("{source}:{}", target.line(line)?));
        fs::copy(&target.program, &program)?;
        fs::copy(build_of_library(0)?, &library)?;
        let running = RunningTarget::start(&mut Command::new(&program))?;
        Ok(Self { language, program, library, running, locations })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Places in it that can be probed; some only while a library is loaded.
    pub(super) fn locations(&self) -> &[String] {
        &self.locations
    }

    fn loads(&self) -> bool {
        matches!(self.language, Language::C | Language::Cpp)
    }

    pub(super) fn obey(&mut self, line: &str) -> Result<()> {
        self.running.obey(line).with_context(|| format!("{:?}: {line}", self.language)).map(drop)
    }

    /// Takes the library that is there now in place of the last one.
    pub(super) fn load(&mut self) -> Result<()> {
        let line =
            if self.loads() { format!("load {}", self.library.display()) } else { "go".into() };
        self.obey(&line)
    }

    /// Becomes the program that is there now, in the same process.
    pub(super) fn exec(&mut self) -> Result<()> {
        self.running.become_another(&self.program).with_context(|| format!("{:?}", self.language))
    }

    pub(super) fn kill_and_restart(&mut self) -> Result<()> {
        let started = RunningTarget::start(&mut Command::new(&self.program))?;
        drop(std::mem::replace(&mut self.running, started));
        Ok(())
    }

    /// Puts another file in the place of one that is in use, or writes into one that is.
    pub(super) fn overwrite(&mut self, how: u64) -> Result<()> {
        match how {
            // In place, with what it holds already: its times change.
            0 => {
                let bytes = fs::read(&self.library)?;
                fs::OpenOptions::new().write(true).open(&self.library)?.write_all(&bytes)?;
            }
            // By another build; who has loaded the old one keeps it.
            1 => replace(&self.library, &build_of_library(self.pid() % 2)?)?,
            _ => replace(&self.program, &self.program)?,
        }
        self.obey("go")
    }

    pub(super) fn finish(self) -> Result<()> {
        self.running.finish().map(drop)
    }
}

/// Puts a copy of `source` in the place of `file` at once.
fn replace(file: &Path, source: &Path) -> Result<()> {
    let new = file.with_extension("new");
    fs::copy(source, &new)?;
    Ok(fs::rename(new, file)?)
}

/// The library, built so that its function is at another place.
fn build_of_library(number: u32) -> Result<PathBuf> {
    let level = ["-O2", "-O0"][usize::try_from(number % 2)?];
    Ok(Target::c("poured", "gcc", &[level, "-shared", "-fPIC"])?.program)
}
