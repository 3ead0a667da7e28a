//! Real bytes to start from: small programs, compiled when they are needed, and parts of them.

use crate::program;
use anyhow::{Context as _, Result, bail};
use gimli::{AttributeValue, EndianSlice, LittleEndian};
use object::{Object as _, ObjectSection as _};
use std::process::Command;
use tracer_common::wire::{
    ITEM_HEADER, ItemHeader, ItemKind, MAGIC, RECORD_HEADER, REGISTERS, RecordHeader, VERSION,
};
use zerocopy::IntoBytes as _;

/// A little of all that debug info of C has.
const SOURCE: &str = include_str!("seed.c");
/// Compilers with their flags.
const BUILDS: [&[&str]; 8] = [
    &["gcc", "-O0", "-gdwarf-5"],
    &["gcc", "-O2", "-gdwarf-5"],
    &["gcc", "-O2", "-gdwarf-4", "-fdebug-types-section"],
    &["gcc", "-O2", "-gdwarf-5", "-gz=zlib"],
    &["gcc", "-O2", "-gdwarf-5", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
    &["clang", "-O0", "-gdwarf-5"],
    &["clang", "-O2", "-gdwarf-5"],
    &["clang", "-O2", "-gdwarf-4"],
];

/// A compiled program.
pub struct Program {
    file: Vec<u8>,
    flags: &'static [&'static str],
}

/// Compiles them all.
///
/// # Errors
///
/// A compiler is missing or fails.
pub fn programs() -> Result<Vec<Program>> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("seed.c");
    std::fs::write(&source, SOURCE)?;
    let mut programs = Vec::new();
    for build in BUILDS {
        let (compiler, flags) = build.split_first().context("no compiler")?;
        let program = folder.path().join("seed");
        let mut command = Command::new(compiler);
        command.args(flags).args(["-std=gnu11", "-nostdlib", "-Wl,-e,run,-z,noseparate-code"]);
        let output = command.arg("-o").arg(&program).arg(&source).output()?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        programs.push(Program { file: std::fs::read(&program)?, flags });
    }
    Ok(programs)
}

/// Whole files.
///
/// # Errors
///
/// Never.
pub fn files(programs: &[Program]) -> Result<Vec<Vec<u8>>> {
    Ok(programs.iter().map(|program| program.file.clone()).collect())
}

/// All debug sections of each.
///
/// # Errors
///
/// A program is no ELF file.
pub fn debug_info(programs: &[Program]) -> Result<Vec<Vec<u8>>> {
    let packed = |program: &Program| {
        let sections = program.sections()?;
        Ok(program::pack(|name| {
            sections.iter().find(|(own, _)| own == name).map(|(_, bytes)| bytes.as_slice())
        }))
    };
    // What is compressed is for the entry that reads whole files.
    programs.iter().filter(|program| program.is_plain()).map(packed).collect()
}

/// The line tables.
///
/// # Errors
///
/// A program is no ELF file.
pub fn lines(programs: &[Program]) -> Result<Vec<Vec<u8>>> {
    let plain = programs.iter().filter(|program| program.is_plain());
    plain.map(|program| program.section(".debug_line")).collect()
}

/// Call frame information; the byte before it says which.
///
/// # Errors
///
/// A program is no ELF file.
pub fn frames(programs: &[Program]) -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for program in programs {
        for (which, name) in [(0, ".eh_frame"), (1, ".debug_frame")] {
            let bytes = program.section(name)?;
            seeds.extend((!bytes.is_empty()).then(|| [&[which], bytes.as_slice()].concat()));
        }
        let both = [&[2], program.section(".eh_frame_hdr")?.as_slice()].concat();
        seeds.push([both, program.section(".eh_frame")?].concat());
    }
    Ok(seeds)
}

/// Location descriptions; the byte before them says that all is known.
///
/// # Errors
///
/// A program is no ELF file, or its debug info is malformed.
pub fn expressions(programs: &[Program]) -> Result<Vec<Vec<u8>>> {
    let mut found = std::collections::BTreeSet::new();
    for program in programs.iter().filter(|program| program.is_plain()) {
        let sections = program.sections()?;
        let load = |id: gimli::SectionId| {
            let bytes = sections.iter().find(|(name, _)| name == id.name());
            let bytes = bytes.map_or(&[][..], |(_, bytes)| bytes.as_slice());
            Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
        };
        let dwarf = gimli::Dwarf::load(load)?;
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                for attribute in entry.attrs() {
                    if let AttributeValue::Exprloc(expression) = attribute.value() {
                        found.insert(expression.0.slice().to_vec());
                    } else if let Some(mut list) = dwarf.attr_locations(&unit, attribute.value())? {
                        while let Some(location) = list.next()? {
                            found.insert(location.data.0.slice().to_vec());
                        }
                    }
                }
            }
        }
    }
    // DWARF 5, and everything is known that an expression may refer to.
    Ok(found.into_iter().map(|bytes| [&[0x3b], bytes.as_slice()].concat()).collect())
}

/// Records as the kernel program makes them.
///
/// # Errors
///
/// Never.
pub fn records(_: &[Program]) -> Result<Vec<Vec<u8>>> {
    let memory = 0x7fff_0000_0000_u64;
    let items = [
        (ItemKind::Stack, memory, 256_u32),
        (ItemKind::Object, memory + 0x1000, 64),
        (ItemKind::Text, memory + 0x2000, 16),
        (ItemKind::Deref, memory + 0x3000, 8),
    ];
    let mut bytes = Vec::new();
    for (kind, address, copied) in items {
        let kind = kind as u8;
        let want = u64::from(copied);
        let header = ItemHeader {
            address,
            want,
            copied,
            layout: 0,
            status: 0,
            depth: 0,
            kind,
            reserved: [0; 5],
        };
        bytes.extend(header.as_bytes());
        let words = (0..u64::from(copied) / 8).flat_map(|n| (address + n * 8).to_le_bytes());
        bytes.extend(words);
    }
    let stated: u32 = items.iter().map(|(_, _, copied)| ITEM_HEADER + copied).sum();
    let header = RecordHeader {
        magic: MAGIC,
        version: VERSION,
        flags: 0,
        size: RECORD_HEADER + stated,
        site: 0,
        hit: 1,
        time_boot_ns: 1,
        start_boot_ns: 1,
        pid: 1,
        tid: 1,
        cpu: 0,
        items: items.len() as u32,
        comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
        registers: [memory + 0x1000; REGISTERS],
    };
    Ok(vec![[header.as_bytes(), &bytes].concat()])
}

impl Program {
    /// Its sections are not compressed.
    fn is_plain(&self) -> bool {
        !self.flags.iter().any(|flag| flag.starts_with("-gz"))
    }

    /// All sections.
    fn sections(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let file = object::File::parse(self.file.as_slice())?;
        let mut sections = Vec::new();
        for section in file.sections() {
            sections.push((section.name()?.to_owned(), section.data()?.to_vec()));
        }
        Ok(sections)
    }

    fn section(&self, name: &str) -> Result<Vec<u8>> {
        let found = self.sections()?.into_iter().find(|(own, _)| own == name);
        Ok(found.map(|(_, bytes)| bytes).unwrap_or_default())
    }
}
