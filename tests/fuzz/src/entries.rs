//! What is fuzzed: each takes any bytes.

use crate::program::{self, TEXT, TEXT_BYTES};
use crate::{ask, hit, types};
use gimli::LittleEndian;
use std::sync::Arc;
use tracer_common::code::{Code, Op};
use tracer_common::wire::{MAGIC, RIP, RecordHeader, VERSION};
use tracer_core::binary::cfi::{Cfi, CfiSections, Section, UnwindRow};
use tracer_core::binary::code_map::{CallSite, CodeFrame, CodeMap};
use tracer_core::binary::dwarf::Reader;
use tracer_core::binary::expression::{Context, translate};
use tracer_core::decode::record::parse;
use tracer_core::model::address::{Avma, FileOffset, Svma};
use tracer_core::model::location::Location;
use tracer_core::model::resolved::{ScopedVariable, Site, TrapClass, VariableKind};
use tracer_core::model::types::TypeId;
use zerocopy::FromBytes as _;

/// A whole file.
pub fn elf(bytes: &[u8]) {
    if let Some(file) = program::on_disk(bytes) {
        ask::everything(file.path(), &[TEXT]);
    }
}

/// Debug sections, as [`program::pack`] has them.
pub fn info(bytes: &[u8]) {
    about(&program::unpack(bytes));
}

/// A line table of a program that is one unit.
pub fn line(bytes: &[u8]) {
    let mut unit = vec![5, 0, 1, 8, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    unit.extend(TEXT.to_le_bytes());
    unit.extend((TEXT_BYTES as u32).to_le_bytes());
    let mut section = (unit.len() as u32).to_le_bytes().to_vec();
    section.extend(unit);
    // DW_TAG_compile_unit with DW_AT_stmt_list, DW_AT_low_pc and DW_AT_high_pc.
    let abbreviations = [1, 0x11, 0, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0, 0];
    let sections: [(&str, &[u8]); 4] = [
        (".debug_info", &section),
        (".debug_abbrev", &abbreviations),
        (".debug_line", bytes),
        (".debug_line_str", b"/src\0file.c\0"),
    ];
    about(&sections);
}

fn about(sections: &[(&str, &[u8])]) {
    if let Some(file) = program::on_disk(&program::elf(sections)) {
        ask::everything(file.path(), &[TEXT, TEXT + 4, TEXT + TEXT_BYTES / 2]);
    }
}

/// A location description; the first byte tells the version of DWARF and what is known.
pub fn expression(bytes: &[u8]) {
    let Some((known, expression)) = bytes.split_first() else { return };
    let version = 2 + u16::from(known & 3);
    let format = if known & 4 == 0 { gimli::Format::Dwarf32 } else { gimli::Format::Dwarf64 };
    let encoding = gimli::Encoding { address_size: 8, format, version };
    let register = vec![Op::new(Code::Register, 7, 16)];
    let with = |bit: u8| (known & bit != 0).then_some(&register);
    let context = Context {
        frame_base: with(8),
        cfa: with(16),
        bias: 0x1000,
        initial: with(32),
        ..Context::default()
    };
    let expression = gimli::Expression(Reader::new(expression, LittleEndian));
    if let Ok(location) = translate(expression, encoding, context) {
        let graph = types::all();
        for type_id in (0..graph.types.len() as u32).map(TypeId) {
            let site = site(vec![variable(type_id, location.clone())]);
            hit::decode(&hit::record(site.pc), 0, &site, &graph, &NoCode);
        }
    }
}

/// Call frame information; the first byte tells in which section.
pub fn cfi(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let half = bytes.split_at_checked(bytes.len() / 4).unwrap_or_default();
    let section = |bytes, at| Some(Section { bytes, svma: Svma(at) });
    let text_svma = Some(Svma(TEXT));
    let sections = match which % 3 {
        0 => CfiSections { eh_frame: section(bytes, 0x8000), text_svma, ..CfiSections::default() },
        1 => CfiSections { debug_frame: Some(bytes), ..CfiSections::default() },
        _ => CfiSections {
            eh_frame_hdr: section(half.0, 0x7000),
            eh_frame: section(half.1, 0x8000),
            text_svma,
            ..CfiSections::default()
        },
    };
    let cfi = Cfi::new(sections);
    for at in (TEXT..TEXT + 0x1000).step_by(0x20).chain([0, u64::MAX]) {
        // Any of these may fail.
        let _row = cfi.row_at(Svma(at), 0x10_0000);
        let _rows = cfi.rows_around(Svma(at));
        let _covered = cfi.covered(Svma(at));
    }
}

/// A record: as it is, and with what every record begins with.
pub fn record(bytes: &[u8]) {
    decoded(bytes);
    let mut bytes = bytes.to_vec();
    let size = bytes.len() as u32;
    if let Ok((header, _)) = RecordHeader::mut_from_prefix(bytes.as_mut_slice()) {
        (header.magic, header.version, header.size) = (MAGIC, VERSION, size);
        decoded(&bytes);
    }
}

fn decoded(bytes: &[u8]) {
    let Ok(mut record) = parse(bytes) else { return };
    let graph = types::all();
    let mut variables = Vec::new();
    for type_id in (0..graph.types.len() as u32).map(TypeId) {
        let at = |number| vec![Op::new(Code::Register, number, 0)];
        variables.push(variable(type_id, Location::Memory(at(0))));
        variables.push(variable(type_id, Location::Value(at(3))));
        variables.push(variable(type_id, Location::Register(5)));
    }
    let site = site(variables);
    record.registers[RIP] = site.pc.0;
    hit::decode(&record, 0, &site, &graph, &NoCode);
}

fn site(variables: Vec<ScopedVariable>) -> Site {
    Site {
        module: 0,
        requested: Avma(TEXT),
        pc: Avma(TEXT),
        svma: Svma(TEXT),
        file_offset: FileOffset(TEXT),
        instruction: vec![0x90],
        disassembly: "nop".to_owned(),
        trap: TrapClass::Emulated,
        why: String::new(),
        function: None,
        line: None,
        cfa: None,
        inlined_into: Vec::new(),
        entry: None,
        variables,
    }
}

fn variable(type_id: TypeId, location: Location) -> ScopedVariable {
    let (name, kind) = (format!("v{}", type_id.0), VariableKind::Local);
    ScopedVariable {
        name,
        kind,
        type_id,
        location: Ok(location),
        at_entry: None,
        moved: None,
        inline_depth: 0,
    }
}

/// Code that nothing is known of.
struct NoCode;

impl CodeMap for NoCode {
    fn module_name(&self, _pc: Avma) -> Option<String> {
        None
    }

    fn unwind_row(&self, _pc: Avma) -> Result<UnwindRow, String> {
        Err("no module is mapped there".to_owned())
    }

    fn frames(&self, _pc: Avma) -> Vec<CodeFrame> {
        Vec::new()
    }

    fn call_site(&self, _return: Avma, _callee: Avma) -> Result<Arc<CallSite>, String> {
        Err("no module is mapped there".to_owned())
    }

    fn symbol_at(&self, _address: Avma) -> Option<String> {
        None
    }
}
