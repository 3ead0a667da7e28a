//! Placement over the whole text of real programs, against the instruction boundaries that
//! objdump finds.
//!
//! The short form takes a sample of the functions; `TRACER_SITES=full` takes all of them.

use super::*;
use crate::resolve::instruction::classify;
use gimli::UnwindSection;
use object::{Object, ObjectSection};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Programs that a Debian machine has; those that are missing are passed over.
const PROGRAMS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/bin/python3.11",
    "/usr/bin/git",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
];

/// One function in so many is looked at in the short form.
const SAMPLE: usize = 16;
/// One function in so many is asked for a site at every byte.
const EVERY_BYTE: usize = 48;

fn full() -> bool {
    std::env::var("TRACER_SITES").is_ok_and(|value| value == "full")
}

/// How many of the places that were asked for got a site.
#[derive(Default)]
struct Count {
    asked: u64,
    placed: u64,
    moved: u64,
    emulated: u64,
}

impl Count {
    fn add(&mut self, requested: Svma, placed: Option<&Placement>) {
        self.asked += 1;
        self.placed += u64::from(placed.is_some());
        self.moved += u64::from(placed.is_some_and(|p| p.svma != requested));
        self.emulated += u64::from(placed.is_some_and(|p| p.trap == TrapClass::Emulated));
    }

    fn percent(&self) -> f64 {
        100.0 * self.placed as f64 / self.asked.max(1) as f64
    }

    fn report(&self, what: &str) {
        println!(
            "{what}: {} asked, {:.2} % placed, {} moved, {} emulated",
            self.asked,
            self.percent(),
            self.moved,
            self.emulated
        );
    }
}

/// The address range and code of `.text`.
fn text<'a>(file: &object::File<'a>) -> (u64, &'a [u8]) {
    let section = file.section_by_name(".text").unwrap();
    (section.address(), section.data().unwrap())
}

/// The ranges that `.eh_frame` describes within `.text`, in ascending order.
fn functions(file: &object::File<'_>) -> Vec<(u64, u64)> {
    let (start, code) = text(file);
    let section = file.section_by_name(".eh_frame").unwrap();
    let eh_frame = gimli::EhFrame::new(section.data().unwrap(), gimli::LittleEndian);
    let bases = gimli::BaseAddresses::default().set_eh_frame(section.address()).set_text(start);
    let mut functions = Vec::new();
    let mut entries = eh_frame.entries(&bases);
    while let Some(entry) = entries.next().unwrap() {
        if let gimli::CieOrFde::Fde(partial) = entry {
            let fde = partial.parse(gimli::EhFrame::cie_from_offset).unwrap();
            let from = fde.initial_address();
            // See `Part::start`.
            if fde.is_signal_trampoline() {
                continue;
            }
            if from >= start && from + fde.len() <= start + code.len() as u64 && fde.len() > 0 {
                functions.push((from, from + fde.len()));
            }
        }
    }
    functions.sort_unstable();
    functions.dedup();
    functions
}

/// The addresses at which objdump shows an instruction in `.text`, in a range of it or in all.
fn objdump(path: &str, range: Option<(u64, u64)>) -> HashSet<u64> {
    let range = range.map(|(from, to)| {
        [format!("--start-address={from:#x}"), format!("--stop-address={to:#x}")]
    });
    let mut child = Command::new("objdump")
        .args(["-d", "--no-show-raw-insn", "-j", ".text", path])
        .args(range.iter().flatten())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let boundaries = lines
        .filter(|line| line.starts_with(' '))
        .filter_map(|line| {
            let (address, instruction) = line.split_once(':')?;
            (!instruction.contains("(bad)")).then_some(())?;
            u64::from_str_radix(address.trim(), 16).ok()
        })
        .collect();
    assert!(child.wait().unwrap().success());
    boundaries
}

/// The rows of the separate debug file of `file`, in ascending order, and the numbers of the files
/// that are assembly written by hand.
fn line_rows(file: &object::File<'_>) -> (Vec<Row>, HashSet<u64>) {
    let id = file.build_id().unwrap().unwrap();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/usr/lib/debug/.build-id/{}/{}.debug", &hex[..2], &hex[2..]);
    let Ok(data) = std::fs::read(path) else {
        return Default::default();
    };
    let debug = object::File::parse(&*data).unwrap();
    let sections = gimli::DwarfSections::load(|id| {
        Ok::<_, gimli::Error>(debug.section_by_name(id.name()).map_or(Vec::new(), |section| {
            let range = section.compressed_data().unwrap();
            let mut bytes = Vec::new();
            match range.format {
                object::CompressionFormat::None => bytes.extend_from_slice(range.data),
                _ => {
                    flate2::read::ZlibDecoder::new(range.data).read_to_end(&mut bytes).unwrap();
                }
            }
            bytes
        }))
    })
    .unwrap();
    let dwarf = sections.borrow(|section| gimli::EndianSlice::new(section, gimli::LittleEndian));
    let (mut rows, mut assembly) = (Vec::new(), HashSet::new());
    let mut units = dwarf.units();
    while let Some(header) = units.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        let Some(program) = unit.line_program.clone() else {
            continue;
        };
        let number = rows.len() as u64;
        let by_hand = unit.name.is_some_and(|name| name.slice().ends_with(b".S"));
        let mut state = program.rows();
        while let Some((_, row)) = state.next_row().unwrap() {
            if !row.end_sequence() {
                let file = number << 16 | row.file_index();
                if by_hand {
                    assembly.insert(file);
                }
                rows.push(Row {
                    svma: Svma(row.address()),
                    file,
                    line: row.line().map_or(0, |line| line.get()),
                    is_stmt: row.is_stmt(),
                });
            }
        }
    }
    rows.sort_by_key(|row| row.svma);
    (rows, assembly)
}

/// Checks that a site is where objdump sees an instruction and on the allow-list.
fn check(placement: &Placement, requested: Svma, boundaries: &HashSet<u64>) {
    assert!(boundaries.contains(&requested.0), "{requested} is no boundary of objdump's");
    assert!(boundaries.contains(&placement.svma.0), "moved to {}, no boundary", placement.svma);
    let classified = classify(&placement.instruction, placement.svma).unwrap();
    assert_eq!(classified.length, placement.instruction.len());
    assert_eq!(classified.trap, placement.trap);
}

/// Asks for a site at every byte, every boundary or every row of the functions of a program.
fn measure(path: &str) -> (Count, Count, Count) {
    let data = std::fs::read(path).unwrap_or_else(|error| {
        panic!("{path}: {error}; `cargo xtask setup` installs what the tests read")
    });
    let file = object::File::parse(&*data).unwrap();
    let mut boundaries = objdump(path, None);
    let mut out_of_step = 0;
    let (start, code) = text(&file);
    let (rows, assembly) = line_rows(&file);
    let (mut at_boundaries, mut bytes) = (Count::default(), 0_u64);
    let (mut at_rows, mut by_hand) = (Count::default(), Count::default());
    for (n, (from, to)) in functions(&file).into_iter().enumerate() {
        let every_byte = n.is_multiple_of(EVERY_BYTE);
        if !n.is_multiple_of(SAMPLE) && !full() {
            continue;
        }
        // Data in front of a function may have made objdump lose its step.
        if !boundaries.contains(&from) {
            out_of_step += 1;
            boundaries.retain(|svma| !(from..to).contains(svma));
            boundaries.extend(objdump(path, Some((from, to))));
        }
        let first = rows.partition_point(|row| row.svma.0 < from);
        let last = rows.partition_point(|row| row.svma.0 < to);
        let part = Part {
            bytes: &code[(from - start) as usize..(to - start) as usize],
            start: Svma(from),
            entry: Some(Svma(from)),
            rows: &rows[first..last],
            targets: &[],
            nop5_is_safe: false,
        };
        let decoded = Code::decode(part);
        for svma in (from..to).map(Svma) {
            bytes += 1;
            let boundary = boundaries.contains(&svma.0);
            if !boundary && !every_byte {
                assert!(decoded.boundary(svma).is_err(), "{svma} is no boundary of objdump's");
                continue;
            }
            let placed = decoded.place(svma, &ArgumentRegisters).ok();
            if let Some(placement) = &placed {
                check(placement, svma, &boundaries);
            }
            if boundary {
                at_boundaries.add(svma, placed.as_ref());
            }
        }
        for row in part.rows.iter().filter(|row| row.is_stmt) {
            let count = if assembly.contains(&row.file) { &mut by_hand } else { &mut at_rows };
            count.add(row.svma, decoded.place(row.svma, &ArgumentRegisters).ok().as_ref());
        }
    }
    println!("{path}: {bytes} addresses asked for, objdump was out of step {out_of_step} times");
    at_boundaries.report("  boundaries");
    at_rows.report("  is_stmt rows of compiled code");
    // Mostly string functions in AVX-512, which the kernel can't single-step.
    by_hand.report("  is_stmt rows of assembly");
    (at_boundaries, at_rows, by_hand)
}

/// SAFE-2
#[test]
fn sites_in_real_programs_are_on_boundaries_and_nearly_everywhere() {
    let mut all_rows = Count::default();
    for path in PROGRAMS {
        let (at_boundaries, at_rows, by_hand) = measure(path);
        assert!(at_boundaries.percent() >= 90.0, "{path}");
        // Git and libcrypto come without debug info.
        assert!(at_rows.asked == 0 || at_rows.percent() >= 98.0, "{path}");
        for count in [at_rows, by_hand] {
            all_rows.asked += count.asked;
            all_rows.placed += count.placed;
            all_rows.moved += count.moved;
            all_rows.emulated += count.emulated;
        }
    }
    all_rows.report("is_stmt rows of all programs, assembly included");
    assert!(all_rows.asked > 10_000, "debug info is missing: `cargo xtask setup` installs it");
    assert!(all_rows.percent() >= 98.0);
}
