//! What the kernel is told to copy at a site.

use super::limits::Limits;
use tracer_common::code::{Edge, Layout, Op};

/// The capture plan of one site. Indices of layouts and edges start at 0 here; attach moves them
/// to where the plan lies in the maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The roots; the last operation is [`tracer_common::code::Code::End`].
    pub ops: Vec<Op>,
    /// Layouts that operations and edges refer to.
    pub layouts: Vec<Layout>,
    /// Edges that layouts refer to.
    pub edges: Vec<Edge>,
    /// How much may be copied.
    pub limits: Limits,
}
