//! Stacks that are made by hand, and real ones.

mod chains;
mod real;

use super::*;
use crate::binary::cfi::{CfaRule, RegisterRule, UnwindRow};
use crate::decode::fake::{FakeCode, record_with_stack};
use crate::decode::image::Image;
use crate::model::capture::StackEnd;
use crate::model::record::Record;
use tracer_common::wire::{RBP, RIP, RSP};

/// A row that says CFA = register + offset and where registers were saved.
fn row(register: usize, offset: i64, saved: &[(u8, i64)]) -> UnwindRow {
    let saved = saved.iter().map(|(number, offset)| (*number, RegisterRule::AtCfa(*offset)));
    UnwindRow {
        cfa: CfaRule::Register { register: register as u8, offset },
        registers: saved.chain([(RIP as u8, RegisterRule::AtCfa(-8))]).collect(),
        signal_frame: false,
    }
}

fn outermost() -> UnwindRow {
    UnwindRow { registers: vec![(RIP as u8, RegisterRule::Undefined)], ..row(RSP, 8, &[]) }
}

fn walk_record(
    record: &Record,
    code: &dyn crate::binary::code_map::CodeMap,
) -> (Vec<PhysicalFrame>, StackEnd) {
    walk(Registers::known(&record.registers), &Image::new(record), code)
}

fn pcs(frames: &[PhysicalFrame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.pc.0).collect()
}
