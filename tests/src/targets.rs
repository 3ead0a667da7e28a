//! Small programs to trace: compiled once for each compiler and set of flags, and driven line by
//! line, so that no test sleeps. See `targets/c/protocol.h` for the other side.

use crate::project::{root, target_dir};
use anyhow::{Context, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a target may take for its work, probed and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a target is written in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
    /// Go.
    Go,
}

impl Language {
    /// The folder of its targets, how their names end, and what its compiler is always told.
    const fn ways(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::C => ("c", "c", &["-std=gnu11", "-g", "-pthread"]),
            Self::Cpp => ("cpp", "cpp", &["-std=c++17", "-g", "-pthread"]),
            Self::Rust => ("rust", "rs", &["-g"]),
            Self::Go => ("go", "go", &["build"]),
        }
    }
}

/// A compiled target.
#[derive(Clone, Debug)]
pub struct Target {
    /// The program.
    pub program: PathBuf,
    /// Its source.
    pub source: PathBuf,
}

impl Target {
    /// `targets/c/NAME.c` by `compiler` (`gcc`, `clang`) with `flags` (`-O2`); debug info and
    /// threads are always on.
    ///
    /// # Errors
    ///
    /// There is no such source or compiler, or the compiler fails.
    pub fn c(name: &str, compiler: &str, flags: &[&str]) -> Result<Self> {
        Self::build(Language::C, name, compiler, flags)
    }

    /// `targets/LANGUAGE/NAME` by the usual compiler, optimised, with debug info.
    ///
    /// # Errors
    ///
    /// As [`Self::c`].
    pub fn of(language: Language, name: &str) -> Result<Self> {
        match language {
            Language::C => Self::build(language, name, "gcc", &["-O2"]),
            Language::Cpp => Self::build(language, name, "g++", &["-O2"]),
            Language::Rust => Self::build(language, name, "rustc", &["-O"]),
            Language::Go => Self::build(language, name, "go", &[]),
        }
    }

    /// `targets/LANGUAGE/NAME` by another compiler or with other flags.
    ///
    /// # Errors
    ///
    /// As [`Self::c`].
    pub fn by(language: Language, name: &str, compiler: &str, flags: &[&str]) -> Result<Self> {
        Self::build(language, name, compiler, flags)
    }

    fn build(language: Language, name: &str, compiler: &str, flags: &[&str]) -> Result<Self> {
        let (folder, extension, always) = language.ways();
        let folder = root().join("tests/targets").join(folder);
        let source = folder.join(name).with_extension(extension);
        let home = target_dir().join("targets");
        fs::create_dir_all(&home)?;
        let version = compiler_version(&home, compiler)?;
        let hash = content_hash(&folder, &source, &version, flags)?;
        let program = home.join(format!("{name}-{hash:016x}"));
        if !program.is_file() {
            // Complete under its name at once, for tests run beside each other.
            let building = home.join(format!("{name}-{hash:016x}.{}", std::process::id()));
            let mut command = Command::new(compiler);
            command.args(always).arg("-o").arg(&building).args(flags).arg(&source);
            if language == Language::Rust && !flags.iter().any(|flag| flag.contains("edition")) {
                command.arg("--edition=2024");
            }
            // Go wants a place for what it keeps.
            command.env("GOCACHE", home.join("go"));
            let output = command.output().with_context(|| format!("can't start {compiler}"))?;
            if !output.status.success() {
                bail!("{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
            }
            fs::rename(&building, &program)?;
        }
        Ok(Self { program, source })
    }

    /// The number of the one line of the source that contains `text`.
    ///
    /// # Errors
    ///
    /// No line does, or several do.
    pub fn line(&self, text: &str) -> Result<u64> {
        let source = fs::read_to_string(&self.source)?;
        let mut lines = (1..).zip(source.lines()).filter(|(_, line)| line.contains(text));
        match (lines.next(), lines.next()) {
            (Some((number, _)), None) => Ok(number),
            (None, _) => bail!("no line of {} contains {text:?}", self.source.display()),
            (Some(_), Some(_)) => {
                bail!("several lines of {} contain {text:?}", self.source.display())
            }
        }
    }

    /// A copy that `binutil`, such as `strip`, made of it at `to`: its arguments stand before the
    /// names of the two files.
    ///
    /// # Errors
    ///
    /// The program is not there or fails.
    pub fn copy(&self, binutil: &str, arguments: &[&str], to: &Path) -> Result<Self> {
        let mut command = Command::new(binutil);
        command.args(arguments);
        if binutil == "strip" {
            command.arg("-o").arg(to).arg(&self.program);
        } else {
            command.arg(&self.program).arg(to);
        }
        let output = command.output().with_context(|| format!("can't start {binutil}"))?;
        if !output.status.success() {
            bail!("{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { program: to.to_path_buf(), source: self.source.clone() })
    }

    /// Starts it and waits until it can be probed.
    ///
    /// # Errors
    ///
    /// It can't be started or does not say `ready`.
    pub fn start(&self, arguments: &[&str]) -> Result<RunningTarget> {
        RunningTarget::start(Command::new(&self.program).args(arguments))
    }
}

/// What a compiler says of itself; where there is none, as in a virtual machine, what the one said
/// that compiled the targets which are here.
fn compiler_version(home: &Path, compiler: &str) -> Result<Vec<u8>> {
    let kept = home.join(compiler).with_extension("version");
    let question = if compiler == "go" { "version" } else { "--version" };
    match Command::new(compiler).arg(question).output() {
        Ok(output) => {
            fs::write(kept, &output.stdout)?;
            Ok(output.stdout)
        }
        Err(_) => fs::read(kept).with_context(|| format!("no {compiler}: run `cargo xtask setup`")),
    }
}

/// What a compiled target depends on: the source, headers beside it, compiler, flags, and files
/// that are named there.
fn content_hash(folder: &Path, source: &Path, version: &[u8], flags: &[&str]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    version.hash(&mut hasher);
    flags.hash(&mut hasher);
    let mut files = vec![source.to_path_buf()];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            files.push(path);
        }
    }
    files.extend(flags.iter().map(PathBuf::from).filter(|file| file.is_file()));
    files.sort();
    for file in files {
        // The path too: debug info names it.
        file.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("no {}", file.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// A target that runs; dropping it ends it.
#[derive(Debug)]
pub struct RunningTarget {
    child: Child,
    lines: Receiver<String>,
    /// Its first line.
    pub greeting: String,
    /// What it last said: for most, the calls so far of the functions that tests probe.
    pub count: u64,
}

impl RunningTarget {
    /// Starts a program that says `ready` when it can be probed.
    ///
    /// # Errors
    ///
    /// It can't be started or does not say so.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {command:?}"))?;
        let output = child.stdout.take().context("no standard output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut target = Self { child, lines, greeting: String::new(), count: 0 };
        target.greeting = target.next_line()?;
        if !target.greeting.starts_with("ready") {
            bail!("{command:?} says {:?}, not `ready`", target.greeting);
        }
        Ok(target)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it work once and waits until it is done; gives [`Self::count`].
    ///
    /// # Errors
    ///
    /// It has ended or does not finish.
    pub fn go(&mut self) -> Result<u64> {
        self.obey("go")
    }

    /// Lets it do what a line says and waits until it is done; gives [`Self::count`].
    ///
    /// # Errors
    ///
    /// It has ended or does not finish.
    pub fn obey(&mut self, line: &str) -> Result<u64> {
        self.tell(line)?;
        self.wait_done()
    }

    /// Lets it replace its program by another one that says `ready` when it can be probed.
    ///
    /// # Errors
    ///
    /// It has ended, or the program does not say so.
    pub fn become_another(&mut self, program: &Path) -> Result<()> {
        self.tell(&format!("become {}", program.display()))?;
        match self.next_line()?.as_str() {
            "ready" => Ok(()),
            line => bail!("{} says {line:?}, not `ready`", program.display()),
        }
    }

    /// Lets it start its work.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn start_work(&mut self) -> Result<()> {
        self.tell("go")
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("its standard input is closed")?;
        // In one piece: a target that gets a line in two reads does other things on the way.
        input.write_all(format!("{line}\n").as_bytes()).context("the target has ended")
    }

    /// Waits until it has done its work; gives [`Self::count`].
    ///
    /// # Errors
    ///
    /// It has ended or does not finish.
    pub fn wait_done(&mut self) -> Result<u64> {
        let line = self.next_line()?;
        let count = line.strip_prefix("done ").and_then(|count| count.parse().ok());
        self.count = count.with_context(|| format!("the target says {line:?}, not `done`"))?;
        Ok(self.count)
    }

    /// Lets it end by itself; fails if it did not end well. Gives its last line if it had more
    /// to say.
    ///
    /// # Errors
    ///
    /// It was killed or gave an exit code other than 0.
    pub fn finish(mut self) -> Result<Option<String>> {
        drop(self.child.stdin.take());
        let last = self.lines.iter().last();
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the target ended badly: {status}");
        }
        Ok(last)
    }

    fn next_line(&self) -> Result<String> {
        self.lines.recv_timeout(PATIENCE).context("the target has ended or hangs")
    }
}

impl Drop for RunningTarget {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVEN: &[(&str, u64)] = &[
        ("absent", 1),
        ("counter", 4000),
        ("forker", 1000),
        ("hostile", 12),
        ("inlined", 1),
        ("recursion", 2),
        ("values", 9),
    ];

    #[test]
    fn targets_count_their_calls_whatever_the_compiler_does() {
        for compiler in ["gcc", "clang"] {
            for level in ["-O0", "-O2"] {
                for (name, calls) in DRIVEN {
                    let flags = [level, "-Wall", "-Wextra", "-Werror"];
                    let target = Target::c(name, compiler, &flags).unwrap();
                    let mut running = target.start(&[]).unwrap();
                    assert_eq!(running.go().unwrap(), *calls, "{compiler} {level} {name}");
                    assert_eq!(running.go().unwrap(), 2 * calls, "{compiler} {level} {name}");
                    running.finish().unwrap();
                }
            }
        }
    }

    #[test]
    fn a_target_is_compiled_once() {
        let modified = |target: &Target| fs::metadata(&target.program).unwrap().modified().unwrap();
        let first = Target::c("recursion", "gcc", &["-O1"]).unwrap();
        let time = modified(&first);
        let second = Target::c("recursion", "gcc", &["-O1"]).unwrap();
        assert_eq!((second.program.clone(), modified(&second)), (first.program.clone(), time));
        let other = Target::c("recursion", "gcc", &["-O1", "-DX"]).unwrap();
        assert_ne!(other.program, first.program);
    }

    #[test]
    fn the_service_stops_when_its_pipe_is_closed() {
        let service = Target::c("orders", "gcc", &["-O2"]).unwrap().start(&["1000"]).unwrap();
        assert!(service.greeting.contains("127.0.0.1"), "{}", service.greeting);
        let farewell = service.finish().unwrap().unwrap();
        assert!(farewell.starts_with("stopped: processed "), "{farewell}");
    }

    #[test]
    fn a_line_is_found_by_what_it_says() {
        let target = Target::c("orders", "gcc", &["-O2"]).unwrap();
        let line = target.line("total += 4.5 * attempt").unwrap();
        let before = target.line("if (order->express)").unwrap();
        assert_eq!(line, before + 1);
        assert!(target.line("no such text").is_err());
        assert!(target.line(";").is_err());
    }
}
