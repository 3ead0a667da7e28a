//! `cargo xtask demo`: from a clean checkout to a snapshot of a program that runs.

use crate::ebpf;
use crate::project::{cargo, command, is_root, root, run, step, target_dir, tracer_binary, words};
use crate::setup::{Part, setup};
use anyhow::{Context, Result, bail};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Where the demo looks unless told otherwise.
pub(crate) const LOCATION: &str = "process_order";
/// How long the service may take to open its port.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets up, builds, starts the bundled service, takes a snapshot at `location` while it serves,
/// prints it and stops the service. Gives the exit code of `tracer`.
///
/// # Errors
///
/// Something can't be installed, built or started.
pub(crate) fn demo(location: &str) -> Result<ExitCode> {
    setup(&[Part::Kernel, Part::Demo])?;
    ebpf::build()?;
    step("tracer");
    run(cargo().args(["build", "--quiet", "--package", "tracer"]))?;
    step("service");
    let service = Service::start(&compile()?)?;
    println!("tests/targets/c/orders.c runs as process {}: {}", service.pid(), service.greeting);
    let code = snapshot(service.pid(), location)?;
    let farewell = service.stop()?;
    step("service");
    println!("{farewell}");
    Ok(code)
}

fn compile() -> Result<PathBuf> {
    let folder = target_dir().join("demo");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("orders");
    let source = root().join("tests/targets/c/orders.c");
    run(command("gcc").args(["-O2", "-g", "-pthread", "-o"]).arg(&program).arg(source))?;
    Ok(program)
}

fn snapshot(pid: u32, location: &str) -> Result<ExitCode> {
    let tracer = tracer_binary();
    let mut command = if is_root() {
        command(&tracer)
    } else {
        let mut sudo = command("sudo");
        sudo.arg(&tracer);
        sudo
    };
    command.args(["snapshot", "-p", &pid.to_string(), location]);
    step(&words(&command));
    let status = command.status().with_context(|| format!("can't start {}", tracer.display()))?;
    let Some(code) = status.code() else {
        bail!("tracer was ended: {status}");
    };
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The running service. It ends when the pipe to its standard input is closed, so it can't outlive
/// us, however we end.
struct Service {
    child: Child,
    lines: mpsc::Receiver<String>,
    greeting: String,
}

impl Service {
    fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let output = child.stdout.take().context("the service has no standard output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut service = Self { child, lines, greeting: String::new() };
        service.greeting = service
            .lines
            .recv_timeout(READY_TIMEOUT)
            .context("the service did not say that it is ready")?;
        Ok(service)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end by itself; gives its last line.
    fn stop(mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let farewell = self
            .lines
            .recv_timeout(READY_TIMEOUT)
            .context("the service did not end when told to")?;
        self.child.wait()?;
        Ok(farewell)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
