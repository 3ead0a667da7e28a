//! Late reads: memory that the kernel program could not read at the hit, because its page was not
//! in memory then, is completed right after the hit where that can be done truthfully.
//!
//! What can be told is decided page by page, by the mapping (`/proc/PID/maps`, read after the hit)
//! and by the page table's entry (`/proc/PID/pagemap`, whose flags need no CAP_SYS_ADMIN). The
//! answers are in [`ladder`]:
//!
//! | mapping | entry | read from | label | why |
//! |---|---|---|---|---|
//! | anonymous, private | none | the process | `untouched` if all is zero, there is no swap | nothing was written since the page was made: the kernel gives its shared page of zeros (`do_anonymous_page`); a drop of a swapped page in between can't be told, so with swap it is `read_after_hit` |
//! | anonymous, private | present, swapped | the process | `read_after_hit` | it came, or is brought, in after the hit |
//! | file, private, not writable, in a segment that the loader leaves alone or in no ELF file | none, file's | the file | `mapped_file` if the file did not change since the hit, else `read_after_hit` | a page that was never written to is the page cache's (`do_read_fault`) |
//! | file, private, writable, or in a writable segment | none, file's | the file | `read_after_hit` | as above, but it may have been written to and dropped |
//! | file, private, relocated (PT_GNU_RELRO, DT_TEXTREL) or not understood | none | nothing | | its bytes in the file are not the program's |
//! | the same | file's | the process | `read_after_hit` | it is present: nothing is added |
//! | file, private | a copy of its own, swapped or not | the process | `read_after_hit` | as for anonymous memory |
//! | file or memory, shared | any | the file | `read_after_hit` | others write to it too |
//! | of a filesystem that may stall, a device, a guard page | | nothing | | |
//!
//! `mapped_file` is exact: a private mapping shows the file as long as nobody wrote to the page, and
//! the file's change time tells of all writes but those of another process through a shared mapping
//! of the same file that it had dirtied already.
//!
//! One thing can't be told: that the process, between the hit and the look at it, mapped something
//! else there or dropped a page of its own (MADV_DONTNEED). For anonymous memory with swap that is
//! what allocators do, so nothing is called untouched there; of a read-only mapping of a file it
//! would be a page that was made writable, patched, protected, swapped out and thrown away.
//!
//! What a read costs the target, measured by pagemap and statm:
//!
//! * A file is read by pread(2) of the mapped file, which does not touch the process at all. A fault
//!   would map up to 16 pages of the file that happen to be cached (`do_fault_around`), so a page
//!   that can come from the file alone is never read from the process.
//! * The process is read through `/proc/PID/mem`: it adds the page itself, or for memory that was
//!   never touched the page of zeros, which counts nowhere. It does not wait for userfaultfd: the
//!   fault may not be retried (`handle_userfault` gives SIGBUS then), where process_vm_readv(2)
//!   waits for ever. Both files are opened before the first hit and belong to that address space:
//!   after an exec they read as nothing.
//! * A read can still wait for a disk. So all of it is done by a thread that is left behind at the
//!   deadline ([`worker`]).
//!
//! Sources: Documentation/admin-guide/mm/pagemap.rst, mm/memory.c, mm/userfaultfd.c, mm/gup.c,
//! fs/proc/task_mmu.c.
//!
//! Pieces of the stack are not completed, nor what locations are computed from: the stack is soon
//! another one.

mod data_file;
mod fetch;
mod ladder;
mod memory;
mod worker;

use self::fetch::{Answer, Fetcher, Job, Want};
use self::memory::Memory;
use self::worker::Worker;
use crate::model::address::Avma;
use crate::model::limits::Limits;
use crate::model::process::Process;
use crate::model::record::{Absence, Item, Record};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tracer_common::status::Status;
use tracer_common::wire::ItemKind;

/// How long the late reads of one record may take.
const DEADLINE: Duration = Duration::from_millis(50);
/// What is read at once.
const PAGE_BYTES: u64 = 4096;

/// Completes records of one process.
#[derive(Debug)]
pub struct LateReader {
    /// `None` where the process may not be read: then only reasons are given.
    worker: Option<Worker<Job>>,
}

impl LateReader {
    /// For a process that must still be the one that was asked for when this returns. Nothing of it
    /// is read yet.
    pub fn open(process: &Process) -> Self {
        match Memory::open(process.id.pid) {
            Ok(memory) => Self { worker: Some(Worker::new(move || Fetcher::new(memory.clone()))) },
            Err(error) => {
                tracing::debug!(%error, "no memory is read after hits");
                Self { worker: None }
            }
        }
    }

    /// Adds to records what can be told of memory that could not be read at their hits, and says of
    /// the rest why it is missing. `now` is the process, read after the hits.
    pub fn complete<'r>(
        &mut self,
        records: impl Iterator<Item = &'r mut Record>,
        now: &Process,
        limits: &Limits,
    ) {
        let mut shared = None;
        for record in records {
            let wants = explain(record, now, limits);
            if wants.is_empty() {
                continue;
            }
            let process = Arc::clone(shared.get_or_insert_with(|| Arc::new(now.clone())));
            let hit_boot_ns = record.time_boot_ns;
            let pages_max = (u64::from(limits.bytes_max) / PAGE_BYTES).max(1);
            self.read(record, |answers| Job { wants, process, hit_boot_ns, pages_max, answers });
        }
    }

    /// Has the job done, and adds what is found in time to the record.
    fn read(&mut self, record: &mut Record, job: impl FnOnce(worker::Answers<Answer>) -> Job) {
        let Some(worker) = &mut self.worker else { return };
        let (send, answers) = channel();
        let job = job(send);
        let mut open: Vec<usize> = job.wants.iter().map(|want| want.item).collect();
        let in_time = worker.start(job) && take_answers(&answers, record, &mut open);
        if !in_time {
            worker.abandon();
            for item in open {
                set_absent(record, item, Some(Absence::TooLate));
            }
        }
    }
}

/// Takes answers until all are there; false when the deadline passes first.
fn take_answers(answers: &Receiver<Answer>, record: &mut Record, open: &mut Vec<usize>) -> bool {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Answer::Found(late)) => record.late.push(late),
            Ok(Answer::Ended { item, absent }) => {
                open.retain(|other| *other != item);
                set_absent(record, item, absent);
            }
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

fn set_absent(record: &mut Record, item: usize, absent: Option<Absence>) {
    if let Some(item) = record.items.get_mut(item) {
        item.absent = absent;
    }
}

/// Marks each failed item with what the process's maps say about the failing address, and gives
/// what may be found there.
fn explain(record: &mut Record, process: &Process, limits: &Limits) -> Vec<Want> {
    let mut wants = Vec::new();
    for (index, item) in record.items.iter_mut().enumerate() {
        if item.status != Status::Fault {
            continue;
        }
        let failing = Avma(item.address.0.wrapping_add(item.bytes.len() as u64));
        item.absent = Some(match process.mapping_at(failing) {
            Some(mapping) if mapping.read => {
                wants.extend(want(index, item, failing, limits));
                Absence::NotResident
            }
            Some(_) => Absence::NoAccess,
            None => Absence::Unmapped,
        });
    }
    wants
}

fn want(index: usize, item: &Item, failing: Avma, limits: &Limits) -> Option<Want> {
    let copied = item.bytes.len() as u64;
    let (length, text) = match item.kind {
        ItemKind::Object => (item.want.saturating_sub(copied), false),
        ItemKind::Text => (u64::from(limits.text_bytes_max).saturating_sub(copied), true),
        ItemKind::Stack | ItemKind::Deref | ItemKind::Entry => return None,
    };
    (length > 0).then_some(Want { item: index, address: failing, length, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::process::{Mapping, ProcessId};
    use std::path::PathBuf;
    use std::sync::mpsc::Sender;
    use tracer_common::wire::REGISTERS;

    fn process() -> Process {
        let mapping = |range: std::ops::Range<u64>, read| Mapping {
            range: Avma(range.start)..Avma(range.end),
            file_offset: crate::model::address::FileOffset(0),
            read,
            write: true,
            execute: false,
            shared: false,
            file: (0, 0, 0),
            path: PathBuf::new(),
        };
        Process {
            id: ProcessId { pid: 1, start_ticks: 1 },
            comm: Vec::new(),
            exe: PathBuf::new(),
            mappings: vec![mapping(0x1000..0x5000, true), mapping(0x5000..0x6000, false)],
        }
    }

    fn fault(kind: ItemKind, address: u64, want: u64) -> Item {
        let status = Status::Fault;
        let address = Avma(address);
        Item { address, want, bytes: vec![1; 4], status, absent: None, kind, layout: 0, depth: 0 }
    }

    fn record(items: Vec<Item>) -> Record {
        Record {
            site: 0,
            hit: 1,
            time_boot_ns: 1,
            start_boot_ns: 1,
            pid: 1,
            tid: 1,
            cpu: 0,
            comm: Vec::new(),
            registers: [0; REGISTERS],
            flags: 0,
            items,
            late: Vec::new(),
        }
    }

    fn absences(record: &Record) -> Vec<Option<Absence>> {
        record.items.iter().map(|item| item.absent).collect()
    }

    #[test]
    fn only_objects_and_texts_are_completed() {
        let mut record = record(vec![
            fault(ItemKind::Object, 0x1000, 100),
            fault(ItemKind::Text, 0x2000, 1),
            fault(ItemKind::Stack, 0x3000, 100),
            fault(ItemKind::Deref, 0x3000, 8),
            fault(ItemKind::Object, 0x5000, 100),
            fault(ItemKind::Object, 0x7000, 100),
            Item { status: Status::Read, ..fault(ItemKind::Object, 0x1000, 100) },
        ]);
        let wants = explain(&mut record, &process(), &Limits::DEFAULT);
        let wants: Vec<_> =
            wants.iter().map(|want| (want.item, want.address.0, want.length, want.text)).collect();
        assert_eq!(wants, [(0, 0x1004, 96, false), (1, 0x2004, 1020, true)]);
        let resident = Some(Absence::NotResident);
        let (no_access, unmapped) = (Some(Absence::NoAccess), Some(Absence::Unmapped));
        let expected = [resident, resident, resident, resident, no_access, unmapped, None];
        assert_eq!(absences(&record), expected);
    }

    /// Does the first item of a job, then hangs until the test is over.
    struct Hanging(Arc<std::sync::Mutex<Vec<Sender<Answer>>>>);

    impl worker::Handle<Job> for Hanging {
        fn handle(&mut self, job: Job) {
            job.answers.send(Answer::Ended { item: 0, absent: None }).ok();
            // As long as the sender lives there may come more.
            self.0.lock().unwrap().push(job.answers);
        }
    }

    /// LATE-2
    #[test]
    fn the_deadline_holds_and_what_was_found_is_kept() {
        let _alone = worker::tests::alone();
        let kept = Arc::default();
        let held = Arc::clone(&kept);
        let worker = Worker::new(move || Hanging(Arc::clone(&held)));
        let mut reader = LateReader { worker: Some(worker) };
        let object = |address| fault(ItemKind::Object, address, 100);
        let mut record = record(vec![object(0x1000), object(0x2000)]);
        let start = Instant::now();
        reader.complete(std::iter::once(&mut record), &process(), &Limits::DEFAULT);
        assert!(start.elapsed() >= DEADLINE && start.elapsed() < 100 * DEADLINE);
        assert_eq!(absences(&record), [None, Some(Absence::TooLate)]);
    }
}
