//! The nearest line where a variable has the location that it does not have at a site.
//!
//! Lines are tried as a probe would take them: the addresses that the line means, moved as a probe
//! is moved, and what lives there.

mod lines;

#[cfg(test)]
mod tests;

use self::lines::{Line, lines_of, part_starts, parts_of_lines};
use super::dies::DieId;
use super::function::{Target, is_entry, target};
use super::function_at::FunctionAt;
use super::types::TypeBuilder;
use super::variables::{Declared, LineAt};
use crate::binary::dwarf::DebugInfo;
use crate::binary::line_sites::{self, LineSite};
use crate::binary::modules::Code;
use crate::model::address::Svma;
use crate::model::issue::Issue;
use crate::model::resolved::{Elsewhere, ScopedVariable, Site, VariableKind};
use crate::model::types::TypeGraph;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Parts of one function that are looked at; compilers make two, post-link optimisers more.
const PARTS_MAX: usize = 64;
/// Variables out of scope that are told of.
const OUTSIDE_MAX: usize = 200;
/// So many variables in scope at an address count as one more address looked at.
const VARIABLES_OF_PLACE: usize = 256;

/// Where to get what a site does not have.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Absent {
    /// For each variable of the site, in their order; `None` for one that has a location.
    pub missing: Vec<Option<Elsewhere>>,
    /// Variables of the innermost function that are in scope on other lines only; the nearest
    /// first.
    pub outside: Vec<Outside>,
}

/// A variable that is not in scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outside {
    /// Its name in the source.
    pub name: String,
    /// Its type, as the language writes it.
    pub type_name: String,
    /// What it is.
    pub kind: VariableKind,
    /// Where it can be had.
    pub elsewhere: Elsewhere,
}

/// Looks on the other lines of its function for what a site does not have, at no more than
/// `places_max` addresses.
///
/// # Errors
///
/// When the function's debug info is malformed.
pub fn elsewhere(
    site: &Site,
    text: &str,
    code: &Code<'_>,
    places_max: usize,
) -> Result<Absent, Issue> {
    let missing =
        |variable: &ScopedVariable| variable.location.is_err().then_some(Elsewhere::Nowhere);
    let missing = site.variables.iter().map(missing).collect();
    let mut absent = Absent { missing, outside: Vec::new() };
    // Without debug info there are no variables.
    let Ok(info) = code.debug_info(site.module) else { return Ok(absent) };
    let Some(function) = info.function_at(site.svma) else { return Ok(absent) };
    let Some(index) = info.index_of(function.unit) else { return Ok(absent) };
    let sites = line_sites::of_function(info, index, function.offset);
    let starts = part_starts(site, info, index, &sites);
    let targets: Vec<Target> =
        starts.iter().take(PARTS_MAX).map(|start| target(code, site.module, *start)).collect();
    let parts: Vec<FunctionAt<'_, '_>> =
        targets.iter().map(|part| FunctionAt::new(code, part, text)).collect::<Result<_, _>>()?;
    let Some(here) = parts.iter().find(|part| part.range().contains(&site.svma)) else {
        return Ok(absent);
    };
    let mut builder = TypeBuilder::of(info, TypeGraph::default());
    let declared = here.variables(&mut builder, site.svma)?;
    let mut search = Search {
        site,
        code,
        info,
        parts: &parts,
        builder,
        declared: &declared,
        here: here.lines_at(site.svma),
        seen: HashMap::new(),
        probed: HashMap::new(),
        places_left: places_max,
        complete: starts.len() == parts.len(),
    };
    let rows = parts.iter().flat_map(FunctionAt::rows);
    let lines = [lines_of(info, index, &sites), parts_of_lines(info, index, rows, &sites)];
    search.missing(&lines, &mut absent.missing);
    let innermost = here.innermost_function(site.svma);
    let outside = innermost.map(|function| search.outside(&lines, function));
    let types = search.builder.into_graph();
    let into_outside = |(variable, elsewhere): (ScopedVariable, Elsewhere)| Outside {
        type_name: types.get(variable.type_id).name.clone(),
        name: variable.name,
        kind: variable.kind,
        elsewhere,
    };
    absent.outside = outside.into_iter().flatten().map(into_outside).collect();
    Ok(absent)
}

struct Search<'s, 't, 'm> {
    site: &'s Site,
    code: &'t Code<'m>,
    info: &'t DebugInfo,
    parts: &'s [FunctionAt<'t, 'm>],
    builder: TypeBuilder<'t>,
    /// What is in scope at the site.
    declared: &'s [Declared],
    /// The lines of the frames at the site.
    here: Vec<LineAt>,
    /// By address, what is in scope where a probe is asked for that means the address.
    seen: HashMap<Svma, Vec<Declared>>,
    /// By address, where that probe sits and what has a location there; `None` where it can't be
    /// placed.
    probed: HashMap<Svma, Option<(Svma, HashSet<DieId>)>>,
    places_left: usize,
    /// Nothing was left out so far.
    complete: bool,
}

impl<'s, 't, 'm> Search<'s, 't, 'm> {
    /// Looks for the variables of the site that `found` calls missing, on lines and then on parts
    /// of lines.
    fn missing(&mut self, lines: &[Vec<Line>], found: &mut [Option<Elsewhere>]) {
        let mut by_frame: BTreeMap<u32, Vec<(DieId, &mut Elsewhere)>> = BTreeMap::new();
        for (declared, found) in self.declared.iter().zip(found) {
            if let Some(found) = found {
                let frame = declared.variable.inline_depth;
                by_frame.entry(frame).or_default().push((declared.id, found));
            }
        }
        for (frame, mut wanted) in by_frame {
            for lines in lines {
                for line in self.by_distance(lines, frame) {
                    if wanted.is_empty() || !self.look(line) {
                        break;
                    }
                    wanted.retain_mut(|(id, found)| !self.settles(line, *id, found));
                }
                wanted.retain(|(_, found)| **found == Elsewhere::Nowhere);
            }
            if !self.complete {
                wanted.into_iter().for_each(|(_, found)| *found = Elsewhere::NotFound);
            }
        }
    }

    /// The variables of `function`, the innermost one at the site, that are in scope on other
    /// lines only, the nearest first.
    fn outside(
        &mut self,
        lines: &[Vec<Line>],
        function: DieId,
    ) -> Vec<(ScopedVariable, Elsewhere)> {
        let mut known: HashSet<DieId> = self.declared.iter().map(|declared| declared.id).collect();
        let mut found = Vec::new();
        let lines = lines.iter().flat_map(|lines| self.by_distance(lines, 0));
        let lines: Vec<&Line> = lines.collect();
        for line in lines.iter().take_while(|line| line.whole) {
            if !self.look(line) {
                break;
            }
            let seen = line.sites.iter().filter_map(|site| self.seen.get(&site.svma)).flatten();
            let of_function = seen.filter(|declared| declared.function == function);
            found.extend(of_function.filter(|declared| known.insert(declared.id)).cloned());
        }
        found.truncate(OUTSIDE_MAX);
        let mut outside = Vec::new();
        for Declared { id, variable, .. } in found {
            let mut place = Elsewhere::Nowhere;
            for line in &lines {
                let is_needed = line.whole || place == Elsewhere::Nowhere;
                if !is_needed || !self.look(line) || self.settles(line, id, &mut place) {
                    break;
                }
            }
            if place == Elsewhere::Nowhere && !self.complete {
                place = Elsewhere::NotFound;
            }
            outside.push((variable, place));
        }
        outside
    }

    /// The lines, those nearest to that of a frame at the site first.
    fn by_distance<'l>(&self, lines: &'l [Line], frame: u32) -> Vec<&'l Line> {
        let here = self.here.get(frame as usize).map(|at| &at.line).filter(|line| line.line != 0);
        let mut ordered: Vec<&Line> = lines.iter().collect();
        ordered.sort_by_key(|line| line.distance(here, self.site.svma));
        ordered
    }

    /// Learns what is in scope at the addresses of a line; false if no more may be looked at.
    fn look(&mut self, line: &Line) -> bool {
        for site in &line.sites {
            if self.seen.contains_key(&site.svma) {
                continue;
            }
            if self.places_left == 0 {
                self.complete = false;
                return false;
            }
            let requested = self.requested(site.svma);
            let seen = requested.map(|requested| self.at(requested)).unwrap_or_default();
            let cost = 1 + seen.len() / VARIABLES_OF_PLACE;
            self.places_left = self.places_left.saturating_sub(cost);
            self.seen.insert(site.svma, seen);
        }
        true
    }

    /// Takes a line for a variable if it has it and `found` is not as good: a whole line is better
    /// than a part of one. True if none that comes later is better.
    fn settles(&mut self, line: &Line, id: DieId, found: &mut Elsewhere) -> bool {
        let Some(place) = self.on(line, id) else { return false };
        let whole = matches!(place, Elsewhere::Line { whole: true, .. });
        if whole || *found == Elsewhere::Nowhere {
            *found = place;
        }
        whole || !line.whole
    }

    /// Where on a line a variable has a location, if the frame that it belongs to is on this line
    /// then.
    fn on(&mut self, line: &Line, id: DieId) -> Option<Elsewhere> {
        let has = |site: &LineSite<_>| {
            self.seen.get(&site.svma).is_some_and(|seen| {
                seen.iter().any(|Declared { id: other, variable, .. }| {
                    *other == id
                        && variable.inline_depth as usize == site.depth
                        && variable.location.is_ok()
                })
            })
        };
        if !line.sites.iter().any(has) {
            return None;
        }
        let (mut first, mut whole) = (None, line.whole);
        for site in &line.sites {
            // What can't be probed shows nothing, right or wrong.
            let Some((pc, located)) = self.probe(site.svma) else { continue };
            if located.contains(&id) {
                first = first.or(Some(*pc));
            } else {
                whole = false;
            }
        }
        let module = self.code.modules().get(self.site.module).ok()?;
        Some(Elsewhere::Line { line: line.line.clone(), pc: module.to_avma(first?), whole })
    }

    /// Where a probe for an address sits, and what has a location there.
    fn probe(&mut self, svma: Svma) -> Option<&(Svma, HashSet<DieId>)> {
        if !self.probed.contains_key(&svma) {
            let requested = self.requested(svma);
            let placed = requested
                .and_then(|requested| self.part(requested)?.place(requested).ok())
                .map(|placement| placement.svma);
            let probed = placed.map(|pc| {
                let located = self.at(pc).into_iter();
                let located = located.filter(|declared| declared.variable.location.is_ok());
                (pc, located.map(|declared| declared.id).collect())
            });
            self.probed.insert(svma, probed);
        }
        self.probed.get(&svma)?.as_ref()
    }

    /// Where a probe is asked for that means an address.
    fn requested(&self, svma: Svma) -> Option<Svma> {
        let at_entry = is_entry(self.code, self.site.module, Some(self.info), svma);
        Some(self.part(svma)?.requested(svma, at_entry).0)
    }

    /// What is in scope at a pc; nothing where debug info is malformed.
    fn at(&mut self, pc: Svma) -> Vec<Declared> {
        let Some(part) = self.part(pc) else { return Vec::new() };
        part.variables(&mut self.builder, pc).unwrap_or_default()
    }

    /// The part of the function that holds an address.
    fn part(&self, svma: Svma) -> Option<&'s FunctionAt<'t, 'm>> {
        self.parts.iter().find(|part| part.range().contains(&svma))
    }
}
