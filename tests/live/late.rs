//! Memory that was not resident at the hit: what is found of it afterwards is right, says where it
//! came from, and costs the target no more than the page itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tracer_core::model::capture::{Capture, Provenance};
use tracer_core::model::reason::ReasonCode;
use tracer_core::model::value::{Field, Value};
use tracer_tests::flat::{Leaf, flatten};
use tracer_tests::privilege::require;
use tracer_tests::project::target_dir;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::{RunningTarget, Target};

const PAGE: u64 = 4096;
/// Pages of each place of `late.c`, of which one is pointed to.
const PAGES: u64 = 64;
/// Far longer than any late read may take, far shorter than for ever.
const SOON: Duration = Duration::from_secs(20);

/// What the page table holds for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry(u64);

impl Entry {
    fn is_present(self) -> bool {
        self.0 >> 63 != 0
    }

    fn is_swapped(self) -> bool {
        self.0 >> 62 & 1 != 0
    }
}

/// Where the places of the target are, from its first line.
struct Places {
    addresses: BTreeMap<String, u64>,
    pagemap: File,
}

impl Places {
    fn of(target: &RunningTarget) -> Self {
        let words = target.greeting.split_ascii_whitespace().skip(1);
        let place = |word: &str| {
            let (name, address) = word.split_once('=').unwrap();
            (name.to_owned(), u64::from_str_radix(address, 16).unwrap())
        };
        let pagemap = File::open(format!("/proc/{}/pagemap", target.pid())).unwrap();
        Self { addresses: words.map(place).collect(), pagemap }
    }

    fn entry(&self, name: &str) -> Entry {
        self.entries(self.addresses[name] / PAGE, 1)[0]
    }

    /// How many pages around a place are there.
    fn present(&self, name: &str) -> usize {
        let page = self.addresses[name] / PAGE;
        let around = self.entries(page - PAGES / 2 + 1, PAGES - 1);
        around.into_iter().filter(|entry| entry.is_present()).count()
    }

    fn entries(&self, first: u64, count: u64) -> Vec<Entry> {
        let mut bytes = vec![0; (count * 8) as usize];
        self.pagemap.read_exact_at(&mut bytes, first * 8).unwrap();
        let (entries, _) = bytes.as_chunks();
        entries.iter().map(|entry| Entry(u64::from_le_bytes(*entry))).collect()
    }
}

/// The file that the target maps: 64 pages, the last one not full.
fn write_file(directory: &Path) -> PathBuf {
    let path = directory.join("pages");
    let page = |number: u64| {
        let mut page = format!("page {number} of the file\0").into_bytes();
        page.resize(PAGE as usize, b'.');
        page
    };
    let mut pages: Vec<u8> = (0..PAGES - 1).flat_map(page).collect();
    pages.extend_from_slice(b"the end of the file");
    fs::write(&path, pages).unwrap();
    File::open(&path).unwrap().sync_all().unwrap();
    path
}

/// One hit in the target, and what was known before it.
struct Hit {
    leaves: BTreeMap<String, Leaf>,
    provenances: BTreeMap<String, Provenance>,
    before: BTreeMap<String, (Entry, usize)>,
    /// Places with the number of pages that are there now and were not before.
    added: BTreeMap<String, usize>,
}

/// The target, built at this level.
fn build(level: &str) -> Target {
    require().unwrap();
    let target = Target::c("late", "gcc", &[level, "-fPIE", "-pie"]).unwrap();
    // A page that is not on the disk yet stays in memory.
    File::open(&target.program).unwrap().sync_all().unwrap();
    target
}

fn hit(level: &str) -> Hit {
    let target = build(level);
    let directory = tempfile::tempdir().unwrap();
    let file = write_file(directory.path());
    settle();
    hit_in_time(|| target.start(&[file.to_str().unwrap()]).unwrap())
}

/// Lets what was written become old enough for its change time to tell that it is: the kernel
/// takes it from a clock that ticks slowly.
fn settle() {
    std::thread::sleep(Duration::from_millis(200));
}

/// A hit whose late reads were in time, which they need not be on a busy machine.
fn hit_in_time(start: impl Fn() -> RunningTarget) -> Hit {
    let is_late = |leaf: &Leaf| *leaf == Leaf::Missing(ReasonCode::TooLate);
    let mut hits = (0..5).map(|_| hit_once(start()));
    hits.find(|hit| !hit.leaves.values().any(is_late)).expect("too late, five times")
}

fn hit_once(mut running: RunningTarget) -> Hit {
    let places = Places::of(&running);
    // What it needs itself for its work is brought in before.
    running.go().unwrap();
    let names: Vec<&String> = places.addresses.keys().collect();
    let state = |name: &&String| ((*name).clone(), (places.entry(name), places.present(name)));
    let before: BTreeMap<_, _> = names.iter().map(state).collect();
    let request = request(running.pid(), "late").unwrap();
    let start = Instant::now();
    let snapshot = take(&request, &mut running).unwrap();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(snapshot.captures.len(), 1, "{:?}", snapshot.summary);
    let added =
        |name: &&String| ((*name).clone(), places.present(name).saturating_sub(before[*name].1));
    let added = names.iter().map(added).collect();
    // It goes on working with all of its memory.
    running.go().unwrap();
    running.finish().unwrap();
    let capture = &snapshot.captures[0];
    let leaves = flatten(&capture.frames[0].variables);
    Hit { leaves, provenances: provenances(capture), before, added }
}

/// Where what the members of `*places` point to came from.
fn provenances(capture: &Capture) -> BTreeMap<String, Provenance> {
    let places = &capture.frames[0].variables[0];
    assert_eq!(places.provenance, Provenance::Live);
    let Value::Pointer { target, provenance, .. } = &places.value.value else { panic!() };
    assert_eq!(*provenance, Provenance::Live);
    let Value::Record(fields) = &target.value else { panic!("{target:?}") };
    let of = |field: &Field| match &field.value.value {
        Value::Pointer { provenance, .. } | Value::Text { provenance, .. } => {
            Some((field.name.clone()?, *provenance))
        }
        _ => None,
    };
    fields.iter().filter_map(of).collect()
}

impl Hit {
    fn is(&self, path: &str, text: &str) {
        assert_eq!(self.leaves.get(path), Some(&Leaf::Is(text.to_owned())), "{path}");
    }

    fn missing(&self, path: &str, reason: ReasonCode) {
        assert_eq!(self.leaves.get(path), Some(&Leaf::Missing(reason)), "{path}");
    }

    fn from(&self, place: &str, provenance: Provenance) {
        assert_eq!(self.provenances.get(place), Some(&provenance), "{place}");
    }

    /// It was not there before, and no page was added for it.
    fn not_touched(&self, place: &str) {
        assert!(!self.before[place].0.is_present(), "{place}");
        assert_eq!(self.added[place], 0, "{place}");
    }

    /// What a page is known by that was there, or in swap.
    fn after(&self, place: &str) -> Provenance {
        if self.before[place].0.is_present() { Provenance::Live } else { Provenance::ReadAfterHit }
    }
}

fn swap_is_on() -> bool {
    fs::read_to_string("/proc/swaps").unwrap().lines().count() > 1
}

/// LATE-1, LATE-2
fn check(level: &str) {
    let untouched = if swap_is_on() { Provenance::ReadAfterHit } else { Provenance::Untouched };
    let hit = hit(level);
    println!("{level}: {:#?}\n{:#?}", hit.leaves, hit.provenances);

    // Zeros, and exact: nobody has written there.
    for index in 0..4 {
        hit.is(&format!("(*places->calloced)[{index}]"), "0");
    }
    hit.from("calloced", untouched);
    hit.is("places->half", "\"yyyy\"");
    hit.from("half", untouched);
    // The page of zeros, at most.
    assert!(hit.added["calloced"] <= 1 && hit.added["half"] <= 1, "{:?}", hit.added);

    // The file's bytes, without a touch of the process.
    hit.is("places->file_private", "\"page 32 of the file\"");
    hit.from("file_private", Provenance::MappedFile);
    hit.not_touched("file_private");
    hit.is("places->constant", "\"a constant that nobody reads\"");
    hit.from("constant", Provenance::MappedFile);
    hit.not_touched("constant");
    hit.is("places->paged_out", "\"a constant that was read and paged out\"");
    hit.from("paged_out", Provenance::MappedFile);
    hit.not_touched("paged_out");
    hit.is("places->file_end", "\"the end of the file\" of 19+");
    hit.from("file_end", Provenance::MappedFile);
    hit.missing("*places->beyond_file", ReasonCode::NotResident);

    // The file's bytes too, but others may have written there.
    hit.is("places->file_writable", "\"page 32 of the file\"");
    hit.from("file_writable", Provenance::ReadAfterHit);
    hit.not_touched("file_writable");
    hit.is("places->file_shared", "\"page 32 of the file\"");
    hit.from("file_shared", Provenance::ReadAfterHit);
    hit.not_touched("file_shared");
    hit.is("*places->data", "4711");
    hit.from("data", Provenance::ReadAfterHit);
    hit.not_touched("data");

    // Shared memory; what its pointers lead to now need not be what it was at the hit.
    hit.is("places->shared->number", "100");
    hit.missing("*places->shared->next", ReasonCode::NotCaptured);
    hit.from("shared", Provenance::ReadAfterHit);
    hit.not_touched("shared");
    hit.missing("*places->shared_hole", ReasonCode::NotResident);
    hit.not_touched("shared_hole");

    // Nobody is waited for.
    hit.missing("*places->unserved", ReasonCode::NotResident);
    hit.not_touched("unserved");
    if hit.leaves.get("places->guard") != Some(&Leaf::Is("null".to_owned())) {
        hit.missing("*places->guard", ReasonCode::NotResident);
    }

    // Paged out or not, these are the process's own.
    hit.is("places->swapped->number", "100");
    hit.from("swapped", hit.after("swapped"));
    assert!(hit.added["swapped"] <= 1, "{:?}", hit.added);
    relocated(&hit);
}

/// A table of constant pointers: in the file there are none of the process's addresses.
fn relocated(hit: &Hit) {
    hit.from("table", hit.after("table"));
    if hit.after("table") == Provenance::Live {
        hit.is("(*places->table)[0]", "\"one\"");
        hit.is("(*places->table)[1]", "\"two\"");
    }
    assert!(hit.added["table"] <= 1, "{:?}", hit.added);
    hit.missing("*places->dropped_table", ReasonCode::NotResident);
    hit.not_touched("dropped_table");
}

#[test]
fn unoptimised() {
    check("-O0");
}

#[test]
fn optimised() {
    check("-O2");
}

/// LATE-1
#[test]
fn a_file_that_was_written_to_since_it_was_mapped() {
    let target = build("-O2");
    let directory = tempfile::tempdir().unwrap();
    let file = write_file(directory.path());
    let hit = hit_in_time(|| {
        let running = target.start(&[file.to_str().unwrap()]).unwrap();
        change(&file, "PAGE");
        settle();
        running
    });
    // The mapping shows what is written to the file; it has not changed since the hit.
    hit.is("places->file_private", "\"PAGE 32 of the file\"");
    hit.from("file_private", Provenance::MappedFile);
}

/// Writes to the beginning of the page in the middle, in place.
fn change(file: &Path, text: &str) {
    let file = File::options().write(true).open(file).unwrap();
    file.write_all_at(text.as_bytes(), PAGES / 2 * PAGE).unwrap();
}

/// In overlayfs a file that is written to becomes another one below its name. What has mapped it
/// before goes on with the one that it has mapped; that one can't be opened any more.
///
/// LATE-1
#[test]
fn a_file_of_a_container_that_was_written_to_since_it_was_mapped() {
    let target = build("-O2");
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    for name in ["below", "above", "work", "merged"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    write_file(&below);
    settle();
    let script = "cd \"$0\" && mount -t overlay overlay \
                  -o lowerdir=below,upperdir=above,workdir=work merged && exec \"$1\" merged/pages";
    let start = || {
        let mut command = Command::new("unshare");
        // The mount goes with its namespace, and that with the target.
        command.args(["--mount", "sh", "-c", script]);
        command.arg(directory.path()).arg(&target.program);
        RunningTarget::start(&mut command).unwrap()
    };
    // It opens its file for writing too, and with that there are two.
    let hit = hit_in_time(|| {
        let running = start();
        let merged = directory.path().join("merged/pages");
        let root = format!("/proc/{}/root", running.pid());
        change(&Path::new(&root).join(merged.strip_prefix("/").unwrap()), "PAGE");
        settle();
        running
    });
    hit.missing("*places->file_private", ReasonCode::NotResident);
}

/// A little swap of our own.
struct Swap(PathBuf);

impl Swap {
    fn on() -> Self {
        let path = target_dir().join(format!("swap.{}", std::process::id()));
        // A file of holes can't be swapped to.
        fs::write(&path, vec![0; 16 << 20]).unwrap();
        let swap = Self(path);
        swap.run("chmod", &["600"]);
        swap.run("mkswap", &[]);
        swap.run("swapon", &[]);
        swap
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).arg(&self.0).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // Whatever failed before, the machine is left as it was.
        Command::new("swapoff").arg(&self.0).output().ok();
        fs::remove_file(&self.0).ok();
    }
}

/// LATE-1, LATE-2
#[test]
fn swapped_out() {
    let _swap = Swap::on();
    let hit = hit("-O2");
    println!("{:#?}\n{:#?}", hit.leaves, hit.provenances);
    for place in ["swapped", "table"] {
        assert!(hit.before[place].0.is_swapped(), "{place} is not in swap");
        hit.from(place, Provenance::ReadAfterHit);
        assert_eq!(hit.added[place], 1, "{place}");
    }
    hit.is("places->swapped->number", "100");
    hit.missing("*places->swapped->next", ReasonCode::NotCaptured);
    hit.missing("*(*places->table)[0]", ReasonCode::NotCaptured);
    relocated(&hit);
    // Zeros still, but they could be what is left of a page that was dropped.
    hit.is("(*places->calloced)[0]", "0");
    hit.from("calloced", Provenance::ReadAfterHit);
    hit.from("constant", Provenance::MappedFile);
}
