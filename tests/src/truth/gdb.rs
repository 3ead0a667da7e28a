//! gdb's view: runs gdb on `gdb/main.py` and reads what it writes.

use super::leaf::{Leaf, View};
use super::limits;
use crate::project::root;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tracer_core::model::resolved::OtherPc;

/// How long gdb may take to read debug info and to stop everywhere.
const PATIENCE: Duration = Duration::from_secs(120);

/// The lines with code of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionLines {
    /// The source as the compiler recorded it.
    pub file: String,
    /// Behind the line of its name, in ascending order.
    pub lines: Vec<u64>,
}

/// An address at which gdb stops, and at which of its hits, from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Point {
    /// The address in the process.
    pub pc: u64,
    /// Numbers of hits, each with the variables that are to be had as they are at another pc.
    pub hits: BTreeMap<u64, BTreeMap<String, OtherPc>>,
}

/// What gdb saw at a stop.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Where it stopped.
    pub pc: u64,
    /// The number of the hit.
    pub hit: u64,
    /// What was there.
    pub view: View,
}

/// A place that a survey found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// As it was asked for.
    pub kind: String,
    /// The address in the process.
    pub pc: u64,
    /// For users: a function, a line, an address.
    pub location: String,
    /// How often the work came there, up to what was asked for.
    pub hits: u64,
}

/// The lines of functions of a file, by their names.
///
/// # Errors
///
/// gdb can't be run, or does not know one of the functions.
pub fn lines(file: &Path, functions: &[&str]) -> Result<Vec<FunctionLines>> {
    let gdb = Gdb::start(&json!({ "job": "lines", "file": file, "functions": functions }))?;
    let answers = gdb.finish()?;
    if answers.len() != functions.len() {
        bail!("gdb knows {} of the functions {functions:?}", answers.len());
    }
    let read = |answer: Value| {
        let file = answer.get("file")?.as_str()?.to_owned();
        let lines = answer.get("lines")?.as_array()?.iter().filter_map(Value::as_u64).collect();
        Some(FunctionLines { file, lines })
    };
    answers.into_iter().map(|answer| read(answer).context("an answer without lines")).collect()
}

/// Attaches gdb to a process with breakpoints at random addresses of its program's code: by the
/// kind of place that is wanted around one, and how far into the code it is, from 0 to 1. Up to
/// `hits` hits are counted.
///
/// # Errors
///
/// gdb can't be run or can't attach.
pub fn survey(pid: u32, shares: &[(&str, f64)], hits: u64) -> Result<Attached> {
    let asked = json!({ "job": "survey", "pid": pid, "shares": shares, "hits": hits });
    let gdb = Gdb::start(&asked)?;
    gdb.ready()?;
    Ok(Attached(gdb))
}

/// A gdb that is attached to a process and waits for its stops.
#[derive(Debug)]
pub struct Attached(Gdb);

/// Attaches gdb to a process; it runs on when this returns, with the breakpoints in it.
///
/// # Errors
///
/// gdb can't be run or can't attach.
pub fn attach(pid: u32, points: &[Point]) -> Result<Attached> {
    let points: Vec<Value> = points.iter().map(asked).collect();
    let asked = json!({ "job": "values", "pid": pid, "points": points, "limits": limits::gdb() });
    let gdb = Gdb::start(&asked)?;
    gdb.ready()?;
    Ok(Attached(gdb))
}

fn asked(point: &Point) -> Value {
    let of_hit = |(hit, moved): (&u64, &BTreeMap<String, OtherPc>)| {
        let one = |(path, other): (&String, &OtherPc)| json!({ "path": path, "pc": other.pc.0 });
        (hit.to_string(), moved.iter().map(one).collect::<Vec<Value>>())
    };
    let moved: BTreeMap<String, Vec<Value>> = point.hits.iter().map(of_hit).collect();
    let hits: Vec<u64> = point.hits.keys().copied().collect();
    json!({ "pc": point.pc, "hits": hits, "moved": moved })
}

impl Attached {
    /// Waits until gdb has seen all hits or the process has ended.
    ///
    /// # Errors
    ///
    /// gdb fails or takes too long.
    pub fn stops(self) -> Result<Vec<Stop>> {
        let read = |answer: Value| {
            let leaves = answer.get("leaves")?.as_object()?;
            let leaves = leaves.iter().map(|(path, leaf)| Some((path.clone(), read_leaf(leaf)?)));
            let paths = |key| -> Option<BTreeSet<String>> {
                let paths = answer.get(key)?.as_array()?.iter();
                paths.map(|path| Some(path.as_str()?.to_owned())).collect()
            };
            Some(Stop {
                pc: answer.get("pc")?.as_u64()?,
                hit: answer.get("hit")?.as_u64()?,
                view: View {
                    variables: paths("variables")?,
                    undeclared: paths("undeclared")?,
                    ..leaves.collect::<Option<View>>()?
                },
            })
        };
        let answers = self.0.finish()?.into_iter();
        answers.map(|answer| read(answer).context("an answer that is no stop")).collect()
    }

    /// Waits as [`Self::stops`] does: the places that the work came to.
    ///
    /// # Errors
    ///
    /// gdb fails or takes too long.
    pub fn places(self) -> Result<Vec<Place>> {
        let read = |answer: Value| {
            Some(Place {
                kind: answer.get("kind")?.as_str()?.to_owned(),
                pc: answer.get("pc")?.as_u64()?,
                location: answer.get("location")?.as_str()?.to_owned(),
                hits: answer.get("hits")?.as_u64()?,
            })
        };
        let answers = self.0.finish()?.into_iter();
        answers.map(|answer| read(answer).context("an answer that is no place")).collect()
    }
}

fn read_leaf(leaf: &Value) -> Option<Leaf> {
    let content = leaf.get(1)?.as_str()?;
    Some(match leaf.get(0)?.as_str()? {
        "number" => Leaf::Number(content.parse().ok()?),
        "double" => Leaf::Double(u64::from_str_radix(content, 16).ok()?),
        "decimal" => Leaf::Decimal(content.to_owned()),
        "text" => Leaf::Text(bytes(content)?),
        "missing" => Leaf::Missing(content.to_owned()),
        _ => return None,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// A running gdb; dropping it ends it.
#[derive(Debug)]
struct Gdb {
    child: Child,
    lines: Receiver<String>,
    output: PathBuf,
    _home: TempDir,
}

impl Gdb {
    fn start(asked: &Value) -> Result<Self> {
        let home = TempDir::new()?;
        let (request, output) = (home.path().join("request"), home.path().join("output"));
        let mut asked = asked.clone();
        asked["output"] = json!(output);
        std::fs::write(&request, asked.to_string())?;
        let scripts = root().join("tests/src/truth/gdb");
        let told = format!(
            "python import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {scripts:?}); \
             request = {request:?}"
        );
        let mut command = Command::new("gdb");
        command.args(["-nx", "-batch", "-ex", &told, "-x"]).arg(scripts.join("main.py"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("can't start gdb: run `cargo xtask setup`")?;
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        // What gdb says is kept for the case that it fails.
        for stream in [out.map(readable), err.map(readable)].into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, lines, output, _home: home })
    }

    fn ready(&self) -> Result<()> {
        let mut said = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line == "ready" => return Ok(()),
                Ok(line) => said = format!("{said}\n{line}"),
                Err(_) => bail!("gdb does not get ready:{said}"),
            }
        }
    }

    /// Waits for its end and reads what it has written.
    fn finish(self) -> Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        // Both streams end with it.
        while let Some(left) = deadline.checked_duration_since(Instant::now())
            && let Ok(line) = self.lines.recv_timeout(left)
        {
            said = format!("{said}\n{line}");
        }
        if Instant::now() > deadline {
            bail!("gdb does not end:{said}");
        }
        let text = std::fs::read_to_string(&self.output)
            .with_context(|| format!("gdb wrote nothing:{said}"))?;
        let Some(answers) = text.strip_suffix("\"end\"\n") else { bail!("gdb fails:{said}") };
        answers.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

fn readable(stream: impl std::io::Read + Send + 'static) -> Box<dyn std::io::Read + Send> {
    Box::new(stream)
}

impl Drop for Gdb {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
