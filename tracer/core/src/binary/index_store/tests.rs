//! Behaviour of the indices on disk, whatever lies there.

use super::{IndexStore, Kind, encode};
use crate::binary::cache::{Cache, CacheOptions, CacheReadings};
use crate::binary::fixture::{Fixture, program};
use crate::binary::line_sites;
use crate::binary::module::Module;
use crate::model::address::Svma;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PROGRAM: &str = "
volatile int seen;
static inline __attribute__((always_inline)) int twice(int n) { seen = n; return n * seen; }
__attribute__((noinline)) int first(int n) { return twice(n) + 1; }
__attribute__((noinline)) int other(int n) { return twice(n) * 3; }
int main(int argc, char **argv) { return first(argc) + other(argc); }
";

/// A program whose build-id says nothing of its contents.
fn any(source: &str) -> Fixture {
    program(source, "-O2 -Wl,--build-id=0x0123456789abcdef")
}

type Answers = (BTreeMap<String, Vec<(Svma, bool)>>, Vec<(String, Vec<Svma>)>);

/// All functions by name, and the sites of the line of `first`, with a new cache.
fn ask(path: &Path, store: IndexStore) -> (Answers, CacheReadings) {
    let options = CacheOptions { settled_after: Duration::ZERO, ..CacheOptions::default() };
    let cache = Cache::new(options, Some(store));
    let module = Module::from_path(path, &cache).unwrap();
    let info = module.code().debug_info().unwrap();
    let mut functions: BTreeMap<String, Vec<(Svma, bool)>> = BTreeMap::new();
    for (code, name) in info.function_index().iter(info) {
        let known = functions.entry(name.display().unwrap()).or_default();
        known.push((code.entry, code.inlined));
    }
    let files = line_sites::source_files(info, "main.c");
    let sites = files.iter().map(|file| {
        let sites = line_sites::sites(info, file, 4).keys().copied().collect();
        (file.path.clone(), sites)
    });
    ((functions, sites.collect()), cache.readings())
}

fn in_directory(path: &Path) -> IndexStore {
    IndexStore::bounded(path.to_path_buf(), u64::MAX, 0)
}

/// The answers without any index.
fn truth(path: &Path) -> Answers {
    ask(path, IndexStore::bounded(PathBuf::from("/proc/none"), 0, 0)).0
}

/// The files in the directory of indices, by name.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_next_run_reads_the_index_and_finds_the_same() {
    let fixture = any(PROGRAM);
    let (path, directory) = (fixture.path("main"), fixture.path("indices"));
    let expected = truth(&path);
    assert_eq!(expected.0["twice"].len(), 2, "{expected:?}");
    let (first, readings) = ask(&path, in_directory(&directory));
    assert_eq!((&first, readings.index_hits, readings.index_misses), (&expected, 0, 2));
    let (second, readings) = ask(&path, in_directory(&directory));
    assert_eq!((&second, readings.index_hits, readings.index_misses), (&expected, 2, 0));
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_torn_index_is_made_again() {
    let fixture = any(PROGRAM);
    let (path, directory) = (fixture.path("main"), fixture.path("indices"));
    let (expected, _) = ask(&path, in_directory(&directory));
    for file in files(&directory) {
        let good = std::fs::read(&file).unwrap();
        let cut = (0..good.len()).step_by(41).map(|end| good[..end].to_vec());
        let flipped = (0..good.len()).step_by(37).map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            bad
        });
        for bad in cut.chain(flipped).chain([[&good[..], &[0; 8]].concat()]) {
            std::fs::write(&file, bad).unwrap();
            let (found, readings) = ask(&path, in_directory(&directory));
            assert_eq!(found, expected);
            assert_eq!((readings.index_hits, readings.index_misses), (1, 1), "{file:?}");
            assert!(std::fs::read(&file).unwrap() == good, "it was made again");
        }
    }
}

/// IDENT-4
#[test]
fn an_index_of_other_debug_info_with_the_same_build_id_is_not_used() {
    let (one, another) = (any(PROGRAM), any(&PROGRAM.replace("first", "third")));
    let directory = one.path("indices");
    for path in [one.path("main"), another.path("main")] {
        let (found, readings) = ask(&path, in_directory(&directory));
        assert_eq!((found, readings.index_hits), (truth(&path), 0));
    }
    // The same inode, other contents.
    std::fs::write(one.path("main"), std::fs::read(another.path("main")).unwrap()).unwrap();
    let (found, readings) = ask(&one.path("main"), in_directory(&directory));
    assert_eq!((found, readings.index_hits), (truth(&one.path("main")), 0));
}

/// Puts other tables into an index, as if they had been written there.
fn rewrite(file: &Path, kind: Kind, change: impl Fn(&mut [Vec<u8>; 3])) {
    use super::super::index_file::IndexFile;
    use super::MappedFile;
    use std::os::fd::AsFd;
    let bytes = std::fs::read(file).unwrap();
    let fingerprint = super::super::index_file::fingerprint_of(&bytes);
    let directory = std::fs::File::open(file.parent().unwrap()).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let mapped = MappedFile::own_in(directory.as_fd(), name).unwrap();
    let index = IndexFile::check(mapped, kind, &fingerprint).unwrap();
    let mut tables = [0, 1, 2].map(|number| index.table(number).to_vec());
    change(&mut tables);
    let tables = tables.each_ref().map(Vec::as_slice);
    std::fs::write(file, encode(kind, &fingerprint, tables)).unwrap();
}

/// IDENT-4
#[test]
fn an_index_that_lies_gives_no_wrong_answer() {
    let fixture = any(PROGRAM);
    let (path, directory) = (fixture.path("main"), fixture.path("indices"));
    let (truth, _) = ask(&path, in_directory(&directory));
    let written = files(&directory);
    let [functions, sources] = written.as_slice() else { panic!("{written:?}") };
    let (good_functions, good_sources) =
        (std::fs::read(functions).unwrap(), std::fs::read(sources).unwrap());
    for at in 0..200 {
        let shift = |table: &mut Vec<u8>| {
            if let Some(byte) = table.get_mut(at) {
                *byte = byte.wrapping_add(1);
            }
        };
        for number in 0..3 {
            std::fs::write(functions, &good_functions).unwrap();
            std::fs::write(sources, &good_sources).unwrap();
            rewrite(functions, Kind::Functions, |tables| shift(&mut tables[number]));
            rewrite(sources, Kind::Sources, |tables| shift(&mut tables[number]));
            let (found, _) = ask(&path, in_directory(&directory));
            // What the index hides can't be found, but what is found is so.
            for (name, code) in &found.0 {
                let known = truth.0.get(name);
                let is_true = |code| known.is_some_and(|known| known.contains(code));
                assert!(code.iter().all(is_true), "{name} {found:?}");
            }
            for (path, sites) in &found.1 {
                let known = truth.1.iter().filter(|(other, _)| other == path);
                let known: Vec<_> = known.flat_map(|(_, sites)| sites).collect();
                assert!(sites.iter().all(|site| known.contains(&site)), "{found:?}");
            }
        }
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let fixture = any(PROGRAM);
    let (path, directory) = (fixture.path("main"), fixture.path("indices"));
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o770)).unwrap();
    let link = fixture.path("link");
    std::fs::create_dir(fixture.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(fixture.path("elsewhere"), &link).unwrap();
    for directory in [&directory, &link] {
        for _ in 0..2 {
            let (found, readings) = ask(&path, in_directory(directory));
            assert_eq!((found, readings.index_hits), (truth(&path), 0));
        }
        assert_eq!(files(directory), Vec::<PathBuf>::new());
    }
}

#[test]
fn without_a_place_to_write_all_is_read() {
    let fixture = any(PROGRAM);
    let path = fixture.path("main");
    let (found, readings) = ask(&path, in_directory(Path::new("/proc/self/indices")));
    assert_eq!((found, readings.index_hits, readings.index_misses), (truth(&path), 0, 2));
}

#[test]
fn the_index_used_longest_ago_goes_first() {
    let fixture = Fixture::new();
    let directory = fixture.path("indices");
    let mut sizes = Vec::new();
    let program = |id: &str| program(PROGRAM, &format!("-O2 -Wl,--build-id=0x{id}"));
    let programs = ["aa", "bb", "cc"].map(program);
    for (age, program) in [(300, &programs[0]), (200, &programs[1])] {
        ask(&program.path("main"), in_directory(&directory));
        let used = std::time::SystemTime::now() - Duration::from_secs(age);
        let unmarked = files(&directory).into_iter().filter(|file| !sizes.contains(file));
        for file in unmarked.collect::<Vec<_>>() {
            std::fs::File::open(&file).unwrap().set_modified(used).unwrap();
            sizes.push(file);
        }
    }
    let bytes: u64 = sizes.iter().map(|file| file.metadata().unwrap().len()).sum();
    // The first is used once more.
    ask(&programs[0].path("main"), in_directory(&directory));
    ask(&programs[2].path("main"), IndexStore::bounded(directory.clone(), bytes, 0));
    let names: Vec<String> =
        files(&directory).iter().map(|p| p.file_name().unwrap().to_str().unwrap().into()).collect();
    assert!(names.iter().any(|name| name.starts_with("aa")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("cc")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("bb")), "{names:?}");
}
