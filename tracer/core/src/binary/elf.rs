//! What an ELF file says of itself: segments, sections, build-id.

use super::compressed::{self, Budget, Compression};
use super::open::MappedFile;
use crate::model::address::{FileOffset, Svma};
use crate::model::issue::{Issue, IssueKind};
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

const ENDIAN: LittleEndian = LittleEndian;
/// What is said of a file that is none.
pub const NO_ELF: &str = "not a 64-bit ELF file";

/// A PT_LOAD segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// p_vaddr.
    pub svma: Svma,
    /// p_memsz.
    pub memory_bytes: u64,
    /// p_offset.
    pub file_offset: FileOffset,
    /// p_filesz.
    pub file_bytes: u64,
    /// PF_X.
    pub execute: bool,
    /// PF_W.
    pub write: bool,
}

impl Segment {
    /// The addresses whose bytes are in the file.
    pub fn file_range(&self) -> Range<u64> {
        self.svma.0..self.svma.0.saturating_add(self.file_bytes.min(self.memory_bytes))
    }
}

/// A 64-bit little-endian x86-64 executable, shared object or debug file.
#[derive(Debug)]
pub struct ElfFile {
    file: MappedFile,
    segments: Vec<Segment>,
    relro: Vec<Range<u64>>,
    thread_bytes: Option<u64>,
    text_relocations: bool,
    sections: Vec<Section>,
    build_id: Option<Vec<u8>>,
    budget: Budget,
    embedded: OnceLock<Option<Box<Self>>>,
}

#[derive(Debug)]
struct Section {
    name: Box<[u8]>,
    svma: Svma,
    file: Range<usize>,
    compressed: Option<(Compression, u64)>,
    output: OnceLock<Result<Box<[u8]>, String>>,
}

impl ElfFile {
    /// Reads the headers of a file.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`] with what is wrong.
    pub fn parse(file: MappedFile) -> Result<Self, Issue> {
        let malformed = |detail: String| {
            Issue::new(IssueKind::MalformedFile, file.path().display().to_string(), detail)
        };
        let data = file.bytes();
        let header =
            FileHeader64::<LittleEndian>::parse(data).map_err(|_| malformed(NO_ELF.to_owned()))?;
        check_header(header).map_err(|why| malformed(why.to_owned()))?;
        let programs =
            header.program_headers(ENDIAN, data).map_err(|error| malformed(error.to_string()))?;
        let segments = programs.iter().filter_map(segment).collect();
        let relro = programs.iter().filter_map(relro).collect();
        let thread_bytes = programs.iter().find_map(thread_bytes);
        let text_relocations = has_text_relocations(programs, data);
        let sections = sections(header, data).map_err(&malformed)?;
        let build_id = build_id(header, programs, data);
        let budget = Budget::new();
        let embedded = OnceLock::new();
        Ok(Self {
            segments,
            relro,
            thread_bytes,
            text_relocations,
            sections,
            build_id,
            budget,
            embedded,
            file,
        })
    }

    /// The file.
    pub fn file(&self) -> &MappedFile {
        &self.file
    }

    /// Its path inside its root.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The PT_LOAD segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The executable segment whose bytes in the file hold an address.
    pub fn text_segment(&self, svma: Svma) -> Option<&Segment> {
        self.segments.iter().find(|s| s.execute && s.file_range().contains(&svma.0))
    }

    /// The addresses that the loader writes and then protects (PT_GNU_RELRO).
    pub fn relro(&self) -> &[Range<u64>] {
        &self.relro
    }

    /// Bytes of the thread-local storage, up to where its alignment ends it; `None` where there
    /// is none, or it starts at an odd place.
    pub fn thread_bytes(&self) -> Option<u64> {
        self.thread_bytes
    }

    /// The loader writes to segments that are not writable (DT_TEXTREL).
    pub fn has_text_relocations(&self) -> bool {
        self.text_relocations
    }

    /// The build-id (note NT_GNU_BUILD_ID).
    pub fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// The bytes of a section, decompressed if need be; `None` if the file has none of this name
    /// (or, as in debug files, no bytes for it).
    ///
    /// # Errors
    ///
    /// Why a compressed section can't be read.
    pub fn section(&self, name: &str) -> Result<Option<&[u8]>, String> {
        let Some(section) = self.find(name) else { return Ok(None) };
        self.contents(section).map_err(|why| format!("section {name} {why}"))
    }

    /// The bytes of all sections of a name, for a file that is not linked has each type unit in a
    /// section of its own.
    ///
    /// # Errors
    ///
    /// Why one of them can't be read.
    pub fn sections(&self, name: &str) -> Result<Vec<&[u8]>, String> {
        let named = self.sections.iter().filter(|section| *section.name == *name.as_bytes());
        let contents = named.filter_map(|section| self.contents(section).transpose());
        contents.collect::<Result<_, _>>().map_err(|why| format!("section {name} {why}"))
    }

    fn contents<'e>(&'e self, section: &'e Section) -> Result<Option<&'e [u8]>, String> {
        let Some(input) = self.file.bytes().get(section.file.clone()) else { return Ok(None) };
        let Some((compression, size)) = section.compressed else { return Ok(Some(input)) };
        let output = section
            .output
            .get_or_init(|| compressed::decompress(compression, input, size, &self.budget));
        output.as_ref().map(|bytes| Some(&**bytes)).map_err(Clone::clone)
    }

    /// The file in the file (`.gnu_debugdata`): some distributions leave the symbols there that they
    /// strip, compressed by xz. `None` also where it is malformed, for then there are no symbols.
    pub fn embedded(&self) -> Option<&Self> {
        let read = || {
            let bytes = compressed::unxz(self.section(".gnu_debugdata").ok().flatten()?);
            let file = MappedFile::in_memory(&bytes.ok()?, self.path()).ok()?;
            Self::parse(file).ok().map(Box::new)
        };
        self.embedded.get_or_init(read).as_deref()
    }

    /// Where a section is in memory.
    pub fn section_svma(&self, name: &str) -> Option<Svma> {
        self.find(name).map(|section| section.svma)
    }

    /// The file has a section of this name with bytes.
    pub fn has_section(&self, name: &str) -> bool {
        self.find(name).is_some_and(|section| !section.file.is_empty())
    }

    /// Bytes that it takes beside the mapped file.
    pub fn bytes(&self) -> usize {
        let output = |section: &Section| match section.output.get() {
            Some(Ok(bytes)) => bytes.len(),
            Some(Err(_)) | None => 0,
        };
        let own = |section: &Section| size_of::<Section>() + section.name.len() + output(section);
        let embedded = self.embedded.get().and_then(Option::as_ref);
        let embedded = embedded.map_or(0, |file| file.file.bytes().len() + file.bytes());
        size_of::<Self>() + self.sections.iter().map(own).sum::<usize>() + embedded
    }

    fn find(&self, name: &str) -> Option<&Section> {
        let is_named = |section: &&Section| *section.name == *name.as_bytes();
        self.sections.iter().find(is_named).or_else(|| {
            // The older GNU form: `.zdebug_info` for `.debug_info`.
            let rest = name.strip_prefix(".debug_")?;
            self.sections
                .iter()
                .find(|section| section.name.strip_prefix(b".zdebug_") == Some(rest.as_bytes()))
        })
    }
}

fn check_header(header: &FileHeader64<LittleEndian>) -> Result<(), &'static str> {
    if !header.is_supported() || !header.is_class_64() || !header.is_little_endian() {
        return Err("not a 64-bit little-endian ELF file");
    }
    if header.e_machine(ENDIAN) != elf::EM_X86_64 {
        return Err("not for x86-64");
    }
    match header.e_type(ENDIAN) {
        // dwz writes the file that others share as ET_REL.
        elf::ET_EXEC | elf::ET_DYN | elf::ET_REL => Ok(()),
        _ => Err("neither an executable, a shared object nor a debug file"),
    }
}

fn segment(header: &ProgramHeader64<LittleEndian>) -> Option<Segment> {
    (header.p_type(ENDIAN) == elf::PT_LOAD).then(|| Segment {
        svma: Svma(header.p_vaddr(ENDIAN)),
        memory_bytes: header.p_memsz(ENDIAN),
        file_offset: FileOffset(header.p_offset(ENDIAN)),
        file_bytes: header.p_filesz(ENDIAN),
        execute: header.p_flags(ENDIAN) & elf::PF_X != 0,
        write: header.p_flags(ENDIAN) & elf::PF_W != 0,
    })
}

fn relro(header: &ProgramHeader64<LittleEndian>) -> Option<Range<u64>> {
    let start = header.p_vaddr(ENDIAN);
    let end = start.saturating_add(header.p_memsz(ENDIAN));
    (header.p_type(ENDIAN) == elf::PT_GNU_RELRO).then_some(start..end)
}

/// The size of PT_TLS, rounded up to its alignment.
fn thread_bytes(header: &ProgramHeader64<LittleEndian>) -> Option<u64> {
    let align = header.p_align(ENDIAN).max(1);
    let aligned = align.is_power_of_two() && header.p_vaddr(ENDIAN).is_multiple_of(align);
    (header.p_type(ENDIAN) == elf::PT_TLS && aligned)
        .then(|| header.p_memsz(ENDIAN).checked_next_multiple_of(align))?
}

/// DT_TEXTREL, or DF_TEXTREL in DT_FLAGS. A table that can't be read may say anything.
fn has_text_relocations(programs: &[ProgramHeader64<LittleEndian>], data: &[u8]) -> bool {
    programs.iter().any(|program| match program.dynamic(ENDIAN, data) {
        Ok(entries) => entries.unwrap_or_default().iter().any(|entry| match entry.d_tag(ENDIAN) {
            elf::DT_TEXTREL => true,
            elf::DT_FLAGS => entry.d_val(ENDIAN) & u64::from(elf::DF_TEXTREL) != 0,
            _ => false,
        }),
        Err(_) => true,
    })
}

fn sections(header: &FileHeader64<LittleEndian>, data: &[u8]) -> Result<Vec<Section>, String> {
    let table = header.sections(ENDIAN, data).map_err(|error| error.to_string())?;
    let mut sections = Vec::new();
    for entry in table.iter() {
        if matches!(entry.sh_type(ENDIAN), elf::SHT_NULL | elf::SHT_NOBITS) {
            continue;
        }
        let name = table.section_name(ENDIAN, entry).map_err(|error| error.to_string())?;
        let outside = || format!("section {} lies outside the file", String::from_utf8_lossy(name));
        let start = usize::try_from(entry.sh_offset(ENDIAN)).map_err(|_| outside())?;
        let size = usize::try_from(entry.sh_size(ENDIAN)).map_err(|_| outside())?;
        let end = start.checked_add(size).filter(|end| *end <= data.len()).ok_or_else(outside)?;
        let (header_bytes, compressed) = compression(entry, name, &data[start..end])?;
        sections.push(Section {
            name: name.into(),
            svma: Svma(entry.sh_addr(ENDIAN)),
            file: start + header_bytes..end,
            compressed,
            output: OnceLock::new(),
        });
    }
    Ok(sections)
}

/// How a section is compressed, and the length of the header that says so.
fn compression(
    entry: &SectionHeader64<LittleEndian>,
    name: &[u8],
    bytes: &[u8],
) -> Result<(usize, Option<(Compression, u64)>), String> {
    let bad = |why: &str| format!("section {} {why}", String::from_utf8_lossy(name));
    if entry.sh_flags(ENDIAN) & u64::from(elf::SHF_COMPRESSED) != 0 {
        // Elf64_Chdr: ch_type and a reserved word of 4 bytes, ch_size and ch_addralign of 8.
        let Some((header, _)) = bytes.split_first_chunk::<24>() else {
            return Err(bad("has no room for its compression header"));
        };
        let [t0, t1, t2, t3, _, _, _, _, size @ .., _, _, _, _, _, _, _, _] = *header;
        let kind = match u32::from_le_bytes([t0, t1, t2, t3]) {
            elf::ELFCOMPRESS_ZLIB => Compression::Zlib,
            elf::ELFCOMPRESS_ZSTD => Compression::Zstd,
            other => return Err(bad(&format!("is compressed in an unknown way ({other})"))),
        };
        return Ok((header.len(), Some((kind, u64::from_le_bytes(size)))));
    }
    if name.starts_with(b".zdebug_")
        && let Some((header, _)) = bytes.split_first_chunk::<12>()
        && let Some(size) = header.strip_prefix(b"ZLIB").and_then(|size| size.try_into().ok())
    {
        return Ok((12, Some((Compression::Zlib, u64::from_be_bytes(size)))));
    }
    Ok((0, None))
}

/// The build-id: from the sections, else from the segments. In debug files only the sections are
/// right, and stripped files may have segments only.
fn build_id(
    header: &FileHeader64<LittleEndian>,
    programs: &[ProgramHeader64<LittleEndian>],
    data: &[u8],
) -> Option<Vec<u8>> {
    let from_segments = programs.iter().filter_map(|p| p.notes(ENDIAN, data).ok().flatten());
    let sections = header.sections(ENDIAN, data).ok()?;
    let from_sections = sections.iter().filter_map(|s| s.notes(ENDIAN, data).ok().flatten());
    for mut notes in from_sections.chain(from_segments) {
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(ENDIAN) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec()).filter(|id| !id.is_empty());
            }
        }
    }
    None
}
