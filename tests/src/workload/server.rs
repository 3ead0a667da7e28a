//! Servers on a Unix socket, and what they are asked.

use super::{PATIENCE, wait_until};
use crate::truth::work::MEMCACHED;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Times that all commands are given in one work.
const ROUNDS: usize = 100;

/// What lighttpd is asked: paths that are there, that are not, that are cut, that are refused.
const REQUESTS: &[&str] = &[
    "GET / HTTP/1.0",
    "GET /teas.txt HTTP/1.0",
    "GET /teas.txt HTTP/1.0\r\nRange: bytes=100-199",
    "HEAD /teas.txt HTTP/1.0",
    "GET /none HTTP/1.0",
    "GET /old/tea HTTP/1.0",
    "GET /%74eas.txt?cup=2 HTTP/1.1\r\nHost: tea\r\nConnection: close",
    "GET /../../etc/passwd HTTP/1.0",
    "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\ntea",
    "BREW /pot HTTP/1.0",
    "nonsense",
];

/// A server that listens.
#[derive(Debug)]
pub(super) struct Server {
    socket: PathBuf,
    talk: fn(&Path) -> Result<Vec<u8>>,
}

impl Server {
    pub(super) fn wait_until_served(&self) -> Result<()> {
        wait_until("it does not listen", || UnixStream::connect(&self.socket).ok()).map(drop)
    }

    /// Asks all; gives the answers.
    pub(super) fn work(&self) -> Result<Vec<u8>> {
        (self.talk)(&self.socket)
    }
}

/// lighttpd in the foreground, with a folder to serve in `home`.
pub(super) fn lighttpd(command: &mut Command, home: &Path) -> Result<Server> {
    let (root, socket) = (home.join("www"), home.join("http"));
    if !root.is_dir() {
        fs::create_dir(&root)?;
        let teas: String = (0..400).map(|n| format!("{n} cups of tea {}\n", n * 7919)).collect();
        fs::write(root.join("teas.txt"), teas)?;
    }
    let configuration = format!(
        "server.errorlog = \"{}\"\nserver.document-root = \"{}\"\nserver.bind = \"{}\"\nserver.modules = (\"mod_rewrite\", \
         \"mod_dirlisting\")\ndir-listing.activate = \"enable\"\nmimetype.assign = (\".txt\" => \
         \"text/plain\")\nurl.rewrite-once = (\"^/old/(.*)$\" => \"/$1s.txt\")\n",
        home.join("errors").display(),
        root.display(),
        socket.display()
    );
    fs::write(home.join("lighttpd.conf"), configuration)?;
    // A socket of a run before would refuse us.
    fs::remove_file(&socket).ok();
    command.arg("-D").arg("-f").arg(home.join("lighttpd.conf"));
    Ok(Server { socket, talk: ask_lighttpd })
}

/// memcached with four threads.
pub(super) fn memcached(command: &mut Command, home: &Path) -> Result<Server> {
    let socket = home.join("memcached");
    fs::remove_file(&socket).ok();
    command.args(["-u", "root", "-t", "4", "-m", "16", "-s"]).arg(&socket);
    Ok(Server { socket, talk: ask_memcached })
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask_lighttpd(socket: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for request in (0..ROUNDS / 4).flat_map(|_| REQUESTS) {
        let mut stream = connect(socket)?;
        let end = if request.contains("\r\n\r\n") { "" } else { "\r\n\r\n" };
        stream.write_all(format!("{request}{end}").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| format!("no answer to {request:?}"))?;
        let answer = String::from_utf8_lossy(&answer);
        // What is not the same in two runs.
        let varies = |line: &&str| line.starts_with("Date: ");
        for line in answer.split_inclusive('\n').filter(|line| !varies(line)) {
            all.extend_from_slice(line.as_bytes());
        }
    }
    Ok(all)
}

fn ask_memcached(socket: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    // Each is served by another of its threads, one after another.
    for _ in 0..4 {
        let mut stream = BufReader::new(connect(socket)?);
        for (command, last) in (0..ROUNDS).flat_map(|_| MEMCACHED) {
            stream.get_mut().write_all(command.as_bytes())?;
            let start = all.len();
            while all.len() == start || !ends_with_line(&all, last) {
                if stream.read_until(b'\n', &mut all)? == 0 {
                    bail!("memcached hangs up after {command:?}");
                }
                if all.get(start..).is_some_and(|said| said.starts_with(b"ERROR")) {
                    bail!("memcached does not know {command:?}");
                }
            }
        }
        stream.get_mut().write_all(b"flush_all\r\n")?;
        stream.read_until(b'\n', &mut all)?;
    }
    Ok(all)
}

fn ends_with_line(all: &[u8], line: &str) -> bool {
    all.strip_suffix(b"\r\n").is_some_and(|all| all.ends_with(line.as_bytes()))
}
