//! The programs whose values are compared, and what they are given to do.

use crate::project::program;
use anyhow::Result;
use std::path::PathBuf;

/// A program that others wrote.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its builds.
    pub builds: &'static [&'static str],
    /// Functions that the work calls; each gives its entry and some of its lines.
    pub functions: &'static [&'static str],
    /// What it is made to do.
    pub work: Work,
    /// Ends of paths whose values are not the same in two runs, and why.
    pub volatile: &'static [(&'static str, &'static str)],
    /// What gdb reads from a wrong place.
    pub gdb_errors: &'static [GdbError],
    /// Objects are not at the same places of the heap in two runs.
    pub heap_moves: bool,
}

/// Variables at a location that gdb reads from a wrong place.
#[derive(Clone, Copy, Debug)]
pub struct GdbError {
    /// How the names of the builds begin.
    pub builds: &'static str,
    /// The location.
    pub location: &'static str,
    /// Names of variables.
    pub variables: &'static [&'static str],
    /// What gdb does, and how we know.
    pub why: &'static str,
}

/// How a program is started and made to work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Python code that says `ready`, waits for a line, and says `done 1`.
    Python,
    /// Commands of memcached's text protocol over a socket.
    Memcached,
    /// A search through standard input.
    Ripgrep,
}

/// All of them.
pub const PROGRAMS: &[Program] = &[
    Program {
        name: "python3.11",
        builds: &["Debian"],
        functions: &["PyDict_SetItem", "PyNumber_Multiply", "PyObject_GetAttr"],
        work: Work::Python,
        volatile: &[],
        gdb_errors: &[],
        heap_moves: false,
    },
    Program {
        name: "memcached",
        builds: &["gcc-O2", "gcc-Og", "gcc-O0", "clang-O2", "clang-Og", "clang-O0"],
        functions: &["do_item_alloc", "do_store_item", "do_add_delta"],
        work: Work::Memcached,
        volatile: &[
            (".last_cmd_time", "seconds since the start"),
            (".time", "seconds since the start"),
            (".__owner", "the id of the thread that holds a lock"),
        ],
        gdb_errors: &[GdbError {
            builds: "clang-O",
            location: "do_add_delta",
            variables: &["cas", "hv", "it_ret"],
            why: "gdb applies to the entry what LLVM states by the stack pointer of the body \
                  (DW_OP_fbreg with DW_AT_frame_base DW_OP_reg7): it reads the callers' frames. \
                  The arguments are at the CFA, where other builds and lines show the same values",
        }],
        heap_moves: false,
    },
    Program {
        name: "ripgrep",
        builds: &["release"],
        functions: &[
            "regex_automata::meta::regex::Regex::search_half",
            "grep_searcher::lines::count",
            "grep_searcher::line_buffer::LineBuffer::consume",
            "grep_printer::util::DecimalFormatter::new",
        ],
        work: Work::Ripgrep,
        volatile: &[],
        gdb_errors: &[],
        // The order of its hash maps is random, and so is that of what it allocates for them.
        heap_moves: true,
    },
];

impl Program {
    /// Where a build of it is.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn path(&self, build: &str) -> Result<PathBuf> {
        match self.work {
            Work::Python => Ok(PathBuf::from("/usr/bin/python3.11")),
            Work::Memcached => program(&format!("memcached/{build}/memcached")),
            Work::Ripgrep => program("ripgrep/bin/rg"),
        }
    }
}

/// Work for Python: attributes, dictionaries, numbers, text. It waits again when it is done, so
/// that nothing is hit later.
pub const PYTHON: &str = r#"
import sys
class Order:
    def __init__(self, number, tea, grams):
        self.number = number
        self.tea = tea
        self.grams = grams
    def price(self):
        return self.grams * PRICES[self.tea] / 100
PRICES = {"assam": 4.5, "oolong": 7, "sencha": 12.25}
print("ready", flush=True)
sys.stdin.readline()
totals = {}
for number in range(60):
    tea = ("assam", "oolong", "sencha")[number % 3]
    order = Order(number * 10**12, tea, 50 + number)
    totals[order.tea] = totals.get(order.tea, 0) + order.price()
lines = ["%s: %.2f" % (tea.upper(), total) for tea, total in sorted(totals.items())]
print("done 1", flush=True)
sys.stdin.readline()
"#;

/// Work for memcached: each command with the line that ends its answer.
pub const MEMCACHED: &[(&str, &str)] = &[
    ("set tea:assam 5 0 5\r\n450.0\r\n", "STORED"),
    ("set orders 0 0 2\r\n41\r\n", "STORED"),
    ("add tea:oolong 7 0 12\r\n700 per kilo\r\n", "STORED"),
    ("add tea:oolong 7 0 1\r\n8\r\n", "NOT_STORED"),
    ("get tea:assam tea:none tea:oolong\r\n", "END"),
    ("incr orders 1\r\n", "42"),
    ("incr orders 1000\r\n", "1042"),
    ("decr orders 43\r\n", "999"),
    ("append tea:assam 0 0 4\r\n EUR\r\n", "STORED"),
    ("prepend tea:assam 0 0 2\r\n> \r\n", "STORED"),
    ("replace tea:none 0 0 1\r\nx\r\n", "NOT_STORED"),
    ("incr tea:none 1\r\n", "NOT_FOUND"),
    ("gets tea:assam orders\r\n", "END"),
    ("delete orders\r\n", "DELETED"),
];

/// Work for ripgrep: the pattern, and a text of which some lines match.
pub const PATTERN: &str = "order-[0-9]+ (assam|sencha)";

/// The text that ripgrep looks through.
pub fn ripgrep_text() -> String {
    let line = |number: usize| {
        let tea = ["assam", "oolong", "sencha"][number % 3];
        format!("{number:04} order-{} {tea} {} g\n", number * 7919 % 1000, 50 + number)
    };
    (0..400).map(line).collect()
}
