//! Behaviour of the file side on programs that gcc builds.

use super::cache::Cache;
use super::dwarf::DebugInfo;
use super::fixture::{Fixture, line_of, program};
use super::functions::declaration;
use super::line_sites;
use super::lines;
use super::module::{Loading, Module};
use super::symbolize;
use super::symbols::SymbolTable;
use crate::model::address::{FileOffset, Svma};
use crate::model::issue::IssueKind;
use std::collections::BTreeSet;
use std::path::Path;

const PROGRAM: &str = r#"
#include <stdlib.h>
volatile int seen;
static inline __attribute__((always_inline)) int twice(int n) {
    seen = n * 2; // in twice
    return n * 2 + 1;
}
__attribute__((noinline, cold)) void fail(int n) { exit(n); }
__attribute__((noinline)) int work(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) { // loop
        sum += twice(i); // first call
        // nothing here
        if (sum > 1000000)
            fail(sum);
    }
    sum += twice(sum); // second call
    return sum;
}
int main(int argc, char **argv) {
    return work(argc) & 1;
}
"#;

fn svma(symbols: &SymbolTable<'_>, name: &str) -> Svma {
    named(symbols, name).unwrap_or_else(|| panic!("{name}"))
}

fn named(symbols: &SymbolTable<'_>, name: &str) -> Option<Svma> {
    symbols.iter().find(|symbol| symbol.name == name.as_bytes()).map(|symbol| symbol.svma)
}

fn sites(info: &DebugInfo, line: u64) -> Vec<Svma> {
    let files = line_sites::source_files(info, "main.c");
    assert_eq!(files.len(), 1);
    line_sites::sites(info, &files[0], line).keys().copied().collect()
}

#[test]
fn code_is_read_by_the_executable_segment_only() {
    for flags in
        ["-O2", "-O2 -no-pie", "-O2 -static", "-O2 -static-pie", "-O2 -Wl,-z,noseparate-code"]
    {
        let fixture = program(PROGRAM, flags);
        let module = fixture.module("main");
        let symbols = module.code().symbols().unwrap();
        let start = svma(symbols, "work");
        let (_, range) = symbols.containing(start).unwrap();
        let size = usize::try_from(range.end.0 - range.start.0).unwrap();
        let text = module.text(start, size).unwrap();
        let offset = usize::try_from(module.file_offset(start).unwrap().0).unwrap();
        assert_eq!(&std::fs::read(fixture.path("main")).unwrap()[offset..offset + size], text);
        // `endbr64` is only there where the compiler puts it; a return always is.
        assert!(text.contains(&0xc3), "{flags}");
        let data = module.elf().section_svma(".data").unwrap();
        assert_eq!(module.file_offset(data), None, "{flags}");
        assert_eq!(module.text(data, 1), None, "{flags}");
        let last = module.elf().segments().iter().find(|s| s.execute).unwrap().file_range().end;
        assert!(module.text(Svma(last - 1), 1).is_some());
        assert_eq!(module.text(Svma(last - 1), 2), None);
    }
}

#[test]
fn a_line_has_a_site_in_each_inlined_copy() {
    for flags in ["-O1", "-O2", "-O3"] {
        let fixture = program(PROGRAM, flags);
        let module = fixture.module("main");
        let info = module.code().debug_info().unwrap();
        let mut calls = BTreeSet::new();
        for site in sites(info, line_of(PROGRAM, "in twice")) {
            let row = info.unit_at(site).and_then(|(index, _)| info.lines(index)?.row_at(site));
            assert!(row.is_some_and(|row| row.svma <= site), "{flags}");
            let frames = symbolize::frames(info, site);
            // A copy made by the compiler may start before the inlined function does.
            if frames[0].function.as_deref() == Some("twice") {
                assert_eq!(frames[0].line.as_ref().unwrap().line, line_of(PROGRAM, "in twice"));
                calls.insert(frames[1].line.as_ref().unwrap().line);
            }
        }
        let expected = ["first call", "second call"].map(|mark| line_of(PROGRAM, mark));
        assert_eq!(calls, expected.into(), "{flags}");
    }
}

#[test]
fn a_line_of_unoptimised_code_starts_at_its_statement() {
    let fixture = program(PROGRAM, "-O0");
    let module = fixture.module("main");
    let info = module.code().debug_info().unwrap();
    // The loop's line is entered twice: from above and from its end.
    assert_eq!(sites(info, line_of(PROGRAM, "loop")).len(), 2);
    let first = sites(info, line_of(PROGRAM, "first call"));
    assert_eq!(first.len(), 1, "what follows the inlined call is no new block");
    let frames = symbolize::frames(info, first[0]);
    let outermost = frames.last().unwrap();
    assert_eq!(outermost.function.as_deref(), Some("work"));
    assert_eq!(outermost.line.as_ref().unwrap().line, line_of(PROGRAM, "first call"));
    assert!(sites(info, line_of(PROGRAM, "nothing here")).is_empty());
}

#[test]
fn lines_with_code_are_those_that_have_sites() {
    for flags in ["-O0", "-O2"] {
        let fixture = program(PROGRAM, flags);
        let module = fixture.module("main");
        let info = module.code().debug_info().unwrap();
        let files = line_sites::source_files(info, "main.c");
        let lines = line_sites::lines_with_code(info, &files[0]);
        assert!(lines.contains(&line_of(PROGRAM, "second call")), "{flags}");
        for line in 1..30 {
            if lines.contains(&line) {
                assert!(!sites(info, line).is_empty(), "{flags} {line}");
            }
        }
    }
}

#[test]
fn the_lines_of_all_functions_have_the_sites_that_each_line_has() {
    for flags in ["-O0", "-O1", "-O2"] {
        let fixture = program(PROGRAM, flags);
        let module = fixture.module("main");
        let info = module.code().debug_info().unwrap();
        let mut found = BTreeSet::new();
        for index in 0..info.unit_count() {
            for function in info.functions(index).unwrap().offsets() {
                let of_function = line_sites::of_function(info, index, function);
                found.extend(of_function.into_iter().map(|site| (site.line.1, site.svma)));
            }
        }
        let lines = 1..=PROGRAM.lines().count() as u64;
        let expected = lines.flat_map(|line| sites(info, line).into_iter().map(move |s| (line, s)));
        assert_eq!(found, expected.collect(), "{flags}");
    }
}

/// Functions, inlined functions and lines as another reader of the same debug info sees them.
fn compare_with_addr2line(module: &Module, ranges: impl Iterator<Item = std::ops::Range<u64>>) {
    let info = module.code().debug_info().unwrap();
    let context = addr2line::Context::from_dwarf(info.copy_dwarf()).unwrap();
    for address in ranges.flatten() {
        let mut frames = context.find_frames(address).skip_all_loads().unwrap();
        let mut expected = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            let name = frame.function.map(|f| super::demangle::display(f.name.slice()));
            let line = frame.location.as_ref().and_then(|l| l.line).unwrap_or(0);
            expected.push((name, u64::from(line)));
        }
        let found: Vec<_> = symbolize::frames(info, Svma(address))
            .into_iter()
            .map(|frame| (frame.function, frame.line.map_or(0, |line| line.line)))
            .collect();
        assert_eq!(found, expected, "{address:#x}");
    }
}

#[test]
fn frames_are_those_that_addr2line_gives() {
    for flags in ["-O0", "-O2", "-O3 -gdwarf-4", "-O2 -ffunction-sections -Wl,--gc-sections"] {
        let fixture = program(PROGRAM, flags);
        let module = fixture.module("main");
        let symbols = module.code().symbols().unwrap();
        let ranges = ["work", "main", "fail"].map(|name| {
            let (_, range) = symbols.containing(svma(symbols, name)).unwrap();
            range.start.0..range.end.0
        });
        compare_with_addr2line(&module, ranges.into_iter());
    }
}

const NESTED: &str = r"
volatile int seen;
static inline __attribute__((always_inline)) int leaf(void) { return seen; }
static inline __attribute__((always_inline)) int inner(int n) {
    int twice = n * seen;
    return twice + 1;
}
int outer(int n) {
    int sum = leaf();
    {
        int part = inner(n);
        seen = part;
        sum += part;
    }
    return sum + leaf();
}
int main(int argc, char **argv) { return outer(argc); }
";

#[test]
fn an_inlined_function_without_children_encloses_nothing() {
    for flags in ["-O0", "-O1", "-O2", "-O2 -gdwarf-4"] {
        let fixture = program(NESTED, flags);
        let module = fixture.module("main");
        let symbols = module.code().symbols().unwrap();
        let (_, range) = symbols.containing(svma(symbols, "outer")).unwrap();
        compare_with_addr2line(&module, std::iter::once(range.start.0..range.end.0));
    }
}

#[test]
fn paths_are_relative_to_the_directory_of_the_compilation() {
    for flags in ["-gdwarf-4", "-gdwarf-5"] {
        let fixture = Fixture::new();
        fixture.write("sub/part.h", "static inline int part(int n) { return n + 1; }\n");
        fixture.write(
            "sub/main.c",
            "#include \"part.h\"\nint main(int c, char **v) {\n    return part(c); }\n",
        );
        let directory = fixture.path("sub").parent().unwrap().display().to_string();
        fixture.run(&format!("gcc -g {flags} -fdebug-prefix-map={directory}=. sub/main.c -o main"));
        let module = fixture.module("main");
        let info = module.code().debug_info().unwrap();
        for (tail, path) in [("main.c", "sub/main.c"), ("part.h", "sub/part.h")] {
            let files = line_sites::source_files(info, tail);
            let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(paths, [path], "{flags}");
            assert_eq!(line_sites::have_code(info, &[&files[0]]), [true], "{flags} {tail}");
        }
    }
}

#[test]
fn dropped_functions_are_not_found() {
    let source = "int unused(int n) { return n + 1; }\nint main(void) { return 0; }\n";
    let fixture = program(source, "-O2 -ffunction-sections -Wl,--gc-sections");
    let module = fixture.module("main");
    let info = module.code().debug_info().unwrap();
    assert!(sites(info, 1).is_empty());
    assert_eq!(sites(info, 2).len(), 1);
}

#[test]
fn a_function_has_its_name_and_place_from_where_it_refers_to() {
    let fixture = program(PROGRAM, "-O2");
    let module = fixture.module("main");
    let info = module.code().debug_info().unwrap();
    let symbols = module.code().symbols().unwrap();
    let die = info.function_at(svma(symbols, "work")).unwrap();
    let declaration = declaration(info, die);
    assert_eq!(declaration.name.plain, Some(&b"work"[..]));
    let line = declaration.line.unwrap();
    assert!(lines::has_tail(&line.file, "main.c"), "{line:?}");
    assert_eq!(line.line, 9);
    assert_eq!(info.entry_of(die), Some(svma(symbols, "work")));
}

/// A program whose debug info is in a file of its own.
fn split(link_flags: &str) -> Fixture {
    let fixture = program(PROGRAM, link_flags);
    fixture
        .run("objcopy --only-keep-debug main main.debug")
        .run("strip -g main")
        .run("objcopy --add-gnu-debuglink=main.debug main");
    fixture
}

#[test]
fn a_debug_file_is_found_beside_the_binary() {
    for flags in ["-O2", "-O2 -Wl,--build-id=none"] {
        let fixture = split(flags);
        let expected = fixture.path("main.debug");
        let module = fixture.module("main");
        assert_eq!(module.code().files().debug_elf().unwrap().path(), expected, "{flags}");
        assert!(
            !sites(module.code().debug_info().unwrap(), line_of(PROGRAM, "in twice")).is_empty()
        );
        fixture.write(".debug/x", "").run("mv main.debug .debug/main.debug");
        let module = fixture.module("main");
        assert_eq!(
            module.code().files().debug_elf().unwrap().path(),
            fixture.path(".debug/main.debug")
        );
    }
}

/// IDENT-2
#[test]
fn debug_info_of_another_build_is_refused() {
    for flags in ["-O2", "-O2 -Wl,--build-id=none"] {
        let (fixture, other) = (split(flags), split(&format!("{flags} -DOTHER=1 -O1")));
        std::fs::copy(other.path("main.debug"), fixture.path("main.debug")).unwrap();
        let issue = fixture.module("main").code().debug_info().unwrap_err();
        assert_eq!(issue.kind, IssueKind::DebugInfoMismatch, "{issue}");
        assert!(issue.detail.contains("main.debug: its"), "{issue}");
    }
}

#[test]
fn without_debug_info_the_places_that_were_looked_at_are_named() {
    let fixture = split("-O2");
    std::fs::remove_file(fixture.path("main.debug")).unwrap();
    let module = fixture.module("main");
    let issue = module.code().debug_info().unwrap_err();
    assert_eq!(issue.kind, IssueKind::NoDebugInfo);
    let id = module.build_id().unwrap();
    let by_id = format!("/usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]);
    let beside = fixture.path("main.debug").display().to_string();
    for place in [by_id, beside, fixture.path(".debug/main.debug").display().to_string()] {
        assert!(issue.detail.contains(&place), "{place} in {}", issue.detail);
    }
    // The function can still be found by its symbol.
    let symbols = module.code().symbols().unwrap();
    assert!(named(symbols, "work").is_some());
}

#[test]
fn a_link_with_a_path_in_it_is_not_followed() {
    let fixture = split("-O2");
    let mut link = b"../main.debug\0".to_vec();
    link.resize(16, 0);
    link.extend([0; 4]);
    std::fs::write(fixture.path("link"), link).unwrap();
    fixture.run("objcopy --update-section .gnu_debuglink=link main");
    let issue = fixture.module("main").code().debug_info().unwrap_err();
    assert!(!issue.detail.contains("main.debug"), "{issue}");
}

/// IDENT-2
#[test]
fn a_split_unit_of_another_build_or_none_is_told() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let build = |more: &str| {
            let fixture = Fixture::new();
            fixture.write("main.c", PROGRAM);
            fixture.run(&format!("gcc -g {version} -gsplit-dwarf {more} -c main.c -o main.o"));
            fixture.run("gcc main.o -o main");
            fixture
        };
        let (fixture, other) = (build("-O2"), build("-O1"));
        let look = || {
            let module = fixture.module("main");
            let info = module.code().debug_info().unwrap();
            let work = svma(module.code().symbols().unwrap(), "work");
            let found = info.function_at(work).is_some();
            let lines = sites(info, line_of(PROGRAM, "second call")).len();
            let tried = info.missing_units().map(|(count, tried)| (count, tried[0].to_string()));
            (found, lines > 0, tried)
        };
        assert_eq!(look(), (true, true, None), "{version}");
        std::fs::copy(other.path("main.dwo"), fixture.path("main.dwo")).unwrap();
        let (found, _, tried) = look();
        assert!(!found && tried.as_ref().is_some_and(|(n, t)| *n == 1 && t.contains("no unit")));
        std::fs::remove_file(fixture.path("main.dwo")).unwrap();
        let (found, _, tried) = look();
        assert!(!found && tried.unwrap().1.ends_with("main.dwo"), "{version}");
    }
}

/// A stripped program with its symbols in `.gnu_debugdata`.
fn with_mini_debug_info() -> Fixture {
    let fixture = program(PROGRAM, "-O2");
    fixture
        .run("objcopy -S --remove-section=.comment --keep-symbol=work --keep-symbol=fail main mini")
        .run("xz -k mini")
        .run("strip main")
        .run("objcopy --add-section .gnu_debugdata=mini.xz main");
    fixture
}

#[test]
fn symbols_are_found_in_mini_debug_info() {
    let fixture = with_mini_debug_info();
    let module = fixture.module("main");
    let symbols = module.code().symbols().unwrap();
    let work = svma(symbols, "work");
    assert!(module.is_text(work), "{work:?}");
    assert!(module.code().debug_info().is_err(), "symbols are all that is there");
}

#[test]
fn damaged_mini_debug_info_has_no_symbols() {
    let fixture = with_mini_debug_info();
    let good = std::fs::read(fixture.path("mini.xz")).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        // Whatever comes out, it comes out.
        drop(super::compressed::unxz(&bad));
        drop(super::compressed::unxz(&good[..at]));
    }
}

#[test]
fn compressed_sections_read_like_plain_ones() {
    let plain = program(PROGRAM, "-O2");
    let module = plain.module("main");
    let info = module.code().debug_info().unwrap();
    let expected = sites(info, line_of(PROGRAM, "in twice"));
    for format in ["zlib", "zlib-gnu"] {
        plain.run(&format!("objcopy --compress-debug-sections={format} main {format}"));
        let module = plain.module(format);
        let info = module.code().debug_info().unwrap();
        assert_eq!(sites(info, line_of(PROGRAM, "in twice")), expected, "{format}");
    }
}

#[test]
fn files_that_are_not_ours_to_read_are_malformed() {
    let fixture = Fixture::new();
    fixture.write("text", "#!/bin/sh\n").write("empty", "");
    for name in ["text", "empty", "missing"] {
        let issue = Module::from_path(&fixture.path(name), &Cache::default()).unwrap_err();
        assert_eq!(issue.kind, IssueKind::MalformedFile, "{name}");
    }
    assert!(Module::from_path(Path::new("/proc/self/mem"), &Cache::default()).is_err());
}

/// Every question that is asked of a module.
fn exercise(path: &Path) {
    let Ok(module) = Module::from_path(path, &Cache::default()) else { return };
    if let Ok(symbols) = module.code().symbols() {
        for symbol in symbols.iter() {
            let _answer = (symbols.containing(symbol.svma), symbols.implementations(symbol));
        }
    }
    let Ok(info) = module.code().debug_info() else { return };
    for file in line_sites::source_files(info, "main.c") {
        for line in line_sites::lines_with_code(info, &file).into_iter().take(20) {
            let _answer = line_sites::sites(info, &file, line);
        }
    }
    for (code, name) in info.function_index().iter(info) {
        let _answer = (name.display(), symbolize::frames(info, code.entry));
    }
    for address in (0x1000..0x1400).step_by(7) {
        let _answer = symbolize::frames(info, Svma(address));
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let fixture = program(PROGRAM, "-O2");
    let good = std::fs::read(fixture.path("main")).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 1).unwrap()
    };
    for round in 0..300 {
        let mut bad = good.clone();
        for _ in 0..1 + random() % 40 {
            let at = random() % bad.len();
            bad[at] = u8::try_from(random() % 256).unwrap();
        }
        if round % 10 == 0 {
            bad.truncate(random() % good.len());
        }
        std::fs::write(fixture.path("bad"), &bad).unwrap();
        exercise(&fixture.path("bad"));
    }
}

#[test]
fn the_loader_leaves_constants_alone_and_relocates_tables_of_them() {
    let source = r#"
        static const char my_constant[3][4096] __attribute__((aligned(4096))) = {"a"};
        static const char *const my_table[3][512] __attribute__((aligned(4096))) = {{"b"}};
        long my_data[3][512] __attribute__((aligned(4096))) = {{1}};
        int main(int argc, char **argv) {
            return my_constant[argc][0] + my_table[argc][0][0] + my_data[argc][0];
        }
    "#;
    for (flags, table) in [
        ("-O1 -fPIE -pie", Loading::Relocated),
        // Nothing is relocated in a program of fixed addresses, and the table is constant.
        ("-O1 -fno-pie -no-pie", Loading::Fixed),
        ("-O1 -fPIE -static-pie", Loading::Relocated),
    ] {
        let fixture = program(source, flags);
        let module = fixture.module("main");
        let addresses = fixture.output("nm main");
        let loading = |name: &str, shift: i64| {
            let line = addresses.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
            let svma = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap() + 4096;
            let segments = module.elf().segments();
            let segment = segments.iter().find(|s| s.file_range().contains(&svma)).unwrap();
            let offset = svma - segment.svma.0 + segment.file_offset.0;
            let offset = FileOffset(offset.wrapping_add_signed(shift));
            module.loading(module.to_avma(Svma(svma)), offset)
        };
        assert_eq!(loading("my_constant", 0), Loading::Fixed, "{flags}");
        assert_eq!(loading("my_table", 0), table, "{flags}");
        assert_eq!(loading("my_data", 0), Loading::Writable, "{flags}");
        // Mapped there by somebody else than the loader.
        assert_eq!(loading("my_constant", 4096), Loading::Relocated, "{flags}");
    }
}

#[test]
fn nothing_is_fixed_in_a_file_with_text_relocations() {
    let source = r#"
        const char constant[3][4096] __attribute__((aligned(4096))) = {"a"};
        __asm__(".section .rodata\n.quad constant\n.previous");
        int main(int argc, char **argv) { return constant[argc][0]; }
    "#;
    let fixture = program(source, "-fPIE -pie -Wl,-z,notext");
    let module = fixture.module("main");
    assert!(module.elf().has_text_relocations());
    let segments = module.elf().segments();
    let segment = segments.iter().find(|s| !s.execute && !s.write && s.file_offset.0 != 0).unwrap();
    let page = module.to_avma(segment.svma);
    assert_eq!(module.loading(page, segment.file_offset), Loading::Relocated);
}
