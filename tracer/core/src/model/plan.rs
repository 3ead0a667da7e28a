//! What the kernel is told to copy at a site.

use super::limits::Limits;
use super::serial;
use serde::{Deserialize, Serialize};
use tracer_common::code::{Edge, Layout, Op};

/// The capture plan of one site. Indices of layouts and edges start at 0 here; attach moves them
/// to where the plan lies in the maps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The roots; the last operation is [`tracer_common::code::Code::End`].
    #[serde(with = "serial::words")]
    pub ops: Vec<Op>,
    /// Layouts that operations and edges refer to.
    #[serde(with = "serial::words")]
    pub layouts: Vec<Layout>,
    /// Edges that layouts refer to.
    #[serde(with = "serial::words")]
    pub edges: Vec<Edge>,
    /// How much may be copied.
    pub limits: Limits,
}
