//! What a location means and what could be seen there, without a probe.

use super::Engine;
use super::error::EngineError;
use super::findings::{FrameVars, Missing, Placed, SiteVars, Vars};
use super::parser::{Session, label};
use super::pipe::process_of;
use super::words::place;
use crate::binary::code_map::CodeMap;
use crate::binary::modules::Code;
use crate::model::caller::Caller;
use crate::model::issue::Issue;
use crate::model::reason::{Reason, ReasonCode};
use crate::model::resolved::{Elsewhere, LocationSpec, Resolved, ScopedVariable, Site};
use crate::model::types::{Shape, Type, TypeGraph};
use crate::resolve;
use crate::resolve::elsewhere::{Absent, Outside, elsewhere};

/// Addresses of other lines that are looked at for one site.
const PLACES_MAX: usize = 400;
/// The same for all sites of a location together.
const PLACES_MAX_ALL: usize = 4000;

impl Engine {
    /// Every site of a location, `text` in the user's words, with every variable: where it is, or
    /// why it can't be shown there and the nearest line where it can. Nothing is placed.
    ///
    /// # Errors
    ///
    /// An issue, as for a snapshot of the location.
    pub fn vars(
        &self,
        caller: Caller,
        pid: u32,
        location: &LocationSpec,
        text: &str,
    ) -> Result<Vars, EngineError> {
        vars(self, caller, pid, location, text)
    }
}

fn vars(
    engine: &Engine,
    caller: Caller,
    pid: u32,
    location: &LocationSpec,
    text: &str,
) -> Result<Vars, EngineError> {
    let process = process_of(caller, pid)?;
    let host = engine.abilities().clone();
    let session = Session::new(&engine.parsers, process.clone(), caller).on(host);
    let (sites, issues) = session.vars(location, text)?;
    Ok(Vars { location_text: text.to_owned(), sites, process, issues })
}

/// Every site of a location with every variable, and what can't be probed of it.
pub(super) fn of_location(
    location: &LocationSpec,
    text: &str,
    code: &Code<'_>,
) -> Result<(Vec<SiteVars>, Vec<Issue>), Issue> {
    let Resolved { sites, types, issues } = resolve::resolve(location, text, code)?;
    let places = (PLACES_MAX_ALL / sites.len().max(1)).min(PLACES_MAX);
    let with_variables = |site: &Site| {
        let absent = elsewhere(site, text, code, places)?;
        Ok(at_site(site, &types, absent, code))
    };
    Ok((sites.iter().map(with_variables).collect::<Result<_, Issue>>()?, issues))
}

fn at_site(site: &Site, types: &TypeGraph, absent: Absent, code: &Code<'_>) -> SiteVars {
    let functions = code.frames(site.pc);
    let outermost = functions.len().saturating_sub(1);
    let named = functions.into_iter().enumerate().map(|(index, frame)| FrameVars {
        function: frame.function,
        line: frame.line,
        inlined: index < outermost,
        variables: Vec::new(),
    });
    let mut frames: Vec<FrameVars> = named.collect();
    if frames.is_empty() {
        let (function, line) = (site.function.clone(), site.line.clone());
        frames.push(FrameVars { function, line, ..FrameVars::default() });
    }
    for (variable, elsewhere) in site.variables.iter().zip(absent.missing) {
        let frame = usize::try_from(variable.inline_depth).unwrap_or(outermost).min(outermost);
        if let Some(frame) = frames.get_mut(frame) {
            frame.variables.push(placed(variable, elsewhere, site, types));
        }
    }
    if let Some(innermost) = frames.first_mut() {
        innermost.variables.extend(absent.outside.into_iter().map(out_of_scope));
    }
    SiteVars {
        requested: site.requested,
        pc: site.pc,
        why: site.why.clone(),
        disassembly: site.disassembly.clone(),
        trap: site.trap,
        module: label(code, site.module, true),
        inlined_into: site.inlined_into.clone(),
        frames,
    }
}

fn placed(
    variable: &ScopedVariable,
    elsewhere: Option<Elsewhere>,
    site: &Site,
    types: &TypeGraph,
) -> Placed {
    let ty = types.get(variable.type_id);
    let kept = variable.at_entry.as_ref().filter(|_| site.entry.is_some());
    let place = match (&variable.location, unreadable(ty)) {
        (Err(_), None) if let Some(kept) = kept => {
            Ok(format!("gone here: {}, where it is kept", place(kept, ty, None)))
        }
        (Err(reason), None) => {
            let elsewhere = elsewhere.unwrap_or(Elsewhere::Nowhere);
            Err(Missing { reason: reason.clone(), elsewhere })
        }
        // No place helps where nobody knows what the bytes mean.
        (_, Some(reason)) => Err(Missing { reason, elsewhere: Elsewhere::Nowhere }),
        (Ok(location), None) => Ok(place(location, ty, site.cfa.as_ref())),
    };
    Placed { name: variable.name.clone(), type_name: ty.name.clone(), kind: variable.kind, place }
}

/// Why a value of a type is not shown, wherever it is.
fn unreadable(ty: &Type) -> Option<Reason> {
    match &ty.shape {
        Shape::Opaque(why) if why == Shape::INCOMPLETE => Some(ReasonCode::IncompleteType.into()),
        Shape::Opaque(why) => Some(Reason::new(ReasonCode::UnsupportedType, why)),
        _ => None,
    }
}

fn out_of_scope(outside: Outside) -> Placed {
    let Outside { name, type_name, kind, elsewhere } = outside;
    let reason = ReasonCode::NotInScope.into();
    Placed { name, type_name, kind, place: Err(Missing { reason, elsewhere }) }
}
