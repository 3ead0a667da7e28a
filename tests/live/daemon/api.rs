//! What the daemon says to requests that it does not serve.

use super::target;
use serde_json::{Value as Json, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use tracer_tests::daemon::Daemon;
use tracer_tests::privilege::require;

fn refused(daemon: &Daemon, method: &str, path: &str, body: &[u8]) -> (u16, Json) {
    let mut answer = daemon.open(method, path, body).unwrap();
    let line = answer.line().unwrap().unwrap();
    assert_eq!(line["schema"], "tracer/error/1");
    assert_ne!(line["error"]["remedy"], "", "{line}");
    (answer.status, line["error"]["code"].clone())
}

#[test]
fn what_is_not_understood_is_refused_with_a_code_and_a_remedy() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    let post = |body: &str| refused(&daemon, "POST", "/v1/probes", body.as_bytes());
    let bad = (400, json!("bad_request"));
    assert_eq!(post("no json"), bad);
    assert_eq!(post(r#"{"pid": 1, "location": "f", "unknown": 1}"#), bad);
    assert_eq!(post(r#"{"pid": -1, "location": "f"}"#), bad);
    assert_eq!(post(r#"{"pid": 1, "location": "f", "timeout_ms": 0}"#), bad);
    assert_eq!(post(r#"{"pid": 1, "location": "f", "timeout_ms": 86400001}"#), bad);
    assert_eq!(post(r#"{"pid": 1, "location": "f", "ring_bytes": 5000}"#), bad);
    assert_eq!(post(r#"{"pid": 1, "location": "f", "limits": {"depth_max": 65}}"#), bad);
    assert_eq!(post(r#"{"pid": 1, "location": "*zz"}"#), (400, json!("bad_location")));
    assert_eq!(post(r#"{"pid": 4194303, "location": "f"}"#), (404, json!("no_process")));
    assert_eq!(post(&"[".repeat(60_000)), bad, "nested");
    let large = format!(r#"{{"pid": 1, "location": "{}"}}"#, "x".repeat(65 << 10));
    assert_eq!(post(&large), (413, json!("large_request")));

    let ask = |method, path| refused(&daemon, method, path, b"");
    assert_eq!(ask("GET", "/v1/nothing"), (404, json!("no_such_path")));
    assert_eq!(ask("PUT", "/v1/probes"), (405, json!("no_such_method")));
    assert_eq!(ask("GET", "/v1/probes/none"), (404, json!("no_such_probe")));
    assert_eq!(ask("DELETE", "/v1/probes/none"), (404, json!("no_such_probe")));
    assert_eq!(ask("GET", "/v1/probes/none/captures"), (404, json!("no_such_probe")));
    assert_eq!(ask("GET", "/v1/probes/%ff"), bad);
    assert_eq!(ask("DELETE", "/v1/probes/%ff"), bad);
    assert_eq!(ask("GET", "/v1/probes/%ff/captures"), bad);
    assert_eq!(ask("GET", "/v1/probes/none/captures?after=x"), bad);
    assert_eq!(ask("GET", "/v1/probes/none/captures?unknown=1"), bad);
    assert!(daemon.living().unwrap().is_empty());
}

#[test]
fn what_is_refused_by_the_engine_has_a_status() {
    let target = target();
    let daemon = Daemon::start().unwrap();
    for (location, status, code) in [
        ("no_such_function", 404, "no_function"),
        ("counter.c:1", 404, "no_line"),
        ("*0x1", 422, "not_mapped"),
    ] {
        for (path, detach) in [("/v1/probes", true), ("/v1/probes", false), ("/v1/vars", false)] {
            let mut body = json!({"pid": target.pid(), "location": location});
            if path == "/v1/probes" {
                body["detach"] = detach.into();
            }
            let answer = refused(&daemon, "POST", path, body.to_string().as_bytes());
            assert_eq!(answer, (status, json!(code)), "{path} {location}");
        }
    }
    let failed = daemon.probes().unwrap();
    assert!(failed.iter().all(|probe| probe["state"] == "failed"), "{failed:#?}");
}

#[test]
fn the_daemon_describes_itself() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    let document = daemon.ask("GET", "/v1/openapi.json", None).unwrap().json().unwrap();
    let paths: Vec<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in
        ["/v1/find", "/v1/probes", "/v1/probes/{id}", "/v1/probes/{id}/captures", "/v1/vars"]
    {
        assert!(paths.contains(&path), "{paths:?}");
    }
    let version = daemon.ask("GET", "/v1/version", None).unwrap().json().unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

/// A request that never comes is not waited for.
#[test]
fn half_a_request() {
    require().unwrap();
    let daemon = Daemon::start().unwrap();
    let mut half = UnixStream::connect(daemon.socket()).unwrap();
    half.write_all(b"GET /v1/probes HTTP/1.1\r\nhost: ").unwrap();
    // It ends, with or without a word.
    let mut said = Vec::new();
    half.read_to_end(&mut said).unwrap();
}
