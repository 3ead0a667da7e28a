//! Programs that are compiled for a test, and their debug info.

use super::dies::{Dies, SourceUnit};
use crate::binary::dwarf::{Dwarf, Reader, Unit};
use crate::model::address::Svma;
use crate::model::location::Expression;
use gimli::{SectionId, UnitOffset};
use object::{Object as _, ObjectSection as _};
use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use tracer_common::code::{Code, Op};

/// A file's DWARF, decompressed.
pub(crate) struct Fixture {
    pub(crate) sections: HashMap<&'static str, Vec<u8>>,
    eh_frame: (Vec<u8>, u64),
    symbols: HashMap<String, (u64, u64)>,
}

/// A function by its concrete DIE.
pub(crate) struct Function<'a> {
    pub(crate) unit: Rc<SourceUnit<'a>>,
    pub(crate) offset: UnitOffset,
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Fixture {
    /// Compiles and links `source` with `compiler` (gcc, g++, rustc).
    pub(crate) fn compile(compiler: &str, arguments: &[&str], source: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let extension = match compiler {
            "gcc" => "c",
            "g++" => "cpp",
            _ => "rs",
        };
        let input = directory.path().join("program").with_extension(extension);
        std::fs::write(&input, source).expect("the source is written");
        let output = directory.path().join("program");
        let status = Command::new(compiler)
            .args(arguments)
            .arg("-o")
            .arg(&output)
            .arg(&input)
            .current_dir(&directory)
            .output()
            .expect("the compiler runs");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        Self::open(&output)
    }

    /// The debug info of a file, compressed or not.
    pub(crate) fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the file is read");
        let file = object::File::parse(bytes.as_slice()).expect("an object file");
        let mut sections = HashMap::new();
        for id in SECTIONS {
            if let Some(section) = file.section_by_name(id.name()) {
                sections.insert(id.name(), decompressed(&section));
            }
        }
        let eh_frame = file
            .section_by_name(".eh_frame")
            .map(|section| (decompressed(&section), section.address()))
            .unwrap_or_default();
        let symbols = object::Object::symbols(&file)
            .filter_map(|symbol| {
                use object::ObjectSymbol as _;
                Some((symbol.name().ok()?.to_owned(), (symbol.address(), symbol.size())))
            })
            .collect();
        Self { sections, eh_frame, symbols }
    }

    pub(crate) fn dwarf(&self) -> Dwarf<'_> {
        Dwarf::load(|id| {
            let bytes = self.sections.get(id.name()).map_or(&[][..], Vec::as_slice);
            Ok::<_, gimli::Error>(Reader::new(bytes, gimli::LittleEndian))
        })
        .expect("sections load")
    }

    /// The address and size of a symbol.
    pub(crate) fn symbol(&self, name: &str) -> (u64, u64) {
        self.symbols[name]
    }

    /// The CFA at a pc where it is a register plus an offset.
    pub(crate) fn cfa(&self, pc: u64) -> Option<Expression> {
        use gimli::UnwindSection as _;
        let section = gimli::EhFrame::new(&self.eh_frame.0, gimli::LittleEndian);
        let bases = gimli::BaseAddresses::default().set_eh_frame(self.eh_frame.1);
        let mut context = gimli::UnwindContext::new();
        let row = section
            .unwind_info_for_address(&bases, &mut context, pc, gimli::EhFrame::cie_from_offset)
            .ok()?;
        match row.cfa() {
            gimli::CfaRule::RegisterAndOffset { register, offset } => {
                Some(vec![Op::new(Code::Register, register.0 as u8, *offset as u64)])
            }
            gimli::CfaRule::Expression(_) => None,
        }
    }
}

const SECTIONS: [SectionId; 14] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugMacro,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTypes,
];

fn decompressed<'d>(section: &impl object::ObjectSection<'d>) -> Vec<u8> {
    let data = section.compressed_data().expect("section data");
    if data.format == object::CompressionFormat::None {
        return data.data.to_vec();
    }
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(data.data).read_to_end(&mut bytes).expect("zlib data");
    bytes
}

/// All functions with code and one range, in the order of debug info.
pub(crate) fn functions<'a>(dwarf: &'a Dwarf<'a>, dies: &Dies<'a>) -> Vec<Function<'a>> {
    let mut functions = Vec::new();
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        let Ok(source) = dies.unit(&Unit::whole(dwarf, unit)) else { continue };
        let mut entries = source.unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Ok(mut ranges) = dwarf.die_ranges(&source.unit, entry) else { continue };
            if let Ok(Some(range)) = ranges.next()
                && range.begin < range.end
            {
                functions.push(Function {
                    unit: Rc::clone(&source),
                    offset: entry.offset(),
                    low: range.begin,
                    high: range.end,
                });
            }
        }
    }
    functions
}

/// The concrete function that starts at or holds a symbol's address.
pub(crate) fn function_at<'a>(dwarf: &'a Dwarf<'a>, dies: &Dies<'a>, pc: Svma) -> Function<'a> {
    functions(dwarf, dies)
        .into_iter()
        .find(|function| (function.low..function.high).contains(&pc.0))
        .expect("a function at the address")
}
