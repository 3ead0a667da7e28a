//! Servers of debug files: asked last, believed if the build-id fits, and never waited for long.

use super::PLAIN;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use tracer_tests::cli;
use tracer_tests::privilege::require;
use tracer_tests::targets::Target;

/// Debian's server of debug files, for a folder of its own.
struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(files: &[&Path]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for file in files {
            let name = file.file_name().context("no name")?;
            std::fs::copy(file, folder.path().join(name))?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new("debuginfod");
        command.args(["-F", "-vv", "-t0", "-p", &port.to_string(), "-d", ":memory:"]);
        command.arg(folder.path()).env_remove("DEBUGINFOD_URLS");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("no debuginfod: run `cargo xtask setup`")?;
        let log = BufReader::new(child.stderr.take().context("no log")?);
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        // It logs all that it does, and must be read to its end.
        let (sender, indexed) = channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("groomed database") {
                    // It does that when all is indexed. Nobody waits any more at the second time.
                    let _told = sender.send(());
                }
            }
        });
        indexed.recv_timeout(Duration::from_secs(60)).context("debuginfod does not index")?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A stripped copy of the plain form without a link to its debug file, which is beside it.
fn stripped(folder: &Path) -> Result<(Target, PathBuf)> {
    let plain = PLAIN.build()?.target;
    let debug = folder.join("debug");
    plain.copy("objcopy", &["--only-keep-debug"], &debug)?;
    Ok((plain.copy("strip", &[], &folder.join("form"))?, debug))
}

fn vars(target: &Target, urls: &str, cache: &Path) -> Result<cli::Done> {
    vars_with(target, cache, &[("DEBUGINFOD_URLS", urls)])
}

fn vars_with(target: &Target, cache: &Path, environment: &[(&str, &str)]) -> Result<cli::Done> {
    let running = target.start(&[])?;
    let location = format!("forms.c:{}", target.line("/* here */")?);
    let mut command = cli::command(&["vars", "-p", &running.pid().to_string(), &location])?;
    command.envs(environment.iter().copied()).env("TRACER_CACHE_DIR", cache);
    let output = command.output()?;
    running.finish()?;
    Ok(cli::Done { stdout: output.stdout, stderr: output.stderr, status: output.status })
}

/// IDENT-2
#[test]
fn a_server_of_debug_files_is_asked_last_and_believed_if_the_build_id_fits() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (target, debug) = stripped(folder.path()).unwrap();
    let server = Server::start(&[&debug]).unwrap();
    let cache = folder.path().join("cache");
    let done = vars(&target, &server.url, &cache).unwrap();
    let shown = done.output().unwrap();
    assert!(done.status.success() && shown.contains("numbers"), "{done:?}");
    // It was kept: the server is not needed any more.
    let url = server.url.clone();
    drop(server);
    assert!(vars(&target, &url, &cache).unwrap().status.success());
    // What is there under the name of another is not believed.
    let kept = std::fs::read_dir(cache.join("debuginfod")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy("/proc/self/exe", &kept).unwrap();
    let done = vars(&target, &url, &cache).unwrap();
    assert!(!done.status.success() && done.errors().unwrap().contains(&url), "{done:?}");
    assert!(!kept.exists());
}

#[test]
fn a_server_that_says_nothing_delays_no_longer_than_it_may() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (target, _) = stripped(folder.path()).unwrap();
    // It accepts connections, and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let environment = [("DEBUGINFOD_URLS", url.as_str()), ("DEBUGINFOD_TIMEOUT", "1")];
    let done = vars_with(&target, &folder.path().join("cache"), &environment).unwrap();
    let errors = done.errors().unwrap();
    assert!(errors.contains(&format!("{url}: it is being fetched")), "{errors}");
}

/// IDENT-2
#[test]
fn a_server_that_speaks_tls_must_prove_who_it_is() {
    require().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (target, debug) = stripped(folder.path()).unwrap();
    let server = TlsServer::start(folder.path(), &target, &debug).unwrap();
    let [cache, other] = ["cache", "other"].map(|name| folder.path().join(name));
    let urls = ("DEBUGINFOD_URLS", server.url.as_str());
    let unknown = vars_with(&target, &cache, &[urls]).unwrap();
    let errors = unknown.errors().unwrap();
    assert!(!unknown.status.success() && errors.contains("certificate"), "{unknown:?}");
    let known = ("SSL_CERT_FILE", server.certificate.to_str().unwrap());
    let done = vars_with(&target, &other, &[urls, known]).unwrap();
    assert!(done.status.success() && done.output().unwrap().contains("numbers"), "{done:?}");
}

fn build_id(program: &Path) -> Result<String> {
    let output = Command::new("readelf").arg("-n").arg(program).output().context("no readelf")?;
    let notes = String::from_utf8(output.stdout)?;
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    Ok(id.context("it has no build-id")?.to_owned())
}

/// A server of one file by TLS, with a certificate of its own.
struct TlsServer {
    child: Child,
    url: String,
    certificate: PathBuf,
}

impl TlsServer {
    fn start(folder: &Path, target: &Target, debug: &Path) -> Result<Self> {
        let directory = folder.join("served").join("buildid").join(build_id(&target.program)?);
        std::fs::create_dir_all(&directory)?;
        std::fs::copy(debug, directory.join("debuginfo"))?;
        let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| folder.join(name));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
        command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&certificate).stderr(Stdio::null());
        let status = command.status().context("no openssl: run `cargo xtask setup`")?;
        anyhow::ensure!(status.success(), "openssl makes no certificate");
        let mut command = Command::new("openssl");
        command.args(["s_server", "-WWW", "-accept", "127.0.0.1:0"]);
        command.arg("-key").arg(&key).arg("-cert").arg(&certificate);
        command.current_dir(folder.join("served"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let log = BufReader::new(child.stdout.take().context("no log")?);
        let mut server = Self { child, url: String::new(), certificate };
        let mut lines = log.lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| Some(line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.to_owned()));
        server.url = format!("https://localhost:{}", port.context("openssl does not listen")?);
        // What it logs must be read to its end.
        std::thread::spawn(move || lines.count());
        Ok(server)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
