//! What each package may depend on.

use super::{File, Problem};

/// Packages whose dependencies are a closed list.
const ONLY: &[(&str, &[&str])] = &[
    ("tracer-common/Cargo.toml", &["zerocopy"]),
    ("tracer-ebpf/Cargo.toml", &["aya-ebpf", "aya-log-ebpf", "tracer-common", "zerocopy"]),
    ("xtask/Cargo.toml", &["anyhow"]),
];

/// What the pipe may never depend on: the outside's formats, servers and runtimes.
const NOT_IN_CORE: &[&str] =
    &["anyhow", "axum", "clap", "hyper", "kube", "rmcp", "serde_json", "tokio", "tonic"];
const CORE: &str = "tracer/core/Cargo.toml";

/// Checks a manifest.
pub(super) fn check(file: &File, problems: &mut Vec<Problem>) {
    let allowed = ONLY.iter().find(|(path, _)| *path == file.path).map(|(_, names)| *names);
    if allowed.is_none() && file.path != CORE {
        return;
    }
    for (line, name) in dependencies(&file.text) {
        let fault = match allowed {
            Some(names) => !names.contains(&name),
            None => NOT_IN_CORE.contains(&name),
        };
        if fault {
            problems.push(Problem::new(file, line, format!("may not depend on `{name}`")));
        }
    }
}

/// The names in the tables of dependencies, development ones left out.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            // `[dependencies.NAME]` is a dependency too.
            let (before, name) = table.split_once("dependencies").unwrap_or((table, "no"));
            let shipped = before.is_empty() || before == "build-" || before.starts_with("target.");
            inside = shipped && name.is_empty() && !before.ends_with("dev-");
            if let Some(name) = name.strip_prefix('.').filter(|_| shipped) {
                names.push((index + 1, name));
            }
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or(line);
            names.push((index + 1, name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::file;

    #[test]
    fn only_listed_dependencies_pass() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nzerocopy.workspace = true\n\
            # a = 1\nlibc = \"1\"\n[dev-dependencies]\ntempfile = \"3\"\n[dependencies.serde]\n";
        let mut problems = Vec::new();
        check(&file("tracer-common/Cargo.toml", manifest), &mut problems);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "tracer-common/Cargo.toml:6: may not depend on `libc`",
                "tracer-common/Cargo.toml:9: may not depend on `serde`",
            ]
        );
    }

    #[test]
    fn the_pipe_knows_no_formats_of_the_outside() {
        let mut problems = Vec::new();
        check(
            &file(CORE, "[dependencies]\nserde_json.workspace = true\naya = \"1\"\n"),
            &mut problems,
        );
        assert_eq!(problems.len(), 1);
    }
}
