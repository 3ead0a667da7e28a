//! Programs that tests compile.

use super::cache::Cache;
use super::module::Module;
use std::path::PathBuf;
use std::process::Command;

/// A directory with a program that was just built.
pub(crate) struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    /// Runs a tool in the directory; its arguments are separated by spaces.
    pub(crate) fn run(&self, command: &str) -> &Self {
        self.output(command);
        self
    }

    /// What a tool says that is run in the directory.
    pub(crate) fn output(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let mut tool = Command::new(words.next().unwrap());
        let output = tool.args(words).current_dir(self.directory.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn module(&self, name: &str) -> Module {
        Module::from_path(&self.path(name), &Cache::default()).unwrap()
    }
}

/// Compiles one source file.
pub(crate) fn program(source: &str, flags: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("main.c", source).run(&format!("gcc -g main.c -o main {flags}"));
    fixture
}

/// The line of `source` that a comment marks.
pub(crate) fn line_of(source: &str, mark: &str) -> u64 {
    let mut lines = source.lines();
    let index = lines.position(|line| line.ends_with(&format!("// {mark}"))).unwrap();
    u64::try_from(index).unwrap() + 1
}
