//! Debug info of a program that is one file, `bomb.c`, with one function, `counted`.

use super::Base;
use super::bytes::Bytes;
use super::elf::Section;

pub(super) const ARRAY: u64 = 0x01;
pub(super) const PARAMETER: u64 = 0x05;
pub(super) const BLOCK: u64 = 0x0b;
pub(super) const MEMBER: u64 = 0x0d;
pub(super) const POINTER: u64 = 0x0f;
pub(super) const COMPILE_UNIT: u64 = 0x11;
pub(super) const STRUCTURE: u64 = 0x13;
pub(super) const TYPEDEF: u64 = 0x16;
pub(super) const INLINED: u64 = 0x1d;
pub(super) const BASE: u64 = 0x24;
pub(super) const SUBPROGRAM: u64 = 0x2e;
pub(super) const VARIABLE: u64 = 0x34;
pub(super) const IMPORTED_UNIT: u64 = 0x3d;
pub(super) const CALL_SITE: u64 = 0x48;

pub(super) const SIBLING: u64 = 0x01;
pub(super) const LOCATION: u64 = 0x02;
pub(super) const NAME: u64 = 0x03;
pub(super) const BYTE_SIZE: u64 = 0x0b;
pub(super) const STATEMENTS: u64 = 0x10;
pub(super) const LOW_PC: u64 = 0x11;
pub(super) const HIGH_PC: u64 = 0x12;
pub(super) const IMPORT: u64 = 0x18;
pub(super) const ORIGIN: u64 = 0x31;
pub(super) const MEMBER_OFFSET: u64 = 0x38;
pub(super) const ENCODING: u64 = 0x3e;
pub(super) const FRAME_BASE: u64 = 0x40;
pub(super) const SPECIFICATION: u64 = 0x47;
pub(super) const TYPE: u64 = 0x49;
pub(super) const RANGES: u64 = 0x55;
pub(super) const SIGNATURE: u64 = 0x69;
pub(super) const CALL_ORIGIN: u64 = 0x7f;

pub(super) const ADDRESS: u64 = 0x01;
pub(super) const DATA4: u64 = 0x06;
pub(super) const STRING: u64 = 0x08;
pub(super) const DATA1: u64 = 0x0b;
pub(super) const STRP: u64 = 0x0e;
pub(super) const REF4: u64 = 0x13;
pub(super) const OFFSET: u64 = 0x17;
pub(super) const EXPRESSION: u64 = 0x18;
pub(super) const FLAG_PRESENT: u64 = 0x19;
pub(super) const REF_SIG8: u64 = 0x20;
pub(super) const IMPLICIT: u64 = 0x21;

/// Bytes of the header of a unit of DWARF 5.
pub(super) const UNIT_HEADER: usize = 12;

/// Debug info while it is written: the unit is open, and what is added goes into it.
pub(super) struct Info<'b> {
    pub(super) base: &'b Base,
    pub(super) abbreviations: Bytes,
    count: u64,
    /// The unit behind its header.
    pub(super) dies: Bytes,
    pub(super) lines: Bytes,
    /// More sections.
    pub(super) more: Vec<Section>,
    /// Offset of an integer type in the unit.
    pub(super) number: u32,
    parameter: u64,
    function: u64,
}

impl<'b> Info<'b> {
    pub(super) fn new(base: &'b Base) -> Self {
        let (abbreviations, dies) = (Bytes::new(), Bytes::new());
        let lines = line_table(&rows(base), &[1, 1, 1, 0xfb, 14], None);
        let (count, number, parameter, function) = (0, 0, 0, 0);
        let more = Vec::new();
        let mut info =
            Self { base, abbreviations, count, dies, lines, more, number, parameter, function };
        let unit = info.abbreviation(
            COMPILE_UNIT,
            true,
            &[(NAME, STRING), (STATEMENTS, OFFSET), (LOW_PC, ADDRESS), (HIGH_PC, DATA4)],
        );
        info.dies.leb(unit).text("bomb.c").u32(0).u64(base.start).u32(base.size);
        let number = info.abbreviation(
            BASE,
            false,
            &[(NAME, STRING), (BYTE_SIZE, DATA1), (ENCODING, DATA1)],
        );
        info.number = info.here();
        info.dies.leb(number).text("long").u8(8).u8(5);
        info.parameter = info.abbreviation(
            PARAMETER,
            false,
            &[(NAME, STRING), (TYPE, REF4), (LOCATION, EXPRESSION)],
        );
        info.function = info.abbreviation(
            SUBPROGRAM,
            true,
            &[(NAME, STRING), (LOW_PC, ADDRESS), (HIGH_PC, DATA4), (FRAME_BASE, EXPRESSION)],
        );
        info
    }

    /// A form of DIEs; `attributes` by name and form.
    pub(super) fn abbreviation(
        &mut self,
        tag: u64,
        has_children: bool,
        attributes: &[(u64, u64)],
    ) -> u64 {
        self.count += 1;
        self.abbreviations.leb(self.count).leb(tag).u8(u8::from(has_children));
        for (name, form) in attributes {
            self.abbreviations.leb(*name).leb(*form);
            if *form == IMPLICIT {
                self.abbreviations.u8(0);
            }
        }
        self.abbreviations.u8(0).u8(0);
        self.count
    }

    /// Where the next DIE is in the unit.
    pub(super) fn here(&self) -> u32 {
        (UNIT_HEADER + self.dies.len()) as u32
    }

    /// Opens the function; an [`Self::end`] closes it.
    pub(super) fn open_function(&mut self) -> &mut Self {
        self.dies.leb(self.function).text("counted").u64(self.base.start).u32(self.base.size);
        // DW_OP_call_frame_cfa.
        self.dies.leb(1).u8(0x9c);
        self
    }

    /// A parameter in `rdi` of the type at an offset.
    pub(super) fn parameter(&mut self, name: &str, type_at: u32) -> &mut Self {
        self.located(name, type_at, &[0x55])
    }

    /// A parameter with a location.
    pub(super) fn located(&mut self, name: &str, type_at: u32, location: &[u8]) -> &mut Self {
        self.dies.leb(self.parameter).text(name).u32(type_at);
        self.dies.leb(location.len() as u64).raw(location);
        self
    }

    /// Ends a list of children.
    pub(super) fn end(&mut self) -> &mut Self {
        self.dies.u8(0);
        self
    }

    /// The function with one parameter of the type at an offset.
    pub(super) fn function_of(&mut self, type_at: u32) -> &mut Self {
        self.open_function().parameter("value", type_at).end()
    }

    /// One more section.
    pub(super) fn section(&mut self, name: &'static str, bytes: Vec<u8>) -> &mut Self {
        self.more.push(Section::new(name, bytes));
        self
    }

    /// All sections.
    pub(super) fn finish(mut self) -> Vec<Section> {
        self.abbreviations.u8(0);
        self.end();
        let mut sections = vec![
            Section::new(".debug_info", unit(&self.dies, 1, &[]).0),
            Section::new(".debug_abbrev", self.abbreviations.0),
            Section::new(".debug_line", self.lines.0),
        ];
        sections.append(&mut self.more);
        sections
    }
}

/// A unit of DWARF 5 of a kind, with more in its header.
pub(super) fn unit(dies: &Bytes, kind: u8, more: &[u8]) -> Bytes {
    let mut content = Bytes::new();
    content.u16(5).u8(kind).u8(8).u32(0).raw(more).raw(&dies.0);
    let mut all = Bytes::new();
    all.sized(&content);
    all
}

/// A line table: `numbers` are minimum_instruction_length, maximum_operations_per_instruction,
/// default_is_stmt, line_base and line_range; `entries` stands instead of directories and files.
pub(super) fn line_table(program: &Bytes, numbers: &[u8], entries: Option<&Bytes>) -> Bytes {
    let mut head = Bytes::new();
    head.raw(numbers).u8(13).raw(&[0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]);
    match entries {
        Some(entries) => head.raw(&entries.0),
        // A list of directories, and one of files: one form, DW_LNCT_path as a string.
        None => head.u8(1).u8(1).leb(STRING).u8(1).text("/tmp").u8(1).u8(1).leb(STRING).u8(1),
    };
    if entries.is_none() {
        head.text("bomb.c");
    }
    let mut content = Bytes::new();
    content.u16(5).u8(8).u8(0).sized(&head).raw(&program.0);
    let mut all = Bytes::new();
    all.sized(&content);
    all
}

/// DW_LNE_set_address to where the function is, and its file.
pub(super) fn from_start(base: &Base) -> Bytes {
    let mut program = Bytes::new();
    program.u8(0).u8(9).u8(2).u64(base.start).u8(4).leb(0);
    program
}

/// Rows of the function: line 10 from its start, line 11 one instruction on, to its end.
fn rows(base: &Base) -> Bytes {
    let mut program = from_start(base);
    // DW_LNS_advance_line 9, copy; advance_pc 4, line 1, copy; to the end, and the end.
    program.u8(3).u8(9).u8(1).u8(2).leb(4).u8(3).u8(1).u8(1);
    program.u8(2).leb(u64::from(base.size) - 4).u8(0).u8(1).u8(1);
    program
}
