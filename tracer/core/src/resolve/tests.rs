//! Lookups in programs that gcc builds, as files and as running processes.

use super::find::find;
use super::function::{Target, lookup, parse};
use super::process;
use crate::binary::cache::{Cache, CacheOptions};
use crate::binary::code_map::CodeMap;
use crate::binary::fixture::{Fixture, line_of, program};
use crate::binary::modules::{Code, Modules};
use crate::model::address::Svma;
use crate::model::caller::Caller;
use crate::model::issue::{Issue, IssueKind};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A program that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        // The program says that its libraries are loaded.
        let mut byte = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
        Self(child)
    }

    fn modules(&self) -> Modules {
        Modules::of(&process::read(self.0.id()).unwrap())
    }

    fn modules_with(&self, cache: &Arc<Cache>) -> Modules {
        Modules::with(cache, &process::read(self.0.id()).unwrap(), Caller::Root)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const WAIT: &str = "
#include <unistd.h>
__attribute__((noinline)) int work(int n) { return n + 1; }
int main(int argc, char **argv) {
    write(1, \"x\", 1);
    pause();
    return work(argc);
}
";

fn find_in(code: &Code<'_>, text: &str) -> Result<Vec<Target>, Issue> {
    lookup(&parse(text).unwrap(), code)
}

fn names(targets: &[Target]) -> Vec<String> {
    targets.iter().map(|target| target.function.as_ref().unwrap().name.clone()).collect()
}

/// The one address that a text means, as stated in the file.
fn one(code: &Code<'_>, text: &str) -> Svma {
    match find_in(code, text).unwrap().as_slice() {
        [target] => target.svma,
        targets => panic!("{text}: {targets:?}"),
    }
}

#[test]
fn addresses_of_every_kind_of_program_lead_to_its_code_in_memory() {
    for flags in [
        "-O0",
        "-O2 -no-pie",
        "-O2 -static",
        "-O2 -static-pie",
        "-O2 -Wl,-z,noseparate-code",
        "-O2 -no-pie -Wl,-z,noseparate-code",
        "-O2 -Wl,-z,max-page-size=0x200000",
        "-O2 -Wl,-Ttext-segment=0x7000000 -no-pie",
    ] {
        let fixture = program(WAIT, flags);
        let running = Running::start(&mut Command::new(fixture.path("main")));
        let modules = running.modules();
        let code = Code::new(&modules);
        let targets = find_in(&code, "work").unwrap();
        let [target] = targets.as_slice() else { panic!("{targets:?}") };
        assert!(target.at_entry, "{flags}");
        assert_eq!(target.module, 0, "the main program comes first");
        let module = modules.get(0).unwrap();
        let address = module.to_avma(target.svma);
        assert!(module.contains(address));
        assert_eq!(modules.index_at(address), Some(0));
        let memory = std::fs::File::open(format!("/proc/{}/mem", running.0.id())).unwrap();
        let mut bytes = [0; 4];
        memory.read_exact_at(&mut bytes, address.0).unwrap();
        assert_eq!(module.text(target.svma, 4).unwrap(), bytes, "{flags}");
        let text = format!("*{address}");
        assert_eq!(one(&code, &text), target.svma, "{flags}");
        assert_eq!(code.symbol_at(address).as_deref(), Some("work"));
        assert_eq!(code.module_name(address).as_deref(), Some("main"));
    }
}

#[test]
fn a_program_that_was_replaced_is_still_read_as_it_runs() {
    let fixture = program(WAIT, "-O2");
    let running = Running::start(&mut Command::new(fixture.path("main")));
    fixture.run("mv main old");
    fixture.write("main", "another file");
    let modules = running.modules();
    assert!(find_in(&Code::new(&modules), "work").is_ok());
    std::fs::remove_file(fixture.path("old")).unwrap();
    let modules = running.modules();
    assert!(find_in(&Code::new(&modules), "work").is_ok());
    assert_eq!(modules.name(0).unwrap(), "old");
}

#[test]
fn a_library_that_is_loaded_twice_is_two_modules() {
    let source = "
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int main(void) {
    dlopen(\"./lib.so\", RTLD_NOW);
    dlmopen(LM_ID_NEWLM, \"./lib.so\", RTLD_NOW);
    write(1, \"x\", 1);
    pause();
}
";
    let fixture = program(source, "-O2");
    fixture.write("lib.c", "int in_library(void) { return 7; }\n");
    fixture.run("gcc -g -shared -fPIC lib.c -o lib.so");
    let mut command = Command::new(fixture.path("main"));
    let directory = fixture.path("main").parent().unwrap().to_path_buf();
    let running = Running::start(command.current_dir(directory));
    let modules = running.modules();
    let copies: Vec<_> =
        (0..modules.len()).filter(|i| modules.name(*i).as_deref() == Some("lib.so")).collect();
    assert_eq!(copies.len(), 2);
    let biases: Vec<_> = copies.iter().map(|i| modules.get(*i).unwrap().bias()).collect();
    assert_ne!(biases[0], biases[1]);
}

#[test]
fn an_address_without_code_is_not_mapped() {
    let fixture = program(WAIT, "-O2");
    let running = Running::start(&mut Command::new(fixture.path("main")));
    let modules = running.modules();
    let code = Code::new(&modules);
    let stack = "*0x10";
    assert_eq!(find_in(&code, stack).unwrap_err().kind, IssueKind::NotMapped);
}

const PARTS: &str = r#"
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline, cold, noreturn)) static void fail(int n) { exit(n); }
__attribute__((noinline)) int split(int n) {
    if (n == 77)
        fail(n); // unlikely
    return n * 3;
}
__attribute__((noinline)) static int clone_me(int n, int unused) { return n * 5 + (int)sizeof unused; }
int alias_target(int n) { return n - 1; }
int alias_name(int n) __attribute__((alias("alias_target")));
static int chosen_a(void) { return 1; }
static int (*choose(void))(void) { return chosen_a; }
int unnamed(void) __attribute__((ifunc("choose")));
__attribute__((target_clones("avx2", "default"))) int many(int n) { return n * 7; }
volatile int seen;
static inline __attribute__((always_inline)) int inlined(int n) {
    seen = n;
    return n + 1;
}
__attribute__((noinline)) int first(int n) { return inlined(n) + alias_name(n); }
__attribute__((noinline)) int second(int n) { return inlined(n) + clone_me(n, 3) + clone_me(n + 1, 3); }
int main(int argc, char **argv) {
    return split(argc) + first(argc) + second(argc) + many(argc) + unnamed();
}
"#;

fn parts(flags: &str) -> Fixture {
    program(PARTS, &format!("-O2 -fno-ipa-icf {flags}"))
}

#[test]
fn aliases_of_one_address_are_one_function() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    assert_eq!(one(&code, "alias_name"), one(&code, "alias_target"));
    assert_eq!(one(&code, "main!alias_name"), one(&code, "alias_target"));
}

#[test]
fn the_cold_part_belongs_to_its_function_but_is_not_its_entry() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let targets = find_in(&code, "split").unwrap();
    assert_eq!(names(&targets), ["split"]);
    let line = format!("main.c:{}", line_of(PARTS, "unlikely"));
    let targets = find_in(&code, &line).unwrap();
    assert_eq!(names(&targets), ["split"], "{targets:?}");
    let cold = &targets[0];
    assert!(!cold.at_entry);
    let entry = find_in(&code, "split").unwrap().remove(0);
    let (cold_part, entry_part) = (cold.function.as_ref().unwrap(), entry.function.unwrap());
    assert_ne!(cold_part.range, entry_part.range);
    assert_eq!((cold_part.entry, entry_part.entry), (None, Some(entry.svma)));
    let by_name = find_in(&code, "split.cold").unwrap();
    assert!(!by_name.is_empty());
}

#[test]
fn clones_of_the_compiler_are_the_function() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let targets = find_in(&code, "clone_me").unwrap();
    let names = names(&targets);
    assert!(names.iter().all(|name| name.starts_with("clone_me")), "{names:?}");
    assert!(targets.iter().all(|target| target.at_entry));
}

#[test]
fn a_resolver_stands_for_its_implementations() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let mut found = names(&find_in(&code, "many").unwrap());
    found.sort();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|name| name.starts_with("many.") && !name.contains("resolver")));
    assert_eq!(find_in(&code, "unnamed").unwrap_err().kind, IssueKind::Resolver);
    assert!(find("unnamed", &code).unwrap().is_empty(), "a resolver is nothing to probe");
}

#[test]
fn an_inlined_function_is_found_in_each_copy() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let targets = find_in(&code, "inlined").unwrap();
    assert_eq!(targets.len(), 2, "{targets:?}");
    assert!(targets.iter().all(|target| !target.at_entry));
    for target in &targets {
        let frames = code.frames(modules.get(0).unwrap().to_avma(target.svma));
        assert_eq!(frames[0].function.as_deref(), Some("inlined"));
    }
    let found = find("inl*", &code).unwrap();
    assert!(found.len() == 1 && found[0].inlined_only, "{found:?}");
    assert!(found[0].line.as_ref().unwrap().file.ends_with("main.c"));
}

#[test]
fn static_functions_without_a_symbol_are_found_by_debug_info() {
    let fixture = parts("");
    fixture.run("objcopy --strip-symbol=alias_target --strip-symbol=alias_name main stripped");
    let modules = Modules::of_file(&fixture.path("stripped")).unwrap();
    let code = Code::new(&modules);
    let targets = find_in(&code, "alias_target").unwrap();
    assert_eq!(names(&targets), ["alias_target"]);
    assert!(targets[0].at_entry);
    assert_eq!(find("alias_t", &code).unwrap().len(), 1);
    assert_eq!(find("stripped!alias_t", &code).unwrap().len(), 1);
    assert_eq!(find("main!alias_t", &code).unwrap_err().kind, IssueKind::NoFunction);
}

#[test]
fn offsets_stay_in_their_function() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let start = one(&code, "alias_target");
    assert_eq!(one(&code, "alias_target+0"), start);
    assert_eq!(one(&code, "alias_target+0x1"), start.offset(1));
    assert!(!find_in(&code, "alias_target+1").unwrap()[0].at_entry);
    let issue = find_in(&code, "alias_target+0x1000").unwrap_err();
    assert_eq!(issue.kind, IssueKind::BadLocation);
    assert!(issue.detail.contains("bytes long"), "{issue}");
}

/// Two files with a static function of one name, and one file name in two directories.
fn twins() -> Fixture {
    let fixture = Fixture::new();
    let part = |name: &str| {
        format!(
            "__attribute__((noinline)) static int helper(int n) {{\n    return n + {}; }}\n\
                 int {name}(int n) {{ return helper(n) * 2; }}\n",
            name.len()
        )
    };
    fixture.write("a/part.c", &part("one")).write("b/part.c", &part("three"));
    fixture.write("other.c", &part("elevenths"));
    fixture.write("main.c", "int one(int); int three(int); int elevenths(int);\n\
                             int main(int c, char **v) { return one(c) + three(c) + elevenths(c); }\n");
    fixture.run("gcc -g -O1 main.c a/part.c b/part.c other.c -o main");
    fixture
}

#[test]
fn static_functions_of_one_name_are_ambiguous_and_each_candidate_works() {
    let fixture = twins();
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let issue = find_in(&code, "helper").unwrap_err();
    assert_eq!(issue.kind, IssueKind::Ambiguous);
    assert_eq!(issue.candidates.len(), 3, "{:?}", issue.candidates);
    assert!(issue.candidates.contains(&"other.c:helper".to_owned()), "{:?}", issue.candidates);
    let mut found: Vec<_> = Vec::new();
    for candidate in issue.candidates.iter().filter(|text| !text.starts_with('*')) {
        found.push(one(&code, candidate));
    }
    for address in issue.candidates.iter().filter_map(|text| text.strip_prefix("*0x")) {
        found.push(Svma(u64::from_str_radix(address, 16).unwrap()));
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 3);
}

#[test]
fn files_of_one_name_are_ambiguous_and_each_candidate_works() {
    let fixture = twins();
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let issue = find_in(&code, "part.c:2").unwrap_err();
    assert_eq!(issue.kind, IssueKind::Ambiguous);
    assert_eq!(issue.candidates.len(), 2, "{:?}", issue.candidates);
    let found: std::collections::BTreeSet<_> =
        issue.candidates.iter().map(|text| one(&code, text)).collect();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&one(&code, "a/part.c:2")));
}

#[test]
fn lines_without_code_name_the_nearest_lines_and_files() {
    let fixture = twins();
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let issue = find_in(&code, "other.c:40").unwrap_err();
    assert_eq!(issue.kind, IssueKind::NoLine);
    assert!(!issue.candidates.is_empty());
    for candidate in &issue.candidates {
        assert!(!find_in(&code, candidate).unwrap().is_empty(), "{candidate}");
    }
    let issue = find_in(&code, "othr.c:2").unwrap_err();
    assert_eq!((issue.kind, issue.candidates), (IssueKind::NoLine, vec!["other.c:2".to_owned()]));
}

#[test]
fn unknown_functions_name_the_nearest() {
    let fixture = parts("");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let issue = find_in(&code, "alias_targt").unwrap_err();
    assert_eq!(issue.kind, IssueKind::NoFunction);
    assert_eq!(issue.candidates.first().map(String::as_str), Some("alias_target"));
    let issue = find_in(&code, "nomodule!main").unwrap_err();
    assert_eq!(issue.kind, IssueKind::NoFunction);
    assert!(issue.detail.contains("main"), "{issue}");
}

#[test]
fn a_stripped_program_still_has_its_exported_functions() {
    let fixture = parts("-rdynamic");
    fixture.run("strip main");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let targets = find_in(&code, "split").unwrap();
    assert_eq!(names(&targets), ["split"]);
    assert!(targets[0].at_entry);
    assert_eq!(find_in(&code, "main.c:3").unwrap_err().kind, IssueKind::NoDebugInfo);
}

const CPP: &str = r"
struct Point { int x, y; };
namespace shop {
template <class T> struct Cart {
    T total;
    __attribute__((noinline)) explicit Cart(T start) : total(start) {}
    __attribute__((noinline)) T add(T item) { total += item; return total; }
};
__attribute__((noinline)) int price(int n) { return n * 3; }
__attribute__((noinline)) int price(double n) { return (int)n; }
__attribute__((noinline)) Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
}
int main(int argc, char **) {
    shop::Cart<int> cart(argc);
    shop::Cart<long> other(argc);
    Point sum = shop::operator+(Point{argc, 1}, Point{2, 3});
    return cart.add(1) + (int)other.add(2) + shop::price(argc) + shop::price(argc * 1.5) + sum.x;
}
";

#[test]
fn functions_of_cpp_are_found_in_all_their_forms() {
    let fixture = Fixture::new();
    fixture.write("main.cpp", CPP).run("g++ -g -O1 main.cpp -o main");
    let modules = Modules::of_file(&fixture.path("main")).unwrap();
    let code = Code::new(&modules);
    let of_int = one(&code, "shop::price(int)");
    assert_eq!(one(&code, "price(int)"), of_int);
    assert_eq!(one(&code, "_ZN4shop5priceEi"), of_int);
    assert_ne!(one(&code, "price(double)"), of_int);
    assert_eq!(names(&find_in(&code, "operator+").unwrap()), ["shop::operator+(Point, Point)"]);
    // Instances of a template are one function of the source.
    assert_eq!(find_in(&code, "Cart::add").unwrap().len(), 2);
    assert_eq!(names(&find_in(&code, "Cart<int>::add").unwrap()), ["shop::Cart<int>::add(int)"]);
    // So are the variants of a constructor.
    assert!(!find_in(&code, "Cart<int>::Cart").unwrap().is_empty());
    let issue = find_in(&code, "price").unwrap_err();
    assert_eq!(issue.kind, IssueKind::Ambiguous);
    assert_eq!(issue.candidates, ["shop::price(int)", "shop::price(double)"]);
    assert_eq!(find_in(&code, "ice(int)").unwrap_err().kind, IssueKind::NoFunction);
}

const RUST: &str = r"
struct Config(u32);
trait Price { fn price(&self) -> u32; }
impl Price for *const Config {
    #[inline(never)]
    fn price(&self) -> u32 { std::hint::black_box(3) }
}
impl Price for Config {
    #[inline(never)]
    fn price(&self) -> u32 { std::hint::black_box(self.0) }
}
impl Config {
    #[inline(never)]
    fn double<T: Into<u32>>(&self, t: T) -> u32 { std::hint::black_box(self.0) * 2 + t.into() }
}
fn main() {
    let config = Config(7);
    let pointer: *const Config = &config;
    std::process::exit((pointer.price() + config.price() + config.double(1u8) + config.double(2u16)) as i32);
}
";

#[test]
fn functions_of_rust_are_found_in_all_their_forms() {
    for mangling in ["v0", "legacy"] {
        let fixture = Fixture::new();
        fixture.write("shop.rs", RUST);
        let flags = match mangling {
            "v0" => "-C symbol-mangling-version=v0",
            _ => "",
        };
        fixture.run(&format!("rustc -g -O {flags} shop.rs -o main"));
        let modules = Modules::of_file(&fixture.path("main")).unwrap();
        let code = Code::new(&modules);
        let of_config = one(&code, "<shop::Config as shop::Price>::price");
        // Both instances of a generic function are one function of the source.
        for text in ["shop::Config::double", "Config::double", "double"] {
            assert_eq!(find_in(&code, text).unwrap().len(), 2, "{mangling} {text}");
        }
        let issue = find_in(&code, "price").unwrap_err();
        assert_eq!(issue.kind, IssueKind::Ambiguous);
        let found: Vec<_> = issue.candidates.iter().map(|text| one(&code, text)).collect();
        assert_eq!(found.len(), 2, "{:?}", issue.candidates);
        assert!(found.contains(&of_config) && found[0] != found[1]);
    }
}

#[test]
fn versions_of_a_symbol_are_told_apart() {
    let fixture = Fixture::new();
    let source = "
__asm__(\".symver old_f, f@V_1\");
__asm__(\".symver new_f, f@@V_2\");
int old_f(void) { return 1; }
int new_f(void) { return 2; }
";
    fixture
        .write("lib.c", source)
        .write("lib.map", "V_1 { global: f; local: *; };\nV_2 { } V_1;\n");
    fixture.run("gcc -g -O1 -shared -fPIC lib.c -Wl,--version-script=lib.map -o lib.so");
    for strip in [false, true] {
        if strip {
            fixture.run("strip lib.so");
        }
        let modules = Modules::of_file(&fixture.path("lib.so")).unwrap();
        let code = Code::new(&modules);
        let (old, new) = (one(&code, "f@V_1"), one(&code, "f@@V_2"));
        assert_ne!(old, new);
        assert_eq!(one(&code, "f@V_2"), new);
        assert_eq!(one(&code, "f"), new, "the version that new programs are linked to");
        assert_eq!(find_in(&code, "f@V_3").unwrap_err().kind, IssueKind::NoFunction);
    }
}

#[test]
fn functions_of_several_modules_are_ambiguous_unless_the_loader_has_the_other() {
    let fixture = program(WAIT, "-O2 -rdynamic");
    let running = Running::start(&mut Command::new(fixture.path("main")));
    let modules = running.modules();
    let code = Code::new(&modules);
    let issue = find_in(&code, "_init").err();
    let start = find_in(&code, "main!_init");
    assert!(start.is_ok(), "{start:?}");
    if let Some(issue) = issue {
        assert_eq!(issue.kind, IssueKind::Ambiguous);
        assert!(issue.candidates.iter().all(|text| find_in(&code, text).is_ok()));
    }
    let by_build_id = format!("{}!work", modules.get(0).unwrap().build_id().unwrap());
    assert_eq!(one(&code, &by_build_id), one(&code, "work"));
    // The loader's private copies are found when they are asked for by its name only.
    assert!(find_in(&code, "libc!abort").is_ok());
    let libc = find_in(&code, "abort").unwrap();
    assert_eq!(modules.name(libc[0].module).as_deref(), Some("libc.so.6"));
}

#[test]
fn processes_share_what_is_read_of_the_file_that_they_map() {
    let options = CacheOptions { settled_after: Duration::ZERO, ..CacheOptions::default() };
    let cache = Arc::new(Cache::new(options, None));
    let fixture = program(WAIT, "-O1");
    let first = Running::start(&mut Command::new(fixture.path("main")));
    let second = Running::start(&mut Command::new(fixture.path("main")));
    // The one that comes later has other functions at these addresses, under the same path.
    let longer = WAIT.replace("int work(", "int earlier(int n) { return n; } int work(");
    let other = program(&longer, "-O1");
    std::fs::rename(other.path("main"), fixture.path("main")).unwrap();
    let later = Running::start(&mut Command::new(fixture.path("main")));

    let all = [&first, &second, &later].map(|running| running.modules_with(&cache));
    let main = all.each_ref().map(|modules| std::ptr::from_ref(modules.get(0).unwrap().code()));
    assert_eq!(main[0], main[1]);
    assert_ne!(main[0], main[2]);
    let knows = all.each_ref().map(|modules| find_in(&Code::new(modules), "earlier").is_ok());
    assert_eq!(knows, [false, false, true]);
    let readings = cache.readings();
    assert!(readings.hits > 0 && readings.entries >= 2, "{readings:?}");
}
