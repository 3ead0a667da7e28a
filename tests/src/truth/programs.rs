//! The programs whose values are compared, and what they are given to do.

use super::work;
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
}

/// How a program is started and made to work.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Python code that says `ready`, waits for a line, and says `done 1`.
    Python,
    /// Commands of memcached's text protocol over a socket.
    Memcached,
    /// All that it is to read on its standard input.
    Input(Input),
}

/// What a program gets that works through its standard input.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Where it is.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: &'static [&'static str],
    /// The input.
    pub text: fn() -> String,
    /// So many bytes it writes at least, if it does what it should.
    pub output_min: usize,
}

/// Those that are judged at random points: two of C, two of C++, one of Rust.
pub const JUDGED: &[&str] = &["memcached", "lua", "ninja", "lzip", "ripgrep"];

/// All of them.
pub const PROGRAMS: &[Program] = &[
    Program {
        name: "python3.11",
        builds: &["Debian"],
        functions: &["PyDict_SetItem", "PyNumber_Multiply", "PyObject_GetAttr"],
        work: Work::Python,
    },
    Program {
        name: "memcached",
        builds: &["gcc-O2", "gcc-Og", "gcc-O0", "clang-O2", "clang-Og", "clang-O0"],
        functions: &["do_item_alloc", "do_store_item", "do_add_delta"],
        work: Work::Memcached,
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
        work: Work::Input(Input {
            program: "ripgrep/bin/rg",
            arguments: &["--no-config", "-j1", "--color=never", "-n", "-e", work::PATTERN, "-"],
            text: work::ripgrep,
            output_min: 2_000,
        }),
    },
    Program {
        name: "lua",
        builds: &["gcc-O2"],
        functions: &["luaH_getstr", "luaV_concat", "luaD_call"],
        work: Work::Input(Input {
            program: "lua/lua",
            arguments: &["-"],
            text: work::lua,
            output_min: 100,
        }),
    },
    Program {
        name: "ninja",
        builds: &["gcc-O2"],
        functions: &["State::AddEdge", "EvalString::Evaluate", "Plan::AddSubTarget"],
        work: Work::Input(Input {
            program: "ninja/ninja",
            arguments: &["-n", "-v", "-d", "explain", "-f", "/dev/stdin"],
            text: work::ninja,
            output_min: 1_000,
        }),
    },
    Program {
        name: "lzip",
        builds: &["gcc-O2"],
        functions: &["LZ_encoder::encode_member", "Matchfinder_base::read_block"],
        work: Work::Input(Input {
            program: "lzip/lzip",
            arguments: &["-c", "-6"],
            text: work::ripgrep,
            output_min: 1_000,
        }),
    },
];

impl Program {
    /// The name of a build of it.
    pub fn name_of(&self, build: &str) -> String {
        format!("{} {build}", self.name)
    }

    /// Where a build of it is.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn path(&self, build: &str) -> Result<PathBuf> {
        match self.work {
            Work::Python => Ok(PathBuf::from("/usr/bin/python3.11")),
            Work::Memcached => program(&format!("memcached/{build}/memcached")),
            Work::Input(input) => program(input.program),
        }
    }
}
