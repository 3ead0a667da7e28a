//! What a daemon answers to monitoring, read by Prometheus's own library.

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Writes one line of JSON for each sample. Debian's Python, for it is Debian's library.
const PYTHON: &str = "/usr/bin/python3";
const READER: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(json.dumps([family.type, sample.name, sample.labels, sample.value]))
";

/// An answer by HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The lines of the head behind the first, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

/// One figure.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// What it is: `counter`, `gauge`, `histogram`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its labels, by name.
    pub labels: Json,
    /// Its value.
    pub value: f64,
}

/// An address of this machine at which nobody listens.
///
/// # Errors
///
/// The operating system's.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Asks for a path.
///
/// # Errors
///
/// Nobody answers.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without a head")?;
    let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status: {first:?}"))?;
    Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// The figures of a daemon.
///
/// # Errors
///
/// It does not answer, or in another format.
pub fn scrape(address: SocketAddr) -> Result<Vec<Sample>> {
    let answer = ask(address, "GET", "/metrics")?;
    if answer.status != 200 || !answer.head.contains("content-type: text/plain; version=0.0.4") {
        bail!("not metrics: {answer:?}");
    }
    read(&answer.body)
}

/// The one figure with this name and these labels.
///
/// # Errors
///
/// There is none, or several.
pub fn value(samples: &[Sample], name: &str, labels: &Json) -> Result<f64> {
    let mut found = samples.iter().filter(|sample| sample.name == name && sample.labels == *labels);
    match (found.next(), found.next()) {
        (Some(sample), None) => Ok(sample.value),
        (None, _) => bail!("no {name}{labels}"),
        (Some(_), Some(_)) => bail!("several of {name}{labels}"),
    }
}

fn read(text: &str) -> Result<Vec<Sample>> {
    let mut python = Command::new(PYTHON)
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("no {PYTHON}: run `cargo xtask setup`"))?;
    // It reads all before it writes.
    python.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = python.wait_with_output()?;
    if !output.status.success() {
        bail!("Prometheus's library can't read it:\n{text}");
    }
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| sample(&serde_json::from_str(line)?)).collect()
}

fn sample(line: &Json) -> Result<Sample> {
    let text = |index: usize| line[index].as_str().map(str::to_owned);
    let sample = || {
        Some(Sample {
            kind: text(0)?,
            name: text(1)?,
            labels: line[2].clone(),
            value: line[3].as_f64()?,
        })
    };
    sample().with_context(|| format!("not a sample: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_found_by_name_and_labels() {
        let text = "# TYPE a_total counter\na_total{b=\"c\"} 3\na_total{b=\"d\"} 4\n";
        let samples = read(text).unwrap();
        assert_eq!(value(&samples, "a_total", &json!({"b": "d"})).unwrap(), 4.0);
        assert_eq!(samples[0].kind, "counter");
        assert!(value(&samples, "a_total", &json!({})).is_err());
        assert!(read("a_total{b=}").is_err());
    }
}
