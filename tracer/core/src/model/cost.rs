//! What a hit costs, and what hits of a plan will cost: a linear model whose figures are measured
//! on this machine.

use super::action::Action;
use super::plan::Plan;
use super::record::Record;
use super::resolved::TrapClass;
use tracer_common::code::{Code, Layout};
use tracer_common::limits::RED_ZONE_BYTES;
use tracer_common::status::Status;
use tracer_common::wire::ItemKind;

/// No machine traps in less: a figure below comes of a clock that is not to be trusted.
const TRAP_NS_MIN: f64 = 50.0;
/// What a trap is taken to cost then, which is too much almost everywhere: no hit is free.
const TRAP_NS_UNKNOWN: f64 = 10_000.0;
const KIB: f64 = 1024.0;

/// What the parts of a hit cost on this machine, in nanoseconds of the thread that comes by.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CostModel {
    /// The trap on an instruction that the kernel emulates, and a program that leaves at once.
    pub emulated_ns: f64,
    /// The same on an instruction that is single-stepped.
    pub single_stepped_ns: f64,
    /// The same for a function's entry and return by a return probe; `None` where it was not
    /// measured.
    pub return_ns: Option<f64>,
    /// More for a hit that is counted and not captured.
    pub count_ns: f64,
    /// More for a hit that a rate or a hit limit turns away.
    pub limited_ns: f64,
    /// More for a capture of nothing: scratch, registers, header, ring.
    pub capture_ns: f64,
    /// More for a capture whose reader is asleep, as it is unless captures come in a row.
    pub wake_ns: f64,
    /// More for an operation of a plan.
    pub op_ns: f64,
    /// More for a piece of memory, without its bytes.
    pub item_ns: f64,
    /// More for a pointer that an object may have, whether or not it is followed.
    pub edge_ns: f64,
    /// More for a stack, without its bytes: a record is dearer at its beginning, before the
    /// processor sees that it goes on.
    pub stack_ns: f64,
    /// More for 1024 bytes of stack.
    pub stack_kib_ns: f64,
    /// More for 1024 bytes of objects.
    pub object_kib_ns: f64,
    /// More for 1024 bytes of strings.
    pub text_kib_ns: f64,
    /// More for a read of memory that is not there.
    pub fault_ns: f64,
}

/// What a capture makes the kernel program do.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Work {
    /// Operations.
    pub ops: f64,
    /// Pieces of memory.
    pub items: f64,
    /// Pointers of objects that are looked at.
    pub edges: f64,
    /// Bytes of stack.
    pub stack_bytes: f64,
    /// Bytes of objects.
    pub object_bytes: f64,
    /// Bytes of strings.
    pub text_bytes: f64,
    /// Reads of memory that is not there.
    pub faults: f64,
}

/// What a hit will cost the thread that comes by.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Predicted {
    /// The trap; nothing makes it cheaper but another place.
    pub trap_ns: f64,
    /// What the kernel program takes where it captures or counts.
    pub program_ns: f64,
    /// What it takes to wake the reader of a capture, unless captures come in a row.
    pub wake_ns: f64,
}

impl Predicted {
    /// A hit that is captured or counted, as the probe asks.
    pub fn hit_ns(&self) -> f64 {
        self.in_a_row_ns() + self.wake_ns
    }

    /// A hit among others that come faster than they are read.
    pub fn in_a_row_ns(&self) -> f64 {
        self.trap_ns + self.program_ns
    }

    /// The mean of hits at several sites, each with its number of hits.
    pub fn mean(of: impl Iterator<Item = (Self, u64)>) -> Option<Self> {
        let (mut sum, mut hits) = (Self::default(), 0.0);
        for (hit, times) in of {
            let times = times as f64;
            sum.trap_ns += hit.trap_ns * times;
            sum.program_ns += hit.program_ns * times;
            sum.wake_ns += hit.wake_ns * times;
            hits += times;
        }
        (hits > 0.0).then(|| Self {
            trap_ns: sum.trap_ns / hits,
            program_ns: sum.program_ns / hits,
            wake_ns: sum.wake_ns / hits,
        })
    }
}

impl CostModel {
    /// Every figure but that of returns, with its name.
    pub fn figures(&mut self) -> [(&'static str, &mut f64); 14] {
        [
            ("emulated", &mut self.emulated_ns),
            ("single_stepped", &mut self.single_stepped_ns),
            ("count", &mut self.count_ns),
            ("limited", &mut self.limited_ns),
            ("capture", &mut self.capture_ns),
            ("wake", &mut self.wake_ns),
            ("operation", &mut self.op_ns),
            ("item", &mut self.item_ns),
            ("pointer", &mut self.edge_ns),
            ("stack", &mut self.stack_ns),
            ("stack_kib", &mut self.stack_kib_ns),
            ("object_kib", &mut self.object_kib_ns),
            ("text_kib", &mut self.text_kib_ns),
            ("fault", &mut self.fault_ns),
        ]
    }

    /// The trap of a class, in nanoseconds, with a program that leaves at once.
    pub fn trap_ns(&self, class: TrapClass) -> f64 {
        let measured = match class {
            TrapClass::Emulated => self.emulated_ns,
            TrapClass::SingleStepped => self.single_stepped_ns,
        };
        // A NaN is no figure either.
        if measured >= TRAP_NS_MIN { measured } else { TRAP_NS_UNKNOWN }
    }

    /// What the kernel program takes for a capture.
    pub fn program_ns(&self, work: &Work) -> f64 {
        self.capture_ns
            + work.ops * self.op_ns
            + work.items * self.item_ns
            + work.edges * self.edge_ns
            + if work.stack_bytes > 0.0 { self.stack_ns } else { 0.0 }
            + work.stack_bytes / KIB * self.stack_kib_ns
            + work.object_bytes / KIB * self.object_kib_ns
            + work.text_bytes / KIB * self.text_kib_ns
            + work.faults * self.fault_ns
    }

    /// A hit that is captured or counted.
    pub fn predict(&self, class: TrapClass, action: Action, work: &Work) -> Predicted {
        let (program_ns, wake_ns) = match action {
            Action::Snapshot => (self.program_ns(work), self.wake_ns),
            Action::Count => (self.count_ns, 0.0),
        };
        Predicted { trap_ns: self.trap_ns(class), program_ns, wake_ns }
    }
}

impl Work {
    /// What a plan will make the program do, before anything is known of the memory: every pointer
    /// of a root leads to one object or a short string, and no object to another.
    pub fn expected(plan: &Plan) -> Self {
        let mut work = Self { ops: plan.ops.len() as f64, ..Self::default() };
        if plan.limits.stack_bytes > 0 {
            work.items += 1.0;
            work.stack_bytes = f64::from(plan.limits.stack_bytes) + RED_ZONE_BYTES as f64;
        }
        for op in &plan.ops {
            let layout = plan.layouts.get(op.layout as usize);
            match (op.code(), layout) {
                (Some(Code::Copy), Some(layout)) => work.add_object(layout, op.imm as f64),
                (Some(Code::Chase | Code::ChaseSlice), Some(layout)) => {
                    work.add_object(layout, 1.0);
                }
                (Some(Code::Deref | Code::Entry), _) => work.items += 1.0,
                (Some(Code::ChaseText), _) => work.add_text(),
                _ => {}
            }
        }
        let room = f64::from(plan.limits.bytes_max);
        work.object_bytes = work.object_bytes.min(room);
        work
    }

    fn add_object(&mut self, layout: &Layout, count: f64) {
        self.items += 1.0;
        self.edges += f64::from(layout.edge_count) * count;
        self.object_bytes += f64::from(layout.size) * count;
    }

    fn add_text(&mut self) {
        /// Bytes of a string as they are most often.
        const TYPICAL: f64 = 16.0;
        self.items += 1.0;
        self.text_bytes += TYPICAL;
    }

    /// What a capture made the program do; in its record the plan's layouts are numbered from
    /// `first_layout` on.
    pub fn done(plan: &Plan, first_layout: u32, record: &Record) -> Self {
        let layout = |number: u32| {
            let index = usize::try_from(number.checked_sub(first_layout)?).ok()?;
            plan.layouts.get(index)
        };
        let mut work = Self { ops: plan.ops.len() as f64, ..Self::default() };
        for item in &record.items {
            let bytes = item.bytes.len() as f64;
            work.items += 1.0;
            work.faults += f64::from(item.status == Status::Fault);
            match item.kind {
                ItemKind::Stack => work.stack_bytes += bytes,
                // The rest of a string is looked through for its end.
                ItemKind::Text => work.text_bytes += bytes.max(item.want as f64),
                ItemKind::Deref | ItemKind::Entry => {}
                ItemKind::Object => {
                    work.object_bytes += bytes;
                    if let Some(layout) = layout(item.layout).filter(|l| l.size > 0) {
                        let elements = (bytes / f64::from(layout.size)).ceil();
                        work.edges += elements * f64::from(layout.edge_count);
                    }
                }
            }
        }
        work
    }

    /// The mean of several.
    pub fn mean(of: &[Self]) -> Option<Self> {
        let mut sum = *of.first()?;
        for work in &of[1..] {
            sum.ops += work.ops;
            sum.items += work.items;
            sum.edges += work.edges;
            sum.stack_bytes += work.stack_bytes;
            sum.object_bytes += work.object_bytes;
            sum.text_bytes += work.text_bytes;
            sum.faults += work.faults;
        }
        let count = of.len() as f64;
        Some(Self {
            ops: sum.ops / count,
            items: sum.items / count,
            edges: sum.edges / count,
            stack_bytes: sum.stack_bytes / count,
            object_bytes: sum.object_bytes / count,
            text_bytes: sum.text_bytes / count,
            faults: sum.faults / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_trap_is_free_whatever_was_measured() {
        let measured = |ns| CostModel { emulated_ns: ns, ..CostModel::default() };
        assert_eq!(measured(500.0).trap_ns(TrapClass::Emulated), 500.0);
        for nonsense in [0.0, -324.0, f64::NAN] {
            assert_eq!(measured(nonsense).trap_ns(TrapClass::Emulated), TRAP_NS_UNKNOWN);
        }
    }
}
