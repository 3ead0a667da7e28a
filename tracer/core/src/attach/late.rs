//! What userspace can add right after a hit: why memory could not be read.

use crate::model::address::Avma;
use crate::model::process::Process;
use crate::model::record::{Absence, Record};
use tracer_common::status::Status;

/// Marks each failed item with what the process's maps say about the failing address. `process`
/// must have been read after the hit.
pub fn explain_faults(record: &mut Record, process: &Process) {
    for item in record.items.iter_mut().filter(|item| item.status == Status::Fault) {
        let failing = Avma(item.address.0.wrapping_add(item.bytes.len() as u64));
        item.absent = Some(match process.mapping_at(failing) {
            Some(mapping) if mapping.read => Absence::NotResident,
            Some(_) => Absence::NoAccess,
            None => Absence::Unmapped,
        });
    }
}
