//! Mangled names to names for people.

use std::fmt::{self, Write};

/// Names longer than this, mangled or demangled, stay as they are: a short hostile name can stand
/// for gigabytes.
const NAME_BYTES_MAX: usize = 64 * 1024;

/// The name starts as Rust and C++ compilers mangle.
pub fn is_mangled(name: &[u8]) -> bool {
    name.starts_with(b"_Z") || name.starts_with(b"_R")
}

/// Demangles a Rust or C++ name; `None` for any other name. Rust hashes are cut; of C++ functions
/// the parameters are shown but not the return type.
pub fn demangle(name: &[u8]) -> Option<String> {
    demangle_with(name, cpp_demangle::DemangleOptions::new().no_return_type())
}

/// The same without the parameters of C++ functions.
pub fn demangle_without_parameters(name: &[u8]) -> Option<String> {
    demangle_with(name, cpp_demangle::DemangleOptions::new().no_return_type().no_params())
}

/// The name for people: demangled if it is mangled.
pub fn display(name: &[u8]) -> String {
    demangle(name).unwrap_or_else(|| String::from_utf8_lossy(name).into_owned())
}

fn demangle_with(name: &[u8], options: cpp_demangle::DemangleOptions) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(name).ok()?;
    let mut output = Bounded(String::new());
    // Old Rust names are valid C++ names too, so Rust comes first.
    if let Ok(rust) = rustc_demangle::try_demangle(text) {
        write!(output, "{rust:#}").ok()?;
    } else if text.starts_with("_Z") {
        let symbol = cpp_demangle::Symbol::new(text).ok()?;
        symbol.structured_demangle(&mut output, &options).ok()?;
    } else {
        return None;
    }
    Some(output.0)
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > NAME_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rust_and_cpp_are_demangled() {
        for (mangled, expected) in [
            ("_ZN4core3ptr4drop17h0123456789abcdefE", "core::ptr::drop"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_ZN2ns1fEi", "ns::f(int)"),
            ("_Z3maxIiET_S0_S0_", "max<int>(int, int)"),
            ("_ZplRK1AS1_", "operator+(A const&, A const&)"),
        ] {
            assert_eq!(demangle(mangled.as_bytes()).as_deref(), Some(expected), "{mangled}");
        }
        assert_eq!(demangle_without_parameters(b"_Z3maxIiET_S0_S0_").as_deref(), Some("max<int>"));
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in ["main", "_Z", "_ZZZ", "memcpy@@GLIBC_2.14", ""] {
            assert_eq!(demangle(name.as_bytes()), None, "{name}");
        }
        assert_eq!(display(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn a_name_that_stands_for_gigabytes_is_not_expanded() {
        // Each template argument repeats the one before it twice.
        let mut name = "_Z1fI1A".to_owned();
        for level in 0..30 {
            name.push_str("S_I");
            name.push_str(if level == 0 { "T_" } else { "S0_" });
        }
        let hostile = format!("{name}{}Ev", "E".repeat(31));
        let started = std::time::Instant::now();
        drop(demangle(hostile.as_bytes()));
        assert!(started.elapsed().as_secs() < 5);
    }
}
