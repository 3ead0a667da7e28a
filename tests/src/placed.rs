//! Probes of a daemon, as its API has them.

use crate::daemon::Daemon;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value as Json;

/// A probe of a daemon.
#[derive(Clone, Debug)]
pub struct Placed {
    path: String,
}

impl Placed {
    /// Places one that is left to the daemon; or gives why the daemon does not.
    ///
    /// # Errors
    ///
    /// The daemon does not answer, or it says that it is broken.
    pub fn place(daemon: &Daemon, request: &Json) -> Result<Result<Self, Json>> {
        let mut request = request.clone();
        request["detach"] = true.into();
        let answer = daemon.ask("POST", "/v1/probes", Some(&request))?;
        let line = answer.json()?;
        match answer.status {
            201 => {
                let id = line["id"].as_str().context("it has no id")?;
                Ok(Ok(Self { path: format!("/v1/probes/{id}") }))
            }
            400..500 => Ok(Err(line["error"].clone())),
            status => bail!("{status}: {line}"),
        }
    }

    /// Whether its breakpoints are in place, as far as the daemon knows.
    ///
    /// # Errors
    ///
    /// The daemon does not answer.
    pub fn is_armed(&self, daemon: &Daemon) -> Result<bool> {
        Ok(daemon.ask("GET", &self.path, None)?.json()?["state"] == "armed")
    }

    /// Removes it; returns when its breakpoints are out.
    ///
    /// # Errors
    ///
    /// The daemon does not answer, or does not know it.
    pub fn remove(&self, daemon: &Daemon) -> Result<()> {
        let answer = daemon.ask("DELETE", &self.path, None)?;
        ensure!(answer.status == 200, "{}: {}", self.path, answer.json()?);
        Ok(())
    }

    /// Waits for its end and checks that each hit had one outcome and that no record was lost on the
    /// way to us; gives the summary.
    ///
    /// # Errors
    ///
    /// The equation does not hold, or the daemon does not answer.
    pub fn require_exact(&self, daemon: &Daemon) -> Result<Json> {
        let mut stream = daemon.open("GET", &format!("{}/captures?follow=true", self.path), b"")?;
        let mut last = Json::Null;
        while let Some(line) = stream.line()? {
            last = line;
        }
        let summary = &last["summary"];
        let outcomes = summary["outcomes"].as_object().with_context(|| last.to_string())?;
        let sum: u64 = outcomes.values().filter_map(Json::as_u64).sum();
        ensure!(summary["hits"].as_u64() == Some(sum), "{summary}");
        ensure!(summary["malformed"].as_u64().unwrap_or(0) == 0, "{summary}");
        ensure!(summary["text_restored"] != false, "{summary}");
        Ok(summary.clone())
    }
}
