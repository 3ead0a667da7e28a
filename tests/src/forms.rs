//! One source in every form that debug info comes in: what is run to make each.

use crate::project::{root, target_dir};
use crate::targets::Target;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A form of debug info.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What it is called.
    pub name: &'static str,
    /// Its source in `tests/targets`.
    pub source: &'static str,
    /// What is run in a folder of its own, a line each; the program is `form` there. `CC` stands
    /// for gcc as all forms call it, `SOURCE` for the path of the source.
    pub commands: &'static str,
}

const fn of_c(name: &'static str, commands: &'static str) -> Form {
    Form { name, source: "c/forms.c", commands }
}

const CC: &str = "gcc -std=gnu11 -g -O1 -Wall -Werror";

const fn of_cpp(name: &'static str, commands: &'static str) -> Form {
    Form { name, source: "cpp/forms.cpp", commands }
}

const fn of_rust(name: &'static str, commands: &'static str) -> Form {
    Form { name, source: "rust/forms.rs", commands }
}

/// Forms of C++; all are compared with the first.
pub const CPP: &[Form] = &[
    of_cpp("C++", "g++ -g -O1 SOURCE -o form"),
    of_cpp("C++, DWARF 4, type units", "g++ -g -O1 -gdwarf-4 -fdebug-types-section SOURCE -o form"),
    of_cpp("C++, type units", "g++ -g -O1 -fdebug-types-section SOURCE -o form"),
    of_cpp(
        "C++, .dwo, type units",
        "g++ -g -O1 -gsplit-dwarf -fdebug-types-section -c SOURCE -o form.o\ng++ form.o -o form",
    ),
    of_cpp(
        "C++, DWARF 4, .dwp, type units",
        "g++ -g -O1 -gdwarf-4 -gsplit-dwarf -fdebug-types-section -c SOURCE -o form.o\n\
         g++ form.o -o form\ndwp -e form -o form.dwp\nrm form.dwo",
    ),
    of_cpp(
        "C++, dwz, compressed",
        "g++ -g -O1 SOURCE -o plain\ndwz plain\n\
         objcopy --compress-debug-sections=zlib plain form",
    ),
];

/// Forms of Rust; all are compared with the first.
pub const RUST: &[Form] = &[
    of_rust("Rust", "rustc --edition=2024 -g -O SOURCE -o form"),
    of_rust("Rust, .dwp", "rustc --edition=2024 -g -O -C split-debuginfo=packed SOURCE -o form"),
    of_rust("Rust, .dwo", "rustc --edition=2024 -g -O -C split-debuginfo=unpacked SOURCE -o form"),
];

/// The form that all others are compared with.
pub const PLAIN: Form = of_c("plain", "CC SOURCE -o form");

/// The other forms by the same compiler: the very same values are there.
pub const SAME: &[Form] = &[
    of_c("DWARF 4", "CC -gdwarf-4 SOURCE -o form"),
    of_c("DWARF 5", "CC -gdwarf-5 SOURCE -o form"),
    of_c("DWARF 4, type units", "CC -gdwarf-4 -fdebug-types-section SOURCE -o form"),
    of_c("DWARF 5, type units", "CC -gdwarf-5 -fdebug-types-section SOURCE -o form"),
    of_c("DWARF 4, .dwo", "CC -gdwarf-4 -gsplit-dwarf -c SOURCE -o form.o\nCC form.o -o form"),
    of_c("DWARF 5, .dwo", "CC -gdwarf-5 -gsplit-dwarf -c SOURCE -o form.o\nCC form.o -o form"),
    of_c(
        "DWARF 4, .dwo, type units",
        "CC -gdwarf-4 -gsplit-dwarf -fdebug-types-section -c SOURCE -o form.o\nCC form.o -o form",
    ),
    of_c(
        "DWARF 5, .dwo, type units",
        "CC -gdwarf-5 -gsplit-dwarf -fdebug-types-section -c SOURCE -o form.o\nCC form.o -o form",
    ),
    of_c(
        "DWARF 4, .dwp",
        "CC -gdwarf-4 -gsplit-dwarf -c SOURCE -o form.o\nCC form.o -o form\n\
         dwp -e form -o form.dwp\nrm form.dwo",
    ),
    of_c(
        "DWARF 4, .dwp, type units",
        "CC -gdwarf-4 -gsplit-dwarf -fdebug-types-section -c SOURCE -o form.o\nCC form.o -o form\n\
         dwp -e form -o form.dwp\nrm form.dwo",
    ),
    of_c(
        "dwz",
        "CC SOURCE -o form\nCC -DOTHER SOURCE -o other\ndwz -m common.debug form other\nrm other",
    ),
    of_c("zlib", "CC -gz=zlib SOURCE -o form"),
    of_c("zstd", "CC SOURCE -o plain\nobjcopy --compress-debug-sections=zstd plain form"),
    of_c(".zdebug", "CC SOURCE -o plain\nobjcopy --compress-debug-sections=zlib-gnu plain form"),
    of_c(
        ".gnu_debuglink",
        "CC SOURCE -o form\nobjcopy --only-keep-debug form form.debug\nstrip form\n\
         objcopy --add-gnu-debuglink=form.debug form",
    ),
    of_c(
        ".gnu_debuglink, compressed",
        "CC SOURCE -o form\nobjcopy --only-keep-debug --compress-debug-sections=zlib form form.debug\n\
         strip form\nobjcopy --add-gnu-debuglink=form.debug form",
    ),
    of_c(
        ".gnu_debuglink, dwz",
        "CC SOURCE -o form\nCC -DOTHER SOURCE -o other\n\
         objcopy --only-keep-debug form form.debug\nobjcopy --only-keep-debug other other.debug\n\
         dwz -m common.debug form.debug other.debug\nstrip form\n\
         objcopy --add-gnu-debuglink=form.debug form\nrm other other.debug",
    ),
    of_c("no PIE", "CC -no-pie -fno-pie SOURCE -o form"),
    of_c("static", "CC -static SOURCE -o form"),
    of_c("static PIE", "CC -static-pie SOURCE -o form"),
    of_c("one segment", "CC -Wl,-z,noseparate-code SOURCE -o form"),
    of_c(
        "two executable segments",
        "CC -no-pie -fno-pie -ffunction-sections SOURCE -o form \
         -Wl,--section-start=.text.the_form=0x900000",
    ),
    of_c("linked by lld", "CC -fuse-ld=lld SOURCE -o form"),
    of_c("linked by gold", "CC -fuse-ld=gold SOURCE -o form"),
    of_c(
        "shared library",
        "CC -fPIC -shared -Dmain=forms SOURCE -o libform.so\n\
         CC LOADER -o form -L. -lform -Wl,-rpath,$ORIGIN",
    ),
];

/// Forms by which the code may differ: what is shown is the same, but more may be missing.
pub const OTHER_CODE: &[Form] = &[
    of_c("-O3 -flto", "CC -O3 -flto SOURCE -o form"),
    of_c("musl", "musl-gcc -std=gnu11 -g -O1 SOURCE -o form"),
    of_c("musl, static", "musl-gcc -std=gnu11 -g -O1 -static SOURCE -o form"),
    of_c("clang, DWARF 4", "clang -std=gnu11 -g -O1 -gdwarf-4 SOURCE -o form"),
    of_c("clang, DWARF 5", "clang -std=gnu11 -g -O1 -gdwarf-5 SOURCE -o form"),
    of_c(
        "clang, DWARF 5, .dwo",
        "clang -std=gnu11 -g -O1 -gdwarf-5 -gsplit-dwarf -c SOURCE -o form.o\nclang form.o -o form",
    ),
    of_c(
        "clang, DWARF 5, .dwp",
        "clang -std=gnu11 -g -O1 -gdwarf-5 -gsplit-dwarf -fdebug-types-section -c SOURCE -o form.o\n\
         clang form.o -o form\nllvm-dwp -e form -o form.dwp\nrm form.dwo",
    ),
    of_c(
        "clang, thin LTO by lld",
        "clang -std=gnu11 -g -O1 -flto=thin -fuse-ld=lld SOURCE -o form",
    ),
];

/// A folder with the program of a form.
#[derive(Clone, Debug)]
pub struct Built {
    /// The folder.
    pub folder: PathBuf,
    /// The program in it, with its source.
    pub target: Target,
}

impl Form {
    /// Makes it, once for each state of what it is made of.
    ///
    /// # Errors
    ///
    /// A tool is missing (`cargo xtask setup`) or fails.
    pub fn build(&self) -> Result<Built> {
        let source = root().join("tests/targets").join(self.source);
        let loader = root().join("tests/targets/c/forms_loader.c");
        let mut hasher = DefaultHasher::new();
        (self.commands, CC, &source).hash(&mut hasher);
        for file in [&source, &loader] {
            fs::read(file)?.hash(&mut hasher);
        }
        let home = target_dir().join("targets");
        let folder = home.join(format!("form-{:016x}", hasher.finish()));
        if !folder.join("form").is_file() || !folder.join("complete").is_file() {
            fs::create_dir_all(&folder)?;
            for line in self.commands.lines() {
                let line = line
                    .replace("CC", CC)
                    .replace("SOURCE", &source.display().to_string())
                    .replace("LOADER", &loader.display().to_string());
                run(&folder, &line).with_context(|| self.name)?;
            }
            fs::write(folder.join("complete"), "")?;
        }
        Ok(Built { target: Target { program: folder.join("form"), source }, folder })
    }
}

/// Runs a tool in a folder; its arguments are separated by spaces.
fn run(folder: &Path, line: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let tool = words.next().context("an empty command")?;
    let output = Command::new(tool).args(words).current_dir(folder).output();
    let output = output.with_context(|| format!("no {tool}: run `cargo xtask setup`"))?;
    if !output.status.success() {
        bail!("{line}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
