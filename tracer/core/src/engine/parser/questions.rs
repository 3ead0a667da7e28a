//! What can be asked in a session, and what is checked of the answers: a parser that fell to what it
//! read may answer anything.

use super::message::{Hits, Question, Reply, Request, Resolution};
use super::session::Session;
use crate::engine::error::EngineError;
use crate::engine::findings::{Found, SiteVars};
use crate::model::capture::Capture;
use crate::model::issue::Issue;
use crate::model::limits::Limits;
use crate::model::record::Record;
use crate::model::resolved::LocationSpec;
use crate::resolve::SITES_MAX;
use std::io;

impl Session<'_> {
    /// Functions that match a pattern.
    pub(in crate::engine) fn find(&self, pattern: &str) -> Result<Vec<Found>, EngineError> {
        match self.ask(&Request::Find(pattern.to_owned()))? {
            Reply::Found(found) => self.unless_refused(found, Vec::is_empty),
            _ => Err(nonsense()),
        }
    }

    /// Every site of a location with every variable, and places that are no sites.
    pub(in crate::engine) fn vars(
        &self,
        location: &LocationSpec,
        text: &str,
    ) -> Result<(Vec<SiteVars>, Vec<Issue>), EngineError> {
        match self.ask(&Request::Vars(location.clone(), text.to_owned()))? {
            Reply::Vars(vars) => self.unless_refused(vars, |_| false),
            _ => Err(nonsense()),
        }
    }

    /// Where to probe, and what to copy there.
    pub(in crate::engine) fn resolve(
        &self,
        question: &Question,
    ) -> Result<Resolution, EngineError> {
        let Reply::Resolved(resolution) = self.ask(&Request::Resolve(question.clone()))? else {
            return Err(nonsense());
        };
        let resolution = self.unless_refused(resolution, |_| false)?;
        let Resolution { resolved, plans, modules } = &resolution;
        let is_known = (1..=SITES_MAX).contains(&resolved.sites.len())
            && (question.entries || resolved.sites.iter().all(|site| site.entry.is_none()))
            && plans.len() == resolved.sites.len()
            && plans.iter().all(|plan| plan.limits == question.limits)
            && resolved.sites.iter().all(|site| site.module < modules.len());
        if is_known { Ok(resolution) } else { Err(nonsense()) }
    }

    /// What hits say, in their order.
    pub(in crate::engine) fn decode(
        &self,
        hits: Hits,
        limits: &Limits,
    ) -> Result<Vec<Capture>, EngineError> {
        // What is known without the parser is not believed of it.
        let known = |(site, record): &(usize, Record)| {
            (*site, record.hit, record.time_boot_ns, record.pid, record.tid)
        };
        let known: Vec<_> = hits.records.iter().map(known).collect();
        let Reply::Captures(captures) = self.ask(&Request::Decode(hits, *limits))? else {
            return Err(nonsense());
        };
        let said = captures.iter().map(|capture| {
            (capture.site, capture.hit, capture.time_boot_ns, capture.pid, capture.tid)
        });
        if said.eq(known) { Ok(captures) } else { Err(nonsense()) }
    }

    /// What was looked for may be in a file that was left out.
    fn unless_refused<T>(
        &self,
        found: Result<T, Issue>,
        is_nothing: impl Fn(&T) -> bool,
    ) -> Result<T, EngineError> {
        match (found, self.refused()) {
            (Err(_), Some(refused)) => Err(refused.into()),
            (Ok(found), Some(refused)) if is_nothing(&found) => Err(refused.into()),
            (found, _) => Ok(found?),
        }
    }
}

fn nonsense() -> EngineError {
    EngineError::ParserGone(io::Error::from(io::ErrorKind::InvalidData))
}
