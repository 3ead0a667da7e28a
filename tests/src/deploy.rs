//! What `tracer/deploy` says: the cluster's manifest and the image.

use crate::project::root;
use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;
use std::fs;

/// A file that the image has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageFile {
    /// Where the build leaves it.
    pub from: String,
    /// Where it is in the image.
    pub to: String,
}

/// A file of `tracer/deploy`.
///
/// # Errors
///
/// It is not there.
pub fn file(name: &str) -> Result<String> {
    let path = root().join("tracer/deploy").join(name);
    fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
}

/// The documents of the manifest.
///
/// # Errors
///
/// It is not YAML.
pub fn manifest() -> Result<Vec<Json>> {
    serde_saphyr::from_multiple(&file("daemonset.yaml")?).context("daemonset.yaml is not YAML")
}

/// The manifest's document of this kind.
///
/// # Errors
///
/// It has none.
pub fn document(kind: &str) -> Result<Json> {
    let found = manifest()?.into_iter().find(|document| document["kind"] == kind);
    found.with_context(|| format!("daemonset.yaml has no {kind}"))
}

/// The strings of a list of the manifest.
///
/// # Errors
///
/// It is no list of strings.
pub fn strings(list: &Json) -> Result<Vec<String>> {
    let strings = list.as_array().context("not a list")?.iter().map(Json::as_str);
    let strings: Option<Vec<&str>> = strings.collect();
    Ok(strings.context("not strings")?.into_iter().map(str::to_owned).collect())
}

/// What the unit sets `name` to, word by word.
///
/// # Errors
///
/// It does not, or does so twice.
pub fn unit(name: &str) -> Result<Vec<String>> {
    let text = file("tracer.service")?;
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.split_whitespace().map(str::to_owned).collect()),
        _ => bail!("tracer.service does not set {name} once"),
    }
}

/// What the last stage of the Dockerfile takes from the build; it has nothing else.
///
/// # Errors
///
/// That stage does not begin with nothing, or copies in another way.
pub fn image() -> Result<Vec<ImageFile>> {
    let text = file("Dockerfile")?;
    let (_, last) = text.rsplit_once("\nFROM ").context("no second stage")?;
    let mut lines = last.lines();
    if lines.next() != Some("scratch") {
        bail!("the image does not begin with nothing");
    }
    let mut files = Vec::new();
    for line in lines.filter_map(|line| line.strip_prefix("COPY ")) {
        let files_and_folder = line.strip_prefix("--from=build ").context("not from the build")?;
        let mut words: Vec<&str> = files_and_folder.split_whitespace().collect();
        let folder = words.pop().filter(|folder| folder.ends_with('/')).context("no folder")?;
        for from in words {
            let name = from.rsplit('/').next().unwrap_or(from);
            files.push(ImageFile { from: from.to_owned(), to: format!("{folder}{name}") });
        }
    }
    Ok(files)
}
