//! memcached with clients that ask it all the time.

use super::Ended;
use anyhow::{Context as _, Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Connections, each with a client that waits for an answer before it asks again.
const CLIENTS: usize = 4;
/// Keys that are asked for; each is there.
const KEYS: usize = 1000;
/// One request in so many writes.
const WRITES: usize = 10;
/// The cpus of server and clients: where they come to run is the largest difference between turns
/// else.
const SERVER_CPU: &str = "0";
const CLIENTS_CPU: usize = 1;
/// How long the server may take to start, and for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and how it is asked.
pub(super) struct Load {
    server: Ended,
    socket: PathBuf,
}

/// What was served in a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) per_second: f64,
    pub(super) p99_us: f64,
}

impl Load {
    pub(super) fn start(program: &Path, home: &Path) -> Result<Self> {
        let socket = home.join("memcached");
        let mut command = Command::new("taskset");
        command
            .args(["-c", SERVER_CPU])
            .arg(program)
            .args(["-u", "root", "-t", "2", "-m", "64", "-s"])
            .arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let server = Ended(command.spawn().context("can't start memcached")?);
        let load = Self { server, socket };
        let start = Instant::now();
        while UnixStream::connect(&load.socket).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("memcached does not listen");
            }
            std::thread::yield_now();
        }
        let mut client = load.client()?;
        (0..KEYS).try_for_each(|key| set(&mut client, key))?;
        Ok(load)
    }

    pub(super) fn pid(&self) -> u32 {
        self.server.0.id()
    }

    fn client(&self) -> Result<BufReader<UnixStream>> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }

    /// All clients ask for so long.
    pub(super) fn run(&self, time: Duration) -> Result<Served> {
        let start = Instant::now();
        let latencies: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| scope.spawn(move || self.ask(number, start + time)))
                .collect();
            let joined = clients
                .into_iter()
                .map(|client| client.join().unwrap_or_else(|_| bail!("a client died")));
            joined.collect::<Result<_>>()
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let mut all: Vec<u64> = latencies.into_iter().flatten().collect();
        all.sort_unstable();
        let p99 = all.get(all.len() * 99 / 100).context("nothing was served")?;
        Ok(Served { per_second: all.len() as f64 / seconds, p99_us: *p99 as f64 / 1000.0 })
    }

    /// One client; gives the nanoseconds of each request.
    fn ask(&self, number: usize, end: Instant) -> Result<Vec<u64>> {
        let mut cpu = CpuSet::new();
        cpu.set(CLIENTS_CPU);
        // Where there is but one, it is shared.
        sched_setaffinity(None, &cpu).ok();
        let mut client = self.client()?;
        let mut latencies = Vec::new();
        for request in 0.. {
            let start = Instant::now();
            if start > end {
                break;
            }
            let key = (request * 7919 + number * 31) % KEYS;
            if request % WRITES == 0 {
                set(&mut client, key)?
            } else {
                get(&mut client, key)?
            }
            latencies.push(u64::try_from(start.elapsed().as_nanos())?);
        }
        Ok(latencies)
    }
}

fn set(client: &mut BufReader<UnixStream>, key: usize) -> Result<()> {
    let value = format!("the value of tea number {key}");
    let request = format!("set tea:{key} 0 0 {}\r\n{value}\r\n", value.len());
    client.get_mut().write_all(request.as_bytes())?;
    expect(client, "STORED")
}

fn get(client: &mut BufReader<UnixStream>, key: usize) -> Result<()> {
    client.get_mut().write_all(format!("get tea:{key}\r\n").as_bytes())?;
    let mut line = String::new();
    client.read_line(&mut line)?;
    if !line.starts_with("VALUE tea:") {
        bail!("memcached answers {line:?}");
    }
    expect(client, &format!("the value of tea number {key}"))?;
    expect(client, "END")
}

fn expect(client: &mut BufReader<UnixStream>, said: &str) -> Result<()> {
    let mut line = String::new();
    client.read_line(&mut line)?;
    if line.trim_end() != said {
        bail!("memcached answers {line:?}, not {said:?}");
    }
    Ok(())
}
