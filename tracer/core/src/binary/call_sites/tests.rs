//! Calls of compiled programs.

use super::*;
use crate::binary::fixture::Fixture;
use crate::binary::modules::Modules;
use std::sync::Arc;

const SOURCE: &str = r#"
#ifdef __clang__
#define OWN __attribute__((noinline))
#else
#define OWN __attribute__((noipa))
#endif
volatile long sink;
OWN long leaf(long a, long b) { sink = a + b; return sink; }
OWN long calls(long x) { long r = leaf(7, x); sink = x; return r + 1; }
OWN long last(long x) { sink = x; return leaf(x, 1); }
OWN long calls_last(long x) { long r = last(x + 1); sink = x; return r; }
OWN long pong(int n, long x);
OWN long ping(int n, long x) { sink = x; return n ? pong(n - 1, x + 1) : x; }
OWN long pong(int n, long x) { sink = x; return ping(n - 1, x + 2); }
OWN long calls_ping(long x) { long r = ping(4, 5); sink = x; return r; }
OWN long points(long (*to)(long, long), long x) {
    long r = to(x, 9); sink = r; return r + to(x, 9);
}
OWN long reads(long *x) { long r = leaf(*x, 1); sink = r; return r + *x; }
void *memset(void *, int, unsigned long);
void qsort(void *, unsigned long, unsigned long, int (*)(const void *, const void *));
OWN void *fills(char *to, unsigned long n, int c) { sink = n; return memset(to, c, n); }
OWN long calls_fills(long x) { char b[64]; fills(b, x & 63, 3); sink = b[x & 7]; return x; }
int order(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }
OWN void sorts(char *at, unsigned long n) { sink = n; qsort(at, n, 1, order); }
OWN long calls_sorts(long x) { char b[64] = {1}; sorts(b, x & 63); sink = b[x & 7]; return x; }
int main(void) { calls_fills(8); calls_sorts(4); return calls(1) + calls_last(2) + calls_ping(3) + points(leaf, 4) + reads((long *)&sink); }
"#;

/// A program and its functions by name, each with its range.
struct Program {
    modules: Modules,
}

impl Program {
    fn new(compiler: &str, flags: &str) -> (Fixture, Self) {
        let fixture = Fixture::new();
        fixture.write("main.c", SOURCE).run(&format!("{compiler} -O2 main.c -o main {flags}"));
        let modules = Modules::of_file(&fixture.path("main")).unwrap();
        (fixture, Self { modules })
    }

    fn code(&self) -> Code<'_> {
        Code::new(&self.modules)
    }

    fn range(&self, name: &str) -> std::ops::Range<u64> {
        let code = self.code();
        let symbols = code.symbols(0).unwrap();
        let symbol = symbols.iter().find(|symbol| symbol.name == name.as_bytes()).unwrap();
        symbol.svma.0..symbol.svma.0 + symbol.size
    }

    /// What is told of the calls in `caller` by which `callee` was entered, or why not: the
    /// addresses behind no call are left out.
    fn calls(&self, caller: &str, callee: &str) -> Vec<Result<CallSite, String>> {
        let code = self.code();
        let callee = Avma(self.range(callee).start);
        let range = self.range(caller);
        let read = (range.start + 1..=range.end).map(|at| read(&code, Avma(at), callee));
        read.filter(|call| {
            !matches!(call, Err(why) if why.contains("does not describe the call")
                || why.contains("does not know its caller"))
        })
        .collect()
    }

    fn only(&self, caller: &str, callee: &str) -> Result<CallSite, String> {
        let calls = self.calls(caller, callee);
        let [call] = calls.as_slice() else { panic!("{caller}: {calls:?}") };
        call.clone()
    }
}

const BUILDS: [(&str, &str); 3] =
    [("gcc", "-gdwarf-5"), ("gcc", "-gdwarf-4"), ("clang", "-gdwarf-5")];

fn value(call: &CallSite, register: u8) -> Option<Result<Steps, Reason>> {
    call.arguments.iter().find(|(number, _)| *number == register).map(|(_, steps)| steps.clone())
}

#[test]
fn a_call_tells_what_it_passed_in_registers() {
    for (compiler, flags) in BUILDS {
        let (_fixture, program) = Program::new(compiler, flags);
        let call = program.only("calls", "leaf").unwrap();
        assert_eq!(call.target, None);
        let seven = Step::Op(Op::new(OpCode::Const, 0, 7));
        assert_eq!(value(&call, 5), Some(Ok(vec![seven])), "{compiler} {flags}");
        // rbx keeps `x`.
        let kept = Step::Op(Op::new(OpCode::Register, 3, 0));
        assert_eq!(value(&call, 4), Some(Ok(vec![kept])), "{compiler} {flags}");
    }
}

/// SEM-7
#[test]
fn a_library_function_called_last_enters_it_again_only_if_it_calls_something() {
    for (compiler, flags) in BUILDS {
        let (_fixture, program) = Program::new(compiler, flags);
        let call = program.only("calls_fills", "fills").unwrap();
        let three = Step::Op(Op::new(OpCode::Const, 0, 3));
        assert_eq!(value(&call, 1), Some(Ok(vec![three])), "{compiler} {flags}");
        let why = program.only("calls_sorts", "sorts").unwrap_err();
        assert!(why.contains("which debug info does not know"), "{compiler} {flags}: {why}");
    }
}

/// SEM-7
#[test]
fn a_call_that_led_elsewhere_tells_nothing() {
    for (compiler, flags) in BUILDS {
        let (_fixture, program) = Program::new(compiler, flags);
        let why = program.only("calls_last", "leaf").unwrap_err();
        assert!(why.contains("called another function"), "{why}");
        // `last` itself was called so.
        assert!(program.only("calls_last", "last").is_ok());
        let code = program.code();
        let nowhere = read(&code, Avma(0x10), Avma(program.range("leaf").start));
        assert!(nowhere.is_err());
    }
}

#[test]
fn a_function_that_is_entered_again_without_a_frame_tells_nothing() {
    for (compiler, flags) in BUILDS {
        let (_fixture, program) = Program::new(compiler, flags);
        let why = program.only("calls_ping", "ping").unwrap_err();
        assert!(why.contains("called again in a last step"), "{compiler} {flags}: {why}");
    }
}

#[test]
fn a_call_through_a_pointer_must_be_proven_to_lead_there() {
    let (_fixture, program) = Program::new("gcc", "-gdwarf-5");
    let calls = program.calls("points", "leaf");
    let entry = Avma(program.range("leaf").start);
    let proven = calls.iter().flatten().filter_map(|call| call.target.as_ref());
    assert!(proven.clone().count() >= 1, "{calls:?}");
    assert!(proven.into_iter().all(|(steps, to)| !steps.is_empty() && *to == entry));
}

#[test]
fn what_was_in_memory_is_not_read_later() {
    for (compiler, flags) in BUILDS {
        let (_fixture, program) = Program::new(compiler, flags);
        let call = program.only("reads", "leaf").unwrap();
        assert!(!matches!(value(&call, 5), Some(Ok(_))), "{compiler} {flags}: {call:?}");
    }
}

#[test]
fn calls_are_kept() {
    use crate::binary::code_map::CodeMap as _;
    let (_fixture, program) = Program::new("gcc", "-gdwarf-5");
    let (code, leaf) = (program.code(), Avma(program.range("leaf").start));
    let range = program.range("calls");
    let mut found = (range.start..range.end)
        .filter_map(|at| Some((Avma(at), code.call_site(Avma(at), leaf).ok()?)));
    let (at, call) = found.next().unwrap();
    assert!(Arc::ptr_eq(&call, &code.call_site(at, leaf).unwrap()));
}
