//! Every question that a user has about a program, and what is asked when a probe in it is hit.

use crate::hit;
use std::path::Path;
use tracer_core::binary::code_map::CodeMap as _;
use tracer_core::binary::line_sites;
use tracer_core::binary::modules::{Code, Modules};
use tracer_core::model::address::Avma;
use tracer_core::model::limits::Limits;
use tracer_core::model::resolved::LocationSpec;
use tracer_core::plan;
use tracer_core::resolve::elsewhere::elsewhere;
use tracer_core::resolve::find::find;
use tracer_core::resolve::resolve;

/// Functions, files, and lines of a file that are asked for.
const NAMES: usize = 8;
/// Addresses of other lines that are looked at for a site.
const PLACES: usize = 40;

/// Asks all about a file, mapped by nobody. `addresses` are asked for too.
pub(crate) fn everything(path: &Path, addresses: &[u64]) {
    let Ok(modules) = Modules::of_file(path) else { return };
    let code = Code::new(&modules);
    let found = find("*", &code).unwrap_or_default();
    for function in found.iter().take(NAMES) {
        let name = function.name.clone();
        place(&code, &LocationSpec::Function { module: None, name, offset: None });
    }
    let functions = found.iter().take(NAMES).map(|function| function.svma.0 + 4);
    for address in addresses.iter().copied().chain(functions) {
        place(&code, &LocationSpec::Address(Avma(address)));
    }
    let Ok(info) = code.debug_info(0) else { return };
    let paths: Vec<String> = info.source_index().paths().take(NAMES).map(str::to_owned).collect();
    for path in paths {
        for file in line_sites::source_files(info, &path) {
            for line in line_sites::lines_with_code(info, &file).into_iter().take(NAMES) {
                place(&code, &LocationSpec::Line { file: path.clone(), line });
            }
        }
    }
}

/// Resolves a location as for a probe there, and decodes a hit of each site.
fn place(code: &Code<'_>, spec: &LocationSpec) {
    let Ok(resolved) = resolve(spec, "it", code) else { return };
    for (index, site) in resolved.sites.iter().enumerate().take(NAMES) {
        let plan = plan::compile(site, &resolved.types, Limits::DEFAULT);
        // A plan ends, or the kernel program would refuse it.
        assert!(!plan.ops.is_empty());
        // Whatever it finds, or why it finds nothing.
        let _absent = elsewhere(site, "it", code, PLACES);
        let _frames = code.frames(site.pc);
        hit::decode(&hit::record(site.pc), index, site, &resolved.types, code);
    }
}
