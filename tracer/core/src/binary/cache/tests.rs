//! Behaviour of the cache over files that change.

use super::{Cache, CacheOptions};
use crate::binary::file_code::FileCode;
use crate::binary::fixture::{Fixture, program};
use crate::binary::module::Module;
use crate::model::issue::IssueKind;
use std::path::Path;
use std::time::Duration;

/// A cache that trusts files that were just written.
fn cache(bytes_max: usize) -> Cache {
    Cache::new(CacheOptions { bytes_max, settled_after: Duration::ZERO }, None)
}

fn open(cache: &Cache, path: &Path) -> Module {
    Module::from_path(path, cache).unwrap()
}

/// The names of the functions that debug info knows.
fn functions(code: &FileCode) -> Vec<String> {
    let info = code.debug_info().unwrap();
    let mut names: Vec<String> =
        info.function_index().names(info).filter_map(|(_, name)| name.display()).collect();
    names.sort();
    names
}

fn one_function(name: &str) -> Fixture {
    program(&format!("int {name}(void) {{ return 1; }}\nint main(void) {{ return {name}(); }}"), "")
}

#[test]
fn a_file_is_read_once() {
    let (fixture, cache) = (one_function("first"), cache(usize::MAX));
    let (a, b) = (open(&cache, &fixture.path("main")), open(&cache, &fixture.path("main")));
    assert!(std::ptr::eq(a.code(), b.code()));
    assert_eq!(functions(a.code()), ["first", "main"]);
    let readings = cache.readings();
    assert_eq!((readings.entries, readings.hits, readings.misses), (1, 1, 1));
    assert!(readings.bytes > 1000, "{readings:?}");
}

/// IDENT-3
#[test]
fn a_file_that_was_replaced_is_another_one() {
    let (old, new, cache) = (one_function("first"), one_function("other"), cache(usize::MAX));
    let path = old.path("main");
    let before = open(&cache, &path);
    std::fs::rename(new.path("main"), &path).unwrap();
    assert_eq!(functions(open(&cache, &path).code()), ["main", "other"]);
    assert_eq!(functions(before.code()), ["first", "main"], "what is open stays what it was");
}

/// IDENT-3
#[test]
fn a_file_that_was_written_to_is_another_one() {
    let (old, new, cache) = (one_function("first"), one_function("other"), cache(usize::MAX));
    let path = old.path("main");
    assert_eq!(functions(open(&cache, &path).code()), ["first", "main"]);
    let (size, bytes) = (path.metadata().unwrap().len(), std::fs::read(new.path("main")).unwrap());
    assert_eq!(bytes.len() as u64, size, "only its contents tell them apart");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(functions(open(&cache, &path).code()), ["main", "other"]);
    assert_eq!(cache.readings().entries, 1, "nobody asks for what it was");
}

#[test]
fn a_file_that_was_just_written_is_not_kept() {
    let fixture = one_function("first");
    let cache = Cache::new(CacheOptions::default(), None);
    let settled_after = cache.options.settled_after;
    let path = fixture.path("main");
    let (a, b) = (open(&cache, &path), open(&cache, &path));
    let age = path.metadata().unwrap().modified().unwrap().elapsed().unwrap();
    assert!(age > settled_after || !std::ptr::eq(a.code(), b.code()));
    assert!(age > settled_after || cache.readings().entries == 0);
}

/// IDENT-3
#[test]
fn debug_files_are_looked_for_each_time() {
    let (fixture, cache) = (one_function("first"), cache(usize::MAX));
    let path = fixture.path("main");
    fixture
        .run("objcopy --only-keep-debug main main.debug")
        .run("strip -g main")
        .run("objcopy --add-gnu-debuglink=main.debug main")
        .run("mv main.debug away");
    let issue = |module: &Module| module.code().debug_info().err().map(|issue| issue.kind);
    assert_eq!(issue(&open(&cache, &path)), Some(IssueKind::NoDebugInfo));
    fixture.run("cp away main.debug");
    assert_eq!(functions(open(&cache, &path).code()), ["first", "main"]);
    let other = one_function("other");
    std::fs::copy(other.path("main"), fixture.path("main.debug")).unwrap();
    assert_eq!(issue(&open(&cache, &path)), Some(IssueKind::DebugInfoMismatch));
    fixture.run("rm main.debug");
    assert_eq!(issue(&open(&cache, &path)), Some(IssueKind::NoDebugInfo));
}

#[test]
fn what_is_least_recently_used_goes_first() {
    let fixtures = ["first", "other", "third"].map(one_function);
    let paths = fixtures.each_ref().map(|fixture| fixture.path("main"));
    let all = cache(usize::MAX);
    let read = |cache: &Cache, path: &Path| {
        let module = open(cache, path);
        functions(module.code());
        module.code().symbols().unwrap();
    };
    paths.iter().for_each(|path| read(&all, path));
    let bytes = all.readings().bytes;

    // Room for two of the three.
    let cache = cache(usize::try_from(bytes).unwrap() * 5 / 6);
    for (path, evictions) in [(0, 0), (1, 0), (0, 0), (2, 1)].map(|(at, n)| (&paths[at], n)) {
        read(&cache, path);
        cache.trim();
        let readings = cache.readings();
        assert!(readings.bytes <= readings.bytes_max, "{readings:?}");
        assert_eq!(readings.evictions, evictions);
    }
    let hits = cache.readings().hits;
    open(&cache, &paths[0]);
    open(&cache, &paths[2]);
    assert_eq!(cache.readings().hits, hits + 2, "the second one is gone, it was used before");
}

#[test]
fn what_is_in_use_stays() {
    let (fixture, cache) = (one_function("first"), cache(1));
    let module = open(&cache, &fixture.path("main"));
    assert_eq!(functions(module.code()), ["first", "main"]);
    cache.trim();
    assert_eq!(cache.readings().entries, 1);
    drop(module);
    cache.trim();
    let readings = cache.readings();
    assert_eq!((readings.entries, readings.bytes, readings.evictions), (0, 0, 1));
}

#[test]
fn many_ask_at_once_and_one_reads() {
    let (fixture, cache) = (one_function("first"), cache(usize::MAX));
    let path = fixture.path("main");
    let answers: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let ask = || {
            let module = open(&cache, &path);
            let names = functions(module.code());
            (std::ptr::from_ref(module.code()).addr(), names)
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|(_, names)| *names == ["first", "main"]));
    assert!(answers.iter().all(|(at, _)| *at == answers[0].0), "all have the same one");
    assert_eq!(cache.readings().misses, 1);
}
