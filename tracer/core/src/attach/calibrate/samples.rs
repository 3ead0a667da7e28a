//! Plans that each do much of one thing, over memory of our own.

use crate::model::limits::Limits;
use crate::model::plan::Plan;
use tracer_common::code::{Code, Edge, Layout, Op};

/// Nodes of the list.
pub(super) const NODES: usize = 16;
/// Pointers of a node that lead nowhere, where there are any.
pub(super) const NULLS: usize = 8;
/// Pairs of operations that do nothing.
pub(super) const PAIRS: usize = 100;
/// Bytes of the large object.
pub(super) const OBJECT_BYTES: usize = 8 * 1024;
/// Bytes of the string.
pub(super) const TEXT_BYTES: usize = 1000;
/// Bytes of a little stack.
pub(super) const SMALL_STACK_BYTES: u32 = 1024;
/// Bytes of stack.
pub(super) const STACK_BYTES: u32 = 16 * 1024;
/// Reads of memory that is not there.
pub(super) const FAULTS: usize = 8;
/// Operations that lead to an object at a constant address.
pub(super) const ROOT_OPS: usize = 3;
/// No process can map this: below `vm.mmap_min_addr`.
const NOWHERE: u64 = 4096;

/// The next node, and pointers that lead nowhere.
#[repr(C)]
struct Node {
    next: *const Node,
    nulls: [usize; NULLS],
}

/// Bytes of a node.
pub(super) const NODE_BYTES: usize = size_of::<Node>();

/// What the plans copy; it stays where it is.
pub(super) struct Memory {
    nodes: Box<[Node]>,
    object: Box<[Page; OBJECT_BYTES / PAGE]>,
    text: Box<Page>,
}

const PAGE: usize = 4096;

/// What lies in one page is read at once.
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// What is measured beside the trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sample {
    /// Nothing is copied.
    Nothing,
    /// Operations that do nothing.
    Operations,
    /// A list.
    List,
    /// A list whose nodes have more pointers.
    Pointers,
    /// One large object.
    Object,
    /// A string.
    Text,
    /// A little of the stack.
    SmallStack,
    /// The stack.
    Stack,
    /// Memory that is not there.
    Faults,
}

impl Sample {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::Nothing,
        Self::Operations,
        Self::List,
        Self::Pointers,
        Self::Object,
        Self::Text,
        Self::SmallStack,
        Self::Stack,
        Self::Faults,
    ];

    /// Its plan.
    pub(super) fn plan(self, memory: &Memory) -> Plan {
        let stack_bytes = match self {
            Self::SmallStack => SMALL_STACK_BYTES,
            Self::Stack => STACK_BYTES,
            _ => 0,
        };
        let limits = Limits { stack_bytes, depth_max: NODES as u32, ..Limits::DEFAULT };
        let list = memory.nodes.as_ptr() as u64;
        let mut edges = Vec::new();
        if matches!(self, Self::List | Self::Pointers) {
            let fields = if self == Self::Pointers { 1 + NULLS } else { 1 };
            edges.extend((0..fields).map(|field| Edge::one(8 * field as u32, 0)));
        }
        let (mut ops, size) = match self {
            Self::Nothing | Self::SmallStack | Self::Stack => (Vec::new(), 0),
            Self::Operations => (idle(), 0),
            Self::List | Self::Pointers => {
                (root(list, Op::on(Code::Chase, 0, 1)).to_vec(), NODE_BYTES)
            }
            Self::Object => {
                let object = memory.object.as_ptr() as u64;
                (root(object, Op::on(Code::Copy, 0, 1)).to_vec(), OBJECT_BYTES)
            }
            Self::Text => {
                let text = std::ptr::from_ref(&*memory.text) as u64;
                (root(text, Op::new(Code::ChaseText, 0, 0)).to_vec(), 0)
            }
            Self::Faults => {
                let read = root(NOWHERE, Op::on(Code::Copy, 0, 1));
                (read.repeat(FAULTS), 8)
            }
        };
        ops.push(Op::new(Code::End, 0, 0));
        let layout = Layout { size: size as u32, edge_count: edges.len() as u32, ..<_>::default() };
        Plan { ops, layouts: vec![layout], edges, limits }
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        let empty = || Node { next: std::ptr::null(), nulls: [0; NULLS] };
        let mut nodes: Box<[Node]> = (0..NODES).map(|_| empty()).collect();
        for index in 1..NODES {
            nodes[index - 1].next = &raw const nodes[index];
        }
        let mut text = Box::new(Page([b'x'; PAGE]));
        text.0[TEXT_BYTES] = 0;
        Self { nodes, object: Box::new([Page([1; PAGE]), Page([1; PAGE])]), text }
    }
}

/// A root that does `what` with an address.
fn root(address: u64, what: Op) -> [Op; ROOT_OPS] {
    [Op::on(Code::Root, ROOT_OPS as u32 - 1, 0), Op::new(Code::Const, 0, address), what]
}

fn idle() -> Vec<Op> {
    [Op::new(Code::Const, 0, 1), Op::new(Code::Drop, 0, 0)].repeat(PAIRS)
}
