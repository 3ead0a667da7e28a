//! `--metrics-listen`: the figures are those of the API, and nothing but figures and health is
//! there.

use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use tracer_common::outcome::Outcome;
use tracer_tests::cli::{RunningTracer, command, tracer};
use tracer_tests::container::Container;
use tracer_tests::daemon::Daemon;
use tracer_tests::deploy;
use tracer_tests::privilege::require;
use tracer_tests::scrape::{ask, free_address, scrape, value};
use tracer_tests::targets::{RunningTarget, Target};

const PATHS: [&str; 3] = ["/metrics", "/livez", "/readyz"];
/// More than a daemon serves at once.
const MANY: usize = 40;

fn start() -> (Daemon, SocketAddr) {
    require().unwrap();
    let address = free_address().unwrap();
    let listen = format!("--metrics-listen={address}");
    let mut command = command(&["daemon", &listen]).unwrap();
    (Daemon::start_by(&mut command, tempfile::tempdir().unwrap()).unwrap(), address)
}

/// Places a probe that outlives the command.
fn place(daemon: &Daemon, target: &RunningTarget, arguments: &[&str]) {
    let pid = target.pid().to_string();
    let arguments = [&["snapshot", "-p", &pid, "counted", "--detach"], arguments].concat();
    let done = daemon.tracer(&arguments).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

fn start_target(arguments: &[&str]) -> RunningTarget {
    Target::c("counter", "gcc", &["-O2"]).unwrap().start(arguments).unwrap()
}

/// Compares a scrape with what the API says of all probes.
fn assert_as_in_the_api(daemon: &Daemon, address: SocketAddr) {
    let samples = scrape(address).unwrap();
    let probes = daemon.probes().unwrap();
    let mut outcomes = BTreeMap::new();
    for probe in &probes {
        for (code, count) in probe["outcomes"].as_object().unwrap() {
            *outcomes.entry(code.clone()).or_insert(0.0) += count.as_f64().unwrap();
        }
    }
    for outcome in Outcome::ALL {
        let code = outcome.code();
        let told = outcomes.get(code).copied().unwrap_or(0.0);
        let hits = value(&samples, "tracer_hits_total", &json!({ "outcome": code })).unwrap();
        assert_eq!(hits, told, "{code}: {probes:#?}");
        if let Some(reason) = code.strip_prefix("lost_") {
            let labels = json!({ "reason": reason });
            assert_eq!(value(&samples, "tracer_losses_total", &labels).unwrap(), told, "{code}");
        }
    }
    for state in ["starting", "armed", "ended", "failed"] {
        let told = probes.iter().filter(|probe| probe["state"] == state).count() as f64;
        let labels = json!({ "state": state });
        assert_eq!(value(&samples, "tracer_probes", &labels).unwrap(), told, "{state}");
    }
    let one = |name| value(&samples, name, &json!({})).unwrap();
    let living = daemon.living().unwrap().len() as f64;
    assert_eq!(one("tracer_probes_created_total"), probes.len() as f64);
    assert_eq!(one("tracer_attach_seconds_count"), probes.len() as f64);
    assert_eq!(one("tracer_detach_seconds_count"), probes.len() as f64 - living);
    assert_eq!(one("tracer_ring_size_bytes") > 0.0, living > 0.0);
    // Labels are of a few fixed words.
    for sample in &samples {
        for name in sample.labels.as_object().unwrap().keys() {
            let known = ["outcome", "reason", "state", "le", "version", "revision", "arch"];
            assert!(known.contains(&name.as_str()), "{sample:?}");
        }
    }
}

/// LOSS-1
#[test]
fn a_scrape_is_what_the_api_says() {
    let (daemon, address) = start();
    assert_as_in_the_api(&daemon, address);
    let mut target = start_target(&["2", "500"]);
    // One that has what it wanted, one that lives on, one whose ring takes no record.
    place(&daemon, &target, &["--hits", "3"]);
    target.go().unwrap();
    daemon.wait_until_none_lives().unwrap();
    assert_as_in_the_api(&daemon, address);
    place(&daemon, &target, &["--hits", "0", "--rate", "1"]);
    target.go().unwrap();
    assert_as_in_the_api(&daemon, address);
    let mut other = start_target(&["2", "50"]);
    place(&daemon, &other, &["--hits", "0", "--rate", "0", "--ring-bytes", "4096"]);
    other.go().unwrap();
    assert_as_in_the_api(&daemon, address);

    let samples = scrape(address).unwrap();
    let hits = |outcome: Outcome| {
        value(&samples, "tracer_hits_total", &json!({ "outcome": outcome.code() })).unwrap()
    };
    assert!(hits(Outcome::Captured) >= 4.0, "{samples:?}");
    assert!(hits(Outcome::RateLimit) > 0.0, "{samples:?}");
    assert_eq!(hits(Outcome::LostRingFull), 100.0, "{samples:?}");
    assert_eq!(value(&samples, "tracer_probes", &json!({ "state": "armed" })).unwrap(), 2.0);
    let one = |name| value(&samples, name, &json!({})).unwrap();
    assert!(one("tracer_program_seconds_total") > 0.0, "{samples:?}");
    assert!(one("tracer_cache_entries") > 0.0, "{samples:?}");
    assert!(one("tracer_cache_bytes") <= one("tracer_cache_max_bytes"), "{samples:?}");
    assert!(one("process_resident_memory_bytes") > 1e6, "{samples:?}");

    for probe in daemon.living().unwrap() {
        let path = format!("/v1/probes/{}", probe["id"].as_str().unwrap());
        assert_eq!(daemon.ask("DELETE", &path, None).unwrap().status, 200);
    }
    assert_as_in_the_api(&daemon, address);
}

/// AUTH-2
#[test]
fn nothing_but_figures_and_health_answers() {
    let (daemon, address) = start();
    let api = daemon.ask("GET", "/v1/openapi.json", None).unwrap().json().unwrap();
    let mut paths: Vec<&str> =
        api["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(paths.contains(&"/v1/probes"), "{paths:?}");
    paths.extend(["/", "*", "/metrics/", "//metrics", "/METRICS", "/livez/x", "/%6detrics", "/v1"]);
    const METHODS: [&str; 8] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];
    for method in METHODS {
        for path in &paths {
            let answer = ask(address, method, path).unwrap();
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
        for path in PATHS {
            let answer = ask(address, method, path).unwrap();
            let expected = if method == "GET" { 200 } else { 405 };
            assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
            assert!(method == "GET" || answer.head.contains("allow: get"), "{answer:?}");
        }
    }
    assert!(daemon.probes().unwrap().is_empty());
    // What is not HTTP gets no answer of ours.
    for garbage in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(garbage.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap_or_default();
        assert!(!text.contains(" 200 ") && !text.contains("tracer"), "{garbage:?}: {text}");
    }
}

#[test]
fn an_address_that_is_taken_is_said_at_the_start() {
    let (_daemon, address) = start();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock");
    let arguments =
        ["daemon", "--metrics-listen", &address.to_string(), "--socket", socket.to_str().unwrap()];
    let done = tracer(&arguments).unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let told = done.errors().unwrap();
    assert!(told.contains(&address.to_string()) && told.contains("or `off`"), "{told}");
    assert!(!socket.exists());
}

/// Clients that ask for nothing, or for more than there is room for, keep no one out for long.
#[test]
fn slow_and_large_requests_end() {
    let (_daemon, address) = start();
    let mut idle: Vec<TcpStream> =
        (0..MANY).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nx:").unwrap();
    }
    // Behind all of them.
    assert_eq!(ask(address, "GET", "/livez").unwrap().status, 200);
    drop(idle);
    let mut large = TcpStream::connect(address).unwrap();
    let line = format!("x: {}\r\n", "y".repeat(1000));
    let sent = large
        .write_all(b"GET /metrics HTTP/1.1\r\n")
        .and_then(|()| (0..100).try_for_each(|_| large.write_all(line.as_bytes())));
    let mut text = String::new();
    // It was closed while we wrote, or refused.
    let read = large.read_to_string(&mut text);
    assert!(sent.is_err() || read.is_err() || text.contains(" 431 "), "{text}");
    assert_eq!(ask(address, "GET", "/livez").unwrap().status, 200);
}

/// The manifest's own command line on the image's files, asked as the manifest says.
#[test]
fn the_manifests_pod_is_healthy_and_says_what_it_lacks() {
    require().unwrap();
    let daemonset = deploy::document("DaemonSet").unwrap();
    let pod = &daemonset["spec"]["template"]["spec"]["containers"][0];
    let port = u16::try_from(pod["ports"][0]["containerPort"].as_u64().unwrap()).unwrap();
    let pod_ip: IpAddr = "127.0.0.94".parse().unwrap();
    let address = SocketAddr::new(pod_ip, port);
    let path = |probe: &str| pod[probe]["httpGet"]["path"].as_str().unwrap();

    let mut container = Container::from_manifest().unwrap();
    let daemon = start_pod(&container, pod_ip);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let answer = ask(address, "GET", path(probe)).unwrap();
        assert_eq!(answer.status, 200, "{probe}: {answer:?}");
    }
    scrape(address).unwrap();
    drop(daemon);

    for missing in ["CAP_BPF", "CAP_PERFMON"] {
        let all = container.capabilities.clone();
        container.capabilities.retain(|name| name != missing);
        let daemon = start_pod(&container, pod_ip);
        assert_eq!(ask(address, "GET", path("livenessProbe")).unwrap().status, 200);
        let answer = ask(address, "GET", path("readinessProbe")).unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains(&format!("capabilities: missing: {missing} (")), "{answer:?}");
        assert!(answer.body.contains("run as root, or give"), "{answer:?}");
        drop(daemon);
        container.capabilities = all;
    }
}

fn start_pod(container: &Container, pod_ip: IpAddr) -> RunningTracer {
    let mut daemon = RunningTracer::start(&mut container.daemon(pod_ip).unwrap()).unwrap();
    daemon.wait_for("the daemon listens").unwrap();
    daemon
}
