//! Why two values may differ though tracer is right: `truth-disputed.json`.
//!
//! An entry is there only if it is proven that gdb errs, or that the value is another one in each
//! run of the program. Fields of an entry:
//!
//! * `program`: how program and build begin: `memcached clang-O`;
//! * `pc`: the address in the file, in hexadecimal; the function whose entry it is, where several
//!   builds have it; or `*` for all;
//! * `variable`: its path (see [`super::leaf::Leaves`]), with all that is in it; a `*` in front of
//!   it stands for anything;
//! * `dwarf`: what debug info says of it;
//! * `verdict`: who errs, and how we know.

use super::leaf::is_part;
use crate::project::root;
use anyhow::{Context, Result};
use serde_json::Value;

/// The file's entries.
#[derive(Clone, Debug)]
pub struct Disputed(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    program: String,
    pc: String,
    variable: String,
    verdict: String,
}

/// Where two views were taken.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Program and build.
    pub program: &'a str,
    /// The address in the file.
    pub pc: u64,
    /// As it was asked for.
    pub location: &'a str,
}

impl Disputed {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It is not there, or not as it should be.
    pub fn load() -> Result<Self> {
        let path = root().join("truth-disputed.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("there is no {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not understood", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let entries: Vec<Value> = serde_json::from_str(text)?;
        let read = |entry: &Value| {
            let field = |name: &str| {
                let text = entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
                text.map(str::to_owned).with_context(|| format!("no {name} in {entry}"))
            };
            field("dwarf")?;
            Ok(Entry {
                program: field("program")?,
                pc: field("pc")?,
                variable: field("variable")?,
                verdict: field("verdict")?,
            })
        };
        Ok(Self(entries.iter().map(read).collect::<Result<_>>()?))
    }

    /// Why the values at a path may differ; `None` if they may not.
    pub fn verdict(&self, place: Place<'_>, path: &str) -> Option<&str> {
        let mut entries = self.0.iter();
        let found = entries.find(|entry| entry.is_of(place) && entry.has(path));
        found.map(|entry| entry.verdict.as_str())
    }
}

impl Entry {
    fn is_of(&self, place: Place<'_>) -> bool {
        let is_there = match self.pc.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16) == Ok(place.pc),
            None => self.pc == "*" || self.pc == place.location,
        };
        is_there && place.program.starts_with(&self.program)
    }

    fn has(&self, path: &str) -> bool {
        match self.variable.strip_prefix('*') {
            // The end may come several times; behind the last one there may be parts.
            Some(end) => path.match_indices(end).any(|(at, _)| {
                let rest = path.get(at..).unwrap_or_default();
                is_part(rest, end)
            }),
            None => is_part(path, &self.variable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pc: &str, variable: &str, path: &str, expected: bool) {
        let text = format!(
            r#"[{{"program": "tea clang-O", "pc": "{pc}", "variable": "{variable}",
                  "dwarf": "DW_OP_fbreg 8", "verdict": "proven"}}]"#
        );
        let disputed = Disputed::parse(&text).unwrap();
        let place = Place { program: "tea clang-O2", pc: 0x1234, location: "brew" };
        let found = disputed.verdict(place, path);
        assert_eq!(found, expected.then_some("proven"), "{pc} {variable} {path}");
        let elsewhere = Place { program: "tea gcc-O2", ..place };
        assert_eq!(disputed.verdict(elsewhere, path), None);
    }

    #[test]
    fn an_entry_is_for_its_program_its_pc_and_its_variable() {
        check("0x1234", "#0 cup", "#0 cup", true);
        check("0x1235", "#0 cup", "#0 cup", false);
        check("brew", "#0 cup", "#0 cup.size", true);
        check("pour", "#0 cup", "#0 cup.size", false);
        check("*", "#0 cup", "#0 cups", false);
        check("*", "*.time", "#1 pot.*.time", true);
        check("*", "*.time", "#1 pot.time.*.time[2]", true);
        check("*", "*.time", "#1 pot.times", false);
    }

    #[test]
    fn an_entry_without_proof_is_refused() {
        assert!(Disputed::parse(r#"[{"program": "a", "pc": "*", "variable": "x"}]"#).is_err());
    }

    #[test]
    fn the_file_is_understood() {
        Disputed::load().unwrap();
    }
}
