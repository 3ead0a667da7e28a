//! Addresses of a program, chosen at random among those that may be probed.

use std::collections::HashSet;
use std::ops::Range;
use tracer_core::binary::modules::Code;
use tracer_core::model::address::{Avma, Svma};
use tracer_core::model::resolved::{LocationSpec, ModuleIndex, Site};
use tracer_core::resolve;
use tracer_core::resolve::site::{Code as Steps, Part};
use tracer_tests::random::Random;

/// Places in a row that are refused or taken already, before a program counts as used up.
const IN_VAIN: u32 = 300;

/// Code of a file without gaps: a function or a part of one.
type Function = (String, Range<Svma>);

/// Chooses places of one program, over all of its runs.
pub(super) struct Chooser {
    files: &'static [&'static str],
    taken: HashSet<(String, Svma)>,
    ran: Vec<Function>,
    /// Places that site selection refused.
    pub(super) refused: u64,
}

/// A place to probe.
pub(super) struct Place {
    pub(super) site: Site,
    function: Function,
    /// For people.
    pub(super) text: String,
}

/// What kind of place is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// Where a function begins.
    Entry,
    /// Any instruction, mostly in functions that were seen to run.
    Anywhere,
}

impl Chooser {
    pub(super) fn new(files: &'static [&'static str]) -> Self {
        Self { files, taken: HashSet::new(), ran: Vec::new(), refused: 0 }
    }

    /// Remembers that the function of a place runs.
    pub(super) fn saw(&mut self, place: &Place) {
        if !self.ran.contains(&place.function) {
            self.ran.push(place.function.clone());
        }
    }

    /// How many functions were seen to run.
    pub(super) fn seen(&self) -> usize {
        self.ran.len()
    }

    /// So many places that were never chosen before; fewer where the program has no more.
    pub(super) fn choose(
        &mut self,
        random: &mut Random,
        code: &Code<'_>,
        wanted: Wanted,
        count: u64,
    ) -> Vec<Place> {
        let modules: Vec<(ModuleIndex, String)> = (0..code.modules().len())
            .filter_map(|index| Some((index, code.modules().name(index)?)))
            .filter(|(_, name)| self.files.iter().any(|file| name.starts_with(file)))
            .collect();
        assert!(!modules.is_empty(), "none of {:?} is mapped", self.files);
        let mut places: Vec<Place> = Vec::new();
        let mut in_vain = 0;
        while (places.len() as u64) < count && in_vain < IN_VAIN {
            match self.one(random, code, wanted, &modules) {
                Some(place) => {
                    places.push(place);
                    in_vain = 0;
                }
                None => in_vain += 1,
            }
        }
        places
    }

    fn one(
        &mut self,
        random: &mut Random,
        code: &Code<'_>,
        wanted: Wanted,
        modules: &[(ModuleIndex, String)],
    ) -> Option<Place> {
        let again = wanted == Wanted::Anywhere && random.below(4) > 0;
        let ran = again.then(|| random.one_of(&self.ran).cloned()).flatten();
        let (index, name, range) = match ran {
            Some((name, range)) => {
                let (index, _) = modules.iter().find(|(_, other)| *other == name)?;
                (*index, name, range)
            }
            None => {
                let (index, name) = random.one_of(modules)?;
                (*index, name.clone(), function(random, code, *index)?)
            }
        };
        let svma = match wanted {
            Wanted::Entry => range.start,
            Wanted::Anywhere => instruction(random, code, index, &range)?,
        };
        let site = self.site(code, index, svma)?;
        let taken = self.taken.insert((name.clone(), site.svma));
        let text = format!("{name} {} {} ({})", site.svma, site.disassembly, site.why);
        taken.then_some(Place { site, function: (name, range), text })
    }

    /// What the product makes of an address.
    fn site(&mut self, code: &Code<'_>, index: ModuleIndex, svma: Svma) -> Option<Site> {
        let avma: Avma = code.modules().get(index).ok()?.to_avma(svma);
        let resolved =
            resolve::resolve(&LocationSpec::Address(avma), &format!("*{avma}"), code).ok();
        if resolved.is_none() {
            self.refused += 1;
        }
        resolved?.sites.pop()
    }
}

/// A function of a module, the likelier the more code it has.
fn function(random: &mut Random, code: &Code<'_>, index: ModuleIndex) -> Option<Range<Svma>> {
    let segments = code.modules().get(index).ok()?.elf().segments();
    let text: Vec<Range<u64>> =
        segments.iter().filter(|segment| segment.execute).map(|s| s.file_range()).collect();
    let range = random.one_of(&text)?;
    let svma = Svma(range.start + random.below(range.end - range.start));
    let of_symbol = code.symbols(index).ok().and_then(|symbols| symbols.containing(svma));
    of_symbol
        .map(|(_, range)| range)
        .or_else(|| code.cfi(index).ok()?.covered(svma).map(|covered| covered.range))
}

/// An instruction of a function.
fn instruction(
    random: &mut Random,
    code: &Code<'_>,
    index: ModuleIndex,
    range: &Range<Svma>,
) -> Option<Svma> {
    let length = usize::try_from(range.end.0.checked_sub(range.start.0)?).ok()?;
    let part = Part {
        bytes: code.modules().get(index).ok()?.text(range.start, length)?,
        start: range.start,
        entry: Some(range.start),
        rows: &[],
        targets: &[],
        nop5_is_safe: false,
    };
    let boundaries: Vec<Svma> = Steps::decode(part).boundaries().collect();
    random.one_of(&boundaries).copied()
}
