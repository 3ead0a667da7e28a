//! Rows of real files are what gimli gives, by every way to find them.

use super::*;
use crate::model::address::Svma;
use gimli::{BaseAddresses, EhFrame, LittleEndian, UnwindContext, UnwindSection};
use object::{Object, ObjectSection};

/// The sections of a file.
struct Sections {
    eh_frame: (Vec<u8>, u64),
    eh_frame_hdr: (Vec<u8>, u64),
    text_svma: u64,
    debug_frame: Option<Vec<u8>>,
}

fn sections(path: &str) -> Sections {
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let section = |name: &str| {
        let section = file.section_by_name(name)?;
        Some((section.uncompressed_data().ok()?.into_owned(), section.address()))
    };
    Sections {
        eh_frame: section(".eh_frame").unwrap_or_default(),
        eh_frame_hdr: section(".eh_frame_hdr").unwrap_or_default(),
        text_svma: section(".text").unwrap_or_default().1,
        debug_frame: section(".debug_frame").map(|(bytes, _)| bytes),
    }
}

impl Sections {
    fn with_table(&self) -> CfiSections<'_> {
        let (bytes, svma) = &self.eh_frame_hdr;
        let header = Section { bytes, svma: Svma(*svma) };
        CfiSections { eh_frame_hdr: Some(header), ..self.without_table() }
    }

    fn without_table(&self) -> CfiSections<'_> {
        let (bytes, svma) = &self.eh_frame;
        CfiSections {
            eh_frame: Some(Section { bytes, svma: Svma(*svma) }),
            eh_frame_hdr: None,
            text_svma: Some(Svma(self.text_svma)),
            debug_frame: self.debug_frame.as_deref(),
            separate_debug_frame: None,
        }
    }
}

/// libc as the dynamic loader finds it here.
fn libc() -> Sections {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("libc.so")).unwrap();
    sections(line.split_whitespace().last().unwrap())
}

type Fde<'a> = gimli::FrameDescriptionEntry<gimli::EndianSlice<'a, LittleEndian>>;

/// Every entry, as gimli finds them one behind another.
fn entries(sections: &Sections) -> Vec<Fde<'_>> {
    let bases = BaseAddresses::default().set_eh_frame(sections.eh_frame.1);
    let frame = EhFrame::new(&sections.eh_frame.0, LittleEndian);
    let mut fdes = Vec::new();
    let mut entries = frame.entries(&bases);
    while let Some(entry) = entries.next().unwrap() {
        if let gimli::CieOrFde::Fde(partial) = entry {
            fdes.push(partial.parse(EhFrame::cie_from_offset).unwrap());
        }
    }
    fdes
}

/// Start and end of every entry.
fn ranges(sections: &Sections) -> Vec<(u64, u64)> {
    entries(sections).iter().map(|fde| (fde.initial_address(), fde.end_address())).collect()
}

/// What gimli says, compared rule by rule. Rows with a computation are compared for being one.
fn check(sections: &Sections, fde: &Fde<'_>, pc: u64, row: &UnwindRow) {
    let bases = BaseAddresses::default().set_eh_frame(sections.eh_frame.1);
    let frame = EhFrame::new(&sections.eh_frame.0, LittleEndian);
    let mut context = UnwindContext::new();
    let expected = fde.unwind_info_for_address(&frame, &bases, &mut context, pc).unwrap();
    match (expected.cfa(), &row.cfa) {
        (
            gimli::CfaRule::RegisterAndOffset { register, offset },
            CfaRule::Register { register: ours, offset: our_offset },
        ) => assert_eq!((register.0, offset), (u16::from(*ours), our_offset), "{pc:#x}"),
        (gimli::CfaRule::Expression(_), CfaRule::Expression(_)) => {}
        other => panic!("{pc:#x}: {other:?}"),
    }
    let mut count = 0;
    for (register, rule) in expected.registers().filter(|(register, _)| register.0 <= 16) {
        count += 1;
        let ours = row.registers.iter().find(|(number, _)| u16::from(*number) == register.0);
        match (rule, &ours.unwrap().1) {
            (gimli::RegisterRule::Undefined, RegisterRule::Undefined)
            | (gimli::RegisterRule::SameValue, RegisterRule::SameValue)
            | (gimli::RegisterRule::Expression(_), RegisterRule::AtExpression(_))
            | (gimli::RegisterRule::ValExpression(_), RegisterRule::IsExpression(_)) => {}
            (gimli::RegisterRule::Offset(a), RegisterRule::AtCfa(b))
            | (gimli::RegisterRule::ValOffset(a), RegisterRule::IsCfa(b)) => {
                assert_eq!(a, b, "{pc:#x}")
            }
            (gimli::RegisterRule::Register(a), RegisterRule::Register(b)) => {
                assert_eq!(a.0, u16::from(*b), "{pc:#x}")
            }
            // Registers other than the return address may be given up.
            (gimli::RegisterRule::Expression(_), RegisterRule::Undefined) if register.0 != 16 => {}
            other => panic!("{pc:#x}: {other:?}"),
        }
    }
    assert_eq!(row.registers.len(), count, "{pc:#x}");
}

#[test]
fn every_entry_of_libc_gives_the_rows_that_gimli_gives() {
    let sections = libc();
    let by_table = Cfi::new(sections.with_table());
    let by_index = Cfi::new(sections.without_table());
    let mut rows = 0;
    for fde in entries(&sections) {
        let (start, end) = (fde.initial_address(), fde.end_address());
        for pc in [start, (start + 1).min(end - 1), start + (end - start) / 2, end - 1] {
            let found = by_table.row_at(Svma(pc), 0);
            assert_eq!(found, by_index.row_at(Svma(pc), 0), "{pc:#x}");
            let row = found.unwrap_or_else(|error| panic!("{pc:#x}: {error}"));
            check(&sections, &fde, pc, &row);
            rows += 1;
        }
    }
    assert!(rows > 10_000, "{rows}");
}

#[test]
fn the_rows_of_an_entry_are_those_at_their_starts() {
    let sections = libc();
    let cfi = Cfi::new(sections.with_table());
    let mut compared = 0;
    for fde in entries(&sections).iter().step_by(50) {
        let Ok(rows) = cfi.rows_around(Svma(fde.initial_address())) else { continue };
        for (start, row) in rows {
            assert_eq!(cfi.row_at(start, 0).as_ref(), Ok(&row), "{start}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn addresses_between_and_outside_entries_are_not_covered() {
    let sections = libc();
    let ranges = ranges(&sections);
    let end = ranges.iter().map(|range| range.1).max().unwrap();
    let is_free = |pc: u64| ranges.iter().all(|range| pc < range.0 || pc >= range.1);
    let gap = ranges.iter().map(|range| range.1).find(|pc| is_free(*pc)).unwrap();
    for cfi in [Cfi::new(sections.with_table()), Cfi::new(sections.without_table())] {
        for pc in [0, 1, gap, end, end + 0x10_0000, u64::MAX] {
            assert_eq!(cfi.row_at(Svma(pc), 0), Err(CfiError::NotCovered), "{pc:#x}");
        }
    }
    let empty = Cfi::new(CfiSections::default());
    assert_eq!(empty.row_at(Svma(0x1000), 0), Err(CfiError::NotCovered));
}

#[test]
fn a_file_with_only_debug_frame_has_the_same_rows() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("a.c");
    let text = "int g(int); int f(int a) { volatile int b[64]; b[a] = g(a); return b[a] + g(3); }\n\
                int g(int a) { return a * 3; } int main(void) { return f(1); }";
    std::fs::write(&source, text).unwrap();
    let build = |name: &str, flag: &str| {
        let output = directory.path().join(name);
        let flags = ["-O1", "-g", "-fcf-protection=none", flag, "-nostartfiles", "-Wl,-emain"];
        let status = std::process::Command::new("gcc")
            .args(flags)
            .arg("-o")
            .args([&output, &source])
            .status()
            .unwrap();
        assert!(status.success());
        sections(output.to_str().unwrap())
    };
    let flag = "-fno-asynchronous-unwind-tables";
    let bare = build("bare", flag);
    assert!(bare.debug_frame.is_some());
    let usual = build("usual", "-fasynchronous-unwind-tables");
    let bare_cfi = Cfi::new(CfiSections {
        debug_frame: None,
        separate_debug_frame: bare.debug_frame.as_deref(),
        ..CfiSections::default()
    });
    let usual_cfi = Cfi::new(usual.with_table());
    let mut rows = 0;
    // The two differ in where the text lies, but not in the text.
    for offset in 0..0x80 {
        let row = usual_cfi.row_at(Svma(usual.text_svma + offset), 0);
        assert_eq!(bare_cfi.row_at(Svma(bare.text_svma + offset), 0), row);
        rows += usize::from(row.is_ok());
    }
    assert!(rows > 40, "{rows}");
}

#[test]
fn damaged_sections_give_errors_and_never_panic() {
    let mut random = crate::random::Random::new(5);
    let good = libc();
    let ranges = ranges(&good);
    // A small piece, so that the damage is met.
    let kept = 24 * 1024;
    for _ in 0..300 {
        let mut bad = Sections {
            eh_frame: (good.eh_frame.0[..kept].to_vec(), good.eh_frame.1),
            eh_frame_hdr: good.eh_frame_hdr.clone(),
            text_svma: good.text_svma,
            debug_frame: Some(good.eh_frame.0[..kept].to_vec()),
        };
        for _ in 0..50 {
            let at = random.below(kept as u64) as usize;
            bad.eh_frame.0[at] = random.next() as u8;
            bad.debug_frame.as_mut().unwrap()[at] = random.next() as u8;
            let at = random.below(bad.eh_frame_hdr.0.len() as u64) as usize;
            bad.eh_frame_hdr.0[at] = random.next() as u8;
        }
        bad.eh_frame_hdr.0[random.below(12) as usize] = random.next() as u8;
        for cfi in [Cfi::new(bad.with_table()), Cfi::new(bad.without_table())] {
            for _ in 0..20 {
                let (start, end) = ranges[random.below(ranges.len().min(400) as u64) as usize];
                let pc = start + random.below(end - start);
                drop(cfi.row_at(Svma(pc), random.next()));
                drop(cfi.row_at(Svma(random.next()), 0));
            }
        }
    }
}
