//! Function symbols of a module: `.symtab` and `.dynsym` of the binary and of its debug file, or of
//! the file that is compressed in it (`.gnu_debugdata`).

use super::elf::ElfFile;
use super::files::Files;
use super::memo::Memo;
use super::range_map::RangeMap;
use crate::model::address::Svma;
use crate::model::issue::{Issue, IssueKind};
use object::LittleEndian;
use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{FileHeader, SectionTable, Sym};
use std::ops::Range;

const ENDIAN: LittleEndian = LittleEndian;
/// Longer names are left out: many symbols may share the end of one name of megabytes.
const NAME_BYTES_MAX: usize = 1 << 16;
/// Bytes of names for each byte of the file. Names that end alike may share their end, but real
/// ones do so seldom.
const SHARED_MAX: usize = 4;
/// Names of a resolver that implementations may be named for.
const RESOLVER_NAMES_MAX: usize = 64;

/// A function symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol<'a> {
    /// Its name as the linker knows it, without a version.
    pub name: &'a [u8],
    /// Its version, where it has one.
    pub version: Option<Version<'a>>,
    /// Where it starts.
    pub svma: Svma,
    /// Bytes; 0 where the file does not say.
    pub size: u64,
    /// STT_GNU_IFUNC: a resolver, which runs at load time and gives the function's address.
    pub is_resolver: bool,
    /// STB_GLOBAL before STB_WEAK before STB_LOCAL.
    binding: Binding,
}

/// A symbol's version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version<'a> {
    /// Its name, `GLIBC_2.14`.
    pub name: &'a [u8],
    /// New programs are linked to this one: `@@`, not `@`.
    pub is_default: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Binding {
    Global,
    Weak,
    Local,
}

/// The function symbols of a module.
#[derive(Debug)]
pub struct SymbolTable<'a> {
    /// By address, at one address the best name first.
    symbols: Vec<Symbol<'a>>,
    /// For each address the symbol with the best name.
    by_address: RangeMap<u32>,
    questions: Memo<Vec<SymbolIndex>>,
}

/// A symbol in a [`SymbolTable`].
pub type SymbolIndex = usize;

impl<'a> SymbolTable<'a> {
    /// Reads the symbols.
    ///
    /// # Errors
    ///
    /// [`IssueKind::MalformedFile`].
    pub fn load(files: &'a Files) -> Result<Self, Issue> {
        let mut symbols = Vec::new();
        let both = [Some(&files.elf), files.debug.separate.as_ref()];
        let is_stripped = !both.iter().flatten().any(|file| file.has_section(".symtab"));
        let embedded = if is_stripped { files.elf.embedded() } else { None };
        for file in both.into_iter().chain([embedded]).flatten() {
            read(file, &mut symbols).map_err(|error| {
                let path = file.path().display().to_string();
                Issue::new(IssueKind::MalformedFile, path, format!("symbols: {error}"))
            })?;
        }
        symbols.retain(|symbol| files.elf.text_segment(symbol.svma).is_some());
        // Exported ones are in both tables.
        symbols.sort_by_key(|symbol| (symbol.svma, symbol.name));
        symbols.dedup_by(|symbol, known| {
            let is_same = (symbol.svma, symbol.name) == (known.svma, known.name);
            if is_same {
                known.version = known.version.or(symbol.version);
                known.size = known.size.max(symbol.size);
                known.binding = known.binding.min(symbol.binding);
                known.is_resolver |= symbol.is_resolver;
            }
            is_same
        });
        symbols.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        symbols.shrink_to_fit();
        Ok(Self::index(symbols, &files.elf))
    }

    fn index(symbols: Vec<Symbol<'a>>, elf: &ElfFile) -> Self {
        let mut ranges = Vec::new();
        let mut index = 0;
        while let Some(symbol) = symbols.get(index) {
            let same = symbols.iter().skip(index).take_while(|other| other.svma == symbol.svma);
            let (count, size) = same.fold((0, 0), |(n, size), s| (n + 1, size.max(s.size)));
            let end = if size > 0 {
                symbol.svma.0.saturating_add(size)
            } else {
                // Assembly may give no size: it reaches to the next symbol.
                let next = symbols.get(index + count).map_or(u64::MAX, |next| next.svma.0);
                let segment = elf.text_segment(symbol.svma).map(|segment| segment.file_range());
                segment.map_or(symbol.svma.0, |segment| segment.end.min(next))
            };
            let Ok(number) = u32::try_from(index) else { break };
            ranges.push((symbol.svma.0..end, number));
            index += count;
        }
        Self { symbols, by_address: RangeMap::new(ranges), questions: Memo::default() }
    }

    /// All symbols, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Symbol<'a>> {
        self.symbols.iter()
    }

    /// Bytes that it takes beside the mapped file.
    pub(super) fn bytes(&self) -> usize {
        self.symbols.capacity() * size_of::<Symbol<'_>>()
            + self.by_address.bytes()
            + self.questions.bytes(|found| found.capacity() * size_of::<SymbolIndex>())
    }

    /// The symbols that `fits`, which only depends on `question` and the symbol: asked again, it is
    /// not called again.
    pub fn matching(
        &self,
        question: &str,
        fits: impl Fn(&Symbol<'a>) -> bool,
    ) -> impl Iterator<Item = &Symbol<'a>> {
        let found = self.questions.answer(question, || {
            let found = self.symbols.iter().enumerate().filter(|(_, symbol)| fits(symbol));
            found.map(|(index, _)| index).collect()
        });
        let count = found.len();
        (0..count).filter_map(move |at| self.symbols.get(*found.get(at)?))
    }

    /// The symbol that contains an address, with the addresses that it covers.
    pub fn containing(&self, svma: Svma) -> Option<(&Symbol<'a>, Range<Svma>)> {
        let (range, index) = self.by_address.containing(svma.0).next()?;
        Some((self.symbols.get(*index as usize)?, Svma(range.start)..Svma(range.end)))
    }

    /// The symbol that starts at an address, by its best name.
    pub fn starting_at(&self, svma: Svma) -> Option<&Symbol<'a>> {
        self.aliases(svma).next()
    }

    /// All symbols that start at an address, the best name first.
    pub fn aliases(&self, svma: Svma) -> impl Iterator<Item = &Symbol<'a>> {
        let first = self.symbols.partition_point(|symbol| symbol.svma < svma);
        let rest = self.symbols.get(first..).unwrap_or_default();
        rest.iter().take_while(move |symbol| symbol.svma == svma)
    }

    /// The functions that a resolver chooses from: those named for it and a kind of processor, as
    /// the C library (`__memcpy_avx_unaligned`) and GCC's `target_clones` (`f.avx2`) name them.
    pub fn implementations(&self, resolver: &Symbol<'a>) -> Vec<&Symbol<'a>> {
        let aliases = self.aliases(resolver.svma).take(RESOLVER_NAMES_MAX);
        let names: Vec<&[u8]> = aliases.map(|alias| alias.name).collect();
        let implements = |symbol: &&Symbol<'a>| {
            !symbol.is_resolver && names.iter().any(|name| is_implementation(symbol.name, name))
        };
        let mut found: Vec<_> = self.symbols.iter().filter(implements).collect();
        found.dedup_by_key(|symbol| symbol.svma);
        found
    }
}

impl Symbol<'_> {
    /// By address, then the name that people know best: exported, few underscores, short.
    fn order(&self) -> (Svma, Binding, usize, usize, &[u8]) {
        let underscores = self.name.iter().take_while(|byte| **byte == b'_').count();
        // Mangled names start with an underscore by rule.
        let underscores = if self.name.starts_with(b"_Z") { 0 } else { underscores };
        (self.svma, self.binding, underscores, self.name.len(), self.name)
    }
}

/// What of a function a symbol stands for, by the suffix that the compiler gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The function as written.
    Whole,
    /// A copy of it for some callers (`.constprop.0`, `.isra.0`, …).
    Clone,
    /// What was left of it when its beginning was inlined into callers (`.part.0`).
    Rest,
    /// The unlikely part of its body (`.cold`).
    Cold,
}

/// Splits the compiler's suffixes off a name.
pub fn split_suffix(name: &[u8]) -> (&[u8], Part) {
    let (mut base, mut part) = (name, Part::Whole);
    while let Some(dot) = base.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0) {
        let (head, word) = (base.get(..dot).unwrap_or(base), base.get(dot + 1..).unwrap_or(&[]));
        let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
        let (head, word) = match head.iter().rposition(|byte| *byte == b'.') {
            Some(dot) if is_number && dot > 0 => {
                (head.get(..dot).unwrap_or(head), head.get(dot + 1..).unwrap_or(&[]))
            }
            _ if is_number => break,
            _ => (head, word),
        };
        let kind = match word {
            b"cold" => Part::Cold,
            b"part" => Part::Rest,
            b"constprop" | b"isra" | b"lto_priv" | b"llvm" | b"localalias" | b"clone" | b"uniq" => {
                Part::Clone
            }
            _ => break,
        };
        base = head;
        part = match (part, kind) {
            (Part::Cold, _) | (_, Part::Cold) => Part::Cold,
            (Part::Rest, _) | (_, Part::Rest) => Part::Rest,
            _ => kind,
        };
    }
    (base, part)
}

fn is_implementation(candidate: &[u8], name: &[u8]) -> bool {
    if let Some(rest) = candidate.strip_prefix(name)
        && let Some(kind) = rest.strip_prefix(b".")
    {
        let word = kind.split(|byte| *byte == b'.').next().unwrap_or_default();
        return word != b"resolver" && split_suffix(candidate).1 == Part::Whole;
    }
    let prefix = if name.starts_with(b"__") { name.to_vec() } else { [b"__", name].concat() };
    let Some(rest) = candidate.strip_prefix(prefix.as_slice()) else { return false };
    let Some(kind) = rest.strip_prefix(b"_") else { return false };
    let families: [&[u8]; 11] = [
        b"sse",
        b"ssse",
        b"avx",
        b"evex",
        b"erms",
        b"fma",
        b"bmi",
        b"generic",
        b"unaligned",
        b"x86",
        b"ia32",
    ];
    kind == b"c" || families.iter().any(|family| kind.starts_with(family))
}

fn read<'a>(file: &'a ElfFile, symbols: &mut Vec<Symbol<'a>>) -> Result<(), String> {
    let data = file.file().bytes();
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(|error| error.to_string())?;
    let sections = header.sections(ENDIAN, data).map_err(|error| error.to_string())?;
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        read_table(&sections, data, kind, symbols)?;
    }
    Ok(())
}

fn read_table<'a>(
    sections: &SectionTable<'a, FileHeader64<LittleEndian>>,
    data: &'a [u8],
    kind: u32,
    symbols: &mut Vec<Symbol<'a>>,
) -> Result<(), String> {
    let malformed = |error: object::read::Error| error.to_string();
    let table = sections.symbols(ENDIAN, data, kind).map_err(malformed)?;
    let versions = match kind {
        elf::SHT_DYNSYM => sections.versions(ENDIAN, data).map_err(malformed)?,
        _ => None,
    };
    let mut left = data.len().saturating_mul(SHARED_MAX);
    for (index, entry) in table.enumerate() {
        let Some(mut symbol) = function(entry) else { continue };
        // A name that can't be read is a symbol that can't be asked for.
        let Ok(name) = table.symbol_name(ENDIAN, entry) else { continue };
        left = left.checked_sub(name.len()).ok_or("too many of them share their names")?;
        (symbol.name, symbol.version) = split_version(name);
        if let Some(versions) = &versions {
            let version = versions.version_index(ENDIAN, index);
            if let Ok(Some(found)) = versions.version(version) {
                let is_default = !version.is_hidden();
                symbol.version = Some(Version { name: found.name(), is_default });
            }
        }
        if (1..=NAME_BYTES_MAX).contains(&symbol.name.len()) {
            symbols.push(symbol);
        }
    }
    Ok(())
}

fn function<'a>(entry: &Sym64<LittleEndian>) -> Option<Symbol<'a>> {
    let is_resolver = entry.st_type() == elf::STT_GNU_IFUNC;
    let defined = entry.st_shndx(ENDIAN) != elf::SHN_UNDEF;
    if !defined || !(is_resolver || entry.st_type() == elf::STT_FUNC) {
        return None;
    }
    let binding = match entry.st_bind() {
        elf::STB_LOCAL => Binding::Local,
        elf::STB_WEAK => Binding::Weak,
        _ => Binding::Global,
    };
    let (svma, size) = (Svma(entry.st_value(ENDIAN)), entry.st_size(ENDIAN));
    Some(Symbol { name: b"", version: None, svma, size, is_resolver, binding })
}

/// `name@VERSION` and `name@@VERSION`, as `.symtab` and people write it.
pub fn split_version(name: &[u8]) -> (&[u8], Option<Version<'_>>) {
    let Some(at) = name.iter().position(|byte| *byte == b'@').filter(|at| *at > 0) else {
        return (name, None);
    };
    let (base, version) = (name.get(..at).unwrap_or(name), name.get(at + 1..).unwrap_or(&[]));
    match version.strip_prefix(b"@") {
        Some(version) => (base, Some(Version { name: version, is_default: true })),
        None => (base, Some(Version { name: version, is_default: false })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_suffixes_tell_the_part() {
        for (name, base, part) in [
            ("foo", "foo", Part::Whole),
            ("foo.cold", "foo", Part::Cold),
            ("foo.constprop.0", "foo", Part::Clone),
            ("foo.isra.0.cold", "foo", Part::Cold),
            ("foo.part.3", "foo", Part::Rest),
            ("_ZN1a1bEv.part.0.constprop.1", "_ZN1a1bEv", Part::Rest),
            ("foo.llvm.123456", "foo", Part::Clone),
            ("main.run", "main.run", Part::Whole),
            ("core.7", "core.7", Part::Whole),
            (".cold", ".cold", Part::Whole),
        ] {
            let (found, kind) = split_suffix(name.as_bytes());
            assert_eq!((found, kind), (base.as_bytes(), part), "{name}");
        }
    }

    #[test]
    fn implementations_are_named_for_a_kind_of_processor() {
        for name in ["__memcpy_avx_unaligned_erms", "__memcpy_ssse3", "memcpy.avx2", "__memcpy_c"] {
            assert!(is_implementation(name.as_bytes(), b"memcpy"), "{name}");
        }
        for name in ["memcpy", "__memcpy_chk_avx2", "__memcpyx_sse2", "memcpy.resolver", "__memcpy"]
        {
            assert!(!is_implementation(name.as_bytes(), b"memcpy"), "{name}");
        }
        assert!(is_implementation(b"__memcpy_chk_sse2_unaligned", b"__memcpy_chk"));
    }

    #[test]
    fn a_version_is_split_off() {
        let version = |name, is_default| Some(Version { name, is_default });
        assert_eq!(split_version(b"f@@V_1"), (&b"f"[..], version(&b"V_1"[..], true)));
        assert_eq!(split_version(b"f@V_1"), (&b"f"[..], version(&b"V_1"[..], false)));
        assert_eq!(split_version(b"f"), (&b"f"[..], None));
        assert_eq!(split_version(b"@f"), (&b"@f"[..], None));
    }
}
