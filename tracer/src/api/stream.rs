//! The lines of one probe in their order: made from what the engine tells, or read.

use super::probes::GapLine;
use super::types::{ArmedLine, CaptureLine, ErrorLine, SummaryLine};
use super::{convert, json};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tracer_core::engine::event::{Armed, Event};
use tracer_core::engine::request::SnapshotRequest;
use utoipa::ToSchema;

/// A line of a stream.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[serde(untagged)]
pub enum StreamLine {
    /// The first: the breakpoints are in place.
    Armed(Box<ArmedLine>),
    /// A hit.
    Capture(Box<CaptureLine>),
    /// Captures that are no longer there: a daemon keeps them for a while only.
    Gap(Box<GapLine>),
    /// The last: the breakpoints are out.
    Summary(Box<SummaryLine>),
    /// The last, where something went wrong.
    Error(Box<ErrorLine>),
}

impl StreamLine {
    /// Reads a line.
    ///
    /// # Errors
    /// It is not JSON, or not a line of a stream.
    pub fn read(line: &[u8]) -> Result<Self, json::ReadError> {
        /// The members that tell what a line is.
        #[derive(Deserialize)]
        struct Kind {
            armed: Option<IgnoredAny>,
            gap: Option<IgnoredAny>,
            summary: Option<IgnoredAny>,
            error: Option<IgnoredAny>,
        }
        Ok(match json::read(line)? {
            Kind { armed: Some(_), .. } => Self::Armed(json::read(line)?),
            Kind { gap: Some(_), .. } => Self::Gap(json::read(line)?),
            Kind { summary: Some(_), .. } => Self::Summary(json::read(line)?),
            Kind { error: Some(_), .. } => Self::Error(json::read(line)?),
            _ => Self::Capture(json::read(line)?),
        })
    }
}

/// Makes the lines of one probe.
#[derive(Debug)]
pub struct Lines<'a> {
    probe: String,
    request: &'a SnapshotRequest,
    armed: Option<Box<Armed>>,
    /// Captures so far.
    captures: u64,
}

impl<'a> Lines<'a> {
    /// Of the probe that is called `probe` and was asked for by `request`.
    pub fn new(probe: String, request: &'a SnapshotRequest) -> Self {
        Self { probe, request, armed: None, captures: 0 }
    }

    /// The line of the next event; `None` for one that has none: a pause is told by the
    /// summary, that it is pending by the probe's state, and a capture before the probe was placed does not come.
    pub fn line(&mut self, event: Event) -> Option<StreamLine> {
        Some(match event {
            Event::Armed(armed) => {
                let line = convert::armed(&self.probe, self.request, &armed);
                self.armed = Some(armed);
                StreamLine::Armed(Box::new(line))
            }
            Event::Capture { capture, counted } => {
                let armed = self.armed.as_deref()?;
                self.captures += 1;
                let line = convert::capture(&self.probe, self.captures, armed, &capture, &counted);
                StreamLine::Capture(Box::new(line))
            }
            Event::Pending | Event::Paused { .. } | Event::Tripped { .. } | Event::Resumed => {
                return None;
            }
            Event::Finished(summary) => {
                let line = convert::summary(&self.probe, self.captures, &summary);
                StreamLine::Summary(Box::new(line))
            }
        })
    }
}
