//! What a target says does no harm in any output: strings, thread names, symbols, source paths,
//! file names; in text with and without colours, in JSON, in errors and in the log. And nothing
//! is lost by it: the bytes can be had back.

mod harmless;
mod names;

use harmless::{assert_harmless, unescape};
use serde_json::Value as Json;
use std::process::Command;
use tracer_tests::cli::{self, Done, RunningTracer};
use tracer_tests::privilege::require;
use tracer_tests::project;
use tracer_tests::targets::{RunningTarget, Target};

/// The strings of `hostile.c`, in order.
const TEXTS: [&[u8]; 12] = [
    b"\x1b[2J\x1b[31mred",
    b"\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07",
    b"\x1b]8;;http://example.com/\x1b\\link\x1b]8;;\x1b\\",
    b"\x1bPq\x1b\\\x1b_x\x1b\\",
    b"\xc2\x9b2J\xc2\x9d0;x\xc2\x9c\xc2\x85",
    b"\x9b2J\x9d0;x\x9c",
    b"user\xe2\x80\xaenimda\xe2\x80\xac \xe2\x81\xa6x\xe2\x81\xa9\xd8\x9c",
    b"harmless\rrm -rf\x08\x08\x7f",
    b"value\n  admin = true\tx",
    b"\xe2\x82 \xc0\xaf \xed\xa0\x80 \xff",
    b"a\xe2\x80\x8bb\xe2\x80\xa8c\xe2\x80\xa9d\xef\xbb\xbf",
    b"\"quoted\" 'single' \\n </script><b>& {\"a\":1} ${x} `id`",
];
/// Its thread's name.
const COMM: &[u8] = b"\x1b]0;x\x07\r\n\x9b\xe2\x80\xaec";

fn sorted() -> Vec<&'static [u8]> {
    let mut texts = TEXTS.to_vec();
    texts.sort();
    texts
}

/// Runs `tracer snapshot` on a target that works until it has enough.
fn snapshot(target: &mut RunningTarget, arguments: &[&str], change: &dyn Fn(&mut Command)) -> Done {
    let pid = target.pid().to_string();
    let arguments = [&["snapshot", "-p", &pid, "--timeout", "60s"], arguments].concat();
    let mut command = cli::command(&arguments).unwrap();
    change(&mut command);
    let mut tracer = RunningTracer::start(&mut command).unwrap();
    while tracer.runs().unwrap() {
        target.go().unwrap();
    }
    tracer.finish().unwrap()
}

fn start() -> RunningTarget {
    require().unwrap();
    Target::c("hostile", "gcc", &["-O2"]).unwrap().start(&[]).unwrap()
}

/// Lines of JSON that keep the schema.
fn valid_lines(output: &str) -> Vec<Json> {
    let schema = project::root().join("tracer/src/api/snapshot.schema.json");
    let schema: Json = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lines: Vec<Json> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let errors: Vec<String> =
            validator.iter_errors(line).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{line:#}");
    }
    lines
}

/// The bytes of a text in JSON: as a string, or in hexadecimal where they are not UTF-8.
fn bytes_of(value: &Json) -> Vec<u8> {
    let text = value.as_str().or_else(|| value["text"].as_str());
    if let Some(text) = text {
        return text.as_bytes().to_vec();
    }
    let hex = value["bytes"].as_str().unwrap_or_else(|| panic!("no text: {value}"));
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// HOST-2
#[test]
fn strings_in_text() {
    let mut target = start();
    let colours = |command: &mut Command| {
        command.env("CLICOLOR_FORCE", "1");
    };
    for (coloured, change) in
        [(false, &(|_: &mut Command| ()) as &dyn Fn(&mut Command)), (true, &colours)]
    {
        let done = snapshot(&mut target, &["hostile", "--hits", "12"], change);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        let output = assert_harmless(&done.stdout, coloured);
        assert_harmless(&done.stderr, coloured);
        let mut shown: Vec<Vec<u8>> = output
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("text: const char * = "))
            .map(unescape)
            .collect();
        // Where the target was when the probe came is chance.
        shown.sort();
        assert_eq!(shown, sorted(), "{output}");
        // The NUL ends the text in an array.
        assert_eq!(output.matches("inline_text: char [24] = \"in\"").count(), 12);
        assert_eq!(output.matches("one: char = '\\x1b' (27)").count(), 12);
        // The process is named by its main thread: escaped, no new line begun.
        assert_eq!(output.matches("\\x1b]0;x\\x07\\r\\n\\x9b\\u{202e}c[").count(), 12);
    }
    target.finish().unwrap();
}

/// HOST-2
#[test]
fn strings_in_json() {
    let mut target = start();
    let done = snapshot(&mut target, &["hostile", "--hits", "12", "--json"], &|_| ());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.stdout.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
    let lines = valid_lines(done.output().unwrap());
    let (summary, captures) = lines.split_last().unwrap();
    assert_eq!(summary["summary"]["written"], 12, "{summary}");
    let mut shown = Vec::new();
    for line in captures {
        assert_eq!(bytes_of(&line["target"]["comm"]), COMM);
        let variables = line["frames"][0]["variables"].as_array().unwrap();
        let variable = |name| variables.iter().find(|v| v["name"] == name).unwrap();
        let text = bytes_of(&variable("text")["value"]);
        let fields = variable("hostile")["value"]["target"]["value"]["fields"].as_array().unwrap();
        let field = |name| &fields.iter().find(|f| f["name"] == name).unwrap()["value"];
        assert_eq!(bytes_of(field("text")), text);
        assert_eq!(bytes_of(field("inline_text")), b"in");
        let bytes = field("bytes")["items"].as_array().unwrap();
        let codes: Vec<i64> = bytes.iter().map(|item| item["code"].as_i64().unwrap()).collect();
        assert_eq!(codes, [0x00, 0x1b, 0x9b, 0xff, 0x0d, 0x0a, 0x09, 0x7f]);
        shown.push(text);
    }
    shown.sort();
    assert_eq!(shown, sorted());
    target.finish().unwrap();
}

/// Words on the command line come back in errors; they may have been copied from anywhere.
#[test]
fn arguments_in_errors() {
    let target = start();
    let pid = target.pid().to_string();
    for text in TEXTS.iter().filter_map(|text| std::str::from_utf8(text).ok()) {
        for arguments in [
            ["snapshot", "-p", &pid, text].as_slice(),
            &["snapshot", "-p", &pid, text, "--json"],
            &["snapshot", "-p", &pid, "main", "--timeout", text],
            &["snapshot", "-p", &pid, "main", "--kernel-log", text],
            &["find", "-p", &pid, text],
            &["find", "-p", &pid, text, "--json"],
            &["help", text],
            &[text],
        ] {
            for coloured in [false, true] {
                let mut command = cli::command(arguments).unwrap();
                if coloured {
                    command.env("CLICOLOR_FORCE", "1");
                }
                let done = RunningTracer::start(&mut command).unwrap().finish().unwrap();
                assert_ne!(done.status.code(), Some(0), "{arguments:?}");
                let said = assert_harmless(&done.stderr, coloured);
                if arguments.contains(&"--json") {
                    let line: Json = serde_json::from_str(&said).unwrap();
                    assert_eq!(line["error"]["subject"].as_str().unwrap().trim(), text.trim());
                }
                assert_harmless(&done.stdout, coloured);
            }
        }
    }
    target.finish().unwrap();
}
