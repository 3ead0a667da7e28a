//! What a location means in a process: its sites, and the variables that are live there.

pub mod access;
mod candidates;
pub mod dies;
pub mod elsewhere;
pub mod find;
mod frame;
pub mod function;
mod function_at;
pub mod instruction;
pub mod lang;
mod line;
mod name;
pub mod process;
pub mod site;
pub mod types;
pub mod variables;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use crate::binary::modules::Code;
use crate::model::address::Avma;
use crate::model::issue::{Issue, IssueKind};
use crate::model::resolved::{LocationSpec, Resolved};
use function::Target;
use function_at::FunctionAt;
use gimli::UnitOffset;
use types::TypeBuilder;

/// Sites of one location that are armed at most; more is hardly what was meant.
pub const SITES_MAX: usize = 256;

/// Resolves a location, `text` in the user's words, to the sites that are probed.
///
/// A place of the location that can't be probed gives an issue beside the others' sites.
///
/// # Errors
///
/// The issue that leaves no site at all.
pub fn resolve(spec: &LocationSpec, text: &str, code: &Code<'_>) -> Result<Resolved, Issue> {
    let targets = function::lookup(spec, code)?;
    if targets.len() > SITES_MAX {
        let detail = format!("{} places, {SITES_MAX} at most", targets.len());
        let issue = Issue::new(IssueKind::TooManySites, text, detail);
        return Err(issue.with_candidates(match spec {
            LocationSpec::Function { .. } => candidates::offers(code, text, &targets),
            _ => Vec::new(),
        }));
    }
    let mut resolved = Resolved::default();
    resolved.types.raw = code.is_raw();
    for of_module in targets.chunk_by(|a, b| a.module == b.module) {
        add_module(&mut resolved, spec, text, code, of_module)?;
    }
    match resolved.issues.first() {
        Some(issue) if resolved.sites.is_empty() => Err(issue.clone()),
        _ => Ok(resolved),
    }
}

/// Adds to each site, behind its variables, at most `most` that are at file scope of its unit.
///
/// # Errors
///
/// When debug info is malformed.
pub fn add_globals(
    resolved: &mut Resolved,
    text: &str,
    code: &Code<'_>,
    most: usize,
) -> Result<(), Issue> {
    for site in &mut resolved.sites {
        let Ok(info) = code.debug_info(site.module) else { continue };
        let bias = code.modules().get(site.module)?.bias();
        let types = std::mem::take(&mut resolved.types);
        let mut builder = TypeBuilder::of(info, types).loaded_at(bias);
        let target = function::target(code, site.module, site.svma);
        let function = FunctionAt::new(code, &target, text)?;
        site.variables.extend(function.globals(&mut builder, site.svma, most)?);
        resolved.types = builder.into_graph();
        info.release();
    }
    Ok(())
}

/// Adds the sites of targets that are all in one module.
fn add_module(
    resolved: &mut Resolved,
    spec: &LocationSpec,
    text: &str,
    code: &Code<'_>,
    targets: &[Target],
) -> Result<(), Issue> {
    let Some(module) = targets.first().map(|target| target.module) else { return Ok(()) };
    // Without debug info a function's entry can be probed still: registers and stack.
    let info = code.debug_info(module).ok();
    let bias = code.modules().get(module)?.bias();
    let mut builder =
        info.map(|info| TypeBuilder::of(info, std::mem::take(&mut resolved.types)).loaded_at(bias));
    let mut placed: Vec<(Avma, Option<UnitOffset>)> = Vec::new();
    for target in targets {
        // Several places of a line may be moved to the same one; calls of a function are told apart.
        let copy = target.instance.filter(|_| matches!(spec, LocationSpec::Function { .. }));
        let function = FunctionAt::new(code, target, text)?;
        match function.site(builder.as_mut()) {
            Ok(site) if placed.contains(&(site.pc, copy)) => {}
            Ok(site) => {
                placed.push((site.pc, copy));
                resolved.sites.push(site);
            }
            Err(issue) => resolved.issues.push(issue),
        }
    }
    if let Some(builder) = builder {
        resolved.types = builder.into_graph();
    }
    if let Some(info) = info {
        info.release();
        // What was read of a file that was cut short meanwhile may be anything.
        code.debug_info(module)?;
    }
    Ok(())
}
